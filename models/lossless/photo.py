"""Lossless coding of photos: pixels in, bytes out, and the same pixels back.

A context model in exact integers (photo.h; LOSSLESS.md is the specification), for one tile at a
time. Tiles are independent of one another, and the coder lets go of the GIL, so that threads may
code several at once.
"""

from __future__ import annotations

from types import ModuleType

from lictor.entropy import CorruptStream
from lictor.models.lossless.tile import Mask, Pixels, TileShape

try:
    from lictor.models.lossless import _photo
except ImportError:  # built without a C compiler
    _photo = None  # type: ignore[assignment]


def available() -> bool:
    """Whether the C extension is here, which this coder has no twin of."""
    return _photo is not None


def encode(
    pixels: Pixels,
    depth: int,
    mask: Mask | None = None,
    *,
    lift: bool | None = None,
    parity: bool | None = None,
    colours: int | None = None,
) -> bytes:
    """Code a tile without loss.

    Args:
        pixels: (H, W, C), C of 1 to 4 (gray, gray and alpha, RGB, RGBA), H and W of 1 to 2¹⁵:
            uint8 for depths to 8, else uint16; each below 2^depth.
        depth: bits of a sample, 1 to 16.
        mask: (⌈H/64⌉, ⌈W/64⌉): the blocks of 64×64 that are coded; None: all.
        lift: learn which triples of RGB occur (RGB and RGBA of 8 bits and less); None: if it
            seems to pay.
        parity: statistics of their own for even and odd rows and columns; None: likewise.
        colours: 0 planes as they are, 1, 2, 3 differences to G, R, B; None: likewise.

    Returns:
        The stream. It does not hold shape, depth, or mask.

    Raises:
        ValueError: The arguments do not fit one another.
        RuntimeError: The C extension was not built.
    """
    tile = TileShape(pixels.shape, depth, mask)
    pixels = tile.checked(pixels)
    colours = int(pixels.shape[2] > 2) if colours is None else colours
    flags = bool(lift) | bool(parity) << 1 | colours << 2
    return _extension().encode(pixels, *tile.arguments(), flags)


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
    if not _extension().decode(data, pixels, *tile.arguments()):
        raise CorruptStream("the lossless tile is damaged, or its shape, depth or mask is another")
    return pixels


def _extension() -> ModuleType:
    if _photo is None:
        raise RuntimeError("lossless coding needs the C extension: install with a C compiler")
    return _photo
