"""Which table codes a level: by how large levels of its row and its column are, in half octaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.codec.format.weights import Grid
from lictor.codec.weights import planes, tables, words
from lictor.entropy import Tables, fitted
from lictor.entropy.fitted import MAX_SHIFT, Shape

Array = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
ZERO = 127
"""The entry of level 0."""
_SYMBOLS = 255
_WIDTH, _MIDDLE = 4, 7
_LEVELS = 2 * _MIDDLE + 1
_LEVEL_BITS = 2.5
PRECISION, _ESCAPE = 14, 20
"""Bits of a frequency, and of what follows an escape."""
_NONE = np.zeros(0, np.uint8)


@dataclass
class Levels:
    """How large levels of rows and of columns are, and the tables by that.

    least, count: the first sum of both that has a context of its own, and how many contexts there
    are for each quantiser. shift: low bits of levels that are beside the tables.
    packed_rows, packed_columns: as they are sent; b"" where all are 0.
    """

    rows: Array
    columns: Array
    least: int
    count: int
    shift: int
    runs: list[int]
    tables: Tables
    packed_rows: bytes = b""
    packed_columns: bytes = b""

    @property
    def zero(self) -> int:
        """The symbol of level 0."""
        return ZERO << self.shift

    def contexts(self, start: int, count: int) -> Array:
        """Those of the values from `start` on, until the thread's next."""
        if self.count == 1:
            return words.zeros(count)
        most = self.least + self.count - 1
        return words.contexts(self.rows, self.columns, start, count, self.least, most)


def choose(levels: Ints, odd: Array | None) -> tuple[Levels, bytes]:
    """What codes a tensor in the fewest bits, and its tables as bytes.

    levels: (rows, columns). odd: of each whether it is of a trellis' odd quantiser.
    """
    sizes = np.abs(levels)
    rows, columns = _sizes(sizes.mean(1)), _sizes(sizes.mean(0))
    shift = _shift(sizes)
    symbols = (levels.reshape(-1) + np.int32((ZERO << shift) + (1 << shift >> 1))) >> shift
    best = None
    for by_rows, by_columns in _ways(*levels.shape):
        own, others = rows * np.uint8(by_rows), columns * np.uint8(by_columns)
        counts, least = _counted(symbols, odd, own, others)
        bits = tables.cost(counts)
        bits += _LEVEL_BITS * (by_rows * rows.size + by_columns * columns.size)
        if best is None or bits < best[0]:
            best = bits, own, others, counts, least
    assert best is not None
    _, rows, columns, counts, least = best
    runs, shapes = tables.merged(counts)
    count = len(counts) // (1 if odd is None else 2)
    parts = _pack(rows), _pack(columns)
    made = compiled(runs, shapes, shift)
    found = Levels(rows, columns, least, count, shift, runs, made, *parts)
    return found, tables.pack(shapes)


def bits(levels: Levels) -> npt.NDArray[np.float32]:
    """What levels cost, from -ZERO on: (2, contexts, symbols), of the even and the odd quantiser.

    levels: of both quantisers, or of one that stands for both.
    """
    tables = levels.tables
    found = np.empty((len(tables), _SYMBOLS), np.float32)
    near, half = np.arange(-ZERO, ZERO + 1), 1 << levels.shift >> 1
    for t, row in enumerate(found):
        logs = PRECISION - np.log2(np.maximum(tables.row(t), 1))
        entries = np.full(_SYMBOLS, logs[-1] + _ESCAPE)
        first = int(tables.offsets[t])
        entries[first : first + logs.size - 1] = logs[:-1] + levels.shift
        row[:] = entries[ZERO + (near + half >> levels.shift)]
    found = found.reshape(-1, levels.count, _SYMBOLS)
    return np.ascontiguousarray(np.broadcast_to(found, (2, *found.shape[1:])))


def read(record: Grid, rows: int, columns: int) -> Levels:
    """What a record has. Raises CorruptFile."""
    own, others = (
        plane(data, count, _WIDTH) if len(data) else np.zeros(count, np.uint8)
        for data, count in ((record.rows, rows), (record.columns, columns))
    )
    count, rest = divmod(sum(record.runs), 2 if record.trellis else 1)
    if rest or not count or record.least + count > 2 * _LEVELS + 1:
        raise CorruptFile("a tensor has other tables than contexts; get another copy of the file")
    shapes = tables.unpack(record.tables, len(record.runs))
    made = compiled(record.runs, shapes, record.shift)
    return Levels(own, others, record.least, count, record.shift, record.runs, made)


def plane(data: Bytes, count: int, width: int) -> Array:
    """A coded plane. Raises CorruptFile."""
    io = Reader(data)
    found = np.empty(count, np.uint8)
    planes.decode(io, width, found)
    if io.position != len(data):
        raise CorruptFile("a plane of a tensor is longer than it is; get another copy")
    return found


def compiled(runs: list[int], shapes: list[Shape], shift: int = 0) -> Tables:
    """A table for each context. Raises CorruptFile."""
    own = [replace(shape, shift=shift) for shape in shapes]
    try:
        return fitted.tables([s for n, s in zip(runs, own, strict=True) for _ in range(n)])
    except ValueError as e:
        raise CorruptFile(f"the tables of a tensor are none ({e}); get another copy") from e


def _ways(rows: int, columns: int) -> list[tuple[int, int]]:
    return [(r, c) for r in (0, 1) for c in (0, 1) if (not r or rows > 1) and (not c or rows > 4)]


def _sizes(means: npt.NDArray[np.float64]) -> Array:
    """Half octaves about the median."""
    logs = 2 * np.log2(means + 0.02)
    steps = np.rint(logs - np.median(logs))
    return (np.clip(steps, -_MIDDLE, _MIDDLE) + _MIDDLE).astype(np.uint8)


def _counted(symbols: Ints, odd: Array | None, rows: Array, columns: Array) -> tuple[Counts, int]:
    """How often each context has each symbol, those of the even quantiser first; the least sum."""
    sums = words.contexts(rows, columns, 0, symbols.size)
    least, most = int(sums.min()), int(sums.max())
    count = most - least + 1
    own = sums - np.uint8(least)
    if odd is not None:
        own += odd * np.uint8(count)
    found = words.tally(symbols, own, _SYMBOLS + 1, count * (1 if odd is None else 2))
    return found, least


def _shift(sizes: Ints) -> int:
    """So many low bits that nearly all levels have entries."""
    most = float(np.quantile(sizes, 0.999)) if sizes.size else 0.0
    return min(MAX_SHIFT, max(0, int(np.ceil(np.log2(most / (ZERO - 1) + 1e-9)))))


def _pack(sizes: Array) -> bytes:
    if not sizes.any():
        return b""
    io = Writer()
    planes.encode(io, sizes, _WIDTH)
    return bytes(io.data)
