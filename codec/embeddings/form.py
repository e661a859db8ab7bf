"""The syntax of a file of embeddings, stated once: the same functions read and write it.

codec/format/EMBEDDINGS.md is the specification.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.elements import check_magic, version_syntax
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.rows import basis as bases
from lictor.codec.rows import block, scales
from lictor.entropy import CorruptStream, Decoder, Encoder

MAGIC = b"LEM"
VERSION = 1
DTYPES = ("float16", "bfloat16", "float32")
GRID, AXES, EXACT = range(3)
WAYS = ("grid", "axes", "exact")
MOST_ROWS = 2**36
MOST_BLOCK = 2**20
PER_OCTAVE = 4
"""Steps of the axes' entries, in an octave."""
_MOST_BYTES = 2**40
_FIDELITY = "<dddd"
FREE_VALUES = 2**22
VALUES_PER_BYTE = 2**10
"""A file of n bytes holds at most FREE_VALUES + VALUES_PER_BYTE · n values."""


@dataclass
class Axes:
    """Directions as they are sent: integers (rank, columns), a step for each; what is taken off.

    Attributes:
        mean: float32 (columns,). levels: int32 (rank, columns).
        finenesses: uint8 (rank,): steps are 2^(-fineness/4).
    """

    mean: npt.NDArray[np.float32]
    levels: npt.NDArray[np.int32]
    finenesses: npt.NDArray[np.uint8]

    @property
    def directions(self) -> npt.NDArray[np.float32]:
        """(rank, columns)."""
        steps = 2.0 ** (-self.finenesses.astype(np.float64) / PER_OCTAVE)
        return (self.levels * steps[:, None]).astype(np.float32)


@dataclass
class File:
    """Vectors: dtype, rows and columns, rows of a block; a step; directions, if axes are coded.

    bound: no value is further off; 0 if none was promised. shift: low bits that are raw.
    error, power: sums of squared errors and values. largest: error. reach: largest value.
    blocks: payloads.
    """

    dtype: str = "float32"
    rows: int = 1
    columns: int = 1
    block: int = 1
    way: int = GRID
    step: float = 1.0
    bound: float = 0.0
    shift: int = 0
    error: float = 0.0
    power: float = 0.0
    largest: float = 0.0
    reach: float = 0.0
    axes: Axes | None = None
    blocks: list[Bytes] = field(default_factory=list)


def syntax(io: Reader | Writer, f: File, length: int | None) -> File:
    """The whole file. length: bytes of it; None when writing."""
    version_syntax(io, MAGIC, VERSION, range(VERSION, VERSION + 1), "embedding format")
    f.dtype = DTYPES[io.uint("type", DTYPES.index(f.dtype), 0, len(DTYPES) - 1)]
    f.rows = io.varint("rows", f.rows, 1, MOST_ROWS)
    f.columns = io.varint("columns", f.columns, 1, bases.MOST_COLUMNS)
    f.block = io.varint("rows of a block", f.block, 1, MOST_BLOCK)
    f.way = io.uint("way", f.way, 0, EXACT)
    f.shift = io.uint("shift", f.shift, 0, scales.MOST_SHIFT)
    said = struct.pack("<dd", f.step, f.bound)
    f.step, f.bound = struct.unpack("<dd", io.raw("step and bound", said, 16))
    if not (0 < f.step < math.inf and 0 <= f.bound < math.inf):
        raise io.complaint("the step or the bound is none")
    said = struct.pack(_FIDELITY, f.error, f.power, f.largest, f.reach)
    found = struct.unpack(_FIDELITY, io.raw("fidelity", said, len(said)))
    f.error, f.power, f.largest, f.reach = found
    count = -(-f.rows // f.block)
    most = math.inf if length is None else FREE_VALUES + VALUES_PER_BYTE * length
    if f.rows * f.columns > most or (length is not None and count > length):
        raise io.complaint(f"{f.rows * f.columns} values are more than any encoder writes")
    if f.way == AXES:
        f.axes = _axes(io, f.axes, f.columns, most)
    given = f.blocks or [b""] * count
    lengths = [io.varint("length of a block", len(own), 0, _MOST_BYTES) for own in given]
    missing = -(-(f.rows * f.columns - FREE_VALUES) // VALUES_PER_BYTE) - sum(lengths)
    padding = io.varint("padding", max(0, missing), 0, _MOST_BYTES)
    if not io.crc32("header", 0):
        raise io.complaint("the header does not match its checksum")
    f.blocks = []
    for own, size in zip(given, lengths, strict=True):
        start = io.position
        f.blocks.append(io.raw("block", own, size))
        if not io.crc32("block", start):
            raise io.complaint("a block does not match its checksum")
    if any(io.raw("padding", bytes(padding), padding)):
        raise io.complaint("the padding is not zero")
    return f


def _axes(io: Reader | Writer, given: Axes | None, columns: int, most: float) -> Axes:
    rank = io.varint("axes", len(given.levels) if given else 1, 1, columns)
    if rank * columns > most:
        raise io.complaint("the axes are more than any encoder writes")
    mean = bases.array(io, "mean", given.mean if given else None, "<f4", columns)
    fine = bases.array(io, "finenesses", given.finenesses if given else None, "u1", rank)
    data = b""
    if given:
        encoder = Encoder()
        block.push(encoder, np.ascontiguousarray(given.levels.T), expected(rank))
        data = encoder.finish()
    size = io.varint("length of the axes", len(data), 0, _MOST_BYTES)
    stream = io.raw("axes", data, size)
    if given:
        return given
    try:
        decoder = Decoder(stream)
        levels = block.pull(decoder, columns, expected(rank))
        decoder.close()
    except CorruptStream as e:
        raise CorruptFile(f"the axes are damaged: {e}") from e
    if not np.isfinite(mean).all():
        raise io.complaint("a mean is not finite")
    return Axes(mean, np.ascontiguousarray(levels.T), fine)


def expected(columns: int, shift: int = 0) -> block.Expected:
    """Components and values of embeddings are taken for Gaussian."""
    return block.unknown(columns, shift, scales.GAUSSIAN)


def written(f: File) -> bytes:
    """The bytes of a file."""
    io = Writer()
    syntax(io, f, None)
    return bytes(io.data)


def read(data: Bytes) -> File:
    """A whole file. Raises FileError."""
    check_magic(data, MAGIC, "a file of embeddings; give one that `--preset embedding`")
    io = Reader(data)
    found = syntax(io, File(), len(data))
    if io.position != len(data):
        raise io.complaint(f"{len(data) - io.position} bytes follow the end of the file")
    return found
