"""Models of weights files, in PyTorch; weights.py finds and reads the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from lictor.models import registry, weights, zoo
from lictor.models.base import Network
from lictor.models.coding.layers import Block
from lictor.models.errors import BadCheckpoint as BadCheckpoint
from lictor.models.weights import FORMAT as FORMAT


def save(model: Network, path: Path, name: str, training: dict[str, Any]) -> None:
    """Write what the model exports: its weights as decoders will use them.

    name: "architecture.tag". training: anything JSON can hold about how they were made.
    """
    metadata = {"format": FORMAT, "name": name, "training": json.dumps(training)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(save_tensors(model.export(), metadata))
    temporary.replace(path)


def load(name: str, places: zoo.Places | None = None) -> Network:
    """The model of a shipped name or of a path to a weights file, in eval mode on the CPU.

    Args:
        name: "architecture.tag" of shipped weights or of others, or a path that ends with
            .safetensors.
        places: where to look for other names; None: where LICTOR_CHECKPOINTS says.

    Raises:
        UnknownModel: no weights are called so.
        BadCheckpoint: their file is missing, damaged, or none of ours.
        WrongWeights: a shipped file was tampered with.
    """
    model = read(weights.key(name, places))
    if not all(t.isfinite().all() for n, t in model.named_buffers() if n.endswith(".cap")):
        raise weights.uncapped(name)
    return model


@weights.kept
def read(name: str) -> Network:
    """As `load`, also of weights that are too old to encode or to train with."""
    found = weights.read(name)
    model = built(found)
    model.digest, model.id, model.loss = found.digest, found.id, found.loss
    return model


def build(path: Path, data: bytes) -> Network:
    """The model of a weights file's bytes, without number and digest. Raises BadCheckpoint."""
    file = weights.opened(path, data)
    with weights.damaged(path):
        return built(weights.Weights(path, file.texts["name"], 0, b"", file))


def built(found: weights.Weights) -> Network:
    """The model of weights, without number and digest. Raises BadCheckpoint."""
    path, architecture = found.path, found.architecture
    try:
        with torch.device("meta"):
            model = registry.create(architecture)
        tensors = {n: t.float() if t.is_floating_point() else t for n, t in _tensors(found).items()}
        model.adopt(_uncapped(model) | tensors)
    except KeyError as error:
        raise BadCheckpoint(
            f"{path}: architecture {architecture!r} is not in this version"
        ) from error
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BadCheckpoint(
            f"{path}: does not hold the weights of {architecture} ({reason})"
        ) from error
    if not all(t.isfinite().all() for n, t in tensors.items() if not n.endswith(".cap")):
        raise BadCheckpoint(f"{path}: holds weights that are not numbers; train it again")
    model.name = found.name
    return model.eval().requires_grad_(False)


def _tensors(found: weights.Weights) -> dict[str, torch.Tensor]:
    """By name. Raises SafetensorError, BadCheckpoint."""
    if found.file.plain is not None:
        return load_tensors(found.file.plain)
    # Of rows in any order and of memory that nobody writes, PyTorch wants copies.
    with weights.damaged(found.path):
        return {n: torch.from_numpy(a.copy(order="C")) for n, a in found.arrays().items()}


def _uncapped(model: Network) -> dict[str, torch.Tensor]:
    """Caps that hold nothing, for weights from before there were any."""
    return {
        f"{name}.cap": torch.full(part.cap.shape, torch.inf)
        for name, part in model.named_modules()
        if isinstance(part, Block)
    }


def find(id: int, name: str, digest: bytes, places: zoo.Places | None = None) -> Network:
    """The model a file was written with: a shipped one by number, any other by name.

    Args:
        id: number of shipped weights, 0 for others.
        name: "architecture.tag" of others.
        digest: first bytes of the SHA-256 of the weights.
        places: as for `load`.

    Raises:
        UnknownModel: such weights are not here.
        WrongWeights: those here have another SHA-256.
        BadCheckpoint: their file is damaged.
    """
    return weights.find(id, name, digest, places, read)
