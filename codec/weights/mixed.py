"""Mixed precision: steps for each tensor by what its errors were measured to cost.

Each tensor is rounded alone, and it is measured how much the network's answers change: by any
measure that is 0 for none and grows with the square of small errors, as the divergence of a
classifier's answers does. It needs neither gradients nor labels, only a network that can be run.
The cost of a step s is then c s², and Σ c s² is least, for as many bits of all n weights together,
where s² is in proportion to n / c. Any quantiser can take these steps.

Source: the closed form is that of P. Hu et al., "OPQ: Compressing deep neural networks with
one-shot pruning-quantization", AAAI 2021, with measured costs; Z. Dong et al., "HAWQ-V2", NeurIPS
2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lictor.codec.weights.quantisers import Coded, Known, Quantiser, named

Floats = npt.NDArray[np.float32]
_FARTHEST = 6.0
"""Octaves that a step differs from the mean at most."""
_COARSE = 0.25
"""Of the deviation of a tensor's magnitudes, the step that it is tried with."""


@dataclass(frozen=True)
class Mixed:
    """A quantiser with steps of their own for some tensors.

    factors: of the common step, by names. inner: the quantiser, or its name.
    """

    factors: Mapping[str, float]
    inner: str | Quantiser = "trellis"

    def __call__(self, values: Floats, known: Known) -> Coded | None:
        """As a quantiser is called."""
        step = known.step * self.factors.get(known.name, 1.0)
        return named(self.inner)(values, replace(known, step=step, unknown=1.0))


@dataclass(frozen=True)
class Stepped:
    """A quantiser with steps that are given, as of a training. steps: by names; others as asked."""

    steps: Mapping[str, float]
    inner: str | Quantiser = "trellis"

    def __call__(self, values: Floats, known: Known) -> Coded | None:
        """As a quantiser is called."""
        step = self.steps.get(known.name, known.step)
        return named(self.inner)(values, replace(known, step=step, unknown=1.0))


def measured(
    weights: Mapping[str, Floats], changed: Callable[[str, Floats], float]
) -> dict[str, float]:
    """What a squared step of each tensor costs.

    Args:
        weights: tensors by their names.
        changed: how far the network's answers are from its own if a tensor is replaced by another.

    Returns:
        By names, above 0.
    """
    costs = {}
    for name, values in weights.items():
        step = _COARSE * max(float(np.abs(values).std()), 1e-12)
        rounded = (np.rint(values / np.float32(step)) * np.float32(step)).astype(np.float32)
        costs[name] = max(changed(name, rounded), 1e-12) / step**2
    return costs


def factors(costs: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """Steps of tensors to a common one, with which all cost the least for their bits.

    Args:
        costs: of a squared step of each tensor, above 0.
        sizes: values of each.

    Returns:
        Factors, of which the mean logarithm over all values is 0, but for those that were held.
    """
    logs = {name: 0.5 * np.log2(sizes[name] / cost) for name, cost in costs.items()}
    total = sum(sizes[name] for name in logs)
    mean = sum(sizes[name] * log for name, log in logs.items()) / max(total, 1)
    return {n: float(2 ** np.clip(log - mean, -_FARTHEST, _FARTHEST)) for n, log in logs.items()}
