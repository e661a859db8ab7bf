"""Lossless coding of screen content: pixels in, bytes out, and the same pixels back.

For screenshots, plots, scans, dither, icons: what has few colours, or the same shapes again and
again. A context model in exact integers (screen.h; SCREEN.md is the specification), for one tile
at a time. Tiles are independent of one another, and the coder lets go of the GIL, so that threads
may code several at once.
"""

from __future__ import annotations

from types import ModuleType

from lictor.entropy import CorruptStream
from lictor.models.lossless.tile import TileShape
from lictor.models.pixels import CHECKSUM, Mask, Pixels, checksum

try:
    from lictor.models.lossless import _screen
except ImportError:  # built without a C compiler
    _screen = None  # type: ignore[assignment]


def available() -> bool:
    """Whether the C extension is here, which this coder has no twin of."""
    return _screen is not None


def encode(pixels: Pixels, depth: int, mask: Mask | None = None) -> bytes:
    """Code a tile without loss; as `lictor.models.lossless.encode`."""
    tile = TileShape(pixels.shape, depth, mask)
    pixels = tile.checked(pixels)
    return checksum(tile.blanked(pixels)) + _extension().encode(pixels, *tile.arguments())


def decode(
    data: bytes, shape: tuple[int, int, int], depth: int, mask: Mask | None = None
) -> Pixels:
    """Decode a tile; as `lictor.models.lossless.decode`."""
    tile = TileShape(shape, depth, mask)
    pixels = tile.empty()
    sound = _extension().decode(data[CHECKSUM:], pixels, *tile.arguments())
    if not sound or data[:CHECKSUM] != checksum(pixels):
        raise CorruptStream("the lossless tile is damaged, or its shape, depth or mask is another")
    return pixels


def _extension() -> ModuleType:
    if _screen is None:
        raise RuntimeError("lossless coding needs the C extension: install with a C compiler")
    return _screen
