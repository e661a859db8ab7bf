"""Models: pictures to latents with predicted distributions, and back.

index() lists the shipped weights without importing torch
load(name_or_path), find(id, name, digest) give a model ready to code
PictureModel, ArrayModel, TaskModel, Trainable say what one can do (isinstance)
create(architecture), architectures() build untrained ones
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.models.errors import BadCheckpoint, ModelError, NoSearch, UnknownModel, WrongWeights
from lictor.models.quality import Quality
from lictor.models.zoo import Entry, index

if TYPE_CHECKING:
    from lictor.models.base import LatentCodec, Network, Output
    from lictor.models.capabilities import ArrayModel, PictureModel, TaskModel, Trainable
    from lictor.models.checkpoint import find, load
    from lictor.models.picture.compressai_import import import_weights
    from lictor.models.registry import architectures, create

__all__ = [
    "ArrayModel",
    "BadCheckpoint",
    "Entry",
    "LatentCodec",
    "ModelError",
    "Network",
    "NoSearch",
    "Output",
    "PictureModel",
    "Quality",
    "TaskModel",
    "Trainable",
    "UnknownModel",
    "WrongWeights",
    "architectures",
    "create",
    "find",
    "import_weights",
    "index",
    "load",
]

_HOME = {
    "ArrayModel": "capabilities",
    "LatentCodec": "base",
    "Network": "base",
    "Output": "base",
    "PictureModel": "capabilities",
    "TaskModel": "capabilities",
    "Trainable": "capabilities",
    "architectures": "registry",
    "create": "registry",
    "find": "checkpoint",
    "import_weights": "picture.compressai_import",
    "load": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
