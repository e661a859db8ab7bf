"""About how long a lossless stream of a tile is, long before it is coded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lictor.models.pixels import Pixels

_STEP = 7
"""One row of so many is looked at, with the one above it."""

_LEARNED = 0.7
"""What the coders take of the entropies below, as they see more than these do."""

Integers = NDArray[np.int64]


def estimate(pixels: Pixels) -> int:
    """The bytes that `encode` will about take, rather too few than too many.

    From one row in seven: the entropy of which pixels repeat their neighbours, and for the others
    that of their colours or of what a median predictor leaves, whichever is less; for the
    share of places whose surroundings do not repeat, too.

    Args:
        pixels: (H, W, C), uint8 or uint16.

    Returns:
        Bytes, 1 at least.
    """
    rows = np.arange(min(1, len(pixels) - 1), len(pixels), _STEP)
    here, above = pixels[rows].astype(np.int64), pixels[np.maximum(rows - 1, 0)].astype(np.int64)
    colours, over = _packed(here), _packed(above)
    left, corner = _shifted(colours), _shifted(over)
    right = np.roll(over, -1, axis=1)
    like_left, like_above = colours == left, colours == over
    kind = np.where(like_left, 0, np.where(like_above, 1, 2))
    context = 8 * (left == corner) + 4 * (over == corner) + 2 * (over == right) + (left == over)
    before = _shifted(kind)
    bits = _entropy(3 * (3 * context + before) + kind) - _entropy(3 * context + before)
    new = kind == 2
    if new.any():
        bits += min(_entropy(colours[new]), _residual_bits(here, above, new))
    share = pixels.shape[0] * pixels.shape[1] / colours.size
    return 1 + int(_LEARNED * bits * share * _novelty(pixels, float(new.mean())) / 8)


def _novelty(pixels: Pixels, new: float) -> float:
    """The share of new colours whose surroundings are new, too; letters, say, come again."""
    if new > 0.5 or min(pixels.shape[:2]) < 16:
        return 1.0
    colours = _packed(pixels)
    inner = colours[2:, 4:-4]
    places = np.flatnonzero((inner != colours[2:, 3:-5]) & (inner != colours[1:-1, 4:-4]))
    if not places.size:
        return 1.0
    width = colours.shape[1]
    at = (places // inner.shape[1] + 2) * width + places % inner.shape[1] + 4
    flat = colours.ravel()
    seen = np.zeros(places.size, np.int64)
    few = len(np.unique(flat[at])) <= 4
    for step in _AROUND + (_WIDER if few else ()):
        seen = seen * _SPREAD + flat[at - step[0] * width - step[1]]
    distinct = len(np.unique(seen)) / places.size
    return distinct + _AGAIN * (1 - distinct)


_AROUND = (
    (0, 0),
    (0, 1),
    (0, 2),
    (1, -2),
    (1, -1),
    (1, 0),
    (1, 1),
    (1, 2),
    (2, -1),
    (2, 0),
    (2, 1),
)
"""Rows up and columns left."""
_WIDER = ((0, 3), (0, 4), (1, -3), (1, 3), (2, -2), (2, 2), (2, -3), (2, 3), (1, 4), (1, -4))
"""And where there are few colours."""
_SPREAD = 0x5851F42D4C957F2D
_AGAIN = 0.1
"""What a place that repeats costs, beside a new one."""


def _packed(samples: Integers | Pixels) -> Integers:
    """One number for each colour."""
    packed = np.zeros(samples.shape[:2], np.int64)
    for channel in range(samples.shape[2]):
        packed = (packed << 16) + samples[..., channel]
    return packed


def _shifted(values: Integers) -> Integers:
    """The values to the left; the first ones are their own."""
    return np.concatenate([values[:, :1], values[:, :-1]], axis=1)


def _residual_bits(here: Integers, above: Integers, new: NDArray[np.bool_]) -> float:
    """The bits that the chosen pixels take after median prediction, as differences to green."""
    here, above = _decorrelated(here), _decorrelated(above)
    bits = 0.0
    for channel in range(here.shape[2]):
        left, over = _shifted(here[..., channel]), above[..., channel]
        corner = _shifted(over)
        low, high = np.minimum(left, over), np.maximum(left, over)
        error = here[..., channel] - np.clip(left + over - corner, low, high)
        rough = np.searchsorted(_ROUGH, np.abs(left - corner) + np.abs(over - corner))[new]
        bits += _entropy(error[new] * 8 + rough) - _entropy(rough)
    return bits


_ROUGH = np.array([1, 3, 6, 12, 24, 48, 96])


def _decorrelated(samples: Integers) -> Integers:
    if samples.shape[2] < 3:
        return samples
    green = samples[..., 1:2]
    return np.concatenate(
        [samples[..., :1] - green, green, samples[..., 2:3] - green, samples[..., 3:]], axis=2
    )


def _entropy(values: Integers) -> float:
    """Bits that values take in all, each by how often it occurs among them."""
    _, counts = np.unique(values, return_counts=True)
    return float(counts.sum() * np.log2(counts.sum()) - (counts * np.log2(counts)).sum())
