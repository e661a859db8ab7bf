"""What the syntax of a file is made of: numbers and bytes with a name, a value and a range.

A syntax function hands its elements to `io`, a Reader or a Writer, in file order. A Writer writes
the value and returns it; a Reader ignores it and returns what the file says.
"""

from __future__ import annotations

import binascii
import zlib
from typing import TypeAlias

from lictor.codec.errors import (
    CorruptFile,
    NotALictorFile,
    TruncatedFile,
    UnsupportedVersion,
)

Bytes: TypeAlias = bytes | bytearray | memoryview


class _Syntax:
    """The elements that structures are made of, for both directions."""

    verify_sections = True

    @property
    def position(self) -> int:
        """Bytes read or written so far."""
        raise NotImplementedError

    def raw(self, name: str, value: Bytes, size: int) -> Bytes:
        """`size` bytes as they are."""
        raise NotImplementedError

    def since(self, start: int) -> Bytes:
        """The bytes read or written since position `start`."""
        raise NotImplementedError

    def complaint(self, message: str) -> Exception:
        """The exception to raise when a value is not one that the format can hold."""
        raise NotImplementedError

    def uint(
        self, name: str, value: int, low: int = 0, high: int | None = None, size: int = 1
    ) -> int:
        """Unsigned little-endian integer of `size` bytes, in low…high."""
        high = 256**size - 1 if high is None else high
        self._check(name, value, low, high)
        data = self.raw(name, value.to_bytes(size, "little"), size)
        return self._check(name, int.from_bytes(data, "little"), low, high)

    def varint(self, name: str, value: int, low: int, high: int) -> int:
        """Unsigned LEB128 in low…high: 7 bits a byte, lowest first, in the fewest bytes."""
        self._check(name, value, low, high)
        result = shift = 0
        while True:
            rest = value >> shift
            byte = self.uint(name, rest & 0x7F | (rest > 0x7F) << 7)
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= high.bit_length():
                raise self.complaint(f"{name} goes on for too many bytes")
        if shift and byte == 0:
            raise self.complaint(f"{name} is written in more bytes than it needs")
        return self._check(name, result, low, high)

    def crc16(self, name: str) -> None:
        """CRC-16 (CCITT, from 0xFFFF) of all bytes so far: finds every error within 16 bits."""
        check = binascii.crc_hqx(self.since(0), 0xFFFF)
        if self.uint(f"check of the {name}", check, size=2) != check:
            raise self.complaint(f"the {name} does not match its checksum")

    def crc32(self, name: str, start: int) -> bool:
        """CRC-32 (as in PNG and zip) of all bytes since `start`; whether it is right."""
        check = zlib.crc32(self.since(start)) if self.verify_sections else 0
        stored = self.uint(f"check of a {name}", check, size=4)
        return not self.verify_sections or stored == check

    def _check(self, name: str, value: int, low: int, high: int) -> int:
        if not low <= value <= high:
            raise self.complaint(f"{name} is {value}, outside {low}…{high}")
        return value


class Writer(_Syntax):
    """Elements to bytes. A value that does not fit is the caller's mistake: ValueError."""

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def position(self) -> int:
        """Bytes written so far."""
        return len(self.data)

    def raw(self, name: str, value: Bytes, size: int) -> Bytes:
        """Append `value`."""
        if len(value) != size:
            raise self.complaint(f"{name} has {len(value)} bytes, not {size}")
        self.data += value
        return value

    def since(self, start: int) -> Bytes:
        """What was written since position `start`; nothing is written while that is held."""
        return memoryview(self.data)[start:]

    def complaint(self, message: str) -> Exception:
        """ValueError."""
        return ValueError(message)


class Reader(_Syntax):
    """Bytes to elements; never reads outside `data`, never copies a payload."""

    def __init__(self, data: Bytes, verify_sections: bool = True) -> None:
        self._data = memoryview(data).cast("B")
        self._position = 0
        self.verify_sections = verify_sections

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._position

    def raw(self, name: str, value: Bytes, size: int) -> Bytes:
        """The next `size` bytes, as a view."""
        end = self._position + size
        if end > len(self._data):
            raise TruncatedFile(
                f"the file ends after {len(self._data)} bytes, inside its {name}; "
                "get a complete copy of it"
            )
        view = self._data[self._position : end]
        self._position = end
        return view

    # Numbers are most of what is read: here they take one call each.

    def uint(
        self, name: str, value: int = 0, low: int = 0, high: int | None = None, size: int = 1
    ) -> int:
        """As written."""
        at = self._position
        found = int.from_bytes(self._data[at : at + size], "little")
        if at + size > len(self._data) or found < low or (high is not None and found > high):
            return super().uint(name, low, low, high, size)  # raises what is wrong
        self._position = at + size
        return found

    def varint(self, name: str, value: int, low: int, high: int) -> int:
        """As written."""
        at = self._position
        if at < len(self._data) and low <= (found := self._data[at]) <= min(high, 127):
            self._position = at + 1
            return found
        return super().varint(name, low, low, high)

    def seek(self, position: int) -> None:
        """Go on reading from there; beyond the end nothing can be."""
        self._position = position

    def rest(self) -> Bytes:
        """All from here on."""
        return self.raw("end", b"", len(self._data) - self._position)

    def since(self, start: int) -> Bytes:
        """What was read since position `start`."""
        return self._data[start : self._position]

    def complaint(self, message: str) -> Exception:
        """CorruptFile."""
        return CorruptFile(f"{message}; the file is damaged, get another copy of it")


def varint_size(value: int) -> int:
    """Bytes that a varint takes."""
    return max(1, -(-value.bit_length() // 7))


def check_magic(data: Bytes, magic: bytes, what: str) -> None:
    """Whether a file may begin with `magic`. what: what it is no file of, and who writes such.

    Raises TruncatedFile of an empty one, NotALictorFile.
    """
    start = bytes(data[: len(magic)])
    if not start:
        raise TruncatedFile("the file is empty; get a complete copy of it")
    if not magic.startswith(start):
        raise NotALictorFile(f"not {what} wrote")


def version_syntax(io: Reader | Writer, magic: bytes, version: int, known: range, what: str) -> int:
    """A file's first bytes and its version. Raises UnsupportedVersion for one that is not known."""
    io.raw("magic", magic, len(magic))
    found = io.uint("format version", version)
    if found not in known:
        newest = known[-1]
        reads = f"version {newest}" if len(known) == 1 else f"versions {known[0]} to {newest}"
        raise UnsupportedVersion(
            f"{what} version {found} is not known to this release, which reads {reads}; install "
            "the newest Lictor"
        )
    return found
