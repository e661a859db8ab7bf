"""ICC profiles and EXIF in a file: deflated, with a cap on what they become. See FORMAT.md."""

from __future__ import annotations

import zlib

from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.codec.format.picture import MAX_METADATA

_RAW = -15
"""zlib's name for deflate without header and check: the section has a CRC of its own."""


def pack(data: bytes) -> bytes:
    """The payload of a section, of at most MAX_METADATA bytes."""
    out = Writer()
    out.varint("size of the metadata", len(data), 1, MAX_METADATA)
    deflate = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    packed = deflate.compress(data) + deflate.flush()
    out.raw("metadata", packed, len(packed))
    return bytes(out.data)


def unpack(payload: Bytes) -> bytes:
    """What `pack` got. Raises CorruptFile before more than it declares is unpacked."""
    source = Reader(payload)
    size = source.varint("size of the metadata", 1, 1, MAX_METADATA)
    rest = source.raw("metadata", b"", len(payload) - source.position)
    inflate = zlib.decompressobj(_RAW)
    try:
        data = inflate.decompress(rest, size + 1)
    except zlib.error as e:
        raise source.complaint(f"the metadata cannot be unpacked ({e})") from e
    if len(data) != size or not inflate.eof or inflate.unused_data:
        raise source.complaint(f"the metadata do not unpack to the {size} bytes they declare")
    return data
