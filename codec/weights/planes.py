"""A plane: a row of bytes of so many bits, coded in the way that takes the fewest bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.codec.weights import tables, words
from lictor.entropy import CorruptStream, Decoder, Encoder, Tables, fitted
from lictor.entropy.fitted import Histogram

RAW, CONSTANT, CODED, SHARED = range(4)
"""Bits as they are; one value; symbols with a table that is sent before them; with tables of the
tensor, one for each context, which only the plane of tops may take."""
MAX = 2**22
_WORTH = 0.99
"""Of the raw size: what coding must be expected to save before it is tried."""

Plane = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int32]


def encode(io: Writer, plane: Plane, width: int) -> None:
    """A plane of bytes that are below 2^width."""
    counts = words.tally(words.zeros(plane.size, np.int32), plane, 1, 256)[:, 0]
    used = np.flatnonzero(counts)
    raw = words.packed_size(plane.size, width)
    if used.size == 1:
        io.uint("way of a plane", CONSTANT)
        io.uint("value of a plane", int(used[0]))
        return
    if fitted.bits(Histogram(0, counts[used])) < 8 * _WORTH * raw:
        data = _own(plane.astype(np.int32), counts)
        if len(data) < raw:
            _block(io, CODED, data)
            return
    _block(io, RAW, words.pack(plane, width).tobytes())


def decode(io: Reader, width: int, out: Plane) -> None:
    """What `encode` was given, into `out`. Raises CorruptFile."""
    way = io.uint("way of a plane", 0, 0, CODED)
    if way == CONSTANT:
        out[:] = io.uint("value of a plane", 0)
        return
    data = _block_of(io)
    if way == RAW:
        packed = np.frombuffer(data, np.uint8)
        if packed.size != words.packed_size(out.size, width):
            raise _damaged("has another size than its values")
        words.unpack(packed, width, out)
        return
    found = _own_of(data, words.room(out.size, "bytes"))
    if found.size and not 0 <= int(found.min()) <= int(found.max()) <= 255:
        raise _damaged("has a value that is no byte")
    out[:] = found


# ---- the plane of tops


def encode_tops(
    io: Writer, symbols: Symbols, contexts: Plane | None, shared: Tables | None
) -> None:
    """Symbols of tops, by the tables of the tensor where there are such."""
    if shared is not None:
        assert contexts is not None
        _block(io, SHARED, _stream(symbols, contexts, shared))
        return
    first = int(symbols[0])
    if (symbols == first).all():
        io.uint("way of a plane", CONSTANT)
        io.varint("symbol of a plane", 2 * first if first >= 0 else -2 * first - 1, 0, 2**18)
        return
    counts = words.tally(symbols, words.zeros(symbols.size), 257, 1)[0]
    _block(io, CODED, _own(symbols, counts[:-1]))


def decode_tops(io: Reader, count: int, contexts: Plane | None, shared: Tables | None) -> Symbols:
    """What `encode_tops` was given. Raises CorruptFile."""
    way = io.uint("way of a plane", CONSTANT, CONSTANT, SHARED)
    if way == CONSTANT:
        z = io.varint("symbol of a plane", 0, 0, 2**18)
        symbols = words.room(count)
        symbols[:] = z // 2 if z % 2 == 0 else -(z // 2) - 1
        return symbols
    data = _block_of(io)
    if way == CODED:
        return _own_of(data, words.room(count))
    if shared is None or contexts is None:
        raise _damaged("takes tables that there are not")
    return _symbols(data, contexts, shared, words.room(count))


# ---- streams


def _own(symbols: Symbols, counts: npt.NDArray[np.int64]) -> bytes:
    """A table, and symbols by it."""
    far = symbols.size > int(counts.sum())
    shape = fitted.windowed(Histogram(0, counts, far))
    io = Writer()
    packed = tables.pack([shape])
    io.raw("table", packed, io.varint("size of a table", len(packed), 0, MAX))
    return bytes(io.data) + _stream(symbols, words.zeros(symbols.size), fitted.tables([shape]))


def _own_of(data: Bytes, out: Symbols) -> Symbols:
    io = Reader(data)
    packed = io.raw("table", b"", io.varint("size of a table", 0, 0, MAX))
    table = tables.compiled([1], tables.unpack(packed, 1))
    return _symbols(io.rest(), words.zeros(out.size), table, out)


def _stream(symbols: Symbols, contexts: Plane, of: Tables) -> bytes:
    encoder = Encoder(of, checksum=False)
    encoder.push(symbols, contexts)
    return encoder.finish()


def _symbols(data: Bytes, contexts: Plane, of: Tables, out: Symbols) -> Symbols:
    if contexts.size and int(contexts.max()) >= len(of):
        raise _damaged("has a context without a table")
    try:
        decoder = Decoder(data, of, checksum=False)
        decoder.pull(contexts, out=out)
        decoder.close()
    except CorruptStream as e:
        raise _damaged("is no stream") from e
    return out


def _block(io: Writer, way: int, data: bytes) -> None:
    io.uint("way of a plane", way)
    io.raw("plane", data, io.varint("size of a plane", len(data), 0, MAX))


def _block_of(io: Reader) -> Bytes:
    return io.raw("plane", b"", io.varint("size of a plane", 0, 0, MAX))


def _damaged(what: str) -> CorruptFile:
    return CorruptFile(f"a plane of a tensor {what}; the file is damaged, get another copy")
