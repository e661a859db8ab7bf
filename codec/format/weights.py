"""The syntax of a Lictor weight file, stated once: the same functions read and write it.

WEIGHTS.md is the specification. A file is a beginning, a record for each tensor that has bytes, and
an end that tells where each record is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lictor.codec.errors import CorruptFile, TruncatedFile, UnsupportedFeature
from lictor.codec.format.elements import Bytes, Reader, Writer, check_magic, version_syntax

MAGIC = b"LIW"
VERSION = 1
ENDING = b"LIWi"
"""The last bytes of a file."""
ENDED = 12
"""Bytes of the end behind the index: its size, its check, and ENDING."""
MAX_HEADER = 100_000_000
FREE_HEADER, HEADER_PER_BYTE = 2**22, 2**7
MAX_RECORDS = 2**22
MAX_BYTES = 2**48
CHUNK = 2**18
"""Bytes that a chunk of words decodes to, at most."""
MAX_CONTEXTS = 64
MAX_VALUES = 2**19
"""Of a chunk of a grid."""
MAX_BLOCK = 2**32
HASH = 32

# What words are less than: nothing, the word before, or that of another file.
PLAIN, BEFORE, XOR, DIFFERENCE = range(4)
PREDICTIONS = ("", "differences along the tensor", "XOR with the base", "difference to the base")

# How a chunk is coded.
VERBATIM, PLANES, DEFLATED = range(3)
STREAM = 0
"""That of a grid's."""


@dataclass
class Beginning:
    """What a file says before its records. base: the hash of another file, b"" without one."""

    header: bytes = b""
    base: bytes = b""


@dataclass
class Chunk:
    """One chunk. size: its bytes. check, decoded: CRC-32 of these, and of its values."""

    mode: int = VERBATIM
    size: int = 0
    check: int = 0
    decoded: int = 0


@dataclass
class Record:
    """How a tensor is coded: a subclass, with a code in the file that is never used again."""

    code: ClassVar[int]
    name: ClassVar[str]

    def syntax(self, io: Reader | Writer) -> None:
        """What follows the method's code, up to the check."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Bytes of what follows the head."""
        return 0


@dataclass
class Chunked(Record):
    """A record of chunks. values: of each, but for the last."""

    values: int = CHUNK
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all chunks."""
        return sum(chunk.size for chunk in self.chunks)

    def _chunks(self, io: Reader | Writer, last: int, most: int) -> None:
        """The table of chunks. last: the highest way of a chunk. most: bytes of one."""
        count = io.varint("number of chunks", len(self.chunks) or 1, 1, MAX_BYTES)
        given = iter(self.chunks)
        chunks = []
        for _ in range(count):
            c = next(given, None) or Chunk()
            mode = io.uint("way of a chunk", c.mode, 0, last)
            size = io.varint("size of a chunk", c.size, 0, most)
            check = io.uint("check of a chunk", c.check, size=4)
            chunks.append(Chunk(mode, size, check, io.uint("values' check", c.decoded, size=4)))
        self.chunks = chunks


@dataclass
class Same(Record):
    """Another tensor's bytes. of: the number of its record, one before."""

    code: ClassVar[int] = 1
    name: ClassVar[str] = "same"
    of: int = 0

    def syntax(self, io: Reader | Writer) -> None:
        """The number."""
        self.of = io.varint("number of a record", self.of, 0, MAX_RECORDS)


@dataclass
class Words(Chunked):
    """Exact: the top of each word as a symbol, the rest beside it.

    item, raw, sign, low: how words are cut, as weights/words.py has it.
    rows, columns: levels of rows and columns, as coded planes; b"" without.
    runs: contexts that share each table. tables: these, coded; b"" without.
    """

    code: ClassVar[int] = 0
    name: ClassVar[str] = "words"
    prediction: int = PLAIN
    item: int = 1
    raw: int = 0
    sign: bool = False
    low: int = 1
    rows: Bytes = b""
    columns: Bytes = b""
    runs: list[int] = field(default_factory=list)
    tables: Bytes = b""

    def syntax(self, io: Reader | Writer) -> None:
        """All of the head, and the table of chunks."""
        self.prediction = io.uint("prediction", self.prediction, 0, len(PREDICTIONS) - 1)
        self.item = 1 << io.uint("word", self.item.bit_length() - 1, 0, 3)
        bits = 8 * self.item
        least = max(0, bits - 16)
        self.raw = io.uint("bits of the rest", max(self.raw, least), least, bits - 1)
        self.sign = bool(io.uint("sign", int(self.sign), 0, min(1, self.raw)))
        self.low = io.varint("lowest top", self.low, 1, 2**16 - 1)
        most = CHUNK // self.item
        self.values = io.varint("values of a chunk", min(self.values, most), 1, most)
        self.rows = block(io, "levels of rows", self.rows)
        self.columns = block(io, "levels of columns", self.columns)
        count = io.uint("number of tables", len(self.runs), 0, MAX_CONTEXTS)
        runs = self.runs or [1] * count
        self.runs = [io.varint("contexts of a table", n, 1, MAX_CONTEXTS) for n in runs]
        self.tables = block(io, "tables", self.tables)
        self._chunks(io, DEFLATED, 2 * CHUNK)


_ZERO_ALONE = bytes((127, 1, 0))
"""The head of a table: its first entry, which is that of level 0, how many there are, no escape."""


@dataclass
class Stepped(Chunked):
    """With loss: whole numbers of steps, and how large these are.

    step: a float32, as its bits. row_steps, column_steps: half octaves that steps of rows and
    columns differ by, as coded planes; b"" without.
    """

    step: int = 0x3F800000
    row_steps: Bytes = b""
    column_steps: Bytes = b""


@dataclass
class Grid(Stepped):
    """Levels by tables.

    trellis: whether levels are those of a trellis. strands: values between one and the next of its
    strand. rows, columns, runs, tables: as of `Words`. least: the sum of levels of context 0.
    shift: bits of levels beside the tables.
    """

    code: ClassVar[int] = 2
    name: ClassVar[str] = "grid"
    trellis: bool = False
    strands: int = 1
    rows: Bytes = b""
    columns: Bytes = b""
    least: int = 0
    shift: int = 0
    runs: list[int] = field(default_factory=list)
    tables: Bytes = b""

    @property
    def zeros(self) -> bool:
        """Whether no table has another level than 0, nor what follows an escape."""
        heads = [bytes(self.tables[3 * i : 3 * i + 3]) for i in range(len(self.runs))]
        return not self.shift and all(head == _ZERO_ALONE for head in heads)

    def syntax(self, io: Reader | Writer) -> None:
        """All of the head, and the table of chunks."""
        self.step = io.uint("step", self.step, 1, 0x7F7FFFFF, size=4)
        self.trellis = bool(io.uint("trellis", int(self.trellis), 0, 1))
        self.strands = io.varint("strands", self.strands, 1, MAX_VALUES)
        self.values = io.varint("values of a chunk", min(self.values, MAX_VALUES), 1, MAX_VALUES)
        self.row_steps = block(io, "steps of rows", self.row_steps)
        self.column_steps = block(io, "steps of columns", self.column_steps)
        self.rows = block(io, "levels of rows", self.rows)
        self.columns = block(io, "levels of columns", self.columns)
        self.least = io.uint("least context", self.least, 0, 30)
        self.shift = io.uint("bits beside the tables", self.shift, 0, 16)
        count = io.uint("number of tables", len(self.runs) or 1, 1, MAX_CONTEXTS)
        runs = self.runs or [1] * count
        self.runs = [io.varint("contexts of a table", n, 1, MAX_CONTEXTS) for n in runs]
        self.tables = block(io, "tables", self.tables)
        self._chunks(io, STREAM, 16 * MAX_VALUES)


@dataclass
class Cabac(Stepped):
    """Levels by binary decisions that adapt."""

    code: ClassVar[int] = 3
    name: ClassVar[str] = "cabac"

    def syntax(self, io: Reader | Writer) -> None:
        """All of the head, and the table of chunks."""
        self.step = io.uint("step", self.step, 1, 0x7F7FFFFF, size=4)
        self.values = io.varint("values of a chunk", min(self.values, MAX_VALUES), 1, MAX_VALUES)
        self.row_steps = block(io, "steps of rows", self.row_steps)
        self.column_steps = block(io, "steps of columns", self.column_steps)
        self._chunks(io, STREAM, 16 * MAX_VALUES)


@dataclass
class Finer(Chunked):
    """What makes a grid finer. ratio: as many steps for one, odd. runs, tables: as of `Words`."""

    ratio: int = 3
    runs: list[int] = field(default_factory=list)
    tables: Bytes = b""

    def syntax(self, io: Reader | Writer) -> None:
        """All of it, and the table of chunks."""
        self.ratio = 1 + 2 * io.uint("half the ratio", self.ratio // 2, 1, MAX_RATIO // 2)
        count = io.uint("number of tables", len(self.runs) or 1, 1, MAX_CONTEXTS)
        runs = self.runs or [1] * count
        self.runs = [io.varint("contexts of a table", n, 1, MAX_CONTEXTS) for n in runs]
        self.tables = block(io, "tables", self.tables)
        self._chunks(io, STREAM, 16 * MAX_VALUES)


MAX_RATIO, MAX_FINER = 127, 7


@dataclass
class Layers(Chunked):
    """A coarse grid, without a trellis, and what makes it finer, as often as `finer` says.

    chunks: all, first those of the coarse grid.
    """

    code: ClassVar[int] = 4
    name: ClassVar[str] = "layers"
    coarse: Grid = field(default_factory=Grid)
    finer: list[Finer] = field(default_factory=list)

    def syntax(self, io: Reader | Writer) -> None:
        """All of the heads, and the tables of chunks."""
        self.coarse.syntax(io)
        count = io.uint("finer layers", len(self.finer) or 1, 1, MAX_FINER)
        self.finer = self.finer or [Finer() for _ in range(count)]
        self.values = self.coarse.values
        for layer in self.finer:
            layer.syntax(io)
        self.chunks = [c for layer in (self.coarse, *self.finer) for c in layer.chunks]


@dataclass
class Factors(Chunked):
    """The product of two grids, and what is added to it.

    rank: columns of left, and rows of right. rest: a grid of the tensor's own shape, or None.
    product: its chunks, which have no bytes of their own. chunks: all, those of left, right and
    rest first. values: of a chunk of the product, and of the rest.
    """

    code: ClassVar[int] = 5
    name: ClassVar[str] = "factors"
    rank: int = 1
    left: Grid = field(default_factory=Grid)
    right: Grid = field(default_factory=Grid)
    rest: Grid | None = None
    product: list[Chunk] = field(default_factory=list)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """In the order of their chunks."""
        return (self.left, self.right, *([self.rest] if self.rest else []))

    def syntax(self, io: Reader | Writer) -> None:
        """All of the heads, and the tables of chunks."""
        self.rank = io.varint("rank", self.rank, 1, MAX_RANK)
        self.left.syntax(io)
        self.right.syntax(io)
        if io.uint("rest", int(self.rest is not None), 0, 1):
            self.rest = self.rest or Grid()
            self.rest.syntax(io)
        self.values = io.varint("values of a chunk", min(self.values, MAX_VALUES), 1, MAX_VALUES)
        self.chunks = self.product
        self._chunks(io, STREAM, 0)
        self.product = self.chunks
        self.chunks = [chunk for g in self.grids for chunk in g.chunks] + self.product


MAX_RANK = 2**16
_KINDS: tuple[type[Record], ...] = (Words, Same, Grid, Cabac, Layers, Factors)
METHODS: dict[int, type[Record]] = {kind.code: kind for kind in _KINDS}


def block(io: Reader | Writer, name: str, value: Bytes) -> Bytes:
    """Bytes with their number."""
    return io.raw(name, value, io.varint(f"size of the {name}", len(value), 0, MAX_BLOCK))


# ---- the beginning


def _beginning_syntax(io: Reader | Writer, b: Beginning) -> Beginning:
    version_syntax(io, MAGIC, VERSION, range(VERSION, VERSION + 1), "weight format")
    size = io.varint("size of the header", len(b.header), 0, MAX_HEADER)
    packed = block(io, "header", _packed(b.header) if isinstance(io, Writer) else b"")
    if size > _header_limit(len(packed)):
        raise io.complaint(f"{size} bytes of header are more than any encoder writes")
    known = io.uint("base", 1 if b.base else 0, 0, 1)
    base = bytes(io.raw("hash of the base", b.base, HASH * known))
    if not io.crc32("beginning", 0):
        raise io.complaint("the beginning does not match its checksum")
    if isinstance(io, Reader):
        return Beginning(_inflated(packed, size), base)
    return b


def write_beginning(b: Beginning) -> bytes:
    """The bytes before the first record."""
    io = Writer()
    _beginning_syntax(io, b)
    return bytes(io.data)


def read_beginning(data: Bytes) -> tuple[Beginning, int]:
    """The beginning, and its bytes. Raises FileError."""
    check_magic(data, MAGIC, "a Lictor weight file; give one that `lictor encode`")
    io = Reader(data)
    return _beginning_syntax(io, Beginning()), io.position


def deflate(data: Any, level: int = 9) -> bytes:
    """Raw deflate."""
    coder = zlib.compressobj(level, zlib.DEFLATED, -15)
    return coder.compress(data) + coder.flush()


def _header_limit(packed: int) -> int:
    """Bytes that a header may unpack to: what a small file takes of a reader's memory."""
    return FREE_HEADER + HEADER_PER_BYTE * packed


def _packed(header: bytes) -> bytes:
    packed = deflate(header)
    return packed if len(header) <= _header_limit(len(packed)) else deflate(header, 0)


def _inflated(data: Bytes, size: int) -> bytes:
    found = inflate(data, size)
    if found is None:
        raise CorruptFile("the header cannot be unpacked; the file is damaged, get another copy")
    return found


def inflate(data: Bytes, size: int) -> bytes | None:
    """Just `size` bytes; None unless the data are those."""
    decoder = zlib.decompressobj(-15)
    try:
        found = decoder.decompress(data, size + 1)
    except zlib.error:
        return None
    return found if len(found) == size and decoder.eof and not decoder.unused_data else None


# ---- records


def write_head(record: Record) -> bytes:
    """A record's bytes before its chunks: the size of all that follows, the head, and its check."""
    io = Writer()
    io.uint("method", record.code)
    record.syntax(io)
    head = Writer()
    head.varint("size of a record", len(io.data) + 4 + record.size, 0, MAX_BYTES)
    start = len(head.data)
    head.raw("head", bytes(io.data), len(io.data))
    head.crc32("record", start)
    return bytes(head.data)


def read_record(data: Bytes) -> tuple[Record, int]:
    """The head of a record, all of which is given, and how many of its bytes are before its chunks.

    Raises CorruptFile, UnsupportedFeature.
    """
    io = Reader(data)
    size = io.varint("size of a record", 0, 0, MAX_BYTES)
    start = io.position
    code = io.uint("method", 0)
    if code not in METHODS:
        raise UnsupportedFeature(
            f"method {code} of weights is not known to this release; install the newest Lictor"
        )
    if start + size != len(data):
        raise io.complaint("a record has another size than the index says")
    record = METHODS[code]()
    record.syntax(io)
    if not io.crc32("record", start):
        raise io.complaint("the record does not match its checksum")
    if io.position + record.size != len(data):
        raise io.complaint("the chunks of a record do not fill it")
    return record, io.position


# ---- the end


def write_end(sizes: list[int]) -> bytes:
    """What follows the last record. sizes: of all records, in bytes."""
    io = Writer()
    for size in sizes:
        io.varint("size of a record", size, 1, MAX_BYTES)
    count = len(io.data)
    io.uint("size of the index", count, size=4)
    io.crc32("index", 0)
    io.raw("ending", ENDING, len(ENDING))
    return bytes(io.data)


def places(data: Bytes, start: int, count: int) -> list[tuple[int, int]]:
    """Where each record is, from … to; those that are not there end beyond the file.

    By the index at the end, or, where that is damaged, from record to record.
    start: of the first. count: of records. Raises CorruptFile if neither way leads on.
    """
    sizes = _indexed(data, count)
    if sizes is None or start + sum(sizes) + len(write_end(sizes)) != len(data):
        sizes = _walked(data, start, count)
    found, at = [], start
    for size in sizes:
        found.append((at, at + size))
        at += size
    return found


def _indexed(data: Bytes, count: int) -> list[int] | None:
    if len(data) < ENDED or bytes(data[-len(ENDING) :]) != ENDING:
        return None
    size = int.from_bytes(data[-ENDED : -ENDED + 4], "little")
    if not count <= size <= len(data) - ENDED:
        return None
    io = Reader(data[len(data) - ENDED - size :])
    try:
        sizes = [io.varint("size of a record", 1, 1, MAX_BYTES) for _ in range(count)]
        whole = io.position == size and io.uint("size of the index", 0, size=4) == size
        return sizes if io.crc32("index", 0) and whole else None
    except CorruptFile:
        return None


def _walked(data: Bytes, start: int, count: int) -> list[int]:
    sizes: list[int] = []
    for _ in range(count):
        io = Reader(data[start : start + 10])
        size = io.varint("size of a record", 0, 0, MAX_BYTES) + io.position
        sizes.append(size)
        start += size
    return sizes


def check_end(data: Bytes, start: int, sizes: list[int]) -> None:
    """Raises CorruptFile unless the file ends as it should. start: of the end."""
    want = write_end(sizes)
    if len(data) < start + len(want):
        raise TruncatedFile(
            f"the file ends after {len(data)} bytes, inside its index; get a complete copy of it"
        )
    if bytes(data[start:]) != want:
        raise CorruptFile("the index is damaged; get another copy of the file")
