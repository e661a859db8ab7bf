"""Pictures at a half, a quarter, an eighth or a sixteenth of their size.

A pixel of such is the mean of a square of pixels; at the right and the lower end, of those that
there are; where there is alpha, colours count as much as they are seen. What methods without a
network coded is decoded and averaged. What a network coded comes straight from its latents where
its weights have a preview (lictor/models/preview.py): near to what averaging would give, and
without the synthesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format.picture import BLOCK
from lictor.models.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.picture.latent import TileReader
    from lictor.models.preview import Preview
    from lictor.models.progress import Progress

_BAND = 1 << 20
"""Samples that are at work at a time, about, for floats take memory."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """What a region of a picture is decoded into, reduced.

    region: in pixels of the picture; its corner is a multiple of `by`.
    by: how many pixels a side become one: 2, 4, 8 or 16.
    out: uint8 or uint16 (⌈height / by⌉, ⌈width / by⌉, 1 or 3).
    alpha: of the region, (height, width), if there is one.
    """

    region: Box
    by: int
    out: NDArray[Any]
    alpha: NDArray[Any] | None = None

    def at(self, part: Box) -> NDArray[Any]:
        """What of `out` a part of the region is, which begins at a square and ends with one."""
        target: NDArray[Any] = self.out[cells(part.seen_from(self.region), self.by).place]
        return target

    def put(self, whole: NDArray[Any], part: Box, blocks: NDArray[np.bool_] | None) -> None:
        """Write samples of a part of the region, averaged.

        Args:
            whole: uint8 or uint16 (H, W, 1 or 3).
            part: where they are in the picture.
            blocks: bool, of the picture's blocks of 64x64, those that are written; None: all.
        """
        target, place = self.at(part), part.seen_from(self.region).place
        found = of(whole, self.by, None if self.alpha is None else self.alpha[place])
        if blocks is None:
            target[...] = found
            return
        size = BLOCK // self.by  # a whole number, so that no square belongs to two blocks
        inside = blocks.repeat(size, 0).repeat(size, 1)[cells(part, self.by).place]
        target[inside] = found[inside]


def cells(box: Box, by: int) -> Box:
    """What a box, whose corner is a multiple of `by`, is in squares."""
    top, left = box.top // by, box.left // by
    return Box(top, left, -(-box.height // by), -(-box.width // by))


def of(samples: NDArray[Any], by: int, weights: NDArray[Any] | None = None) -> NDArray[Any]:
    """`means`, of the type of the samples: rounded, halves to even; itself if `by` is 1."""
    if by == 1:
        return samples
    made = means(samples, by, weights)
    return np.rint(made, out=made).astype(samples.dtype)


def of_picture(pixels: NDArray[Any], by: int) -> NDArray[Any]:
    """All of a picture (H, W, C), alpha last if there are 2 or 4 channels."""
    if by == 1 or pixels.shape[2] in (1, 3):
        return of(pixels, by)
    alpha = pixels[:, :, -1]
    parts = of(pixels[:, :, :-1], by, alpha), of(alpha[:, :, None], by)
    return np.concatenate(parts, axis=2)


def means(
    values: NDArray[Any], by: int, weights: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Of each square of by x by, (⌈H / by⌉, ⌈W / by⌉, C); at the ends, of what there is of it.

    Args:
        values: uint8, uint16 or float32 (H, W, C).
        by: at most 16, so that sums of integers are exact in float32.
        weights: (H, W), what each counts for; where they are all 0, all count alike.
    """
    height, width, channels = values.shape
    made = np.empty((-(-height // by), -(-width // by), channels), np.float32)
    step = max(1, _BAND // (by * width * channels))
    for top in range(0, len(made), step):
        lines = slice(top * by, (top + step) * by)
        part = values[lines]
        found = _sums(part, by) / _sums(np.ones((*part.shape[:2], 1), np.uint8), by)
        if weights is not None:
            share = weights[lines][:, :, None].astype(np.float32)
            total = _sums(share, by)
            seen = _sums(share * part, by) / np.maximum(total, 1)
            found = np.where(total > 0, seen, found)
        made[top : top + step] = found
    return made


def _sums(values: NDArray[Any], by: int) -> NDArray[np.float32]:
    """Of each square."""
    height, width, channels = values.shape
    rows, columns = -(-height // by), -(-width // by)
    wide = np.zeros((rows * by, columns * by, channels), np.float32)
    wide[:height, :width] = values
    lines = wide.reshape(rows, by, -1).sum(axis=1).reshape(rows, columns, by, channels)
    total: NDArray[np.float32] = lines.sum(axis=2)
    return total


def from_latents(
    reader: TileReader, preview: Preview, canvas: Canvas, progress: Progress | None
) -> None:
    """Decode the latents of the tiles of a region, and write what a preview makes of them.

    Args:
        reader: of a file that is not salvaged.
        preview: of its weights.
        canvas: of the region.
        progress: called as tiles are done, if there are several.
    """
    from lictor.codec.picture import latent
    from lictor.codec.picture.tile_threads import workers
    from lictor.models.light.picture import samples

    grid, codec = reader.grid, reader.codec
    shown = list(grid.touching(canvas.region))

    def show(number: int) -> None:
        tile = grid.tile(number)
        part = tile.within(canvas.region)
        with latent.running(grid, codec):
            latents = reader.latents(number)
            assert latents is not None  # nothing is lost but in salvage
            quality = latent.part_of(reader.quality, tile.padded(codec.stride))
            half = preview(latents, quality, deep=canvas.out.itemsize > 1)
        seen = half[cells(part.seen_from(tile), 2).place]
        canvas.at(part)[...] = samples(means(seen, canvas.by // 2), canvas.out)

    with workers(len(shown), codec.runtime.threads) as (pool, _):
        for done, task in enumerate([pool.submit(show, n) for n in shown], 1):
            task.result()
            if progress is not None and len(shown) > 1:
                progress(done, len(shown))
