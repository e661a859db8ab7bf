"""Overfitted pictures coded and decoded, tile by tile, and made into samples.

All that a decoder does is exact in integers (OVERFIT.md is the specification). The C code lets go
of the GIL, so that threads may work on several tiles, or parts of the picture, at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import CorruptStream
from lictor.models.box import Box
from lictor.models.overfit import sizes
from lictor.models.overfit.parameters import available as available
from lictor.models.overfit.parameters import extension

Grid = NDArray[np.int8]
Grids = Sequence[Grid]
"""Of a picture or a tile, int8 (h, w) of `sizes.grid_shapes`."""

STREAM_BYTES = 8
"""Of the shortest stream: the coder's state."""
REACH = 256
"""Pixels beyond a part of the picture, from which on no tile changes it."""


def encode(networks: bytes, grids: Grids, shape: tuple[int, int], path: int = 0) -> bytes:
    """The stream of a tile.

    Args:
        networks: the payload of `parameters`.
        grids: of the tile, symbols of -64…63.
        shape: height and width of the tile.
        path: which version of the code; 0 is the best for this CPU, all give the same.

    Raises:
        RuntimeError: the C extension was not built.
        MemoryError: there is too little.
    """
    symbols = joined(grids)
    if symbols.min(initial=0) < sizes.LEAST_SYMBOL or symbols.max(initial=0) > sizes.MOST_SYMBOL:
        raise ValueError(f"symbols are {sizes.LEAST_SYMBOL} to {sizes.MOST_SYMBOL}")
    stream: bytes = extension().encode(networks, symbols, *shape, path)
    return stream


def decode(networks: bytes, stream: bytes, shape: tuple[int, int], path: int = 0) -> list[Grid]:
    """The grids of a tile.

    Raises:
        CorruptStream: the bytes are not the stream of such a tile, or of other networks.
        RuntimeError, MemoryError: as for `encode`.
    """
    grids = parted(np.zeros(sum(h * w for h, w in sizes.grid_shapes(*shape)), np.int8), shape)
    symbols = joined(grids)
    if not extension().decode(networks, stream, symbols, *shape, path):
        raise CorruptStream("a tile of the overfitted picture is damaged")
    return parted(symbols, shape)


def synthesize(
    networks: bytes,
    symbols: Grid,
    shape: tuple[int, int],
    box: Box,
    out: NDArray[Any],
    path: int = 0,
) -> None:
    """Samples of a part of a picture.

    Args:
        networks: the payload of `parameters`.
        symbols: of all grids, `joined`.
        shape: height and width of the picture.
        box: the part.
        out: uint8 or uint16 (H, W, 1 or 3) of the box, contiguous, that is written to.
        path: as for `encode`.

    Raises:
        RuntimeError, MemoryError: as for `encode`.
    """
    edges = box.top, box.left, box.bottom, box.right
    kind = out.shape[2], 8 * out.itemsize
    extension().synthesize(networks, symbols, *shape, *edges, out, *kind, path)


def checksum(grids: Grids) -> int:
    """CRC-32 of all symbols, grid after grid."""
    return zlib.crc32(joined(grids).tobytes())


def joined(grids: Grids) -> Grid:
    """One after another, (symbols,)."""
    return np.concatenate([grid.ravel() for grid in grids])


def parted(symbols: Grid, shape: tuple[int, int]) -> list[Grid]:
    """Views of the grids of a picture or tile of a height and width."""
    shapes = sizes.grid_shapes(*shape)
    ends = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
    parts = np.split(symbols, ends)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def of_tile(grids: Grids, box: Box) -> list[Grid]:
    """Views of the part of each grid that is a tile's.

    box: the tile; it starts at multiples of 64.
    """
    found = []
    for grid, level in zip(grids, sizes.GRID_LEVELS, strict=True):
        rows, columns = sizes.grid_shape(box.height, box.width, level)
        top, left = box.top >> level, box.left >> level
        found.append(grid[top : top + rows, left : left + columns])
    return found
