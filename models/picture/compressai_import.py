"""Weights that CompressAI trained, turned into a weights file of ours."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lictor.models import checkpoint, registry, zoo
from lictor.models.errors import BadCheckpoint, ModelError, UnknownModel
from lictor.models.picture.compressai_adapter import ARCHITECTURES, CompressAI, canonical

_NESTS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the weights."""

_UNREADABLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch.load raises for files that are something else."""

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LONGEST_NAME = 64


class BadName(ModelError):
    """A decoder would not find a weights file of that name."""


def import_weights(
    architecture: str,
    weights: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str],
    tag: str | None = None,
) -> Path:
    """Write a weights file of ours from weights of CompressAI, coding tables included.

    `update()` need not have been called on them, nor the auxiliary loss have converged.

    Args:
        architecture: such as "mbt2018-mean"; the numbers of channels are found in the weights.
        weights: file that torch.save wrote (.pth, .pth.tar), or its contents: a state dict, or a
            dict with one under "state_dict".
        out: file to write, called ARCHITECTURE.TAG.safetensors, which is how decoders find it; or
            an existing folder to write it to.
        tag: may be left out where `out` names the file.

    Returns:
        The file that was written.

    Raises:
        ModelError: an UnknownModel, BadName, BadCheckpoint or MissingPackage.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UnknownModel(f"cannot import weights of {architecture!r}; give one of {known}")
    name, path = _target(architecture, Path(out), tag)
    source = "a state dict" if isinstance(weights, Mapping) else str(weights)
    state = weights if isinstance(weights, Mapping) else _read(Path(weights))
    model = cast(CompressAI, registry.create(architecture))
    parameters = _parameters(_unnest(state), model, source)
    try:
        model.take(parameters)
    except RuntimeError as error:
        raise BadCheckpoint(f"{source}: not weights of {architecture} ({error})") from error
    checkpoint.save(model.eval(), path, name, {"imported": Path(source).name})
    return path


def _target(architecture: str, out: Path, tag: str | None) -> tuple[str, Path]:
    """The model's name and the file to write."""
    if out.is_dir():
        if tag is None:
            raise BadName(f"{out} is a folder; give a tag or the name of the file")
        out = out / f"{architecture}.{tag}{zoo.SUFFIX}"
    expected = f"{architecture}.{tag or 'TAG'}{zoo.SUFFIX}"
    start = f"{architecture}."
    found = out.stem.removeprefix(start)
    fits = out.stem.startswith(start) and out.suffix == zoo.SUFFIX and tag in (None, found)
    if not fits or not _TAG.fullmatch(found) or len(out.stem) > _LONGEST_NAME:
        raise BadName(f"{out.name}: decoders look for weights by name; call it {expected}")
    return out.stem, out


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    except _UNREADABLE as error:
        raise BadCheckpoint(
            f"{path}: not a state dict, or damaged; make one by torch.save(net.state_dict(), PATH)"
        ) from error


def _unnest(state: Any) -> Mapping[str, Any]:
    for key in _NESTS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            return _unnest(state[key])
    return state if isinstance(state, Mapping) else {}


def _parameters(state: Mapping[str, Any], model: CompressAI, source: str) -> dict[str, Tensor]:
    """The parameters among the entries of a state dict, float32, under their canonical names."""
    every = {canonical(name) for name in model.net.state_dict()}
    constants = every - {canonical(name) for name, _ in model.net.named_parameters()}
    found = {}
    for name, tensor in state.items():
        name = canonical(str(name))
        if name in constants:
            continue
        if not isinstance(tensor, Tensor):
            raise BadCheckpoint(f"{source}: not a state dict ({name} is no tensor)")
        if not torch.isfinite(tensor).all():
            raise BadCheckpoint(f"{source}: {name} holds values that are not finite")
        found[name] = tensor.detach().cpu().float().contiguous()
    return found
