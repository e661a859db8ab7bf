"""Lossless coding of screen content: pixels in, bytes out, and the same pixels back.

For screenshots, plots, scans, dither, icons: what has few colours, or the same shapes again and
again. A context model in exact integers (screen.h; SCREEN.md is the specification), for one tile
at a time. Tiles are independent of one another, and the coder lets go of the GIL, so that threads
may code several at once.
"""

from __future__ import annotations

import zlib
from types import ModuleType

from lictor.entropy import CorruptStream
from lictor.models.lossless.tile import Mask, Pixels, TileShape

try:
    from lictor.models.lossless import _screen
except ImportError:  # built without a C compiler
    _screen = None  # type: ignore[assignment]

_CHECKSUM = 4


def available() -> bool:
    """Whether the C extension is here, which this coder has no twin of."""
    return _screen is not None


def encode(pixels: Pixels, depth: int, mask: Mask | None = None) -> bytes:
    """Code a tile without loss.

    Args:
        pixels: (H, W, C), C of 1 to 4 (gray, gray and alpha, RGB, RGBA), at most 2²⁴ pixels:
            uint8 for depths to 8, else uint16; each below 2^depth.
        depth: bits of a sample, 1 to 16.
        mask: bool (⌈H/64⌉, ⌈W/64⌉): the blocks of 64×64 that are coded; None: all.

    Returns:
        The stream. It does not hold shape, depth, or mask.

    Raises:
        ValueError: The arguments do not fit one another.
        RuntimeError: The C extension was not built.
    """
    tile = TileShape(pixels.shape, depth, mask)
    pixels = tile.checked(pixels)
    return _checksum(tile.blanked(pixels)) + _extension().encode(pixels, *tile.arguments())


def decode(
    data: bytes, shape: tuple[int, int, int], depth: int, mask: Mask | None = None
) -> Pixels:
    """Decode a tile.

    Args:
        data: what encode() gave.
        shape: (H, W, C) of the pixels.
        depth: bits of a sample.
        mask: the mask that encode() was given.

    Returns:
        (H, W, C), uint8 for depths to 8, else uint16; 0 in blocks that are not coded.

    Raises:
        CorruptStream: The bytes are not the stream of such a tile.
        ValueError: The arguments do not fit one another.
        RuntimeError: The C extension was not built.
    """
    tile = TileShape(shape, depth, mask)
    pixels = tile.empty()
    sound = _extension().decode(data[_CHECKSUM:], pixels, *tile.arguments())
    if not sound or data[:_CHECKSUM] != _checksum(pixels):
        raise CorruptStream("the lossless tile is damaged, or its shape, depth or mask is another")
    return pixels


def _checksum(pixels: Pixels) -> bytes:
    """CRC-32 of the samples, those of 16 bits with the low byte first."""
    low_first = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(low_first.tobytes()).to_bytes(_CHECKSUM, "little")


def _extension() -> ModuleType:
    if _screen is None:
        raise RuntimeError("lossless coding needs the C extension: install with a C compiler")
    return _screen
