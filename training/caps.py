"""Caps for weights that were trained without: the most that each gate reaches on photos.

    python -m lictor.training.caps OLD.safetensors data=photos/ NEW.safetensors

What a photo makes of the weights stays as it is, and what is nothing like a photo cannot make the
networks explode (models/coding/layers.py, Block). `data` is as for `lictor train`, or, for weights
that code arrays, as for `lictor train-features`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lictor.datasets.crops import Crops
from lictor.datasets.pictures import load, sources
from lictor.models import ModelError, checkpoint
from lictor.models.base import Network
from lictor.models.capabilities import ArrayModel, TaskModel
from lictor.models.coding.layers import Block
from lictor.models.task.student import Student
from lictor.training import features
from lictor.training.features_config import Features

CROPS, SIDE, SEED = 5000, 256, 77
QUALITIES = (0.0, 25.0, 50.0, 75.0, 100.0)
LEAST = 0.2
"""Of a cap: gates that photos hardly ever open may open a little on the next one."""


def measured(model: Network, batches: Iterator[Tensor]) -> dict[str, Tensor]:
    """The cap of each block, (C,), by its name, from crops (N, 3, S, S) in 0…1."""
    blocks = {name: part for name, part in model.named_modules() if isinstance(part, Block)}
    most = {name: torch.full_like(block.cap, LEAST) for name, block in blocks.items()}

    def watch(name: str) -> None:
        def see(layer: nn.Module, given: object, out: Tensor) -> None:
            gate = out.chunk(2, dim=1)[1]
            most[name] = torch.maximum(most[name], gate.amax((0, 2, 3)))

        blocks[name].expand.register_forward_hook(see)

    for name in blocks:
        watch(name)
    with torch.inference_mode():
        for turn, x in enumerate(batches):
            _run(model, x, x.new_tensor(QUALITIES).roll(turn)[: len(x)])
    return most


def _run(model: Network, x: Tensor, quality: Tensor) -> None:
    model(x, quality)
    if isinstance(model, Student):  # whose training view leaves out what it is for
        model.look(model.squeeze(model.front(x), quality).v_hat, quality)


def give(old: Path, data: str, new: Path) -> None:
    """Write the weights of `old` with caps. Raises ValueError, OSError, BadCheckpoint."""
    model = checkpoint.read(str(old))
    batches = _samples(model, data) if isinstance(model, ArrayModel) else _photos(model, data)
    caps = {f"{name}.cap": cap for name, cap in measured(model, batches).items()}
    with safe_open(old, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(old) | caps, new, metadata)


def _photos(model: Network, data: str) -> Iterator[Tensor]:
    crops = Crops(load(sources(data), SIDE, 0), SIDE, SEED)
    side, step = model.view if isinstance(model, TaskModel) else SIDE, len(QUALITIES)
    for first in range(0, CROPS, step):
        parts = [torch.from_numpy(crops[i][0]) for i in range(first, first + step)]
        x = torch.stack(parts).float() / 255
        yield nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True)


def _samples(model: ArrayModel, data: str) -> Iterator[Tensor]:
    found, _ = features.samples(Features(data=data))
    mean, _, unit = model.usual()
    centred = (found - torch.from_numpy(mean).to(found)[:, None, None]) / unit
    yield from centred.split(len(QUALITIES))


def main(arguments: list[str]) -> int:
    """The command above; returns the exit status."""
    if len(arguments) != 3 or not arguments[1].startswith("data="):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        give(Path(arguments[0]), arguments[1].removeprefix("data="), Path(arguments[2]))
    except (ValueError, OSError, ModelError) as error:
        print(f"caps: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
