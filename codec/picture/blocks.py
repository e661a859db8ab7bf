"""What can be counted of a picture in blocks of 64x64: errors, pixels, looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.models.lossless.choice import block_means, repeating
from lictor.models.pixels import BLOCK, block_count, sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EQUAL = 0.5
_FEW_COLOURS = 64
_SAMPLE = 8


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
