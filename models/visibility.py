"""What eyes see of a picture's errors: contrast against contrast, in opponent colours.

An error is seen by what it adds to the contrast around it, at every scale from single samples to
broad shapes: on a wall it is plain, in grass it hides. This is the structural part of SSIM, written
out: for pictures x and x_hat and their difference d, 1 - (2 cov + c) / (var + var_hat + c) is
var(d) / (var + var_hat + c), the variances those of a window.

Here it is of blocks by themselves, and needs no torch; picture/visibility.py has it of pictures,
with gradients.

Source: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment",
2003; the colours are those of Ottosson, "A perceptual color space for image processing" (Oklab),
2020, with some light added before the cube root, as scattered in every eye.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SCALES = (0.15, 0.25, 0.25, 0.2, 0.15)
"""What contrast of lightness counts at 1, 1/2, 1/4, 1/8, 1/16 of the picture's size."""
COLOUR_SCALES = (0.0, 0.2, 0.3, 0.3, 0.2)
"""And that of colour, of which eyes see no fine detail."""
COLOUR = 0.3
"""What each of the two channels of colour counts beside lightness."""
SPREAD = (1.0, 3.0, 2.0)
"""Lightness goes from 0 to 1; green to red, blue to yellow are brought to about that range."""
SEEN = 0.03**2
"""The variance below which contrast hides nothing."""
WINDOW = 8
"""Side of the windows, the middle of which counts most."""
WORST = 0.3
"""Share of the worst places: the rest is the mean over all."""
STRAY = 0.003
"""Light added to all: the dark is not infinitely well seen."""
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
OPPONENTS = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

SQUARED_SHARE, SEEN_SHARE = 0.16, 2500.0
"""What the mean squared error on 0…255 and what is seen count in the loss of training: with these
files of a quality stay about as large as with the squared error alone. On pictures that
lictor-s.mse decoded at quality 0, 50 and 100 the parts cost 48 and 354, 12 and 109, 3 and 30, where
the squared error alone is 300, 74 and 20."""


def of_blocks(x_hat: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
    """How visible the errors of blocks are, each for itself, (N,), from 0 for none to about 1.

    Args:
        x_hat: uint8 or uint16 over their range, (N, S, S, 1 or 3), S = 64.
        x: the same.
    """
    a, b = _colours(x_hat), _colours(x)
    total = np.zeros(len(x))
    for i, (light, colour) in enumerate(zip(SCALES, COLOUR_SCALES, strict=True)):
        if i:
            a, b = _halved(a), _halved(b)
        if a.shape[2] < WINDOW:
            break
        weights = (light, COLOUR * colour, COLOUR * colour)
        for of_one, of_other, weight in zip(a, b, weights, strict=False):
            if weight:
                total += weight * _pooled(_contrast_error(of_one, of_other))
    return total / (1 + 2 * COLOUR)


def _colours(x: NDArray[Any]) -> Floats:
    """Lightness, green to red, blue to yellow in about 0…1, (3, N, S, S); of gray, lightness."""
    light = _light(int(np.iinfo(x.dtype).max))[x]
    if x.shape[3] == 1:  # all cones see the same
        return np.cbrt(light + np.float32(STRAY)).transpose(3, 0, 1, 2)
    cones = np.cbrt(light @ np.array(CONES, np.float32).T + np.float32(STRAY))
    opponents = np.array(OPPONENTS, np.float32) * np.array(SPREAD, np.float32)[:, None]
    return np.ascontiguousarray((cones @ opponents.T).transpose(3, 0, 1, 2))


@cache
def _light(most: int) -> Floats:
    """The light of each value of sRGB."""
    x = np.arange(most + 1) / most
    bent = ((np.maximum(x, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(x > 0.04045, bent, x / 12.92).astype(np.float32)


def _halved(x: Floats) -> Floats:
    rows = x[..., 0::2, :] + x[..., 1::2, :]
    halved: Floats = (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25)
    return halved


def _contrast_error(a: Floats, b: Floats) -> Floats:
    """Of (N, S, S), in windows, (N, n, n)."""
    both = _variance(a) + _variance(b)
    return _variance(a - b) / (both + np.float32(SEEN))


def _variance(x: Floats) -> Floats:
    return np.maximum(_window(x * x) - np.square(_window(x)), 0)


def _window(x: Floats) -> Floats:
    """Means over windows of 8x8 samples, heavier in the middle, one for each 2x2 samples."""
    for _ in range(2):  # along each axis: means of four, for each two, and of three of those
        pairs = x[:, 0::2] + x[:, 1::2]
        fours = pairs[:, :-1] + pairs[:, 1:]
        windows = (fours[:, :-2] + fours[:, 1:-1] + fours[:, 2:]) * np.float32(1 / 12)
        x = windows.transpose(0, 2, 1)
    return x


def _pooled(error: Floats) -> NDArray[np.float64]:
    """The mean and the mean of the worst (fourth power)."""
    flat = error.reshape(len(error), -1)
    worst = (np.square(np.square(flat)).mean(1) + 1e-12) ** 0.25 - 1e-3
    pooled: NDArray[np.float64] = (1 - WORST) * flat.mean(1) + WORST * worst
    return pooled
