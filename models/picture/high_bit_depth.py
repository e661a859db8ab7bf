"""Finer steps for what is smooth, in pictures of more than 8 bits a sample.

A smooth block of 16x16 pixels is a few latents: brightness and slope in each colour, curvature in
gray. At the top quality each is rounded by a tenth of an 8-bit level, all together by half of one,
which only pictures of 16 bits can show. There their steps are halved up to three times; what the
networks expect of them stays as it is, in finer units, so the exact networks need no change.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lictor.models.coding.units import HALVED_FROM

_BLOCK = 16


def halvings(quality: Tensor, deep: Tensor) -> Tensor:
    """How often steps are halved, int64, of the shape of quality.

    quality: 0…100, (N,) or (N, h, w). deep: bool (N,), whether a picture has more than 8 bits.
    """
    passed = sum((quality >= q).long() for q in HALVED_FROM)
    return passed * deep.reshape(-1, *(1,) * (quality.ndim - 1))


def smooth_latents(basis: Tensor) -> Tensor:
    """Which rows of a linear analysis (M, 768) see what is smooth in a block: 0 or 1, float (M,).

    Those of whose energy more than half lies in brightness, slopes and gray's curvature.
    """
    rows = torch.nn.functional.normalize(basis.detach().double().flatten(1), dim=1)
    return ((rows @ _smooth_patterns().T).square().sum(1) > 0.5).float()


def _smooth_patterns() -> Tensor:
    """Orthonormal: constant and slopes in each colour, the three second-order ones in gray."""
    ramp = torch.linspace(-1, 1, _BLOCK, dtype=torch.float64)
    x, y = ramp.expand(_BLOCK, _BLOCK), ramp[:, None].expand(_BLOCK, _BLOCK)
    plane = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y]).flatten(1)
    plane = torch.linalg.qr(plane.T).Q.T
    colours = torch.eye(3, dtype=torch.float64)
    gray = torch.full((1, 3), 3.0**-0.5, dtype=torch.float64)
    return torch.cat([torch.kron(colours, plane[:3]), torch.kron(gray, plane[3:])])
