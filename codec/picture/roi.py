"""Regions of interest: from what a user says to a quality for each 16x16 pixels.

The quality of a place is that of the file, less a drop times how little the place is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image

from lictor.codec.errors import InvalidRoi
from lictor.codec.format.picture import BLOCK
from lictor.codec.format.quality_map import MAX_LEVELS
from lictor.codec.image.pillow import from_pillow
from lictor.models.quality import PLACE, STEPS, Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAYS = 8
"""Into how many steps a drop is divided for maps with many grays; few of them cost few bytes."""


def quality_map(weights: NDArray[np.floating[Any]], quality: Quality, drop: float) -> Quality:
    """Of wishes 0…1, (rows, columns) of places: at most the quality, and a map if they differ."""
    step = quality.highest
    full = max(1, round(check_drop(drop) * STEPS / 100))
    below = np.rint(full * (1.0 - weights)).astype(np.int64).clip(0, step)
    if np.unique(below).size > 2:  # not just a region and the rest
        unit = -(-full // GRAYS)
        below = np.rint(full * (1.0 - weights) / unit).astype(np.int64).clip(0, step // unit) * unit
        assert below.max() < unit * MAX_LEVELS
    if below.min() == below.max():
        return Quality(step - int(below.min()))
    return Quality((step - below).astype(np.int16))


def check_drop(drop: Any) -> float:
    """The drop as a number. Raises InvalidRoi."""
    try:
        value = float(drop)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value <= 100:
        raise InvalidRoi(f"the drop outside is {drop!r}; give a number above 0, at most 100")
    return value


def weights(roi: Any, width: int, height: int) -> NDArray[np.floating[Any]]:
    """How much each place of a picture is wanted, 0…1, (rows, columns).

    Where several boxes and maps meet, the highest counts.

    Args:
        roi: a map, a Pillow image or an array, (H, W) or (H, W, C): bool, uint8 or uint16 over
            their range, or floats in 0…1; or a sequence of boxes (x, y, width, height) and
            (x, y, width, height, weight), and of maps.
        width: of the picture, in pixels.
        height: likewise.
    """
    parts = roi if isinstance(roi, (list, tuple)) else [roi]
    if isinstance(roi, (list, tuple)) and roi and all(np.isscalar(value) for value in roi):
        parts = [roi]  # one box
    if not parts:
        raise InvalidRoi("there is no region; give a box or a map")
    total = np.zeros((-(-height // PLACE), -(-width // PLACE)))
    for part in parts:
        if isinstance(part, (list, tuple)):
            _add_box(total, part, width, height)
        else:
            np.maximum(total, _scaled(_gray(part), width, height), out=total)
    places = BLOCK // PLACE
    beyond = [(0, -side % places) for side in total.shape]
    return np.pad(total, beyond, mode="edge")


def _add_box(total: NDArray[Any], box: Sequence[Any], width: int, height: int) -> None:
    """All places that it touches."""
    try:
        x, y, w, h = (int(value) for value in box[:4])
        weight = float(box[4]) if len(box) == 5 else 1.0
        if len(box) > 5 or not 0 <= weight <= 1:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InvalidRoi(
            f"a region is {box!r}; give x, y, width and height in pixels, and a weight of 0 to 1 "
            "if it is wanted less than others"
        ) from None
    left, right = max(x, 0), min(x + w, width)
    top, bottom = max(y, 0), min(y + h, height)
    if left >= right or top >= bottom:
        raise InvalidRoi(
            f"the region {x},{y},{w},{h} (x, y, width, height) has nothing of the picture's "
            f"{width}x{height} pixels"
        )
    part = total[top // PLACE : -(-bottom // PLACE), left // PLACE : -(-right // PLACE)]
    np.maximum(part, weight, out=part)


def _gray(image: Any) -> NDArray[Any]:
    """A map as floats in 0…1, (H, W)."""
    if isinstance(image, Image):
        image = from_pillow(image).colours
    if not isinstance(image, np.ndarray):
        raise InvalidRoi(f"a region is a {type(image).__name__}; give boxes, a picture or an array")
    if image.ndim not in (2, 3) or not image.size or image.dtype.kind not in "buf":
        raise InvalidRoi(
            f"the map has shape {image.shape} and type {image.dtype}; give (H, W) of uint8, bool "
            "or float"
        )
    gray = image / (np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1)
    if not (gray.min() >= 0 and gray.max() <= 1):
        raise InvalidRoi("the map has values outside 0 to 1; scale them")
    if gray.ndim == 2:
        return gray
    return gray[:, :, : 3 if gray.shape[2] >= 3 else 1].mean(axis=2)


def _scaled(gray: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """The highest value of the map that falls on each place of a picture."""
    for axis, side in enumerate((height, width)):
        count = gray.shape[axis]
        start = np.arange(0, side, PLACE)
        end = np.minimum(start + PLACE, side)
        edges = np.stack([start * count // side, -(-end * count // side)], axis=1).ravel()
        # reduceat wants indexes below the length: one more element that is never the highest.
        longer = np.concatenate([gray, np.full_like(gray.take([0], axis), -math.inf)], axis)
        gray = np.maximum.reduceat(longer, edges, axis).take(range(0, edges.size, 2), axis)
    return gray
