"""Which neighbouring contexts share a table, and what their symbols then cost."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import direct
from lictor.entropy import fitted
from lictor.entropy.fitted import Histogram

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

_WIDE = 2**20
"""Counts of a symbol in a context, all together, up to which they are kept side by side."""
_FEW, _AROUND = 2**11, 2**10
"""Of more symbols than these, those few that lie further out than this are counted as escapes."""
_LOOKED_AT = 2**12


def shared(
    values: npt.NDArray[Any], fine: npt.NDArray[Any], count: int, most: int, low: int = 0
) -> tuple[float, list[int], list[Histogram] | None]:
    """Contexts joined with their neighbours where that saves bits.

    Args:
        values: integers.
        fine: the context of each, 0…count - 1.
        count: how many contexts there are.
        most: no more tables than that.
        low: bits of values that are split off (direct.py); what is left are the symbols.

    Returns:
        Bits, about; the first context of each run that shares a table; and what each run holds.
        None, and no bits, where that has to be counted anew.
    """
    ends = np.array([values.min(initial=0), values.max(initial=0)])
    first, last = (int(v) for v in direct.split(ends, low)[0]) if low else map(int, ends)
    beyond = (False, False)
    if _field is not None and last - first >= _FEW and not low:
        held, inside = _held(values, first, last)
        if (inside[1] - inside[0] + 1) * count <= _WIDE:
            beyond = inside[0] > first, inside[1] < last
            values, (first, last) = held, inside
    width = last - first + 1
    if _field is None or count > 128 or width * count > _WIDE or -first >= 2**31:
        symbols = direct.split(values, low)[0] if low else values
        found = fitted.histograms(symbols, fine, count)
        starts = fitted.merge(found, most)
        joined = fitted.joined(found, starts)
        return sum(fitted.bits(h) for h in joined or ()), starts, joined
    counts = np.zeros((count, width), np.int64)
    _field.count(
        np.ascontiguousarray(values, None if values.dtype == np.int16 else np.int32),
        np.ascontiguousarray(fine, np.uint8),
        low,
        first,
        width,
        counts,
    )
    runs = np.empty(count, np.int32)
    costs = (fitted.TABLE_BITS, fitted.ENTRY_BITS, fitted.ENTRIES)
    n, bits = _field.merge(counts, width, most, *costs, runs)
    return bits, runs[:n].tolist(), [_trimmed(first, own, beyond) for own in counts[:n]]


def _held(
    values: npt.NDArray[Any], first: int, last: int
) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """Values between two bounds, beyond which few of them lie, and the bounds."""
    some = values[:: values.size // _LOOKED_AT | 1]
    low, high = (int(v) for v in np.quantile(some, (0.002, 0.998), method="nearest"))
    low, high = max(low - _AROUND, first), min(high + _AROUND, last)
    return np.clip(values, low, high), (low, high)


def _trimmed(low: int, counts: npt.NDArray[np.int64], beyond: tuple[bool, bool]) -> Histogram:
    far = 0
    for edge in (end for end, there in zip((0, -1), beyond, strict=True) if there):
        far, counts[edge] = far + int(counts[edge]), 0
    there = np.flatnonzero(counts)
    if not there.size:
        return Histogram(0, np.zeros(0, np.int64), beyond=far)
    first, last = int(there[0]), int(there[-1])
    return Histogram(low + first, counts[first : last + 1], beyond=far)
