"""g_a and g_s: the transforms between a picture and its latent y."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.models.coding.layers import Block, full_precision, silence
from lictor.models.coding.quality import finer
from lictor.models.coding.quality_ladder import Gain


class Bypassed(nn.Module):
    """A linear map of channels, (N, inputs, h, w) to (N, outputs, h, w), and a network beside it.

    The map works from the first step, often as a KLT; the network starts at zero.
    """

    def __init__(self, inputs: int, outputs: int, channels: int, depth: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.enter = nn.Conv2d(inputs, channels, 1)
        self.gain = Gain(channels)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(depth)))
        self.leave = nn.Conv2d(channels, outputs, 1)
        silence(self.leave)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        h = self.blocks(self.gain(self.enter(x), quality))
        return self.shortcut(x) + self.leave(h)

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Set the linear map: weight (outputs, inputs), bias (outputs,)."""
        assert self.shortcut.bias is not None  # Conv2d makes one unless told otherwise
        self.shortcut.weight.copy_(weight[:, :, None, None])
        self.shortcut.bias.copy_(bias)


class Analysis(nn.Module):
    """g_a: picture (N, 3, H, W), centred on 0, to (N, M, H/16, W/16).

        x ─ unshuffle 8 ─ 1x1 ─ gain ─ blocks ─ 2x2 stride 2 ─ gain ─ blocks ─ 1x1 ─┐
        └── unshuffle 16 ─ 1x1 (starts as the KLT) ─────────────────────────────── (+) ─ v

    The linear shortcut makes the codec work from the first step (after AuxT, Li et al., ICLR 2025);
    the network starts at zero and learns what a linear transform cannot.
    """

    def __init__(self, channels: int, latent: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3 * 8 * 8, channels, 1)
        self.gain8 = Gain(channels)
        self.blocks8 = nn.Sequential(*(Block(channels) for _ in range(depth)))
        self.down = nn.Conv2d(channels, latent, 2, stride=2)
        self.gain16 = Gain(latent)
        self.blocks16 = nn.Sequential(*(Block(latent) for _ in range(depth)))
        self.leave = nn.Conv2d(latent, latent, 1)
        silence(self.leave)
        self.shortcut = nn.Conv2d(3 * 16 * 16, latent, 1, bias=False)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        h = self.gain8(self.enter(F.pixel_unshuffle(x, 8)), finer(quality, 2))
        h = self.gain16(self.down(self.blocks8(h)), quality)
        h = self.blocks16(h)
        with full_precision(h):
            return self.leave(h.float()) + self.shortcut(F.pixel_unshuffle(x, 16))


class Synthesis(nn.Module):
    """g_s: latent (N, M, h, w) to picture (N, 3, 16h, 16w), the mirror of Analysis.

    scale: per-channel factors that bring the channels of v near one another before the network.
    """

    def __init__(self, channels: int, latent: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(latent, latent, 1)
        self.gain16 = Gain(latent)
        self.blocks16 = nn.Sequential(*(Block(latent) for _ in range(depth)))
        self.up = nn.Conv2d(latent, 4 * channels, 1)
        self.gain8 = Gain(channels)
        self.blocks8 = nn.Sequential(*(Block(channels) for _ in range(depth)))
        self.leave = nn.Conv2d(channels, 3 * 8 * 8, 1)
        silence(self.leave)
        self.shortcut = nn.Conv2d(latent, 3 * 16 * 16, 1, bias=False)

    def forward(self, v: Tensor, quality: Tensor) -> Tensor:
        h = self.blocks16(self.gain16(self.enter(v), quality))
        h = self.blocks8(self.gain8(F.pixel_shuffle(self.up(h), 2), finer(quality, 2)))
        with full_precision(h):
            return F.pixel_shuffle(self.leave(h.float()), 8) + F.pixel_shuffle(self.shortcut(v), 16)
