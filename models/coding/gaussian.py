"""The Gaussian that the networks predict, in the units of the entropy coder's scale table.

A scale is a real number s in octaves: sigma = GAUSSIAN_SCALE_MIN * 2 ** s. The networks put out s
itself, so that rounding alone gives the table index: no exponential, and no comparison with a float
threshold, stands between encoder and decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lictor.entropy import FINE_OCTAVES, GAUSSIAN_SCALE_MIN, SCALES, SCALES_PER_OCTAVE
from lictor.models.coding.layers import bound

SCALE_TOP = (SCALES - 1) / SCALES_PER_OCTAVE - FINE_OCTAVES
_LIKELIHOOD_FLOOR = 1e-9
_STEEPEST = 8.0
"""Bits for a step of one: narrow Gaussians know no bound, and would drown all other gradients."""


def scale_to_sigma(s: Tensor) -> Tensor:
    """Standard deviation at scale s; s is held inside the table."""
    return GAUSSIAN_SCALE_MIN * torch.exp2(bound(s, 0.0, SCALE_TOP))


def sigma_to_scale(sigma: Tensor) -> Tensor:
    """The inverse, not held inside the table."""
    return torch.log2(sigma / GAUSSIAN_SCALE_MIN)


def table_index(s: Tensor) -> Tensor:
    """Index of the table nearest to each scale, in float64; exact for fixed-point s of 40 bits."""
    s = s.double()
    steps = SCALES_PER_OCTAVE * (s + s.clamp(max=FINE_OCTAVES))
    return steps.add_(0.5).floor_().clamp_(0, SCALES - 1)


def symbol_bits(residual: Tensor, s: Tensor) -> Tensor:
    """Bits of round(residual) at scale s, with a gradient that training can follow.

    That of s is the true one. That of the residual is the difference between the bits of its two
    neighbouring integers: the slope of the line through what may happen to this symbol. Noise in
    place of rounding (Ballé et al. 2017) gives about the same slope, but charges narrow Gaussians
    for bits that rounding does not cost; passing the derivative at the integer through rounding
    sees no cost in leaving zero (docs/training.md compares the three).
    """
    residual = residual.float()
    value = residual.detach()
    symbol = value.round()
    known = bits(symbol, s)
    if not residual.requires_grad:
        return known
    with torch.no_grad():
        step = torch.where(value >= symbol, 1.0, -1.0)
        slope = ((bits(symbol + step, s) - known) * step).clamp_(-_STEEPEST, _STEEPEST)
    return known + slope * (residual - value)


def bits(residual: Tensor, s: Tensor) -> Tensor:
    """-log2 of the Gaussian's mass on residual ± 1/2 (Ballé et al. 2018, appendix 6.2)."""
    sigma = scale_to_sigma(s)
    # The two tails are taken on the negative side, where ndtr keeps its precision.
    x = -residual.abs()
    mass = torch.special.ndtr((x + 0.5) / sigma) - torch.special.ndtr((x - 0.5) / sigma)
    return -torch.log2(bound(mass, _LIKELIHOOD_FLOOR, 1.0))
