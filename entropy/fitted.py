"""Frequency tables fitted to a tensor, and the few bits they travel in.

A table's frequencies travel as logarithms in steps of a quarter octave, which costs 0.05 % in its
symbols, and become integers again by integer arithmetic alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.entropy.tables import Tables

IntArray = npt.NDArray[np.int64]

TOTAL = 2**14
ENTRIES = 255
MAX_SHIFT = 16
MAX_LOG = 56
"""Of a frequency: 4 log2(2^14)."""
_ESCAPED = 16, 48
"""Raw bits of a symbol that has no entry, within ±2^15 and beyond."""
_QUARTERS = np.array([16, 19, 23, 27], np.int64)
ENTRY_BITS = 2.5
_NONE = 0.3
"""What is counted of escapes where there is none."""
TABLE_BITS = 30.0
_TOGETHER, _PART = 2**20, 2**19


@dataclass
class Shape:
    """One table: logarithms of its entries, the escape's last (-1: there is none)."""

    offset: int
    shift: int
    logs: list[int]


def tables(shapes: list[Shape]) -> Tables:
    """The integer tables. Raises ValueError for shapes that are none."""
    sizes = [len(s.logs) for s in shapes]
    logs = np.full((len(shapes), max(sizes, default=0)), -1, np.int64)
    for row, shape in zip(logs, shapes, strict=True):
        row[: len(shape.logs)] = shape.logs
    flat = _frequencies(logs)[np.arange(logs.shape[1]) < np.array(sizes)[:, None]]
    return Tables(flat, sizes, [s.offset for s in shapes], [s.shift for s in shapes])


def _frequencies(logs: IntArray) -> IntArray:
    """Shares of 2^14 in proportion to 2^(log/4), at least 1; what is left goes to the largest.

    logs: (tables, entries), -1 where there is none.
    """
    there = logs >= 0
    weights = np.where(there, _QUARTERS[logs % 4] << (logs.clip(0) // 4), 0)
    free = TOTAL - there.sum(1, keepdims=True)
    shares = np.where(there, 1 + weights * free // weights.sum(1, keepdims=True).clip(1), 0)
    shares[np.arange(len(logs)), weights.argmax(1)] += TOTAL - shares.sum(1)
    return shares


@dataclass
class Histogram:
    """Counts of the symbols from `low` on; far: some were counted at an edge but lie beyond.

    beyond: how many were not counted, as they will be escapes.
    """

    low: int
    counts: npt.NDArray[np.int64]
    far: bool = False
    beyond: int = 0

    @property
    def size(self) -> int:
        """How many symbols were counted."""
        return int(self.counts.sum())


def histograms(
    symbols: npt.NDArray[Any], contexts: npt.NDArray[Any], count: int
) -> list[Histogram]:
    """What each context holds. Far symbols are counted at the edge, as they will be escapes."""
    low = int(symbols.min(initial=0))
    width = int(symbols.max(initial=0)) - low + 1
    if width * count <= _TOGETHER:
        return _together(symbols, contexts, count, low, width)
    found = []
    for i in range(count):
        own = symbols[contexts == i]
        if not own.size:
            found.append(Histogram(0, np.zeros(0, np.int64)))
            continue
        low, high = least, most = int(own.min()), int(own.max())
        if high - low > 2**16:
            low, high = (int(v) for v in np.quantile(own, (0.001, 0.999), method="nearest"))
            low, high = max(low, -(2**20)), min(high, 2**20)
            high = max(high, low)
            own = np.clip(own, low, high)
        far = low > least or high < most
        found.append(Histogram(low, np.bincount(own - low).astype(np.int64), far))
    return found


def _together(
    symbols: npt.NDArray[Any], contexts: npt.NDArray[Any], count: int, low: int, width: int
) -> list[Histogram]:
    """All contexts' counts at once, a part of the symbols at a time."""
    counts = np.zeros(count * width, np.int64)
    for start in range(0, symbols.size, _PART):
        part = slice(start, start + _PART)
        places = contexts[part].astype(np.int64) * width + (symbols[part] - low)
        counts += np.bincount(places, minlength=counts.size)
    found = []
    for own in counts.reshape(count, width):
        there = np.flatnonzero(own)
        if not there.size:
            found.append(Histogram(0, np.zeros(0, np.int64)))
            continue
        first, last = int(there[0]), int(there[-1])
        found.append(Histogram(low + first, own[first : last + 1]))
    return found


def merged(a: Histogram, b: Histogram) -> Histogram:
    """Both together."""
    if not a.size or not b.size:
        return b if not a.size else a
    low = min(a.low, b.low)
    counts = np.zeros(max(a.low + a.counts.size, b.low + b.counts.size) - low, np.int64)
    for h in (a, b):
        counts[h.low - low : h.low - low + h.counts.size] += h.counts
    return Histogram(low, counts, a.far or b.far)


def joined(found: list[Histogram], starts: list[int]) -> list[Histogram] | None:
    """Those of the runs that `merge` found; None where they have to be counted anew."""
    if any(h.far for h in found):
        return None
    ends = [*starts[1:], len(found)]
    return [reduce(merged, found[a:b]) for a, b in zip(starts, ends, strict=True)]


def bits(h: Histogram) -> float:
    """About what the symbols cost, and the table."""
    if not h.size:
        return 0.0
    counts = h.counts[h.counts > 0]
    spent = float(h.size * np.log2(h.size) - (counts * np.log2(counts)).sum())
    return spent + TABLE_BITS + ENTRY_BITS * min(h.counts.size, ENTRIES)


def merge(found: list[Histogram], most: int) -> list[int]:
    """The first context of each run that shares a table, runs being as long as pays."""
    starts, runs = list(range(len(found))), list(found)
    costs = [bits(h) for h in runs]
    pairs = [merged(a, b) for a, b in pairwise(runs)]
    joint = [bits(h) for h in pairs]
    while len(runs) > 1:
        gains = [costs[i] + costs[i + 1] - joint[i] for i in range(len(pairs))]
        best = int(np.argmax(gains))
        if gains[best] < 0 and len(runs) <= most:
            break
        runs[best], costs[best] = pairs[best], joint[best]
        del runs[best + 1], costs[best + 1], starts[best + 1], pairs[best], joint[best]
        for i in (best - 1, best):
            if 0 <= i < len(pairs):
                pairs[i] = merged(runs[i], runs[i + 1])
                joint[i] = bits(pairs[i])
    return starts


def shape(h: Histogram) -> Shape:
    """The table that codes a histogram in few bits, its own included."""
    if not h.size:
        return Shape(h.low, 0, [0, MAX_LOG] if h.beyond else [MAX_LOG, -1])
    used = np.flatnonzero(h.counts)
    symbols, own = used + h.low, h.counts[used].astype(np.float64)
    first, last = int(symbols[0]), int(symbols[-1])
    least, chosen = math.inf, 0
    best: tuple[int, npt.NDArray[np.float64], float] = first, np.ones(1), 0.0
    if last - first < ENTRIES - 1:  # all have an entry
        best = first, h.counts[used[0] : used[-1] + 1].astype(np.float64), 0.0
    for shift in range(MAX_SHIFT + 1 if last - first >= ENTRIES - 1 else 0):
        cost, found = _window(symbols, own, shift)
        if cost < least:
            least, best, chosen = cost, found, shift
        if _entry(last, shift) - _entry(first, shift) < ENTRIES - 1:
            break  # more low bits would be of no use
    low, counts, escapes = best
    escapes += h.beyond
    if counts.size == 1 and not (escapes or chosen or h.far):
        return Shape(low, 0, [MAX_LOG, -1])
    return Shape(low, chosen, _logs(np.append(_smooth(counts), max(escapes, _NONE))))


def _entry(symbol: int, shift: int) -> int:
    return (symbol + ((1 << shift) >> 1)) >> shift


def _window(
    symbols: IntArray, own: npt.NDArray[np.float64], shift: int
) -> tuple[float, tuple[int, npt.NDArray[np.float64], float]]:
    """Bits of symbols with the most of them in one table's entries, the others as escapes.

    own: counts of the symbols, which are in order. Also the first entry, the entries' counts, and
    how many symbols escape.
    """
    entry = (symbols + ((1 << shift) >> 1)) >> shift
    counts = np.bincount(entry - entry[0], own).astype(np.float64)
    start, size = 0, min(counts.size, ENTRIES - 1)
    if counts.size > size:
        total = np.append(0, np.cumsum(counts))
        start = int(np.argmax(total[size:] - total[:-size]))
    inside = counts[start : start + size]
    inside = inside[: int(np.flatnonzero(inside)[-1]) + 1]
    skipped = int(np.flatnonzero(inside)[0])
    inside, start = inside[skipped:], start + skipped
    outside = (entry < entry[0] + start) | (entry >= entry[0] + start + inside.size)
    escapes = float(own[outside].sum())
    shares = np.append(_smooth(inside), max(escapes, _NONE)) / (inside.sum() + max(escapes, _NONE))
    bits = -float((np.append(inside, escapes) * np.log2(shares.clip(1 / TOTAL))).sum())
    raw = own[outside] @ np.where(np.abs(symbols[outside]) < 2**15, *_ESCAPED)
    cost = bits + ENTRY_BITS * inside.size + shift * float(inside.sum()) + float(raw)
    return cost, (int(entry[0]) + start, inside, escapes)


def windowed(h: Histogram) -> Shape:
    """As `shape`, without a shift: of symbols that are too many, those at an end are escapes."""
    used = np.flatnonzero(h.counts)
    if not used.size:
        return Shape(h.low, 0, [0, MAX_LOG] if h.far else [MAX_LOG, -1])
    first, last = int(used[0]), int(used[-1]) + 1
    while last - first > ENTRIES:
        if h.counts[first] < h.counts[last - 1]:
            first += 1
        else:
            last -= 1
    counts = h.counts[first:last].astype(np.float64)
    escapes = float(h.counts.sum() - counts.sum())
    if counts.size == 1 and not (escapes or h.far):
        return Shape(h.low + first, 0, [MAX_LOG, -1])
    smooth = np.minimum(_smooth(counts), np.maximum(counts, _RARE))  # beside a peak it is no peak
    return Shape(h.low + first, 0, _logs(np.append(smooth, max(escapes, _NONE))))


_RARE = 24
"""A symbol that was counted less often is rare."""


def _smooth(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rare symbols' counts averaged with their neighbours': less chance, and flatter to send."""
    padded = np.pad(counts, 1, mode="edge")
    average = (padded[:-2] + 2 * counts + padded[2:]) / 4
    return np.where(counts < _RARE, average, counts)


def _logs(counts: npt.NDArray[np.float64]) -> list[int]:
    share = counts / counts.sum() * TOTAL
    logs = np.rint(4 * np.log2(np.maximum(share, 1.0)))
    found: list[int] = np.clip(logs, 0, MAX_LOG).astype(np.int64).tolist()
    return found
