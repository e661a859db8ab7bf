"""Exact twins of the entropy networks: the same function on every machine, to the last bit.

Two machines that disagree on one scale index decode noise. So everything that decides a probability
runs on integers held in float64: activations in units of 2**-FRACTION, weights of 2**-WEIGHT. Every
product and every partial sum is an integer below 2**53, hence exact in any order of summation, with
any number of threads, on any device with IEEE doubles; `check_bound` proves it from the weights.
Rounding is floor(v + 1/2) on values that are exact too.

Literature: Ballé, Johnston, Minnen, "Integer networks for data compression", ICLR 2019.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.models.coding.layers import LEAKY_SLOPE, Depthwise, Leaky, Octaves, Pointwise
from lictor.models.coding.quadtree import Heads
from lictor.models.coding.quality_ladder import ANCHORS, Ladder
from lictor.models.coding.units import FRACTION as FRACTION
from lictor.models.coding.units import LIMIT as LIMIT
from lictor.models.coding.units import MOST_SUM, TOO_LARGE
from lictor.models.coding.units import WEIGHT as WEIGHT
from lictor.models.errors import InexactWeights
from lictor.models.quality import STEPS

STEPS_PER_RUNG = STEPS // (ANCHORS - 1)


def round_half_up(x: Tensor) -> Tensor:
    """floor(x + 1/2): unlike round-to-even, the same for an integer shifted by any even or odd."""
    return x.add(0.5).floor_()


def power_of_two(exponent: Tensor) -> Tensor:
    """2**exponent in float64 of integers in ±1000, exact, as pow need not be on every device."""
    values = np.ldexp(1.0, exponent.detach().cpu().numpy().astype(np.int32))
    return torch.from_numpy(values).to(exponent.device)


def to_fixed(x: Tensor) -> Tensor:
    """Real values to integers in units of 2**-FRACTION."""
    return round_half_up(x.double() * 2.0**FRACTION)


def check_bound(weight: Tensor, bias: Tensor) -> None:
    """Raise InexactWeights unless every sum stays below 2**53.

    The input of a layer is at most the sum of two clamped activations, so 2 * LIMIT.
    """
    worst = (weight.abs().flatten(1).sum(1) * 2 * LIMIT + bias.abs()).max()
    if not worst < MOST_SUM:
        raise InexactWeights(TOO_LARGE)


def _parameters(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Integer weight (first axis: outputs) and bias, the bias in units of the accumulator."""
    w = round_half_up(weight.double() * 2.0**WEIGHT)
    b = round_half_up(bias.double() * 2.0 ** (WEIGHT + FRACTION))
    check_bound(w, b)
    return w, b


def _requantise(accumulator: Tensor) -> Tensor:
    return accumulator.mul_(2.0**-WEIGHT).add_(0.5).floor_().clamp_(-LIMIT, LIMIT)


class ExactPointwise(nn.Module):
    """Twin of Pointwise."""

    def __init__(self, layer: Pointwise) -> None:
        super().__init__()
        self.weight, self.bias = _parameters(layer.weight, layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return _requantise(F.linear(x, self.weight, self.bias))


class ExactDepthwise(nn.Module):
    """Twin of Depthwise, as nine shifted products: float64 has no fast convolution."""

    def __init__(self, layer: Depthwise) -> None:
        super().__init__()
        weight, self.bias = _parameters(layer.weight, layer.bias)
        self.taps = weight.flatten(1).t().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        _, h, w, _ = x.shape
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        total = self.bias.expand_as(x).clone()
        for i, tap in enumerate(self.taps):
            dy, dx = divmod(i, 3)
            total.addcmul_(padded[:, dy : dy + h, dx : dx + w], tap)
        return _requantise(total)


class ExactHeads(nn.Module):
    """Twin of Heads."""

    def __init__(self, layer: Heads) -> None:
        super().__init__()
        pairs = [_parameters(w, b) for w, b in zip(layer.weight, layer.bias, strict=True)]
        self.weight = torch.stack([w for w, _ in pairs])
        self.bias = torch.stack([b for _, b in pairs])

    def forward(self, x: Tensor) -> Tensor:
        return _requantise(torch.baddbmm(self.bias[:, None, :], x, self.weight.transpose(1, 2)))


class ExactLeaky(nn.Module):
    """Twin of Leaky."""

    def __init__(self, layer: Leaky) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, round_half_up(x * LEAKY_SLOPE))


class ExactOctaves(nn.Module):
    """Twin of Octaves."""

    def __init__(self, layer: Octaves) -> None:
        super().__init__()

    def normalised(self, latents: Tensor, octave: Tensor) -> Tensor:
        """As of Octaves."""
        return round_half_up(latents / octave).clamp_(-LIMIT, LIMIT)

    def restored(self, mean: Tensor, octave: Tensor) -> Tensor:
        """As of Octaves."""
        return round_half_up(mean * octave)


class ExactLadder(nn.Module):
    """Takes quality as the integer number of quarter steps that the file carries.

    One for all, or int64 (N,) or (N, h, w). Returns (N, channels) or (N, h, w, channels).
    """

    def __init__(self, ladder: Ladder) -> None:
        super().__init__()
        self.rungs = to_fixed(ladder.rungs)

    def forward(self, step: int | Tensor) -> Tensor:
        steps = torch.atleast_1d(torch.as_tensor(step, device=self.rungs.device))
        low = steps.div(STEPS_PER_RUNG, rounding_mode="floor").clamp(max=ANCHORS - 2)
        t = (steps - low * STEPS_PER_RUNG)[..., None]
        mixed = self.rungs[low] * (STEPS_PER_RUNG - t) + self.rungs[low + 1] * t
        # floor(mixed / STEPS_PER_RUNG + 1/2) on integers: where floats are divided by a number that
        # is no power of two, GPUs multiply by its rounded reciprocal, and halves can fall below.
        halves = (2 * mixed.long()).add_(STEPS_PER_RUNG)
        return halves.div_(2 * STEPS_PER_RUNG, rounding_mode="floor").double()


_TWINS = {
    Pointwise: ExactPointwise,
    Depthwise: ExactDepthwise,
    Heads: ExactHeads,
    Leaky: ExactLeaky,
    Octaves: ExactOctaves,
    Ladder: ExactLadder,
}


@torch.no_grad()
def exact(network: nn.Module) -> nn.Module:
    """A copy of a network built from twinned layers, with every layer replaced by its exact twin.

    The twin takes and gives float64 tensors of integers in units of 2**-FRACTION, and quality as an
    integer step. Raises InexactWeights.
    """
    if type(network) in _TWINS:
        return _TWINS[type(network)](network)
    twin = copy.copy(network)
    twin._modules = {n: m if m is None else exact(m) for n, m in network._modules.items()}
    return twin.eval()
