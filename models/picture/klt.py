"""The best linear transform of blocks of pictures, which transforms start as."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

SIDE = 16


def klt(sample: Tensor) -> tuple[Tensor, Tensor]:
    """KLT of 16x16x3 blocks: orthonormal rows (768, 768), largest first, and their deviations.

    sample: crops, float (N, 3, S, S) in 0…1.
    """
    blocks = pixel_unshuffle(sample - 0.5, SIDE)
    flat = blocks.permute(0, 2, 3, 1).reshape(-1, blocks.shape[1]).double()
    # About zero, not about the mean: v must be zero where the picture is middle gray.
    variance, basis = torch.linalg.eigh(flat.T @ flat / len(flat))
    order = variance.argsort(descending=True)
    return basis[:, order].T.float(), variance[order].clamp(min=0).sqrt().float()
