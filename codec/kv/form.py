"""The syntax of a stream of keys and values, stated once: the same functions read and write it.

codec/format/KV.md is the specification; elements, checks and errors are those of elements.py there.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

from lictor.codec.errors import TruncatedFile
from lictor.codec.format.elements import check_magic, version_syntax
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.kv.cache import DTYPES
from lictor.codec.kv.calibration import HASH_BYTES, MOST_LAYERS, model_syntax
from lictor.codec.rows.basis import MOST_COLUMNS
from lictor.codec.rows.bits import Model

MAGIC = b"LKV"
VERSION = 1
FORMS = ("cache", "array", "named")
"""What it came from, by its code in the file."""
EXACT, BASIS, GRID, TENSOR = range(4)
WAYS = ("exact", "basis", "grid", "tensor")
"""How integers come about, by its code; see sections.py."""
NONE, NAMED, OWN = range(3)
"""Tables of exact values: there are none, the header has them, or the calibration that it names."""
RAW, CODED = 0, 1
"""A layer of a chunk as it is, or coded."""
MOST_TOKENS = 2**16
"""Of a chunk."""
MOST_POSITION = 2**40
MOST_QUALITY = 320
FREE_VALUES = 2**22
VALUES_PER_BYTE = 2**10
"""A chunk of n bytes holds at most FREE_VALUES + VALUES_PER_BYTE · n values."""
_MOST_BYTES = 2**40


@dataclass
class Header:
    """What all chunks of a stream have in common.

    Attributes:
        dtype, sizes: of the cache, as its `Cache` has them. form: one of FORMS.
        chunk: tokens of a chunk, at most. start: position of the first token.
        sinks, recent: first and last tokens that were to be kept as they are.
        way: EXACT, BASIS, GRID or TENSOR.
        calibration: the hash of the calibration; empty if there is none.
        quality: of BASIS: the step is 2^(-quality/8). rank: components of each matrix, at most.
        step: of GRID and TENSOR.
        bound: no value is further off; 0 if none was promised.
        models: tables of exact values, of streams without a calibration; empty for none.
    """

    dtype: str = "bfloat16"
    sizes: list[tuple[int, int, int, int]] = field(default_factory=list)
    form: str = "cache"
    chunk: int = 256
    start: int = 0
    sinks: int = 0
    recent: int = 0
    way: int = EXACT
    calibration: bytes = b""
    quality: int = 0
    rank: int = MOST_COLUMNS
    step: float = 1.0
    bound: float = 0.0
    models: list[tuple[Model, Model]] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """Values of a token."""
        return sum(kh * kd + vh * vd for kh, kd, vh, vd in self.sizes)


@dataclass
class Chunk:
    """Some tokens in a row.

    Attributes:
        tokens: how many. first, last: of these at either end, kept as they are.
        error, power: sums of squared errors and of squared values. largest: error of a value.
        expected: sum over tokens of the divergence that is expected; NaN where nothing says so.
        ways: RAW or CODED for each layer. payloads: likewise, with their checks.
    """

    tokens: int = 1
    first: int = 0
    last: int = 0
    error: float = 0.0
    power: float = 0.0
    largest: float = 0.0
    expected: float = math.nan
    ways: list[int] = field(default_factory=list)
    payloads: list[Bytes] = field(default_factory=list)
    bytes: int = 0


def header_syntax(io: Reader | Writer, h: Header) -> Header:
    """What a stream begins with."""
    version_syntax(io, MAGIC, VERSION, range(VERSION, VERSION + 1), "cache format")
    h.dtype = DTYPES[io.uint("type", DTYPES.index(h.dtype), 0, len(DTYPES) - 1)]
    h.form = FORMS[io.uint("form", FORMS.index(h.form), 0, len(FORMS) - 1)]
    count = io.varint("layers", len(h.sizes) or 1, 1, MOST_LAYERS)
    sizes = h.sizes or [(1, 1, 1, 1)] * count
    h.sizes = [_size(io, own) for own in sizes]
    h.chunk = io.varint("tokens of a chunk", h.chunk, 1, MOST_TOKENS)
    h.start = io.varint("first position", h.start, 0, MOST_POSITION)
    h.sinks = io.varint("first tokens kept", h.sinks, 0, MOST_POSITION)
    h.recent = io.varint("last tokens kept", h.recent, 0, MOST_POSITION)
    h.way = io.uint("way", h.way, 0, TENSOR)
    tables = NAMED if h.calibration else OWN if h.models else NONE
    tables = io.uint("tables", tables, NONE, OWN)
    if h.way == BASIS and tables != NAMED:
        raise io.complaint("a basis is no calibration's")
    h.calibration = bytes(io.raw("hash", h.calibration, HASH_BYTES)) if tables == NAMED else b""
    if h.way == BASIS:
        h.quality = io.uint("quality", h.quality + MOST_QUALITY, 0, 2 * MOST_QUALITY, 2)
        h.quality -= MOST_QUALITY
        h.rank = io.varint("rank", h.rank, 1, MOST_COLUMNS)
    if h.way in (GRID, TENSOR):
        h.step = _number(io, "step", h.step)
        h.bound = _number(io, "bound", h.bound)
        if not h.step > 0:
            raise io.complaint("the step is 0")
    if tables == OWN:
        given: Any = h.models or [None] * count
        h.models = [_tables(io, *pair) for pair in zip(h.sizes, given, strict=True)]
    io.crc16("header")
    return h


def _tables(
    io: Reader | Writer,
    size: tuple[int, int, int, int],
    given: tuple[Model, Model] | None,
) -> tuple[Model, Model]:
    kh, kd, vh, vd = size
    keys, values = given or (None, None)
    return model_syntax(io, keys, kh * kd), model_syntax(io, values, vh * vd)


def _size(io: Reader | Writer, own: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Heads and dim of keys, then of values."""
    kh, kd, vh, vd = (io.varint("size of a layer", n, 1, MOST_COLUMNS) for n in own)
    if max(kh * kd, vh * vd) > MOST_COLUMNS:
        raise io.complaint(f"a layer has more than {MOST_COLUMNS} columns")
    return kh, kd, vh, vd


def _number(io: Reader | Writer, name: str, value: float) -> float:
    (found,) = struct.unpack("<d", io.raw(name, struct.pack("<d", value), 8))
    if not (math.isfinite(found) and found >= 0):
        raise io.complaint(f"the {name} is {found}")
    return float(found)


_FIDELITY = "<dddd"


def chunk_syntax(io: Reader | Writer, h: Header, c: Chunk, *, reading: bool) -> Chunk:
    """A chunk: what it tells, then the payloads."""
    start = io.position
    c.tokens = io.varint("tokens", c.tokens, 1, h.chunk)
    c.first = io.varint("tokens kept first", c.first, 0, c.tokens)
    c.last = io.varint("tokens kept last", c.last, 0, c.tokens - c.first)
    said = struct.pack(_FIDELITY, c.error, c.power, c.largest, c.expected)
    found = struct.unpack(_FIDELITY, io.raw("fidelity", said, len(said)))
    c.error, c.power, c.largest, c.expected = found
    layers = len(h.sizes)
    ways, payloads = c.ways or [RAW] * layers, c.payloads or [b""] * layers
    c.ways, lengths = [], []
    for way, payload in zip(ways, payloads, strict=True):
        c.ways.append(io.uint("way of a layer", way, RAW, CODED))
        lengths.append(io.varint("length of a layer", len(payload), 0, _MOST_BYTES))
    values = c.tokens * h.columns
    missing = -(-(values - FREE_VALUES) // VALUES_PER_BYTE) - sum(lengths)
    padding = io.varint("length of the padding", max(0, missing), 0, _MOST_BYTES)
    if not io.crc32("chunk", start):
        raise io.complaint("the beginning of a chunk does not match its checksum")
    if reading and values > FREE_VALUES + VALUES_PER_BYTE * (sum(lengths) + padding):
        raise io.complaint(f"{values} values are more than any encoder puts into such a chunk")
    c.payloads = []
    for payload, length in zip(payloads, lengths, strict=True):
        own = io.position
        c.payloads.append(io.raw("layer of a chunk", payload, length))
        if not io.crc32("layer of a chunk", own):
            raise io.complaint("a layer of a chunk does not match its checksum")
    if any(io.raw("padding", bytes(padding), padding)):
        raise io.complaint("the padding is not zero")
    c.bytes = io.position - start
    return c


def written(h: Header, chunks: list[Chunk]) -> bytes:
    """The bytes of a stream."""
    io = Writer()
    header_syntax(io, h)
    return bytes(io.data) + b"".join(written_chunk(h, c) for c in chunks)


def written_chunk(h: Header, c: Chunk) -> bytes:
    """The bytes of a chunk, which may follow those of others."""
    io = Writer()
    chunk_syntax(io, h, c, reading=False)
    return bytes(io.data)


def read(data: Bytes) -> tuple[Header, list[Chunk]]:
    """A whole stream. Payloads are views into `data`. Raises FileError."""
    check_magic(data, MAGIC, "a file of keys and values; give one that `lictor.kv`")
    io = Reader(data)
    h = header_syntax(io, Header())
    chunks = []
    while io.position < len(data):
        chunks.append(chunk_syntax(io, h, Chunk(), reading=True))
    if not chunks:
        raise TruncatedFile("the file has no chunks; get a complete copy of it")
    return h, chunks
