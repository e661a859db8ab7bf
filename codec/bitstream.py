"""The syntax of a Lictor file, stated once: the same functions read and write it.

FORMAT.md is the specification. A syntax function walks over the elements of its structure in
file order and hands each to `io`, a Reader or a Writer, with its name, its value and its range.
A Writer writes the value and returns it; a Reader ignores it and returns what the file says.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lictor.codec.errors import (
    CorruptFile,
    NotALictorFile,
    TruncatedFile,
    UnsupportedFeature,
    UnsupportedVersion,
)

Bytes: TypeAlias = bytes | bytearray | memoryview

MAGIC = b"LIC"
VERSION = 1

MAX_MODEL_ID = 2**28 - 1
MAX_NAME = 64
"""Bytes of a model's name."""
MAX_SIDE = 2**20
MAX_PIXELS = 2**31
MAX_SECTION = 2**40
QUALITY_STEPS = 400
"""Quality 0…100 is stored in steps of a quarter."""

BLOCK = 64
FREE_BLOCKS = 1024
BLOCKS_PER_BYTE = 16
"""A file of n bytes holds at most FREE_BLOCKS + BLOCKS_PER_BYTE * n blocks of 64x64 pixels."""

LATENTS = 1
PADDING = 2
ALPHA = 3
ICC = 4
EXIF = 5
_KNOWN_OPTIONAL = {LATENTS: False, PADDING: True, ALPHA: False, ICC: True, EXIF: True}
"""Kinds of section, and whether a reader may skip them."""
_NAMES = {
    LATENTS: "latents",
    PADDING: "padding",
    ALPHA: "alpha plane",
    ICC: "colour profile",
    EXIF: "EXIF data",
}

MAX_METADATA = 2**22
"""Bytes of a colour profile or of EXIF data, unpacked."""

_CHANNELS = (1, 2, 3, 4)
_DEPTHS = (8, 16)
"""Bits per sample, by their code in the file."""
_MORE = 0x40
_OPTIONAL = 0x80


@dataclass
class Header:
    """What a file says before its payload.

    model_id: permanent number of a shipped checkpoint; 0 if the model goes by model_name.
    weights: first 4 bytes of the SHA-256 of the model's weights file.
    channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    depth: bits per sample, 8 or 16.
    step: quality times 4, 0…400.
    latents: checksum of the latents, `lictor.entropy.Decoder.checksum`.
    """

    version: int = VERSION
    model_id: int = 0
    model_name: str = ""
    weights: bytes = bytes(4)
    width: int = 1
    height: int = 1
    channels: int = 3
    depth: int = 8
    step: int = 0
    latents: int = 0


@dataclass
class Section:
    """One part of the payload.

    optional: a reader that does not know this kind may skip it.
    more: another section follows.
    """

    kind: int = 0
    payload: Bytes = b""
    optional: bool = False
    more: bool = False


def header_syntax(io: Reader | Writer, h: Header) -> Header:
    """Everything before the payload."""
    io.raw("magic", MAGIC, len(MAGIC))
    h.version = io.uint("format version", h.version)
    if h.version != VERSION:
        raise UnsupportedVersion(
            f"format version {h.version} is not known to this release, which reads version "
            f"{VERSION}; install the newest Lictor"
        )
    h.model_id = io.varint("model id", h.model_id, 0, MAX_MODEL_ID)
    if h.model_id == 0:
        h.model_name = _name_syntax(io, h.model_name)
    h.weights = bytes(io.raw("hash of the weights", h.weights, 4))
    h.width = io.varint("width", h.width, 1, MAX_SIDE)
    h.height = io.varint("height", h.height, 1, MAX_SIDE)
    if h.width * h.height > MAX_PIXELS:
        raise io.complaint(f"{h.width}x{h.height} is more than {MAX_PIXELS} pixels")
    h.channels, h.depth = _sample_syntax(io, h.channels, h.depth)
    h.step = io.varint("quality", h.step, 0, QUALITY_STEPS)
    h.latents = io.uint("checksum of the latents", h.latents, size=4)
    io.crc16("header")
    return h


def _name_syntax(io: Reader | Writer, name: str) -> str:
    """Printable ASCII and no slash: it is shown on terminals and looked for in folders."""
    encoded = name.encode("ascii", "replace")
    size = io.uint("length of the model's name", len(encoded), high=MAX_NAME)
    encoded = bytes(io.raw("model's name", encoded, size))
    if not encoded or any(c < 0x21 or c > 0x7E or c in b"/\\?" for c in encoded):
        raise io.complaint("the model's name is empty or not plain ASCII")
    return encoded.decode("ascii")


def _sample_syntax(io: Reader | Writer, channels: int, depth: int) -> tuple[int, int]:
    """One byte: channels in bits 0-2, the code of the depth in bits 3-4, zeros above."""
    code = io.uint("sample format", channels | _DEPTHS.index(depth) << 3)
    channels, depth_code, reserved = code & 7, code >> 3 & 3, code >> 5
    if channels not in _CHANNELS or depth_code >= len(_DEPTHS) or reserved:
        raise UnsupportedFeature(
            f"sample format {code:#04x} is not known to this release; install the newest Lictor"
        )
    return channels, _DEPTHS[depth_code]


def section_syntax(io: Reader | Writer, s: Section) -> Section:
    """Tag, length, payload, check of all three."""
    start = io.position
    tag = io.uint("section tag", s.kind | s.more * _MORE | s.optional * _OPTIONAL)
    s.kind, s.more, s.optional = tag & 0x3F, bool(tag & _MORE), bool(tag & _OPTIONAL)
    size = io.varint("length of a section", len(s.payload), 0, MAX_SECTION)
    s.payload = io.raw("section", s.payload, size)
    io.crc32("section", start)
    return s


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

    def crc32(self, name: str, start: int) -> None:
        """CRC-32 (as in PNG and zip) of all bytes since `start`."""
        check = zlib.crc32(self.since(start)) if self.verify_sections else 0
        stored = self.uint(f"check of a {name}", check, size=4)
        if self.verify_sections and stored != check:
            raise self.complaint(f"a {name} does not match its checksum")

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
        """What was written since position `start`."""
        return bytes(self.data[start:])

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

    def since(self, start: int) -> Bytes:
        """What was read since position `start`."""
        return self._data[start : self._position]

    def complaint(self, message: str) -> Exception:
        """CorruptFile."""
        return CorruptFile(f"{message}; the file is damaged, get another copy of it")


def write(header: Header, latents: bytes, others: Mapping[int, bytes] | None = None) -> bytes:
    """The file of one picture.

    Args:
        header: complete; a value that the format cannot hold raises ValueError.
        latents: what `lictor.entropy.Encoder.finish` returned.
        others: payloads of ALPHA, ICC and EXIF, where there are such.
    """
    payloads = {LATENTS: latents, **(others or {})}
    data = _write(header, _chain(payloads))
    missing = -(-(_blocks(header) - FREE_BLOCKS) // BLOCKS_PER_BYTE) - len(data)
    if missing > 0:
        data = _write(header, _chain({**payloads, PADDING: bytes(missing)}))
    return data


def _chain(payloads: Mapping[int, bytes]) -> list[Section]:
    sections = [
        Section(kind, payload, optional=_KNOWN_OPTIONAL[kind], more=True)
        for kind, payload in payloads.items()
    ]
    sections[-1].more = False
    return sections


def _write(header: Header, sections: list[Section]) -> bytes:
    io = Writer()
    header_syntax(io, header)
    for section in sections:
        section_syntax(io, section)
    return bytes(io.data)


def read(data: Bytes, *, verify_sections: bool = True) -> tuple[Header, list[Section]]:
    """Parse a whole file; the first section is the latents. Payloads are views into `data`.

    Args:
        data: the file's bytes.
        verify_sections: False skips the checksums of the sections, not that of the header.

    Raises:
        FileError: NotALictorFile, UnsupportedVersion, UnsupportedFeature, TruncatedFile
            or CorruptFile.
    """
    io = Reader(data, verify_sections)
    _check_magic(data)
    header = header_syntax(io, Header())
    if _blocks(header) > FREE_BLOCKS + BLOCKS_PER_BYTE * len(data):
        raise io.complaint(
            f"{header.width}x{header.height} pixels in {len(data)} bytes is more than any "
            "encoder writes"
        )
    sections = [section_syntax(io, Section())]
    while sections[-1].more:
        sections.append(section_syntax(io, Section()))
    if io.position != len(data):
        raise io.complaint(f"{len(data) - io.position} bytes follow the end of the file")
    _check_sections(io, header, sections)
    return header, sections


def payload(sections: list[Section], kind: int) -> Bytes:
    """The payload of the section of a kind; empty if there is none."""
    return next((s.payload for s in sections if s.kind == kind), b"")


def _check_magic(data: Bytes) -> None:
    start = bytes(data[: len(MAGIC)])
    if not start:
        raise TruncatedFile("the file is empty; get a complete copy of it")
    if not MAGIC.startswith(start):
        raise NotALictorFile("not a Lictor file; give one that `lictor encode` wrote")


def _check_sections(io: Reader, header: Header, sections: list[Section]) -> None:
    """The latents come first; every kind comes once; nothing is left that must be known."""
    if (sections[0].kind, sections[0].optional) != (LATENTS, False):
        raise io.complaint("the payload does not begin with the latents")
    seen = set()
    for section in sections:
        if section.kind not in _KNOWN_OPTIONAL:
            if not section.optional:
                raise UnsupportedFeature(
                    f"section {section.kind} is not known to this release; install the newest "
                    "Lictor"
                )
            continue
        name = _NAMES[section.kind]
        if section.kind in seen:
            raise io.complaint(f"the {name} are there twice")
        if section.optional != _KNOWN_OPTIONAL[section.kind]:
            raise io.complaint(f"the section of the {name} has a wrong tag")
        if section.kind == PADDING and io.verify_sections and any(section.payload):
            raise io.complaint("the padding is not zero")
        seen.add(section.kind)
    if (ALPHA in seen) != (header.channels in (2, 4)):
        raise io.complaint(f"{header.channels} channels do not go with the sections there are")


def _blocks(h: Header) -> int:
    return -(-h.width // BLOCK) * -(-h.height // BLOCK)
