"""The syntax of a Lictor feature file, stated once: the same functions read and write it.

FEATURES.md is the specification; elements, checks and errors are those of picture.py.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass, field

from lictor.codec.errors import (
    NotALictorFile,
    TruncatedFile,
    UnsupportedFeature,
    UnsupportedVersion,
)
from lictor.codec.format.picture import QUALITY_STEPS, Bytes, Reader, Writer, model_syntax

MAGIC = b"LIF"
VERSION = 2
"""The newest that is read. Files that need nothing of it are written as version 1."""

KINDS = (".npy", ".npz", ".safetensors")
"""What the arrays came from, by its code in the file."""
DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
ITEM_BYTES = dict(zip(DTYPES, (2, 2, 4, 8, 1, 1, 2, 4, 8, 1, 2, 4, 8), strict=True))
FLOATS = DTYPES[:4]
EXACT, CODED, LEARNED, MIXED, SHIFTED = 0, 1, 2, 3, 4
"""Ways of an array: its bytes packed without loss, its values quantised and coded, coded by a model
that learned what such arrays look like, mixed from components that are quantised and coded, or
coded as the distance from a level of each channel's own."""

MAX_ARRAYS = 2**16
MAX_NAME = 2**10
"""Bytes of an array's name in UTF-8."""
MAX_DIMENSIONS = 32
MAX_VALUES = 2**36
MAX_COMPONENTS = 2**12
MAX_PAYLOAD = 2**40
MAX_TEXT = 2**26
"""Bytes of a name or value of the metadata."""
FREE_VALUES = 2**22
VALUES_PER_BYTE = 2**12
"""A file of n bytes holds at most FREE_VALUES + VALUES_PER_BYTE * n values."""


@dataclass
class Learned:
    """What a file says of an array that a model coded.

    model_id: permanent number of a shipped checkpoint; 0 if the model goes by model_name.
    weights: first 4 bytes of the SHA-256 of the model's weights file.
    step: quality times 4, 0…400.
    low, high: clip bounds; decoded values are held between them. float32, infinite for none.
    latents: checksum of all symbols, `lictor.entropy.Decoder.checksum`.
    """

    model_id: int = 0
    model_name: str = ""
    weights: bytes = bytes(4)
    step: int = 0
    low: float = -math.inf
    high: float = math.inf
    latents: int = 0


@dataclass
class Mixed:
    """What a file says of an array whose channels are mixtures of components.

    components: how many. low, high: decoded values are held between them; infinite for none.
    basis: the stream of the mixtures' weights.
    """

    components: int = 1
    low: float = -math.inf
    high: float = math.inf
    basis: Bytes = b""


@dataclass
class Array:
    """One array as the file has it.

    way: EXACT, CODED, LEARNED, MIXED or SHIFTED.
    big_endian: the array had its numbers stored that way round, and will have again.
    payload: of EXACT, the packed bytes. The rest is of the others:
    axis: the axis of the channels; -1 if there is none.
    patch: values that are kept exactly, packed; coded: the entropy coder's stream.
    step: but of LEARNED, the distance of the quantiser's levels. learned: of LEARNED. mixed: of
        MIXED. shifts: of SHIFTED, the level that each channel's integers are counted from, packed.
    """

    name: str = ""
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
    way: int = EXACT
    axis: int = -1
    step: float = 1.0
    shifts: Bytes = b""
    patch: Bytes = b""
    coded: Bytes = b""
    payload: Bytes = b""
    learned: Learned = field(default_factory=Learned)
    mixed: Mixed = field(default_factory=Mixed)
    big_endian: bool = False

    @property
    def size(self) -> int:
        """How many values."""
        return math.prod(self.shape)


@dataclass
class File:
    """A feature file: where its arrays came from, the arrays, and texts that came with them."""

    kind: str = ".npy"
    arrays: list[Array] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """The format version that this needs."""
        new = self.metadata or any(a.way == SHIFTED or a.big_endian for a in self.arrays)
        return 2 if new else 1


def file_syntax(io: Reader | Writer, f: File, length: int | None) -> File:
    """The whole file. length: bytes of it, which bound what it may hold; None when writing."""
    io.raw("magic", MAGIC, len(MAGIC))
    version = io.uint("format version", f.version)
    if not 1 <= version <= VERSION:
        raise UnsupportedVersion(
            f"feature format version {version} is not known to this release, which reads versions "
            f"1 to {VERSION}; install the newest Lictor"
        )
    f.kind = _code(io, "kind of file", f.kind, KINDS)
    count = io.varint("number of arrays", len(f.arrays), 0, MAX_ARRAYS)
    io.crc16("header")
    if version > 1:
        f.metadata = _metadata_syntax(io, f.metadata)
    values, arrays = 0, []
    for i in range(count):
        array = _array_syntax(io, f.arrays[i] if length is None else Array(), version)
        values += array.size
        if length is not None and values > FREE_VALUES + VALUES_PER_BYTE * length:
            raise io.complaint(f"{values} values in {length} bytes is more than any encoder writes")
        arrays.append(_payload_syntax(io, array))
    padding = io.varint("length of the padding", 0, 0, MAX_PAYLOAD) if length is not None else 0
    f.arrays = arrays
    if length is None:
        _pad(io, sum(a.size for a in arrays))
    elif any(io.raw("padding", b"", padding)):
        raise io.complaint("the padding is not zero")
    return f


def _pad(io: Reader | Writer, values: int) -> None:
    """Zeros until the file is long enough for what it holds."""
    missing = -(-(values - FREE_VALUES) // VALUES_PER_BYTE) - io.position
    padding = max(0, missing)
    io.varint("length of the padding", padding, 0, MAX_PAYLOAD)
    io.raw("padding", bytes(padding), padding)


def _code(io: Reader | Writer, name: str, value: str, known: tuple[str, ...]) -> str:
    code = io.uint(name, known.index(value))
    if code >= len(known):
        raise UnsupportedFeature(
            f"{name} {code} is not known to this release; install the newest Lictor"
        )
    return known[code]


def _metadata_syntax(io: Reader | Writer, metadata: dict[str, str]) -> dict[str, str]:
    """Names and values, each as text."""
    start = io.position
    count = io.varint("number of texts", len(metadata), 0, MAX_ARRAYS)
    flat = [text for pair in metadata.items() for text in pair] or [""] * (2 * count)
    texts = [_text(io, "text of the metadata", text, MAX_TEXT) for text in flat]
    _seal(io, "metadata", start)
    found = dict(zip(texts[::2], texts[1::2], strict=True))
    if len(found) != count:
        raise io.complaint("two texts of the metadata have one name")
    return found


def _text(io: Reader | Writer, name: str, text: str, most: int) -> str:
    coded = text.encode()
    size = io.varint(f"length of a {name}", len(coded), 0, most)
    try:
        return bytes(io.raw(name, coded, size)).decode()
    except UnicodeDecodeError:
        raise io.complaint(f"a {name} is not UTF-8") from None


def _array_syntax(io: Reader | Writer, a: Array, version: int) -> Array:
    """What an array is; its own check, before anything of its size is made."""
    start = io.position
    a.name = _text(io, "name", a.name, MAX_NAME)
    a.dtype = _code(io, "type of an array", a.dtype, DTYPES)
    if version > 1:
        a.big_endian = bool(io.uint("byte order", int(a.big_endian), 0, 1))
    dimensions = io.uint("dimensions", len(a.shape), 0, MAX_DIMENSIONS)
    shape = a.shape or (0,) * dimensions
    a.shape = tuple(io.varint("length of an axis", n, 0, MAX_VALUES) for n in shape[:dimensions])
    if math.prod(n for n in a.shape if n) > MAX_VALUES:
        raise io.complaint(f"an array has more than {MAX_VALUES} values")
    a.way = io.uint("way of an array", a.way, EXACT, SHIFTED if version > 1 else MIXED)
    if a.way != EXACT and (a.dtype not in FLOATS or not a.size):
        raise io.complaint("an array is coded in a way that it cannot be")
    _seal(io, "description of an array", start)
    return a


def _payload_syntax(io: Reader | Writer, a: Array) -> Array:
    start = io.position
    if a.way == EXACT:
        a.payload = _block(io, "array", a.payload)
    else:
        a.axis = io.uint("axis of the channels", a.axis + 1, 0, len(a.shape)) - 1
        if a.way == LEARNED:
            _learned_syntax(io, a.learned)
        else:
            a.step = _positive(io, "step", a.step)
        if a.way == MIXED:
            _mixed_syntax(io, a)
        if a.way == SHIFTED:
            a.shifts = _block(io, "shifts of the channels", a.shifts)
        a.patch = _block(io, "exact values", a.patch)
        a.coded = _block(io, "coded values", a.coded)
    _seal(io, "payload of an array", start)
    return a


def _learned_syntax(io: Reader | Writer, m: Learned) -> None:
    model_syntax(io, m)
    m.step = io.uint("quality", m.step, 0, QUALITY_STEPS, size=2)
    m.low, m.high = struct.unpack("<ff", io.raw("bounds", struct.pack("<ff", m.low, m.high), 8))
    if not m.low <= m.high:  # nor is nan
        raise io.complaint(f"values lie between {m.low} and {m.high}")
    m.latents = io.uint("checksum of the latents", m.latents, size=4)


def _mixed_syntax(io: Reader | Writer, a: Array) -> None:
    if a.axis < 0:
        raise io.complaint("an array without channels is said to be mixed")
    channels, m = a.shape[a.axis], a.mixed
    # No more than channels or places: then the weights are no more than the values.
    most = min(channels, a.size // channels, MAX_COMPONENTS)
    m.components = io.varint("number of components", m.components, 1, most)
    m.low, m.high = struct.unpack("<dd", io.raw("bounds", struct.pack("<dd", m.low, m.high), 16))
    if not m.low <= m.high:  # nor is nan
        raise io.complaint(f"values lie between {m.low} and {m.high}")
    m.basis = _block(io, "weights of the mixtures", m.basis)


def _seal(io: Reader | Writer, name: str, start: int) -> None:
    if not io.crc32(name, start):
        raise io.complaint(f"the {name} does not match its checksum")


def _block(io: Reader | Writer, name: str, value: Bytes) -> Bytes:
    size = io.varint(f"length of the {name}", len(value), 0, MAX_PAYLOAD)
    return io.raw(name, value, size)


def _positive(io: Reader | Writer, name: str, value: float) -> float:
    """A float64, finite and above 0."""
    (found,) = struct.unpack("<d", io.raw(name, struct.pack("<d", value), 8))
    if not (math.isfinite(found) and found > 0):
        raise io.complaint(f"{name} is {found}")
    return float(found)


def write(file: File) -> bytes:
    """The bytes of a file. A value that the format cannot hold raises ValueError."""
    io = Writer()
    file_syntax(io, file, None)
    return bytes(io.data)


def size_of(array: Array) -> int:
    """Bytes of a file with this array alone."""
    return len(write(File(".npy", [array])))


def kind_of(name: str, start: bytes = b"") -> str:
    """The kind of a file by its name, else by its first bytes; "" if it holds no arrays."""
    extension = os.path.splitext(name)[1].lower()
    if extension in KINDS:
        return extension
    if start.startswith(b"\x93NUMPY"):
        return ".npy"
    if start.startswith(b"PK\x03\x04"):
        return ".npz"
    return ".safetensors" if start[8:10] == b'{"' else ""


def is_features(start: Bytes) -> bool:
    """Whether a file that begins so is a feature file."""
    return bytes(start[: len(MAGIC)]) == MAGIC


def read(data: Bytes) -> File:
    """Parse a whole file. Payloads are views into `data`. Raises FileError."""
    start = bytes(data[: len(MAGIC)])
    if not start:
        raise TruncatedFile("the file is empty; get a complete copy of it")
    if not MAGIC.startswith(start):
        raise NotALictorFile("not a Lictor feature file; give one that `lictor encode` wrote")
    io = Reader(data)
    file = file_syntax(io, File(), len(data))
    if io.position != len(data):
        raise io.complaint(f"{len(data) - io.position} bytes follow the end of the file")
    return file
