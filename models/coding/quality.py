"""Quality as networks take it: a tensor.

(N,) of pictures as wholes, or (N, h, w) with a value for each place of y. Whatever depends on it, a
value per channel, then is (N, C) or (N, h, w, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.models.quality import STEPS, Quality


def steps(quality: Quality, device: torch.device) -> Tensor:
    """As exact networks take it: int64 (1,) or (1, h, w), 0…STEPS."""
    if quality.map is None:
        return torch.tensor([quality.highest], device=device)
    return torch.from_numpy(quality.map.astype("i8"))[None].to(device)


def all_steps(qualities: Sequence[Quality], device: torch.device) -> Tensor:
    """Of several pictures, none of which has a map: int64 (N,)."""
    return torch.tensor([one.highest for one in qualities], device=device)


def condition(quality: Quality, like: Tensor) -> Tensor:
    """As float networks take it: (1,) or (1, h, w) in 0…100, of the type and place of `like`."""
    if quality.map is None:
        return like.new_tensor([float(quality)])
    return steps(quality, like.device).to(like) * (100 / STEPS)


def coarser(quality: Tensor, by: int) -> Tensor:
    """The mean over by x by places; of integers rounded, halves up."""
    if quality.ndim == 1:
        return quality
    if quality.is_floating_point():
        return F.avg_pool2d(quality, by)
    n, h, w = quality.shape
    total = quality.reshape(n, h // by, by, w // by, by).sum(dim=(2, 4))
    return (total + by * by // 2).div(by * by, rounding_mode="floor")


def finer(quality: Tensor, by: int) -> Tensor:
    """Each place as by x by of them."""
    if quality.ndim == 1:
        return quality
    return quality.repeat_interleave(by, 1).repeat_interleave(by, 2)
