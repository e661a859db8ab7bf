"""Vectors that suit rounded weights: biases and normalisations learn the answers there were.

Matrices stay as they are decoded. What is left to move are tensors of one axis, so few that some
hundreds of examples are enough; the network's own answers are what is learned, without labels.

Source: G. Hinton et al., "Distilling the knowledge in a neural network", 2015 (arXiv:1503.02531);
of quantised networks' normalisations alone, L. Li et al., "Norm tweaking: High-performance low-bit
quantization of large language models", AAAI 2024 (arXiv:2309.02784).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lictor.training.calibrated.answers import Distance
from lictor.training.calibrated.moments import Forward

Floats = npt.NDArray[np.float32]
_RATE = 5e-4
"""Of a vector's root mean square, what a step of Adam moves its values by at first."""
_TOGETHER = 8
"""Examples of a step, where they are tensors of one shape."""
_STEPS = 48
"""At least, so that few examples are shown several times, but not oftener than ..."""
_PASSES = 4


def tuned(
    network: nn.Module,
    state: Mapping[str, Tensor],
    batches: Sequence[Any],
    distance: Distance,
    *,
    forward: Forward | None = None,
    seed: int = 0,
) -> dict[str, Floats]:
    """Tensors of one axis that take the place of a network's own beside rounded weights.

    Args:
        network: as it was, in eval mode.
        state: its tensors with the weights as they are decoded, and vectors to begin with.
        batches: examples as `forward` takes them.
        distance: of answers from those wanted, as of `measured_steps`; gradients pass it.
        forward: what shows a network a batch; None for network(batch).
        seed: of the order.

    Returns:
        Parameters of one axis by their names.
    """
    with torch.inference_mode(False), torch.enable_grad():
        own = deepcopy(network)
        own.load_state_dict(dict(state))
        vectors = {k: p for k, p in own.named_parameters() if p.ndim == 1}
        for p in own.parameters():
            p.requires_grad_(p.ndim == 1)
        groups = [{"params": [p], "first": _RATE * _size(p)} for p in vectors.values()]
        if not groups or not batches:
            return {}
        optimiser = torch.optim.Adam(groups)
        steps = list(_steps(batches, seed))
        for at, batch in enumerate(steps):
            with torch.no_grad():
                wanted = _answers(network, batch, forward).clone()
            loss = distance(_answers(own, batch, forward), wanted).mean()
            optimiser.zero_grad()
            loss.backward()
            for group in optimiser.param_groups:
                group["lr"] = group["first"] * (1 - at / len(steps))
            if all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in vectors.values()):
                optimiser.step()
    return {k: p.detach().float().cpu().numpy().copy() for k, p in vectors.items()}


def _answers(network: nn.Module, batch: Any, forward: Forward | None) -> Tensor:
    found: Tensor = forward(network, batch) if forward else network(batch)
    return found


def _size(p: Tensor) -> float:
    return float(p.detach().double().square().mean().sqrt())


def _steps(batches: Sequence[Any], seed: int) -> Iterator[Any]:
    """Batches in another order, small ones together where they can be."""
    random = np.random.default_rng(seed)
    alike = all(isinstance(b, Tensor) for b in batches) and len({b.shape for b in batches}) == 1
    each = max(1, _TOGETHER // len(batches[0])) if alike else 1
    for _ in range(min(_PASSES, -(-_STEPS * each // len(batches)))):
        order = random.permutation(len(batches)).tolist()
        for at in range(0, len(order), each):
            some = [batches[i] for i in order[at : at + each]]
            yield torch.cat(some) if alike else some[0]
