"""Layers of the transforms and of the entropy networks.

The entropy networks work on NHWC tensors and are built only from the layers marked *twinned*: for
each of those `fixed_point.py` has an exact fixed-point twin with the same call.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAKY_SLOPE = 1 / 8
"""A power of two, so that the fixed-point twin multiplies exactly."""


def full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Inside, layers run in float32 even where autocast is on: pass them x.float().

    For the last layers before rounding, likelihoods and sums: bfloat16 has 8 bits, and latents
    reach hundreds.
    """
    # Meta tensors, of which networks are measured without running, know no autocast.
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def silence(layer: nn.Conv2d) -> None:
    """A network whose last layer this is starts as zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Pointwise(nn.Linear):
    """1x1 convolution of an NHWC tensor (twinned)."""


class Depthwise(nn.Module):
    """Depthwise 3x3 convolution of an NHWC tensor, zero padding (twinned)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        assert conv.bias is not None  # Conv2d makes one unless told otherwise
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x.permute(0, 3, 1, 2), self.weight, self.bias, padding=1, groups=x.shape[-1])
        return y.permute(0, 2, 3, 1)


class Leaky(nn.Module):
    """Leaky ReLU (twinned)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, LEAKY_SLOPE)


class Upsample(nn.Module):
    """Depth to space by 2 on NHWC: (N, h, w, 4C) to (N, 2h, 2w, C). Moves values, computes none."""

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        x = x.reshape(n, h, w, 2, 2, c // 4).transpose(2, 3)
        return x.reshape(n, 2 * h, 2 * w, c // 4)


class Octaves(nn.Module):
    """Latents in the units of the entropy network, and back; octave: powers of two (twinned)."""

    def normalised(self, latents: Tensor, octave: Tensor) -> Tensor:
        """What the network is to see of latents."""
        return latents / octave

    def restored(self, mean: Tensor, octave: Tensor) -> Tensor:
        """Latents of what the network predicts."""
        return mean * octave


class _Gated(torch.autograd.Function):
    """value * min(relu(gate), cap), whose own way back is a third of what autograd's takes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gate: Tensor, cap: Tensor) -> Tensor:
        cap = cap.to(gate.dtype)[:, None, None]
        held = torch.minimum(F.relu(gate), cap)
        ctx.save_for_backward(value, held, cap)
        return value * held

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        value, held, cap = ctx.saved_tensors
        inside = (held > 0) & (held < cap)
        return grad * held, grad * value * inside, None


class Block(nn.Module):
    """Residual block of the transforms on NCHW: spatial mixing, then a gated channel mixing.

    After the depthwise block of DCVC-RT (Jia et al., CVPR 2025): every multiplication that is not a
    1x1 convolution is a depthwise 3x3, so nearly all work is matrix products.

    Gates have caps, one a channel, which belong to the weights: where both factors of a product may
    grow, each block squares what is large, and pictures unlike those of the training come out at
    infinity. With caps, a block grows with its input in proportion at most. They are what gates
    reach on photos (training/caps.py), or 1 where training starts from nothing.
    """

    cap: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        self.register_buffer("cap", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.leave(self.spatial(F.leaky_relu(self.enter(x), LEAKY_SLOPE)))
        value, gate = self.expand(x).chunk(2, dim=1)
        return x + self.project(_Gated.apply(value, gate, self.cap))


class _Bound(torch.autograd.Function):
    """clamp whose gradient still leads back inside (Ballé et al. 2018, as in CompressAI)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        inwards = ((x >= ctx.low) | (grad < 0)) & ((x <= ctx.high) | (grad > 0))
        return grad * inwards, None, None


def bound(x: Tensor, low: float, high: float) -> Tensor:
    """X clamped to low…high; outside, only gradients that lead back inside pass."""
    return _Bound.apply(x, low, high)
