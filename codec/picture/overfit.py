"""Networks of a picture's own: trained and coded; and the samples that grids and networks make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.picture import blocks
from lictor.codec.picture.tile_threads import workers
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime.threads import OwnThreads
from lictor.models.box import Box
from lictor.models.coding.slope import slope
from lictor.models.overfit import coder, sizes
from lictor.models.progress import Progress, Telling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.picture.methods.method import Coded, Wanted
    from lictor.models.overfit.coder import Grids
    from lictor.models.overfit.parameters import Quantised

ITERATIONS = (2000, 500, 1000, 2000, 3000, 5000, 8000, 12000, 20000, 30000)
"""Of training, by effort 0…9; 0 is what is done where nothing is said."""
_STRIP = 64
"""Rows of a picture that a thread makes at once are a multiple of this."""


@dataclass(frozen=True)
class CodedTile:
    """The stream of a tile, and the checksum of its grids."""

    stream: bytes
    checksum: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """A picture coded by networks of its own.

    symbols: of all grids, joined. expected: bytes that such networks in floating point expect of
    the grids.
    """

    grid: Grid
    tiles: list[CodedTile]
    networks: Quantised
    symbols: NDArray[np.int8]
    expected: float


def fitted(wanted: Wanted) -> Fitted:
    """Train for a picture, and code what came of it. Raises MemoryError."""
    from lictor.models.overfit.training import train

    assert wanted.overfit is not None
    colours = wanted.picture.colours
    height, width, _ = colours.shape
    most = np.iinfo(colours.dtype).max
    x = np.empty((3, height, width), np.float32)
    np.divide(colours.transpose(2, 0, 1), most, out=x, casting="unsafe")
    weight, iterations = slope(float(wanted.quality)), ITERATIONS[wanted.effort]
    report = _reported(wanted.progress, iterations, height * width)
    threads = OwnThreads().count()
    found = train(x, weight, wanted.overfit, iterations, report, threads, stop=wanted.stop)
    tile_height, tile_width = sizes.tile_sides(height, width)
    grid = Grid(width, height, tile_width, tile_height)
    tiles = _coded(grid, found.grids, found.networks.whole())
    return Fitted(grid, tiles, found.networks, coder.joined(found.grids), found.bits / 8)


def measured(coded: Coded, found: Fitted, colours: NDArray[Any]) -> Coded:
    """With what a decoder will have, and about the bits of each block. colours: what was coded."""
    grid = found.grid
    shape = grid.height, grid.width
    symbols = np.zeros_like(found.symbols)
    grids, networks = coder.parted(symbols, shape), found.networks.whole()
    for number, tile in enumerate(found.tiles):
        box = grid.tile(number)
        place(coder.decode(networks, tile.stream, box[2:]), grids, box)
    made = np.empty_like(colours)
    samples(networks, symbols, shape, grid.picture, made)
    shares = blocks.changes(colours)
    size = len(coded.payload) + sum(len(payload) for payload in coded.beside.values())
    return replace(coded, samples=made, bits=shares * (8 * size / shares.sum()))


def place(tile: Grids, grids: Grids, box: Box) -> None:
    """Put the grids of a tile where they belong in those of a picture."""
    for target, part in zip(coder.of_tile(grids, box), tile, strict=True):
        target[...] = part


def samples(
    networks: bytes,
    symbols: NDArray[np.int8],
    shape: tuple[int, int],
    box: Box,
    out: NDArray[Any],
) -> None:
    """Those of a part of a picture, by several threads.

    Args:
        networks: of the picture.
        symbols: of its grids, joined.
        shape: its height and width.
        box: the part.
        out: (H, W, 1 or 3), where they go.
    """
    units = -(-box.height // _STRIP)
    rows = _STRIP * -(-units // min(OwnThreads().count(), units))

    def make(top: int) -> None:
        part = Box(box.top + top, box.left, min(rows, box.height - top), box.width)
        made = np.empty((part.height, part.width, out.shape[2]), out.dtype)
        coder.synthesize(networks, symbols, shape, part, made)
        out[top : top + part.height] = made

    tops = range(0, box.height, rows)
    with workers(len(tops), OwnThreads()) as (pool, _):
        for task in [pool.submit(make, top) for top in tops]:
            task.result()


def _coded(grid: Grid, grids: Grids, networks: bytes) -> list[CodedTile]:
    """All tiles, side by side."""

    def code(number: int) -> CodedTile:
        box = grid.tile(number)
        tile = coder.of_tile(grids, box)
        return CodedTile(coder.encode(networks, tile, box[2:]), coder.checksum(tile))

    with workers(len(grid), OwnThreads()) as (pool, _):
        return [task.result() for task in [pool.submit(code, n) for n in range(len(grid))]]


def _reported(progress: Progress | None, iterations: int, pixels: int) -> Any:
    """What the training tells, as progress; how it stands, to what listens to that."""
    if progress is None:
        return None

    def report(iteration: int, bits: float, psnr: float) -> None:
        if isinstance(progress, Telling):
            progress.say(f"{bits / pixels:.3f} bpp, {psnr:.2f} dB")
        progress(iteration, iterations)

    return report
