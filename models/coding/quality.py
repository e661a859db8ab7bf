"""Quality of a picture: one number for all of it, or a map of it.

Networks take it as a tensor: (N,) of pictures as wholes, or (N, h, w) with a value for each place
of y. Whatever depends on it, a value per channel, then is (N, C) or (N, h, w, C).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.models.box import Box
from lictor.models.coding.quality_ladder import QUALITY_STEPS

Quality = float | Tensor
"""0…100, or a map: int64 (h, w), 0…QUALITY_STEPS, a value for each PLACE x PLACE pixels."""

PLACE = 16


def steps(quality: Quality, device: torch.device) -> Tensor:
    """As exact networks take it: int64 (1,) or (1, h, w), 0…QUALITY_STEPS."""
    if isinstance(quality, Tensor):
        return quality[None].to(device)
    return torch.tensor([round(quality * QUALITY_STEPS / 100)], device=device)


def condition(quality: Quality, like: Tensor) -> Tensor:
    """As float networks take it: (1,) or (1, h, w) in 0…100, of the type and place of `like`."""
    if isinstance(quality, Tensor):
        return quality[None].to(like) * (100 / QUALITY_STEPS)
    return like.new_tensor([quality])


def highest(quality: Quality) -> float:
    """The highest, 0…100."""
    return int(quality.max()) * 100 / QUALITY_STEPS if isinstance(quality, Tensor) else quality


def part(quality: Quality, box: Box) -> Quality:
    """That of a part of the picture; box in places."""
    return quality[box.place] if isinstance(quality, Tensor) else quality


def fitted(quality: Quality, height: int, width: int) -> Quality:
    """A map of height x width places: its last row and column are left out or repeated."""
    if not isinstance(quality, Tensor):
        return quality
    rows, columns = (torch.arange(n) for n in (height, width))
    h, w = quality.shape
    return quality[rows.clamp(max=h - 1)][:, columns.clamp(max=w - 1)]


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
