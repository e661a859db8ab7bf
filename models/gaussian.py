"""The Gaussian that the networks predict, in the units of the entropy coder's scale table.

A scale is a real number s in octaves: sigma = GAUSSIAN_SCALE_MIN * 2 ** s. The networks put out s
itself, so that rounding SCALES_PER_OCTAVE * s gives the table index, and no exponential or
comparison with a float threshold stands between encoder and decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lictor.entropy import GAUSSIAN_SCALE_MIN, SCALES, SCALES_PER_OCTAVE
from lictor.models.layers import bound

SCALE_TOP = (SCALES - 1) / SCALES_PER_OCTAVE
_LIKELIHOOD_FLOOR = 1e-9


def scale_to_sigma(s: Tensor) -> Tensor:
    """Standard deviation at scale s; s is held inside the table."""
    return GAUSSIAN_SCALE_MIN * torch.exp2(bound(s, 0.0, SCALE_TOP))


def sigma_to_scale(sigma: Tensor) -> Tensor:
    """The inverse, not held inside the table."""
    return torch.log2(sigma / GAUSSIAN_SCALE_MIN)


def bits(residual: Tensor, s: Tensor) -> Tensor:
    """-log2 of the Gaussian's mass on residual ± 1/2 (Ballé et al. 2018, appendix 6.2)."""
    sigma = scale_to_sigma(s)
    # The two tails are taken on the negative side, where ndtr keeps its precision.
    x = -residual.abs()
    mass = torch.special.ndtr((x + 0.5) / sigma) - torch.special.ndtr((x - 0.5) / sigma)
    return -torch.log2(bound(mass, _LIKELIHOOD_FLOOR, 1.0))
