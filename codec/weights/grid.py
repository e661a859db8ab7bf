"""A tensor as whole numbers of steps: what any quantiser gives, as bytes, and back.

A `Quantised` says it all: levels, the step, and by how many half octaves steps of rows and of
columns differ from it. A value is (level * column's) * row's in float32, rounded to the tensor's
type; with a trellis (trellis.py) a level counts double steps. Levels are coded by tables for how
large those of their row and their column are, and by nothing else: neighbours were measured, and
say no more (docs/weights.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.elements import Bytes, Writer
from lictor.codec.format.weights import Chunk, Grid, Stepped
from lictor.codec.weights import grid_tables, planes, trellis
from lictor.codec.weights.chunks import check_coded, check_decoded, of_stream
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid_tables import Levels
from lictor.entropy import CorruptStream, Decoder, Encoder

Array = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
T = TypeVar("T")
R = TypeVar("R")
Mapped = Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]
ITEMS = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}
TYPES = tuple(ITEMS)
"""Of tensors that can be grids, with the bytes of a value."""
MOST = 2**22
"""The largest level, so that floats hold it."""
FARTHEST = 127
"""Half octaves that a step of a row, or of a column, differs at most."""
_HALF = np.float32(1.4142135)


@dataclass(frozen=True)
class Quantised:
    """Whole numbers of steps.

    levels: int32 (rows, columns), within ±MOST; rows are the first axis, columns all others. Of a
    tensor of one axis or none there is one row.
    step: of the grid, float32.
    rows, columns: half octaves, int8 (rows,) and (columns,), within ±FARTHEST; None for all 0.
    trellis: whether levels are those of `trellis.levels`.
    """

    levels: Ints
    step: float
    rows: npt.NDArray[np.int8] | None = None
    columns: npt.NDArray[np.int8] | None = None
    trellis: bool = False

    def decoded(self, tensor: Tensor) -> Floats:
        """The values that a decoder gives."""
        return decoded(tensor, self)

    def encode(self, tensor: Tensor, mapped: Mapped[Any, Any]) -> tuple[Stepped, list[bytes]]:
        """The record of a tensor, and its chunks."""
        return encode(tensor, self, mapped)


def matrix(tensor: Tensor) -> tuple[int, int]:
    """Rows and columns of a tensor."""
    rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    return rows, tensor.values // max(rows, 1)


def floats(raw: Array, dtype: str) -> Floats:
    """Values of bytes, as float32."""
    if dtype == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    kind = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]
    with np.errstate(over="ignore"):
        return raw.view(kind).astype(np.float32)


def stored(values: Floats, dtype: str) -> Array:
    """Bytes of float32, rounded to nearest, ties to even."""
    if dtype == "BF16":
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").view(np.uint8)
    kind = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]
    with np.errstate(over="ignore"):
        return values.astype(kind, copy=False).view(np.uint8)


def factors(steps: npt.NDArray[np.int8]) -> Floats:
    """2^(steps / 2) in float32, exact but for the root of two."""
    wide = steps.astype(np.int32)
    return np.ldexp(np.where(wide & 1, _HALF, np.float32(1)), wide >> 1).astype(np.float32)


# ---- a tensor


@dataclass
class Spaced:
    """How large steps are. rows: their steps; columns: their factors, None for 1."""

    dtype: str
    width: int
    rows: Floats
    columns: Floats | None

    def values(self, points: Ints, start: int) -> Floats:
        """Values of the points from value `start` on."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._values(points.astype(np.float32), start)

    def _values(self, found: Floats, start: int) -> Floats:
        if start % self.width or found.size % self.width:
            places = np.arange(start, start + found.size)
            if self.columns is not None:
                found *= self.columns[places % self.width]
            found *= self.rows[places // self.width]
            return found
        square = found.reshape(-1, self.width)
        if self.columns is not None:
            square *= self.columns
        first = start // self.width
        square *= self.rows[first : first + len(square), None]
        return found


@dataclass
class Coding(Spaced):
    """What all chunks of a tensor share."""

    tables: Levels
    strands: int
    trellis: bool


def encode(
    tensor: Tensor, given: Quantised, mapped: Mapped[Any, Any] = map
) -> tuple[Grid, list[bytes]]:
    """The record of a tensor, and its chunks; each was decoded, and held against `given`.

    tensor: of one of TYPES, with values. given: of its rows and columns.
    """
    rows, columns = matrix(tensor)
    levels = np.ascontiguousarray(given.levels, np.int32).reshape(rows * columns)
    strands, values = trellis.layout(rows, columns)
    starts = range(0, levels.size, values)
    square = levels.reshape(rows, columns)
    odd = trellis.odd_of_matrix(square) if given.trellis else None
    tables, packed = grid_tables.choose(square, odd)
    step = np.float32(given.step)
    record = Grid(
        step=int(step.view(np.uint32)),
        trellis=given.trellis,
        strands=strands,
        values=values,
        row_steps=packed_steps(given.rows),
        column_steps=packed_steps(given.columns),
        rows=tables.packed_rows,
        columns=tables.packed_columns,
        least=tables.least,
        shift=tables.shift,
        runs=tables.runs,
        tables=packed,
    )
    coding = _coding(record, tensor, tables)

    def one(start: int) -> tuple[Chunk, bytes]:
        part = slice(start, start + values)
        return _encode_chunk(coding, levels[part], None if odd is None else odd[part], start)

    made = list(mapped(one, starts))
    record.chunks = [chunk for chunk, _ in made]
    return record, [data for _, data in made]


def decoded(tensor: Tensor, given: Quantised) -> Floats:
    """The values that a decoder gives, as float32 (rows, columns), rounded to the tensor's type."""
    rows, columns = matrix(tensor)
    levels = given.levels.reshape(rows * columns)
    points = levels
    if given.trellis:
        points = trellis.points(levels, trellis.odd_of_matrix(given.levels.reshape(rows, columns)))
    step = np.float32(given.step)
    square = points.reshape(rows, columns).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        by_rows = np.full(rows, step) if given.rows is None else factors(given.rows) * step
        if given.columns is not None:
            square *= factors(given.columns)
        square *= by_rows[:, None]
    return floats(stored(square, tensor.dtype).reshape(-1), tensor.dtype).reshape(rows, columns)


def coding_of(record: Grid, tensor: Tensor) -> Coding:
    """What all chunks share, of a record that was read. Raises CorruptFile."""
    check(tensor, record)
    return _coding(record, tensor, grid_tables.read(record, *matrix(tensor)))


def check(tensor: Tensor, record: Stepped) -> None:
    """Raises CorruptFile unless a tensor can have that record."""
    if tensor.dtype not in TYPES or not tensor.values:
        raise CorruptFile("a record has steps for a type without; get another copy of the file")
    if len(record.chunks) != -(-tensor.values // record.values):
        raise CorruptFile("a record has other chunks than its tensor; get another copy of the file")


def _coding(record: Grid, tensor: Tensor, tables: Levels) -> Coding:
    found = spaced(tensor, record)
    own = found.dtype, found.width, found.rows, found.columns
    return Coding(*own, tables, record.strands, record.trellis)


def spaced(tensor: Tensor, record: Stepped) -> Spaced:
    """How large the steps of a record are. Raises CorruptFile."""
    rows, columns = matrix(tensor)
    step = np.uint32(record.step).view(np.float32)
    by_rows, by_columns = steps_of(record.row_steps, rows), steps_of(record.column_steps, columns)
    with np.errstate(over="ignore"):
        own = np.full(rows, step) if by_rows is None else factors(by_rows) * step
    others = None if by_columns is None else factors(by_columns)
    return Spaced(tensor.dtype, columns, own, others)


def packed_steps(steps: npt.NDArray[np.int8] | None) -> bytes:
    """Half octaves as a plane."""
    if steps is None or not steps.any():
        return b""
    io = Writer()
    planes.encode(io, (steps.astype(np.int16) + 128).astype(np.uint8), 8)
    return bytes(io.data)


def steps_of(data: Bytes, count: int) -> npt.NDArray[np.int8] | None:
    """Half octaves of a plane; None for all 0. Raises CorruptFile."""
    if not len(data):
        return None
    found = grid_tables.plane(data, count, 8)
    return (found.astype(np.int16) - 128).astype(np.int8)


# ---- chunks


def _encode_chunk(
    coding: Coding, levels: Ints, odd: Array | None, start: int
) -> tuple[Chunk, bytes]:
    contexts = coding.tables.contexts(start, levels.size)
    if odd is not None:
        contexts = contexts + odd * np.uint8(coding.tables.count)
    encoder = Encoder(coding.tables.tables, checksum=False)
    encoder.push(levels + np.int32(coding.tables.zero), contexts)
    data = encoder.finish()
    points = levels if odd is None else trellis.points(levels, odd)
    raw = stored(coding.values(points, start), coding.dtype)

    def decode(chunk: Chunk, out: Array) -> None:
        decode_chunk(coding, chunk, data, start, out)

    return of_stream(data, raw, decode), data


def decode_chunk(coding: Coding, chunk: Chunk, data: Bytes, start: int, out: Array) -> None:
    """The bytes of a chunk's values, into `out`. Raises CorruptFile."""
    check_coded(chunk, data)
    points = pull(coding, data, start, out.size // ITEMS[coding.dtype])
    out[:] = stored(coding.values(points, start), coding.dtype)
    check_decoded(chunk, out)


def pull(coding: Coding, data: Bytes, start: int, count: int) -> Ints:
    """The points of a chunk. Raises CorruptFile."""
    contexts = coding.tables.contexts(start, count)
    try:
        decoder = Decoder(data, coding.tables.tables, checksum=False)
        if coding.trellis:
            points = trellis.pull(decoder, contexts, coding.tables, coding.strands)
        else:
            points = decoder.pull(contexts)
            points -= coding.tables.zero
        decoder.close()
    except CorruptStream as e:
        raise CorruptFile("a chunk is no stream; the file is damaged, get another copy") from e
    return points
