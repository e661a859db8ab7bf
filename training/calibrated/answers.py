"""How far a network's answers are from what they were: of each example, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lictor.training.calibrated.moments import Forward

Distance = Callable[[Tensor, Tensor], Tensor]
"""Answers that were found and those that were wanted, (examples, ...), to (examples,)."""
_SIGMAS = 1.96


@dataclass(frozen=True)
class Figure:
    """A mean over examples. low, high: between which it is of all such examples, 19 times of 20."""

    mean: float
    low: float
    high: float
    examples: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} ({self.low:.3g} to {self.high:.3g})"


def figure(values: Tensor) -> Figure:
    """The mean of what was found of each example, (examples,), and its interval.

    Source: of shares, E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22, 1927.
    """
    own = values.double().flatten()
    count, mean = own.numel(), float(own.mean())
    if bool(((own == 0) | (own == 1)).all()):
        square = _SIGMAS**2 / count
        middle = (mean + square / 2) / (1 + square)
        spread = _SIGMAS * (mean * (1 - mean) / count + square / (4 * count)) ** 0.5 / (1 + square)
        return Figure(mean, min(middle - spread, mean), max(middle + spread, mean), count)
    spread = _SIGMAS * float(own.std()) / count**0.5 if count > 1 else 0.0
    return Figure(mean, mean - spread, mean + spread, count)


def divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Kullback and Leibler's, in nats, of the classes that logits in the last axis stand for."""
    now, before = found.float().log_softmax(-1), wanted.float().log_softmax(-1)
    return (before.exp() * (before - now)).sum(-1).reshape(len(found), -1).mean(1).clamp_min(0)


def disagreement(found: Tensor, wanted: Tensor) -> Tensor:
    """The share of an example's first answers that are others than they were."""
    other = found.argmax(-1) != wanted.argmax(-1)
    return other.float().reshape(len(found), -1).mean(1)


def mistakes(labels: Tensor) -> Distance:
    """How much oftener first answers are wrong. labels: the right ones, (examples,)."""

    def more(found: Tensor, wanted: Tensor) -> Tensor:
        right = (own.argmax(-1) == labels for own in (wanted, found))
        before, now = (own.float() for own in right)
        return before - now

    return more


@torch.inference_mode()
def of(network: nn.Module, batches: Sequence[Any], forward: Forward | None) -> Tensor:
    """A network's answers to all batches."""
    parts = [forward(network, b) if forward else network(b) for b in batches]
    return torch.cat(parts).clone()
