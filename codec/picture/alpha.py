"""Alpha, exact: tiles of lossless WebP (RFC 9649), each without its container; see FORMAT.md.

WebP is what was smallest on real masks: 71 KB for 23 of icons and screenshots, where deflate takes
96 and a coder of our own (coarse to fine, adaptive contexts, rANS) 95, better on soft shapes and up
to four times worse on straight edges.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, features

from lictor.codec.errors import CodecError, CorruptFile, UnsupportedFeature, UnsupportedImage
from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.models.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 1024
"""Of a tile: bounds the memory that a hostile tile can ask for."""
MAX_TILE = 2**24
_RIFF_HEADER = 20
_SIGNATURE = 0x2F


def pack(alpha: NDArray[Any]) -> bytes:
    """The payload of a section: alpha uint8 or uint16 (H, W)."""
    _need_webp(UnsupportedImage)
    out = Writer()
    for box in _tiles(*alpha.shape):
        tile = np.ascontiguousarray(alpha[box.place])
        constant = bool((tile == tile[0, 0]).all())
        data = b"" if constant else _compress(tile)
        out.varint("length of an alpha tile", len(data), 0, MAX_TILE)
        if constant:
            out.uint("alpha", int(tile[0, 0]), size=tile.itemsize)
        else:
            out.raw("alpha tile", data, len(data))
    return bytes(out.data)


def unpack(
    payload: Bytes, height: int, width: int, depth: int, region: Box | None = None
) -> NDArray[Any]:
    """Alpha as `pack` got it, or a region of it. Raises CorruptFile or UnsupportedFeature."""
    _need_webp(UnsupportedFeature)
    source = Reader(payload)
    region = region or Box(0, 0, height, width)
    alpha = np.empty(region[2:], np.uint8 if depth == 8 else np.uint16)
    for tile in _tiles(height, width):
        part = tile.within(region)
        inside, outside = part.seen_from(tile).place, part.seen_from(region).place
        size = source.varint("length of an alpha tile", 0, 0, MAX_TILE)
        if size:
            data = source.raw("alpha tile", b"", size)
            if part.height and part.width:
                alpha[outside] = _expand(bytes(data), *tile[2:], alpha.dtype)[inside]
        else:
            alpha[outside] = source.uint("alpha", 0, size=alpha.itemsize)
    if source.position != len(payload):
        raise source.complaint("bytes follow the last tile of the alpha plane")
    return alpha


def _tiles(height: int, width: int) -> Iterator[Box]:
    for y in range(0, height, SIDE):
        for x in range(0, width, SIDE):
            yield Box(y, x, min(SIDE, height - y), min(SIDE, width - x))


def _compress(tile: NDArray[Any]) -> bytes:
    """The high byte goes into green and blue, the low one into red."""
    high = tile >> 8 if tile.dtype == np.uint16 else tile
    colours = np.stack([tile & 0xFF, high, high], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "WEBP", lossless=True)
    data = file.getvalue()
    size = int.from_bytes(data[_RIFF_HEADER - 4 : _RIFF_HEADER], "little")
    return data[_RIFF_HEADER : _RIFF_HEADER + size]  # an odd one is followed by a zero


def _expand(data: bytes, height: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    bits = int.from_bytes(data[1:5], "little")
    # Checked here, because Pillow allocates the picture when it opens it.
    if data[0] != _SIGNATURE or (bits & 0x3FFF, bits >> 14 & 0x3FFF) != (width - 1, height - 1):
        raise _damaged()
    chunk = b"WEBPVP8L" + len(data).to_bytes(4, "little") + data + bytes(len(data) & 1)
    file = io.BytesIO(b"RIFF" + len(chunk).to_bytes(4, "little") + chunk)
    try:
        with Image.open(file, formats=["WEBP"]) as image:
            colours = np.asarray(image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as e:
        raise _damaged() from e
    if colours.shape != (height, width, 3):
        raise _damaged()
    if dtype == np.uint8:
        return colours[:, :, 1]
    return colours[:, :, 1].astype(np.uint16) << 8 | colours[:, :, 0]


def _damaged() -> CorruptFile:
    return CorruptFile("a tile of the alpha plane is damaged; get another copy of the file")


def _need_webp(error: type[CodecError]) -> None:
    if not features.check("webp"):
        raise error("alpha needs a Pillow with WebP; install one from PyPI")
