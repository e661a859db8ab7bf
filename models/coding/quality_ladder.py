"""One model, every rate: quality, lambda and the per-channel ladders between them.

Source: gained variational autoencoders (Cui et al., CVPR 2021), with interpolation in quality.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lictor.models.coding.slope import LAMBDA_MIN as LAMBDA_MIN
from lictor.models.coding.slope import LAMBDA_OCTAVES as LAMBDA_OCTAVES
from lictor.models.coding.units import ANCHORS as ANCHORS


def quality_to_lambda(quality: Tensor) -> Tensor:
    """Weight of the mean squared error (on 0…255) against bits per pixel, for quality 0…100."""
    return LAMBDA_MIN * 2.0 ** (LAMBDA_OCTAVES * quality / 100)


class Ladder(nn.Module):
    """A value per channel that changes with quality, linear between ANCHORS rungs (twinned).

    quality: float in 0…100, (N,) or, as a map, (N, h, w). Returns (N, channels) or
    (N, h, w, channels).
    """

    def __init__(self, channels: int, start: float = 0.0) -> None:
        super().__init__()
        self.rungs = nn.Parameter(torch.full((ANCHORS, channels), start))

    def forward(self, quality: Tensor) -> Tensor:
        place = quality * ((ANCHORS - 1) / 100)
        low = place.long().clamp(0, ANCHORS - 2)
        return torch.lerp(self.rungs[low], self.rungs[low + 1], (place - low)[..., None])


class Gain(nn.Module):
    """Multiplies each channel of an NCHW tensor by a positive factor that depends on quality."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log = Ladder(channels)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        return x * on_nchw(self.log(quality).exp()).to(x.dtype)


def on_nchw(values: Tensor) -> Tensor:
    """What a ladder gave, (N, C) or (N, h, w, C), as it goes with an NCHW tensor."""
    return values[:, :, None, None] if values.ndim == 2 else values.permute(0, 3, 1, 2)


def on_nhwc(values: Tensor) -> Tensor:
    """Likewise with an NHWC tensor."""
    return values[:, None, None, :] if values.ndim == 2 else values
