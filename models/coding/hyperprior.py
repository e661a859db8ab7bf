"""h_a and h_s: the side information z that tells where y is busy (Ballé et al., ICLR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lictor.models.coding.layers import (
    LEAKY_SLOPE,
    Depthwise,
    Leaky,
    Pointwise,
    Upsample,
    full_precision,
)
from lictor.models.coding.quality_ladder import Ladder, on_nhwc


class HyperAnalysis(nn.Module):
    """h_a: y (N, M, h, w) to z (N, Z, h/4, w/4). Runs in the encoder only, so in plain float."""

    def __init__(self, latent: int, hidden: int, side: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(latent, hidden, 1),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(hidden, hidden, 2, stride=2),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.Conv2d(hidden, side, 2, stride=2),
        )

    def forward(self, y: Tensor) -> Tensor:
        # y spans 0.1 to 300: the logarithm keeps one loud channel from drowning the rest.
        h = self.body[:-1](torch.asinh(y))
        with full_precision(h):
            return self.body[-1](h.float())


class HyperSynthesis(nn.Module):
    """h_s: rounded z (N, h/4, w/4, Z) and quality to the prior p (N, h, w, P), NHWC. Twinned."""

    def __init__(self, side: int, prior: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Pointwise(side, 4 * side),
            Upsample(),
            Leaky(),
            Depthwise(side),
            Pointwise(side, 4 * prior),
            Upsample(),
            Leaky(),
            Depthwise(prior),
            Leaky(),
            Pointwise(prior, prior),
        )
        self.bias = Ladder(prior)
        self.leaky = Leaky()

    def forward(self, z_hat: Tensor, quality: Tensor) -> Tensor:
        return self.leaky(self.body(z_hat) + on_nhwc(self.bias(quality)))
