"""A network's weights to a file with loss, by what data say: `compress`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lictor.codec import decode_weights, encode_weights
from lictor.codec.weights import quantisers
from lictor.codec.weights.curvature import Calibration
from lictor.codec.weights.quantisers import Coded, Floats, Known, Quantiser
from lictor.training.calibrated.answers import Distance
from lictor.training.calibrated.corrections import corrections
from lictor.training.calibrated.moments import Forward
from lictor.training.calibrated.tuning import tuned


def compress(
    source: Any,
    network: nn.Module,
    batches: Sequence[Any],
    *,
    quality: float,
    calibration: Calibration,
    steps: Mapping[str, float] | None = None,
    quantiser: str | Quantiser = quantisers.CALIBRATED,
    tune: Distance | None = None,
    forward: Forward | None = None,
    name: Callable[[str], str] = str,
    threads: int = 1,
) -> bytes:
    """Encode a network's file with a quality, then again with what suits its rounded weights.

    Args:
        source: the .safetensors file, its path or its bytes.
        network: with these weights, in eval mode.
        batches: examples for corrections; tensors are shown all at once, of more than 288 batches
            the first, and of what is no tensors, means and variances stay.
        quality: as of `encode_weights`.
        calibration: what `calibrate` measured.
        steps: factors of tensors' steps by their names in the file, 1 for others: as
            `lictor.training.calibrated.measured_steps` finds them.
        quantiser: as of `encode_weights`.
        tune: of answers from those wanted, as of `measured_steps`; vectors learn to make it small
            on all batches. None: they do not.
        forward: what shows a network a batch; None for network(batch).
        name: from names in the file to names in the network.
        threads: that code the chunks of a tensor.

    Returns:
        The weight file.
    """
    once = Once(steps or {}, quantiser)
    options: dict[str, Any] = {"quality": quality, "quantiser": once, "threads": threads}
    data = encode_weights(source, calibration=calibration, **options)
    batch = together(batches)
    if batch is None and tune is None:
        return data
    from safetensors.torch import load

    first = load(decode_weights(data))
    # Vectors as they were: those of the file suit one another, and not what will be moved.
    rounded = {name(key): value for key, value in first.items() if value.ndim > 1}
    state = _with(network.state_dict(), rounded)
    changed = {} if batch is None else corrections(network, state, _showing(batch, forward))
    if tune:
        state |= {key: torch.from_numpy(value) for key, value in changed.items()}
        changed |= tuned(network, state, batches, tune, forward=forward)
    own = {key: changed[name(key)] for key in first if name(key) in changed}
    again = replace(calibration, replaced=calibration.replaced | own)
    return encode_weights(source, calibration=again, **options)


def _with(state: dict[str, Tensor], rounded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors, some of them replaced; those that are tied to one, too."""
    tied = {state[key].data_ptr(): value for key, value in rounded.items() if key in state}
    return {
        key: rounded[key] if key in rounded else tied.get(own.data_ptr(), own)
        for key, own in state.items()
    }


def _showing(batch: Any, forward: Forward | None) -> Callable[[nn.Module], Any]:
    return lambda own: forward(own, batch) if forward else own(batch)


def together(batches: Sequence[Any]) -> Tensor | None:
    """Examples as one batch; None if they are no tensors of one shape."""
    if not batches or not all(isinstance(b, Tensor) for b in batches):
        return None
    if len({b.shape[1:] for b in batches}) > 1:
        return None
    return torch.cat(list(batches[:_TOGETHER]))


_TOGETHER = 288
"""Batches that are shown at once, as memory allows."""


class Once:
    """A quantiser that does for each tensor once what another does, which takes time.

    steps: factors of tensors' steps, by names. quantiser: the other one.
    """

    def __init__(
        self, steps: Mapping[str, float], quantiser: str | Quantiser = quantisers.CALIBRATED
    ) -> None:
        self._steps = steps
        self._quantise = quantisers.named(quantiser)
        self._made: dict[str, Coded | None] = {}

    def __call__(self, values: Floats, known: Known) -> Coded | None:
        """As a quantiser is called."""
        if known.name not in self._made:
            own = replace(known, step=known.step * self._steps.get(known.name, 1.0))
            self._made[known.name] = self._quantise(values, own)
        return self._made[known.name]
