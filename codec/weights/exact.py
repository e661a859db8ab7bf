"""A tensor exactly: tops of its words by tables of rows' and columns' scales, rests beside."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile, SelfCheckFailed
from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.codec.format.weights import (
    BEFORE,
    CHUNK,
    DEFLATED,
    DIFFERENCE,
    PLAIN,
    PLANES,
    VERBATIM,
    XOR,
    Chunk,
    Words,
    deflate,
    inflate,
)
from lictor.codec.weights import layouts, planes, predict, scales, tables, words
from lictor.codec.weights.chunks import check_coded, check_decoded
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.words import Layout
from lictor.entropy import Tables

Array = npt.NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")
Mapped = Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]
"""As the built-in `map`, or in several threads."""
_LOOKED_AT = 8
"""Chunks of a tensor by which its way is chosen."""


@dataclass
class Coding:
    """What all chunks of a tensor share. rows, columns: levels, and none where there are none."""

    layout: Layout
    prediction: int = PLAIN
    rows: Array = field(default_factory=lambda: np.zeros(0, np.uint8))
    columns: Array = field(default_factory=lambda: np.zeros(0, np.uint8))
    shared: Tables | None = None
    held: tuple[int, int] = (0, 255)
    packs: bool = False

    def contexts(self, start: int, count: int) -> Array | None:
        """Those of the values from `start` on."""
        if self.shared is None:
            return None
        return words.contexts(self.rows, self.columns, start, count, *self.held)


# ---- chunks


def encode_chunk(coding: Coding, raw: Array, start: int, base: Array | None) -> tuple[Chunk, bytes]:
    """A chunk in the way that takes the fewest bytes; it was decoded, and held against `raw`.

    start: number of its first value in the tensor.
    """
    if raw.size <= _SHORT:
        return _verbatim(raw)
    count = raw.size // coding.layout.item
    less = predict.remove(coding.prediction, raw, coding.layout.item, base)
    symbols, rests = words.split(coding.layout, less)
    io = Writer()
    planes.encode_tops(io, symbols, coding.contexts(start, count), coding.shared)
    for plane, width in zip(rests, coding.layout.widths, strict=True):
        planes.encode(io, plane, width)
    mode, data = PLANES, bytes(io.data)
    if coding.packs and len(packed := deflate(raw.data, 6)) < len(data):
        mode, data = DEFLATED, packed
    if len(data) >= raw.size:
        return _verbatim(raw)
    chunk = Chunk(mode, len(data), zlib.crc32(data), zlib.crc32(raw.data))
    back = np.empty_like(raw)
    decode_chunk(coding, chunk, data, start, base, back)
    if not np.array_equal(back, raw):
        raise SelfCheckFailed("a tensor does not come back as it was; please report it")
    return chunk, data


_SHORT = 64
"""Bytes that are not worth a table."""


def _verbatim(raw: Array) -> tuple[Chunk, bytes]:
    data = raw.tobytes()
    check = zlib.crc32(data)
    return Chunk(VERBATIM, len(data), check, check), data


def decode_chunk(
    coding: Coding, chunk: Chunk, data: Bytes, start: int, base: Array | None, out: Array
) -> None:
    """What `encode_chunk` was given, into `out`. Raises CorruptFile."""
    check_coded(chunk, data)
    if chunk.mode == PLANES:
        _decode_planes(coding, data, start, base, out)
    else:
        found = inflate(data, out.size) if chunk.mode == DEFLATED else data
        if found is None or len(found) != out.size:
            raise CorruptFile("a chunk has another size than its values; get another copy")
        out[:] = np.frombuffer(found, np.uint8)
    if base is None:
        check_decoded(chunk, out)
    else:
        check_decoded(chunk, out, "the base is another, or the file damaged")


def _decode_planes(coding: Coding, data: Bytes, start: int, base: Array | None, out: Array) -> None:
    layout = coding.layout
    count = out.size // layout.item
    io = Reader(data)
    symbols = planes.decode_tops(io, count, coding.contexts(start, count), coding.shared)
    rests = words.rows(layout, count)
    for plane, width in zip(rests, layout.widths, strict=True):
        planes.decode(io, width, plane)
    if io.position != len(data):
        raise CorruptFile("a chunk is longer than its planes; get another copy of the file")
    words.join(layout, symbols, rests, out)
    if coding.prediction != PLAIN:
        out[:] = predict.restore(coding.prediction, out, layout.item, base)


# ---- a tensor


def encode(
    tensor: Tensor, raw: Array, base: Array | None, mapped: Mapped[Any, Any]
) -> tuple[Words, list[bytes]]:
    """The record of a tensor, and its chunks.

    raw: its bytes. base: those of its name in another file, of the same type and shape.
    """
    coding = _chosen(tensor, raw, base, mapped)
    runs: list[int] = []
    shapes: Any = []
    if coding.prediction == PLAIN:
        found = scales.choose(tensor, coding.layout, raw, mapped)
        if found:
            coding.rows, coding.columns, runs, shapes = found.rows, found.columns, *found.merged()
            coding.shared, coding.held = tables.compiled(runs, shapes), tables.held(runs)

    def one(at: int) -> tuple[Chunk, bytes]:
        part = slice(at, at + size)
        other = None if base is None else base[part]
        return encode_chunk(coding, raw[part], at // coding.layout.item, other)

    size = coding.layout.item * layouts.values(coding.layout.item)
    made = list(mapped(one, range(0, raw.size, size)))
    layout = coding.layout
    record = Words(
        prediction=coding.prediction,
        item=layout.item,
        raw=layout.raw,
        sign=layout.sign,
        low=layout.low,
        values=size // layout.item,
        rows=_levels(coding.rows) if shapes else b"",
        columns=_levels(coding.columns) if shapes else b"",
        runs=runs,
        tables=tables.pack(shapes) if shapes else b"",
        chunks=[chunk for chunk, _ in made],
    )
    return record, [data for _, data in made]


def _levels(levels: Array) -> bytes:
    io = Writer()
    planes.encode(io, levels, scales.WIDTH)
    return bytes(io.data)


def _chosen(tensor: Tensor, raw: Array, base: Array | None, mapped: Mapped[Any, Any]) -> Coding:
    """The layout and the prediction that a few chunks do best with."""
    ways = list(_ways(tensor, raw, base))
    starts = range(0, raw.size, CHUNK)
    starts = starts[:: max(1, -(-len(starts) // 3))]
    seen = sum(min(CHUNK, raw.size - at) for at in starts)

    def size(way: Coding) -> float:
        if layouts.is_whole(way.layout):  # whose contexts tell much
            found = scales.choose(tensor, way.layout, raw, mapped)
            rest = raw.size // way.layout.item * way.layout.raw
            if found:
                return (found.bits + rest) / 8 / raw.size * seen
        return float(sum(_size(way, raw, base, at) for at in starts))

    best = min(ways, key=size) if len(ways) > 1 else ways[0]
    if not layouts.per_octave(tensor.dtype, best.layout):
        small = Coding(best.layout, best.prediction, packs=True)
        best.packs = any(_mode(small, raw, base, at) == DEFLATED for at in starts)
    return best


def _size(way: Coding, raw: Array, base: Array | None, at: int) -> int:
    part = slice(at, at + CHUNK)
    return encode_chunk(way, raw[part], 0, None if base is None else base[part])[0].size


def _mode(way: Coding, raw: Array, base: Array | None, at: int) -> int:
    part = slice(at, at + CHUNK)
    return encode_chunk(way, raw[part], 0, None if base is None else base[part])[0].mode


def _ways(tensor: Tensor, raw: Array, base: Array | None) -> Iterator[Coding]:
    """The layouts and predictions to be tried, the plain one first."""
    own = layouts.of_type(tensor.dtype)
    item = own.item if raw.size % own.item == 0 else 1
    bytewise = layouts.in_bytes(item)
    yield Coding(_fitted(own, raw) if item == own.item else bytewise)
    if item == 2 and not own.sign:
        yield Coding(_fitted(layouts.in_words(), raw))
    if item > 1 and not own.sign:
        yield Coding(bytewise, BEFORE)
    if base is None:
        return
    if own.sign:
        yield Coding(_fitted(own, raw ^ base), XOR)
    yield Coding(bytewise, XOR)
    yield Coding(bytewise, DIFFERENCE)


def _fitted(layout: Layout, raw: Array) -> Layout:
    """What the tops of some chunks ask for."""
    whole = layouts.is_whole(layout)
    if not layout.sign and not whole:
        return layout
    starts = range(0, raw.size, CHUNK)
    starts = starts[:: max(1, -(-len(starts) // _LOOKED_AT))]
    width = 2**layout.top + 1
    counts = np.zeros(width - 1, np.int64)
    seen = 0
    for at in starts:
        if whole:
            counts += np.bincount(raw[at : at + CHUNK].view("<u2"), minlength=width - 1)
            seen += min(CHUNK, raw.size - at) // layout.item
            continue
        symbols, _ = words.split(layout, raw[at : at + CHUNK])
        none = words.zeros(symbols.size)
        counts += words.tally(symbols, none, width, 1)[0, :-1]
        seen += symbols.size
    return layouts.fitted(layout, counts, raw.size / layout.item / max(seen, 1))


# ---- and back


def coding_of(record: Words, tensor: Tensor) -> Coding:
    """What all chunks share, of a record that was read. Raises CorruptFile."""
    layout = Layout(record.item, record.raw, record.sign, record.low)
    count, rest = divmod(tensor.bytes, record.item)
    if rest or len(record.chunks) != -(-count // record.values):
        raise CorruptFile("a record has other chunks than its tensor; get another copy of the file")
    coding = Coding(layout, record.prediction)
    if record.runs:
        width = scales.width_of(tensor, record.item)
        if not width:
            raise CorruptFile("a tensor has levels of rows that it has not; get another copy")
        coding.rows = _levels_of(record.rows, count // width)
        coding.columns = _levels_of(record.columns, width)
        shapes = tables.unpack(record.tables, len(record.runs))
        coding.shared, coding.held = tables.compiled(record.runs, shapes), tables.held(record.runs)
    return coding


def _levels_of(data: Bytes, count: int) -> Array:
    io = Reader(data)
    levels = np.empty(count, np.uint8)
    planes.decode(io, scales.WIDTH, levels)
    if io.position != len(data):
        raise CorruptFile("levels of a tensor are longer than they are; get another copy")
    return levels
