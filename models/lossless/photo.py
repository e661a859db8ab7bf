"""Lossless coding of photos: pixels in, bytes out, and the same pixels back.

A context model in exact integers (photo.h; LOSSLESS.md is the specification), for one tile at a
time. Tiles are independent of one another, and the coder lets go of the GIL, so that threads may
code several at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from lictor.entropy import CorruptStream
from lictor.models.lossless.tile import TileShape
from lictor.models.pixels import BLOCK, Mask, Pixels

try:
    from lictor.models.lossless import _photo
except ImportError:  # built without a C compiler
    _photo = None  # type: ignore[assignment]

LIFT_DEPTH = 8
"""Most bits of samples whose colours can be counted."""

COLOURS = 7
GBR = 2
"""The order that serves pictures best that came through YCC: given G and B, R is settled."""

_BEST_PATH = 0


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
        pixels: as for `lictor.models.lossless.encode`, like all that is not said here.
        depth: likewise.
        mask: likewise.
        lift: learn which colours occur, of RGB and RGBA of up to 8 bits; None: yes.
        parity: statistics of their own for even and odd rows and columns, for pictures whose
            colours were once subsampled; None: if it pays on a strip of the tile.
        colours: 0 planes as they are; 1 to 6 the second and third less the first, in the order
            GRB, GBR, RGB, RBG, BRG, BGR; None: GBR.
    """
    tile = TileShape(pixels.shape, depth, mask)
    pixels = tile.checked(pixels)
    colour = pixels.shape[2] > 2
    if colours is not None and not 0 <= colours < COLOURS:
        raise ValueError(f"colours are 0 to {COLOURS - 1}, not {colours}")
    flags = _Flags(
        lift=colour and depth <= LIFT_DEPTH if lift is None else lift,
        parity=bool(parity),
        colours=GBR * colour if colours is None else colours,
    )
    if parity is None and pixels.shape[2] > 1:
        flags = replace(flags, parity=_parity_pays(pixels, tile, flags))
    return _encoded(pixels, tile, flags)


def decode(
    data: bytes, shape: tuple[int, int, int], depth: int, mask: Mask | None = None
) -> Pixels:
    """Decode a tile; as `lictor.models.lossless.decode`."""
    tile = TileShape(shape, depth, mask)
    pixels = tile.empty()
    if not _extension().decode(data, pixels, *tile.arguments(), _BEST_PATH):
        raise CorruptStream("the lossless tile is damaged, or its shape, depth or mask is another")
    return pixels


@dataclass(frozen=True)
class _Flags:
    lift: bool
    parity: bool
    colours: int

    def bits(self) -> int:
        """The first byte of a stream."""
        return self.lift | self.parity << 1 | self.colours << 2


def _parity_pays(pixels: Pixels, tile: TileShape, flags: _Flags) -> bool:
    """Whether the row of blocks with the most of them, in the middle, gets smaller by parity."""
    rows = tile.blocks[0]
    blocks = np.ones(rows) if tile.mask is None else tile.mask.sum(1)
    row = max(range(rows), key=lambda row: (blocks[row], -abs(row - rows // 2)))
    strip = np.ascontiguousarray(pixels[row * BLOCK : (row + 1) * BLOCK])
    mask = None if tile.mask is None else tile.mask[row : row + 1]
    part = TileShape(strip.shape, tile.depth, mask)
    plain = replace(flags, lift=False)
    with_parity = _encoded(strip, part, replace(plain, parity=True))
    return len(with_parity) < len(_encoded(strip, part, plain))


def _encoded(pixels: Pixels, tile: TileShape, flags: _Flags) -> bytes:
    return _extension().encode(pixels, *tile.arguments(), flags.bits(), _BEST_PATH)


def _extension() -> ModuleType:
    if _photo is None:
        raise RuntimeError("lossless coding needs the C extension: install with a C compiler")
    return _photo
