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
    return bits, runs[:n].tolist(), [_trimmed(first, own) for own in counts[:n]]


def _trimmed(low: int, counts: npt.NDArray[np.int64]) -> Histogram:
    there = np.flatnonzero(counts)
    if not there.size:
        return Histogram(0, np.zeros(0, np.int64))
    first, last = int(there[0]), int(there[-1])
    return Histogram(low + first, counts[first : last + 1])
