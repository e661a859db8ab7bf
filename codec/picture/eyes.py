"""Bits where eyes look: quality is lower where texture hides errors, and higher in the dark.

Errors hide behind texture (contrast masking), while dark places, whose samples stand for finer
steps of light, show them. How much either counts was fitted on 14 photos to multi-scale SSIM in
Oklab, half of it by its worst places; the metrics it is judged by had no say (docs/regions.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format.picture import BLOCK
from lictor.models.coding.slope import LAMBDA_OCTAVES
from lictor.models.quality import PLACE, STEPS, Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIVITY, OFFSETS = (6.0, 8.0, 10.0), (0.0, -5.0, -25.0)
"""log2(1 + variance) of 8x8 samples of 0…255, the mean of the four in a place, and how quality
changes there; in between linear, and beyond them as at the ends."""
DARK, DARK_OFFSET = 60.0, 12.5
"""Below this mean of 0…255 quality rises, linearly, by so much in black."""
MOST_HIDDEN = 3.0
LOWEST, HIGHEST = -45.0, 30.0
UNIT = STEPS // 20
"""Steps of quality that places differ by: few different values cost few bytes."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_QUARTER = 8


def offsets(colours: NDArray[Any]) -> NDArray[np.float32]:
    """How much better or worse than the whole each place is to be.

    Args:
        colours: uint8 or uint16 over their range, (H, W, 1 or 3).

    Returns:
        float32 (rows, columns) of places of the picture padded to multiples of 64; in quality, with
        a mean of 0 before they are held within LOWEST and HIGHEST.
    """
    high = range(0, colours.shape[0], BLOCK)
    found = np.concatenate([_of_strip(colours[top : top + BLOCK]) for top in high])
    return (found - found.mean()).clip(LOWEST, HIGHEST)


def hidden(colours: NDArray[Any]) -> NDArray[np.float32]:
    """How many times the squared error of a plane each place hides in its texture, 1 to 3.

    As `offsets` has it, but no more: in photos weights for eyes need no more, and what stands on
    texture may be writing.

    Args and Returns: as for `offsets`, but for what is returned.
    """
    high = range(0, colours.shape[0], BLOCK)
    found = np.concatenate([_of_texture(_luma(colours[top : top + BLOCK])) for top in high])
    return np.exp2(-found * np.float32(LAMBDA_OCTAVES / 100)).clip(max=MOST_HIDDEN)


def quality_map(offsets: NDArray[np.floating[Any]], quality: Quality) -> Quality:
    """The quality of each place.

    Args:
        offsets: of places, in quality, (rows, columns).
        quality: of the whole, one number.

    Returns:
        A map, in whole UNITs from that number; one number where all places are alike.
    """
    step = quality.highest
    units = np.rint(offsets * (STEPS / 100 / UNIT)).astype(np.int64)
    units = units.clip(-(step // UNIT), (STEPS - step) // UNIT)
    if units.min() == units.max():
        return Quality(step + UNIT * int(units.min()))
    return Quality((step + UNIT * units).astype(np.int16))


def _of_strip(colours: NDArray[Any]) -> NDArray[np.float32]:
    """Of up to BLOCK rows."""
    luma = _luma(colours)
    darkness = (1 - _cells(luma, PLACE).mean(axis=(1, 3)) / DARK).clip(0)
    return (_of_texture(luma) + DARK_OFFSET * darkness).astype(np.float32)


def _of_texture(luma: NDArray[Any]) -> NDArray[np.float32]:
    """What texture alone takes from the quality of each place."""
    quarters = _cells(luma, _QUARTER)
    activity = _cells(np.log2(1 + quarters.var(axis=(1, 3))), PLACE // _QUARTER).mean(axis=(1, 3))
    return np.interp(activity, ACTIVITY, OFFSETS).astype(np.float32)


def _luma(colours: NDArray[Any]) -> NDArray[np.float32]:
    """In 0…255, of rows and columns padded to BLOCKs by repeating the last."""
    height, width, channels = colours.shape
    luma = colours.astype(np.float32) * np.float32(255 / np.iinfo(colours.dtype).max)
    luma = luma @ _LUMA if channels == 3 else luma[:, :, 0]
    return np.pad(luma, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")


def _cells(values: NDArray[Any], side: int) -> NDArray[Any]:
    """(H, W) as (rows, side, columns, side)."""
    height, width = values.shape
    return values.reshape(height // side, side, width // side, side)
