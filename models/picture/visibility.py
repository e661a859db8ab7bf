"""What eyes see of a picture's errors, as models/visibility.py tells, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.models.visibility import (
    COLOUR,
    COLOUR_SCALES,
    CONES,
    OPPONENTS,
    SCALES,
    SEEN,
    SEEN_SHARE,
    SPREAD,
    SQUARED_SHARE,
    STRAY,
    WINDOW,
    WORST,
)

Signs = Callable[[Tensor], Tensor]
"""Of the shape of a tensor, -1 and 1."""


class Visibility(nn.Module):
    """How visible the errors of pictures are, (N,), from 0 for none to about 1."""

    cones: Tensor
    opponents: Tensor

    def __init__(self) -> None:
        super().__init__()
        spread = torch.tensor(SPREAD)[:, None]
        self.register_buffer("cones", torch.tensor(CONES)[:, :, None, None])
        self.register_buffer("opponents", (torch.tensor(OPPONENTS) * spread)[:, :, None, None])

    def colours(self, x: Tensor) -> Tensor:
        """Lightness, green to red, blue to yellow of sRGB in about 0…1, (N, 3, H, W)."""
        low = x / 12.92
        light = torch.where(x > 0.04045, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, low)
        seen = (F.conv2d(light, self.cones) + STRAY).clamp(min=STRAY / 2)
        return F.conv2d(seen ** (1 / 3), self.opponents)

    def forward(self, x_hat: Tensor, x: Tensor, worth: Tensor | None = None) -> Tensor:
        """Of pictures (N, 3, H, W) of sRGB in about 0…1, sides 64 at least.

        worth: what errors count at each pixel, (N, 1, H, W); None: 1 everywhere.
        """
        total = x.new_zeros(len(x))
        for a, b, weights, counts in self._scales(x_hat, x, worth):
            error = contrast_error(a, b)
            total = total + _pooled(error if counts is None else error * _window(counts)) @ weights
        return total

    def signed(self, x_hat: Tensor, x: Tensor, signs: Signs, worth: Tensor | None = None) -> Tensor:
        """A sum of errors under random signs: its gradient's square is about half the curvature.

        That is so in expectation, of the diagonal of the Hessian by whatever x_hat depends on, near
        x, with all places counting alike (Hutchinson). Args: as for `forward`; signs: of a shape.
        """
        total = x.new_zeros(())
        for a, b, weights, counts in self._scales(x_hat, x, worth):
            with torch.no_grad():
                count = 1.0 if counts is None else _window(counts)
                error = contrast_error(a, b) * count
                far = error.pow(3) / (error.pow(4).mean((2, 3), True) + 1e-12).pow(0.75)
                pull = weights[:, None, None] * count * (1 - WORST + 3 * WORST * far)
                share = pull / (2 * _variance(b) + SEEN)
                share = F.interpolate(share, b.shape[-2:]) / b[0, 0].numel()
            total = total + (a * share.sqrt() * signs(b)).sum()
        return total

    def _scales(
        self, x_hat: Tensor, x: Tensor, worth: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
        """Both pictures and `worth` at each scale, and what each channel of them counts."""
        a, b = self.colours(x_hat), self.colours(x)
        for i, (light, colour) in enumerate(zip(SCALES, COLOUR_SCALES, strict=True)):
            if i:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
                worth = None if worth is None else F.avg_pool2d(worth, 2)
            if min(a.shape[-2:]) < WINDOW:  # of crops of less than 128
                break
            channels = 3 if colour else 1
            weights = x.new_tensor((light, COLOUR * colour, COLOUR * colour)[:channels])
            yield a[:, :channels], b[:, :channels], weights / (1 + 2 * COLOUR), worth


class Visible(nn.Module):
    """What eyes see of the errors, and a share of the squared error, which holds the rest.

    It is a distortion as the mean squared error on 0…255 is one: the same lambdas suit it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.visibility = Visibility()

    def forward(self, x_hat: Tensor, x: Tensor, worth: Tensor | None = None) -> Tensor:
        """The distortion of each picture, (N,). Args: as for `Visibility`."""
        squared = (x_hat - x).square() if worth is None else (x_hat - x).square() * worth
        seen = self.visibility(x_hat, x, worth)
        return SQUARED_SHARE * 255**2 * squared.flatten(1).mean(1) + SEEN_SHARE * seen

    def signed(self, x_hat: Tensor, x: Tensor, signs: Signs, worth: Tensor | None = None) -> Tensor:
        """As that of `Visibility`, of this distortion."""
        share = 255 * (SQUARED_SHARE / x[0].numel()) ** 0.5
        squared = x_hat * signs(x) * (1.0 if worth is None else worth.sqrt())
        return share * squared.sum() + SEEN_SHARE**0.5 * self.visibility.signed(
            x_hat, x, signs, worth
        )


def contrast_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """The variance of the error over that of both pictures, in windows of 8x8 samples.

    x_hat, x: (N, C, H, W); returns (N, C, h, w), 0 where both are equal, at most 2.
    """
    both = _variance(x_hat) + _variance(x)
    return _variance(x_hat - x) / (both + SEEN)


def _variance(x: Tensor) -> Tensor:
    return (_window(x * x) - _window(x).square()).clamp(min=0)


def _window(x: Tensor) -> Tensor:
    """Means over windows of 8x8 samples, heavier in the middle, one for each 2x2 samples."""
    return F.avg_pool2d(F.avg_pool2d(x, 4, 2), 3, 1)


def _pooled(error: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C): the mean and the mean of the worst (fourth power)."""
    flat = error.flatten(2)
    worst = (flat.pow(4).mean(2) + 1e-12).pow(0.25) - 1e-3  # a slope at 0
    return (1 - WORST) * flat.mean(2) + WORST * worst
