"""What can be counted of a picture in blocks of 64x64: errors, pixels, looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.models import visibility
from lictor.models.lossless.choice import block_means, repeating
from lictor.models.pixels import BLOCK, block_count, sums
from lictor.models.quality import PLACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EQUAL = 0.5
_FEW_COLOURS = 64
_SAMPLE = 8
_GROUND, _INK, _SOME = 12, 40, 0.05
"""Levels of 255 within which a ground is of its median, and beyond which ink is; the share of 16x16
pixels from which on either is there."""


def squared_errors(
    a: NDArray[Any], b: NDArray[Any], seen: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Of each block, the sum over its pixels of the mean squared error of their colours, on 0…255.

    Args:
        a: uint8 or uint16 (H, W, C).
        b: the same type and shape.
        seen: (H, W), the pixels that count; None: all.
    """
    scale = (255 / np.iinfo(a.dtype).max) ** 2 / a.shape[2]
    found = np.empty(block_count(*a.shape[:2]))
    for row in range(len(found)):  # a row of blocks at a time, for floats take memory
        lines = slice(row * BLOCK, (row + 1) * BLOCK)
        difference = a[lines].astype(np.float32) - b[lines]
        squares = np.einsum("hwc,hwc->hw", difference, difference)
        if seen is not None:
            squares *= seen[lines]
        found[row] = sums(squares)[0] * scale
    return found


def seen_errors(
    a: NDArray[Any], b: NDArray[Any], seen: NDArray[np.bool_] | None, squared: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of each block, the distortion that weights for eyes are trained for, times its pixels.

    Where writing is, squared errors count in full: letters hide their errors from a measure of
    contrast, but not from who reads them.

    Args:
        a: as for `squared_errors`.
        b: likewise.
        seen: likewise.
        squared: the squared errors, as it gives them.
    """
    found = visibility.SQUARED_SHARE * squared
    for row, wrong in enumerate(squared > 0):
        if not wrong.any():
            continue
        lines = slice(row * BLOCK, (row + 1) * BLOCK)
        pixels = np.ones(b[lines].shape[:2], np.float32) if seen is None else seen[lines]
        shown = a[lines] if seen is None else np.where(seen[lines, :, None], a[lines], b[lines])
        x, x_hat = (_of_strip(strip)[wrong] for strip in (b[lines], shown))
        counted = sums(pixels.astype(np.float32))[0][wrong]
        found[row, wrong] += visibility.SEEN_SHARE * counted * visibility.of_blocks(x_hat, x)
        found[row, wrong] = np.where(
            _written(x), np.maximum(found[row, wrong], squared[row, wrong]), found[row, wrong]
        )
    return found


def _written(x: NDArray[Any]) -> NDArray[np.bool_]:
    """The blocks (N, 64, 64, C) with a ground, and ink on it in many places."""
    values = x.mean(axis=3, dtype=np.float32) * np.float32(255 / np.iinfo(x.dtype).max)
    distance = np.abs(values - np.median(values, axis=(1, 2), keepdims=True))
    ground, ink = (_shares(part) for part in (distance <= _GROUND, distance > _INK))
    both = (ground >= _SOME) & (ink >= _SOME)
    written: NDArray[np.bool_] = (ground.mean(axis=(1, 2)) > 0.5) & (both.mean(axis=(1, 2)) >= 0.5)
    return written


def _shares(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each 16x16 pixels of blocks (N, 64, 64), how many are marked."""
    return mask.reshape(-1, BLOCK // PLACE, PLACE, BLOCK // PLACE, PLACE).mean(axis=(2, 4))


def _of_strip(strip: NDArray[Any]) -> NDArray[Any]:
    """The blocks of a row, (N, 64, 64, C), the last rows and columns repeated beyond the edges."""
    height, width, channels = strip.shape
    beyond = (0, -height % BLOCK), (0, -width % BLOCK), (0, 0)
    whole = np.pad(strip, beyond, mode="edge")
    return whole.reshape(BLOCK, -1, BLOCK, channels).transpose(1, 0, 2, 3)


def drawn(colours: NDArray[Any]) -> NDArray[np.bool_]:
    """The blocks that look drawn and not photographed: flat areas, or few colours.

    colours: uint8 or uint16 (H, W, 1 or 3).
    """
    found = few_colours(colours)
    for row in range(len(found)):  # a row of blocks at a time, as above, and the line above it
        top = row * BLOCK
        lines = repeating(colours[max(top - 1, 0) : top + BLOCK])[min(top, 1) :]
        found[row] |= block_means(lines)[0] >= _EQUAL
    return found


def few_colours(colours: NDArray[Any]) -> NDArray[np.bool_]:
    """The blocks of at most 64 colours."""
    height, width, channels = colours.shape
    rows, columns = block_count(height, width)
    found = np.zeros((rows, columns), np.bool_)
    for row in range(rows):
        lines = colours[row * BLOCK : (row + 1) * BLOCK]
        packed = lines[:, :, 0].astype(np.uint64)
        for channel in range(1, channels):
            packed = packed << np.uint64(16) | lines[:, :, channel]
        for column in range(columns):
            block = packed[:, column * BLOCK : (column + 1) * BLOCK]
            if len(np.unique(block[::_SAMPLE, ::_SAMPLE])) <= _FEW_COLOURS // 2:
                found[row, column] = len(np.unique(block)) <= _FEW_COLOURS
    return found


def changes(colours: NDArray[Any]) -> NDArray[np.float64]:
    """How much happens in each block: pixels that differ from those beside them, and a little."""
    differs = np.zeros(colours.shape[:2], np.float32)
    differs[:, 1:] += (colours[:, 1:] != colours[:, :-1]).any(axis=2)
    differs[1:] += (colours[1:] != colours[:-1]).any(axis=2)
    return sums(differs) + 4
