"""What can be counted of a picture in blocks of 64x64: errors, pixels, looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format.picture import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EQUAL = 0.5
_FEW_COLOURS = 64
_SAMPLE = 8


def count(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of blocks."""
    return -(-height // BLOCK), -(-width // BLOCK)


def sums(values: NDArray[Any]) -> NDArray[np.float64]:
    """Of (H, W), for each block."""
    starts = (np.arange(0, side, BLOCK) for side in values.shape)
    rows, columns = starts
    lines = np.add.reduceat(values, rows, axis=0, dtype=np.float64)
    return np.add.reduceat(lines, columns, axis=1)


def inside(blocks: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels (height, width) of some blocks."""
    return blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]


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
    found = np.empty(count(*a.shape[:2]))
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
    left = np.zeros(colours.shape[:2], np.bool_)
    left[:, 1:] = (colours[:, 1:] == colours[:, :-1]).all(axis=2)
    left[1:] |= (colours[1:] == colours[:-1]).all(axis=2)
    pixels = sums(np.ones(colours.shape[:2], np.float32))
    return (sums(left) >= _EQUAL * pixels) | few_colours(colours)


def few_colours(colours: NDArray[Any]) -> NDArray[np.bool_]:
    """The blocks of at most 64 colours."""
    height, width, channels = colours.shape
    rows, columns = count(height, width)
    packed = colours[:, :, 0].astype(np.uint64)
    for channel in range(1, channels):
        packed = packed << np.uint64(16) | colours[:, :, channel]
    found = np.zeros((rows, columns), np.bool_)
    for row in range(rows):
        for column in range(columns):
            block = packed[row * BLOCK :, column * BLOCK :][:BLOCK, :BLOCK]
            if len(np.unique(block[::_SAMPLE, ::_SAMPLE])) <= _FEW_COLOURS // 2:
                found[row, column] = len(np.unique(block)) <= _FEW_COLOURS
    return found


def changes(colours: NDArray[Any]) -> NDArray[np.float64]:
    """How much happens in each block: pixels that differ from those beside them, and a little."""
    differs = np.zeros(colours.shape[:2], np.float32)
    differs[:, 1:] += (colours[:, 1:] != colours[:, :-1]).any(axis=2)
    differs[1:] += (colours[1:] != colours[:-1]).any(axis=2)
    return sums(differs) + 4
