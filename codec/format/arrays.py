"""The syntax of a Lictor feature file, stated once: the same functions read and write it.

FEATURES.md is the specification; elements, checks and errors are those of picture.py.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, ClassVar

from lictor.codec.errors import (
    UnsupportedFeature,
)
from lictor.codec.format.elements import check_magic, version_syntax
from lictor.codec.format.picture import Bytes, Reader, Writer

MAGIC = b"LIF"
VERSION = 3
"""The newest that is read. Files that need nothing of it are written as version 1."""

KINDS = (".npy", ".npz", ".safetensors")
"""What the arrays came from, by its code in the file."""
DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
ITEM_BYTES = dict(zip(DTYPES, (2, 2, 4, 8, 1, 1, 2, 4, 8, 1, 2, 4, 8), strict=True))
FLOATS = DTYPES[:4]
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
class Array:
    """One array as the file has it. How its values are coded, a subclass says: a method each.

    big_endian: the array had its numbers stored that way round, and will have again.
    """

    code: ClassVar[int]
    """The method's number in the file."""
    since: ClassVar[int] = 1
    """The first format version that has the method."""
    any_type: ClassVar[bool] = False
    """Whether it codes arrays of all types, empty ones too; else floats only."""

    name: str = ""
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
    big_endian: bool = False

    @property
    def size(self) -> int:
        """How many values."""
        return math.prod(self.shape)

    def syntax(self, io: Reader | Writer) -> None:
        """What follows the description, up to its checksum."""
        raise NotImplementedError

    def decode(self, model: Any = None) -> Any:
        """The values, a numpy array of the type and shape; bfloat16 as uint16.

        model: that coded it, if one did; found by what the file says if None.
        Raises CorruptFile, LatentMismatch, ModelUnavailable.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What is told of it beside name, type and shape; "bytes" among it."""
        raise NotImplementedError


Methods = Mapping[int, type[Array]]
"""Those of a release, by their codes."""


@dataclass
class File:
    """A feature file: where its arrays came from, the arrays, and texts that came with them."""

    kind: str = ".npy"
    arrays: list[Array] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """The format version that this needs."""
        new = self.metadata or any(a.big_endian for a in self.arrays)
        return max([2 if new else 1, *(a.since for a in self.arrays)])


def file_syntax(
    io: Reader | Writer, f: File, length: int | None, methods: Methods | None = None
) -> File:
    """The whole file.

    length: bytes of it, which bound what it may hold; None when writing. methods: by which arrays
    may be coded, when reading.
    """
    version = version_syntax(io, MAGIC, f.version, range(1, VERSION + 1), "feature format")
    f.kind = _code(io, "kind of file", f.kind, KINDS)
    count = io.varint("number of arrays", len(f.arrays), 0, MAX_ARRAYS)
    io.crc16("header")
    if version > 1:
        f.metadata = _metadata_syntax(io, f.metadata)
    values, arrays = 0, []
    for i in range(count):
        given = f.arrays[i] if length is None else None
        array = _array_syntax(io, given, version, methods or {})
        values += array.size
        if length is not None and values > FREE_VALUES + VALUES_PER_BYTE * length:
            raise io.complaint(f"{values} values in {length} bytes is more than any encoder writes")
        start = io.position
        array.syntax(io)
        _seal(io, "payload of an array", start)
        arrays.append(array)
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


def _array_syntax(
    io: Reader | Writer, given: Array | None, version: int, methods: Methods
) -> Array:
    """What an array is; its own check, before anything of its size is made.

    Returns what was given, or of what is read an array of its method.
    """
    start = io.position
    a = given or Array()
    a.name = _text(io, "name", a.name, MAX_NAME)
    a.dtype = _code(io, "type of an array", a.dtype, DTYPES)
    if version > 1:
        a.big_endian = bool(io.uint("byte order", int(a.big_endian), 0, 1))
    dimensions = io.uint("dimensions", len(a.shape), 0, MAX_DIMENSIONS)
    shape = a.shape or (0,) * dimensions
    a.shape = tuple(io.varint("length of an axis", n, 0, MAX_VALUES) for n in shape[:dimensions])
    if math.prod(n for n in a.shape if n) > MAX_VALUES:
        raise io.complaint(f"an array has more than {MAX_VALUES} values")
    known = methods if given is None else {given.code: type(given)}
    most = max(code for code, method in known.items() if method.since <= version)
    method = known.get(io.uint("way of an array", given.code if given else 0, 0, most))
    if method is None or method.since > version:
        raise io.complaint("an array is coded in a way that there is not")
    if not method.any_type and (a.dtype not in FLOATS or not a.size):
        raise io.complaint("an array is coded in a way that it cannot be")
    _seal(io, "description of an array", start)
    return given or method(a.name, a.dtype, a.shape, a.big_endian)


def _seal(io: Reader | Writer, name: str, start: int) -> None:
    if not io.crc32(name, start):
        raise io.complaint(f"the {name} does not match its checksum")


def block(io: Reader | Writer, name: str, value: Bytes) -> Bytes:
    """Bytes with their number."""
    size = io.varint(f"length of the {name}", len(value), 0, MAX_PAYLOAD)
    return io.raw(name, value, size)


def positive(io: Reader | Writer, name: str, value: float) -> float:
    """A float64, finite and above 0."""
    (found,) = struct.unpack("<d", io.raw(name, struct.pack("<d", value), 8))
    if not (math.isfinite(found) and found > 0):
        raise io.complaint(f"{name} is {found}")
    return float(found)


def write(file: File) -> bytes:
    """The bytes of a file. A value that the format cannot hold raises ValueError."""
    whole = _Whole()
    file_syntax(whole, file, None)
    return whole.bytes()


class _Whole(Writer):
    """Elements to bytes that are not copied in the end."""

    def __init__(self) -> None:
        super().__init__()
        self._file = BytesIO()

    @property
    def position(self) -> int:
        return self._file.tell()

    def raw(self, name: str, value: Bytes, size: int) -> Bytes:
        if len(value) != size:
            raise self.complaint(f"{name} has {len(value)} bytes, not {size}")
        self._file.write(value)
        return value

    def since(self, start: int) -> Bytes:
        return self._file.getbuffer()[start:]

    def bytes(self) -> bytes:
        """All that was written."""
        return self._file.getvalue()


def bounds(io: Reader | Writer, low: float, high: float, form: str) -> tuple[float, float]:
    """Two floats between which decoded values are held. form: of both, as struct has it."""
    size = struct.calcsize(form)
    low, high = struct.unpack(form, io.raw("bounds", struct.pack(form, low, high), size))
    if not low <= high:  # nor is nan
        raise io.complaint(f"values lie between {low} and {high}")
    return low, high


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


def read(data: Bytes, methods: Methods, verify: bool = True) -> File:
    """Parse a whole file. Payloads are views into `data`. Raises FileError.

    verify: look at the checks of payloads and descriptions, too.
    """
    check_magic(data, MAGIC, "a Lictor feature file; give one that `lictor encode`")
    io = Reader(data, verify)
    file = file_syntax(io, File(), len(data), methods)
    if io.position != len(data):
        raise io.complaint(f"{len(data) - io.position} bytes follow the end of the file")
    return file
