"""A network's weights to a file with loss, by what data say: `compress`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lictor.codec import decode_weights, encode_weights
from lictor.codec.weights import quantisers
from lictor.codec.weights.curvature import Calibration
from lictor.codec.weights.quantisers import Coded, Floats, Known
from lictor.training.calibrated.corrections import corrections
from lictor.training.calibrated.moments import Forward


def compress(
    source: Any,
    network: nn.Module,
    batches: Sequence[Tensor],
    *,
    quality: float,
    calibration: Calibration,
    forward: Forward | None = None,
    name: Callable[[str], str] = str,
) -> bytes:
    """Encode a network's file with a quality, then again with what suits its rounded weights.

    Args:
        source: the .safetensors file, its path or its bytes.
        network: with these weights, in eval mode.
        batches: examples for corrections; they are shown all at once.
        quality: as of `encode_weights`.
        calibration: what `calibrate` measured.
        forward: what shows a network a batch; None for network(batch).
        name: from names in the file to names in the network.

    Returns:
        The weight file.
    """
    from safetensors.torch import load

    once = _Once()
    options: dict[str, Any] = {"quality": quality, "quantiser": once}
    first = load(decode_weights(encode_weights(source, calibration=calibration, **options)))
    # Vectors as they were: those of the file suit one another, and not what will be moved.
    rounded = {name(key): value for key, value in first.items() if value.ndim > 1}
    state = network.state_dict() | rounded
    batch = torch.cat(list(batches))

    def run(own: nn.Module) -> None:
        if forward:
            forward(own, batch)
        else:
            own(batch)

    changed = corrections(network, state, run)
    own = {key: changed[name(key)] for key in first if name(key) in changed}
    again = replace(calibration, replaced=calibration.replaced | own)
    return encode_weights(source, calibration=again, **options)


class _Once:
    """A quantiser that does for each tensor once what "feedback" does, which takes time."""

    def __init__(self) -> None:
        self._made: dict[str, Coded | None] = {}

    def __call__(self, values: Floats, known: Known) -> Coded | None:
        if known.name not in self._made:
            self._made[known.name] = quantisers.with_feedback(values, known)
        return self._made[known.name]
