"""How the words of a type are cut; what is left to choose, a tensor's own numbers decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lictor.codec.format.weights import CHUNK
from lictor.codec.weights.container import BITS
from lictor.codec.weights.words import Layout

FLOATS = {"BF16": (2, 7), "F16": (2, 10), "F32": (4, 23), "F64": (8, 52)}
"""Bytes of a word, and bits of its mantissa."""
_FINEST = 3
"""Bits of the mantissa that go with the exponent, at most: a fourth says nothing more."""
_MOST_RAW = 7
"""Bits of a whole number that go raw, at most."""
_ESCAPE = 28
"""Bits that a symbol takes which is not in its table, about."""
_BYTE_FLOATS = {"F8_E4M3": 3, "F8_E5M2": 2, "F8_E4M3FNUZ": 3, "F8_E5M2FNUZ": 2}
WINDOW = 254
"""Tops in a row that are symbols from 1 on."""


def of_type(dtype: str) -> Layout:
    """The words of a type: a float's exponent is its top, and a bit or three below; else a byte."""
    if dtype in FLOATS:
        item, mantissa = FLOATS[dtype]
        return Layout(item, 1 + mantissa - _FINEST, True)
    return in_bytes(word(dtype))


def word(dtype: str) -> int:
    """Bytes of a value of a type; 1 of those that are unknown, or share bytes."""
    return max(1, BITS.get(dtype, 8) // 8) if dtype != "C64" else 4


def values(item: int) -> int:
    """Of a chunk: no more bytes than one may have, nor more values than stay in a core's cache."""
    return int(min(CHUNK // item, 2**17))


def in_bytes(item: int) -> Layout:
    """The highest byte of a word as its top, the others as planes."""
    return Layout(item, 8 * item - 8, False)


def in_words() -> Layout:
    """Words of two bytes as symbols, all of them: whole numbers that are near one another."""
    return Layout(2, 0, False)


def is_whole(layout: Layout) -> bool:
    """Whether the symbols of a layout are whole numbers, but for a few bits."""
    return layout.item == 2 and not layout.sign and layout.raw <= _MOST_RAW


def per_octave(dtype: str, layout: Layout) -> int:
    """Tops of an octave of values; 0 for types whose tops tell nothing of the kind."""
    if dtype in FLOATS:
        return int(2 ** (FLOATS[dtype][1] + 1 - layout.raw))
    return int(2 ** _BYTE_FLOATS[dtype]) if dtype in _BYTE_FLOATS else 0


def mask(dtype: str) -> int:
    """The bits of a symbol that tell of a value's size."""
    return 127 if dtype in _BYTE_FLOATS else -1


def fitted(layout: Layout, counts: npt.NDArray[np.int64], some: float) -> Layout:
    """The layout with as many bits in the top as pay, and the tops that are symbols.

    counts: of the tops of a layout with low 1, the finest that may be. some: how many times as many
    values there are as were counted.
    """
    coarsest = _FINEST if layout.sign else _MOST_RAW
    best = min(range(coarsest + 1), key=lambda less: _cost(counts, less, some, layout.sign))
    folded = _folded(counts, best)
    total = np.cumsum(folded)
    reach = total[WINDOW:] - total[:-WINDOW]
    low = 1 + int(reach.argmax()) if reach.size else 1
    return replace(layout, raw=layout.raw + best, low=low)


def _folded(counts: npt.NDArray[np.int64], less: int) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = counts.reshape(-1, 2**less).sum(1)
    return found


def _cost(counts: npt.NDArray[np.int64], less: int, some: float, sign: bool) -> float:
    """About the bits of all values with so many bits fewer in the top."""
    folded = _folded(counts, less)
    far = 0
    if not sign and folded.size > WINDOW:  # of floats, few exponents are far from the others
        total = np.cumsum(folded)
        far = int(total[-1] - (total[WINDOW:] - total[:-WINDOW]).max())
    used = folded[folded > 0].astype(np.float64)
    total = used.sum()
    spent = total * (np.log2(max(total, 1)) + less) - (used * np.log2(used)).sum()
    return float((spent + _ESCAPE * far) * some + 3.0 * used.size)
