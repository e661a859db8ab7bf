"""Levels of a tensor's rows and columns: how large their values are, in half octaves.

A value's context is the level of its row and that of its column together. Both are sent; they are
the encoder's to choose, so that only what is sent decides a probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lictor.codec.format.weights import CHUNK
from lictor.codec.weights import layouts, tables, words
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.words import Layout

if TYPE_CHECKING:
    from lictor.entropy.fitted import Shape

Array = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
WIDTH = 4
"""Bits of a level."""
_MIDDLE = 7
_LEVELS = 2 * _MIDDLE + 1
_FEWEST = 4096
"""Values of a tensor that is worth its levels."""
_LEVEL_BITS = 2.5
_SYMBOLS = 256


def width_of(tensor: Tensor, item: int) -> int:
    """Values of a row: of all but the first axis. 0 if words are no values, or rows none."""
    if tensor.values * item != tensor.bytes or len(tensor.shape) < 2 or not tensor.values:
        return 0
    return tensor.values // tensor.shape[0]


@dataclass(frozen=True)
class Choice:
    """Levels of rows and of columns; counts of their contexts, and about the bits of all tops."""

    rows: Array
    columns: Array
    counts: Counts
    bits: float

    def merged(self) -> tuple[list[int], list[Shape]]:
        """How many contexts each table has, and the tables."""
        return tables.merged(self.counts)


def choose(
    tensor: Tensor, layout: Layout, raw: Array, mapped: Callable[..., Iterator[Any]]
) -> Choice | None:
    """Levels with which a tensor takes the fewest bits; None if it is too small for any."""
    width, octave = width_of(tensor, layout.item), layouts.per_octave(tensor.dtype, layout)
    if not width or tensor.values < _FEWEST:
        return None
    rows, columns = np.zeros(tensor.shape[0], np.uint8), np.zeros(width, np.uint8)
    scaled = octave or layouts.is_whole(layout)
    if octave:
        rows, columns = _measured(layout, raw, layouts.mask(tensor.dtype), octave, width, mapped)
    elif scaled:
        rows, columns = _spread(raw.view("<u2").reshape(-1, width))
    counts = _counted(layout, raw, rows, columns, mapped)
    ways = []
    for by_rows, by_columns in ((0, 0), (1, 0), (0, 1), (1, 1)):
        if (by_rows, by_columns) != (0, 0) and not scaled:
            continue
        sent = _LEVEL_BITS * (by_rows * rows.size + by_columns * columns.size)
        bits = tables.cost(_together(counts, by_rows, by_columns)) + sent
        ways.append((bits, by_rows, by_columns))
    bits, by_rows, by_columns = min(ways)
    both = _together(counts, by_rows, by_columns)
    return Choice(rows * np.uint8(by_rows), columns * np.uint8(by_columns), both, bits)


def _together(counts: Counts, by_rows: int, by_columns: int) -> Counts:
    """Counts of contexts, from those of all pairs of levels."""
    if not by_rows or not by_columns:
        both = counts if by_rows else counts.sum(0, keepdims=True)
        own: Counts = both.sum(1) if not by_columns else both[0]
        return own
    found = np.zeros((2 * _LEVELS - 1, counts.shape[-1]), np.int64)
    for level, row in enumerate(counts):
        found[level : level + _LEVELS] += row
    return found


def _parts(layout: Layout, raw: Array) -> range:
    return range(0, raw.size, CHUNK)


def _measured(
    layout: Layout,
    raw: Array,
    mask: int,
    octave: int,
    width: int,
    mapped: Callable[..., Iterator[Any]],
) -> tuple[Array, Array]:
    """Levels of rows and of columns."""

    def part(at: int) -> tuple[int, Counts, Counts]:
        symbols, _ = words.split(layout, raw[at : at + CHUNK])
        start = at // layout.item
        first, last = start // width, (start + symbols.size - 1) // width
        rows, columns = np.zeros(last - first + 1, np.int64), np.zeros(width, np.int64)
        words.sums(symbols, mask, start - first * width, rows, columns)
        return first, rows, columns

    count = raw.size // layout.item // width
    rows, columns = np.zeros(count, np.int64), np.zeros(width, np.int64)
    for first, some, others in mapped(part, _parts(layout, raw)):
        rows[first : first + some.size] += some
        columns += others
    return _levels(rows, width, octave), _levels(columns, count, octave)


def _spread(values: npt.NDArray[np.uint16]) -> tuple[Array, Array]:
    """Levels of rows and of columns of whole numbers, by how far they are from the middle one."""
    far = np.abs(values - np.median(values)).astype(np.float32)
    rows, columns = (_half_octaves(np.log2(far.mean(axis) + _LEAST)) for axis in (1, 0))
    return rows, columns


_LEAST = 0.05
"""Of a mean distance: below, nearly all values are the middle one."""


def _levels(sums: Counts, values: int, octave: int) -> Array:
    return _half_octaves(sums / (values * octave))


def _half_octaves(octaves: npt.NDArray[Any]) -> Array:
    """Levels about the median."""
    steps = np.rint(2 * (octaves - np.median(octaves)))
    return (np.clip(steps, -_MIDDLE, _MIDDLE) + _MIDDLE).astype(np.uint8)


def _counted(
    layout: Layout,
    raw: Array,
    rows: Array,
    columns: Array,
    mapped: Callable[..., Iterator[Any]],
) -> Counts:
    """How often each pair of levels has each symbol: (levels, levels, symbols and others)."""
    pairs = rows * np.uint8(_LEVELS)

    def part(at: int) -> Counts:
        symbols, _ = words.split(layout, raw[at : at + CHUNK])
        of = words.contexts(pairs, columns, at // layout.item, symbols.size)
        return words.tally(symbols, of, _SYMBOLS + 1, _LEVELS**2)

    total = sum(mapped(part, _parts(layout, raw)), np.zeros((_LEVELS**2, _SYMBOLS + 1), np.int64))
    found: Counts = total.reshape(_LEVELS, _LEVELS, -1)
    return found
