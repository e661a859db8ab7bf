"""Weights files: safetensors, named by their metadata, known by their SHA-256."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from lictor.models import registry, zoo
from lictor.models.base import Network
from lictor.models.coding.layers import Block
from lictor.models.errors import BadCheckpoint, UnknownModel, WrongWeights

FORMAT = "lictor-1"


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
    model = read(_key(name, places))
    if not all(t.isfinite().all() for n, t in model.named_buffers() if n.endswith(".cap")):
        raise BadCheckpoint(
            f"{name}: made before gates had caps, and only good to decode; measure them with"
            f" `python -m lictor.training.caps {name} data=PHOTOS NEW{zoo.SUFFIX}`"
        )
    return model


def _key(name: str, places: zoo.Places | None) -> str:
    """What `read` knows weights by: shipped ones by their name, others by their path."""
    return name if name in zoo.index() else str(zoo.resolve(name, places))


@lru_cache(maxsize=4)
def read(name: str) -> Network:
    """As `load`, also of weights that are too old to encode or to train with."""
    path = zoo.resolve(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    digest = hashlib.sha256(data)
    entry = zoo.index().get(name)
    if entry and entry.sha256 != digest.hexdigest():
        raise WrongWeights(
            f"{path}: not the weights this version was shipped with; reinstall lictor"
        )
    model = build(path, data)
    model.digest = digest.digest()
    model.id = entry.id if entry else 0
    return model


def build(path: Path, data: bytes) -> Network:
    """The model of a weights file's bytes, without number and digest. Raises BadCheckpoint."""
    metadata = _metadata(data)
    if metadata.get("format") != FORMAT:
        raise BadCheckpoint(f"{path}: not weights of a Lictor model")
    name = metadata["name"]
    architecture = name.partition(".")[0]
    try:
        with torch.device("meta"):
            model = registry.create(architecture)
        tensors = {
            n: t.float() if t.is_floating_point() else t for n, t in load_tensors(data).items()
        }
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
    model.name = name
    return model.eval().requires_grad_(False)


def _uncapped(model: Network) -> dict[str, torch.Tensor]:
    """Caps that hold nothing, for weights from before there were any."""
    return {
        f"{name}.cap": torch.full(part.cap.shape, torch.inf)
        for name, part in model.named_modules()
        if isinstance(part, Block)
    }


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, {} if it is none."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(len(data) - 8, 1 << 24):
        return {}
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return {}
    return header.get("__metadata__", {}) if isinstance(header, dict) else {}


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
    # Shipped weights have numbers: of two of a name, those of the user are meant without one.
    own = [str(path) for path in zoo.own_files(places)]
    if not id:
        named = next((path for path in own if Path(path).stem == name), None)
        model = read(named or _key(name, places))
    elif shipped := [entry.name for entry in zoo.index().values() if entry.id == id]:
        name = shipped[0]
        model = read(name)
    elif old := zoo.retired().get(id):
        kept = [m for m in map(read, own) if m.digest.hex() == old.sha256]
        if not kept:
            raise UnknownModel(
                f"written with weights of {old.name} that are shipped no more (number {id}); set"
                f" LICTOR_CHECKPOINTS to the {old.name}{zoo.SUFFIX} of lictor {old.last} whose"
                f" SHA-256 begins with {old.sha256[:8]}"
            )
        model = kept[0]
    else:
        raise UnknownModel(
            f"written with shipped model number {id}, which this version lacks; upgrade lictor"
        )
    if not model.digest.startswith(digest):
        raise WrongWeights(
            f"written with other weights of {name} (SHA-256 {digest.hex()}…, here"
            f" {model.digest[: len(digest)].hex()}…); set LICTOR_CHECKPOINTS to where those are"
        )
    return model
