"""Numbers of tensors cut into what the entropy coder takes and what goes beside it, and back.

The C extension does it quickly (words.h), and numpy where there is none: the same from both.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.weights import slow

_quick: ModuleType = slow
with suppress(ImportError):  # built without a C compiler
    from lictor.codec.weights import _weights as _quick

Bytes = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int32]


class _Memory(threading.local):
    """Arrays that a thread uses again: fresh pages of the system cost more than the work."""

    def __init__(self) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    def array(self, name: str, size: int, dtype: Any) -> npt.NDArray[Any]:
        """Of that size, with what was last written to the array of that name."""
        found = self.arrays.get(name)
        if found is None or found.size < size:
            found = self.arrays[name] = np.zeros(max(size, _USUAL), dtype)
        return found[:size]


_USUAL = 2**17
_memory = _Memory()


def zeros(count: int, dtype: type = np.uint8) -> npt.NDArray[Any]:
    """So many, to be read only."""
    return _memory.array(f"zeros of {dtype.__name__}", count, dtype)


def room(count: int, use: str = "tops") -> Symbols:
    """For so many symbols, until the thread's next `split`, or `room` for that use."""
    return _memory.array(use, count, np.int32)


def rows(layout: Layout, count: int) -> Bytes:
    """For the planes of so many rests, until the thread's next `split` or `rows`."""
    number = len(layout.widths)
    return _memory.array("planes", number * count, np.uint8).reshape(number, count)


@dataclass(frozen=True)
class Layout:
    """How words are cut: the `raw` low bits are the rest, those above it the top, a symbol.

    item: bytes of a word, 1, 2, 4 or 8. raw: bits of the rest, at least 8 * item - 16.
    sign: whether the highest bit of the word is the highest of the rest instead.
    low: tops from here on, at least 1, are the symbols 1, 2, …; 0 is 0, others are negative.
    """

    item: int
    raw: int
    sign: bool
    low: int = 1

    @property
    def top(self) -> int:
        """Bits of the top."""
        return 8 * self.item - self.raw

    @cached_property
    def widths(self) -> list[int]:
        """Bits of each plane of the rest, the lowest first."""
        return [min(8, self.raw - at) for at in range(0, self.raw, 8)]

    @property
    def valid(self) -> bool:
        """Whether there is such a layout."""
        known = self.item in (1, 2, 4, 8) and self.sign <= self.raw < 8 * self.item
        return known and self.top <= 16 and 1 <= self.low < 2**16


def split(layout: Layout, words: Bytes) -> tuple[Symbols, Bytes]:
    """The symbols of words, and the planes of their rests, (planes, count), in memory of `room`."""
    count = words.size // layout.item
    symbols, planes = room(count), rows(layout, count)
    _quick.split(words, layout.item, layout.raw, int(layout.sign), layout.low, symbols, planes)
    return symbols, planes


def join(layout: Layout, symbols: Symbols, planes: Bytes, out: Bytes) -> None:
    """Put words together again, into `out`."""
    parts = layout.item, layout.raw, int(layout.sign), layout.low
    _quick.join(symbols, planes, *parts, out)


def packed_size(count: int, width: int) -> int:
    """Bytes that fields of `width` bits take: eight fields are `width` bytes."""
    return -(-count // 8) * width if width < 8 else count


def pack(values: Bytes, width: int) -> Bytes:
    """The `width` low bits of bytes, close together."""
    if width == 8:
        return values
    packed = np.empty(packed_size(values.size, width), np.uint8)
    _quick.pack(values, width, packed)
    return packed


def unpack(packed: Bytes, width: int, out: Bytes) -> None:
    """What `pack` made, into `out`. packed: just as many bytes as it takes."""
    if width == 8:
        out[:] = packed
    else:
        _quick.unpack(packed, width, out)


def contexts(
    rows: Bytes, columns: Bytes, start: int, count: int, least: int = 0, most: int = 255
) -> Bytes:
    """The context of each of `count` values from value `start` on: both levels, added.

    The sums are held within least and most, and less least. In memory of the thread, as `room`.
    """
    out = _memory.array("contexts", count, np.uint8)
    _quick.contexts(rows, columns, start, least, most, out)
    return out


def tally(symbols: Symbols, of: Bytes, width: int, rows: int) -> npt.NDArray[np.int64]:
    """How often each context has the symbols 0 to width - 2, and others: (rows, width)."""
    counts = np.zeros((rows, width), np.int64)
    _quick.tally(symbols, of, width, counts)
    return counts


def sums(
    symbols: Symbols,
    mask: int,
    start: int,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
) -> None:
    """Add symbols, their bits of `mask`, to sums of rows and columns; negative ones count as 0.

    start: of the first among the values of these rows.
    """
    _quick.sums(symbols, mask, start, rows, columns)


def viterbi(
    values: npt.NDArray[np.float32],
    contexts: Bytes,
    rates: npt.NDArray[np.float32],
    strands: int,
    levels: Symbols,
) -> None:
    """The levels of a trellis, into `levels`; trellis.py says what they are."""
    _quick.viterbi(values, contexts, rates, rates.shape[1], strands, levels)


def advance(symbols: Symbols, states: Bytes, following: Bytes, zero: int, quantiser: int) -> None:
    """What a decoder of a trellis does after one value of each strand, all in place.

    symbols: become steps of the grid. states: those after them. following: contexts of the next
    values, to which `quantiser` is added where theirs is the odd one.
    """
    _quick.advance(symbols, states, following, zero, quantiser)
