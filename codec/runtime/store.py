"""Models by name, and by what a file says of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lictor.codec.errors import ModelUnavailable

if TYPE_CHECKING:
    from lictor.codec.format.picture import Named
    from lictor.models.base import LatentCodec


def load(
    model: str | os.PathLike[str], device: str = "cpu", arrays: bool | None = False
) -> LatentCodec:
    """The model of a name or path.

    arrays: one that codes arrays is wanted, else one that codes pictures; None: either.
    Raises ModelUnavailable, DeviceUnavailable.
    """
    from lictor import models
    from lictor.codec.runtime.device import placed

    if not isinstance(model, str | os.PathLike):
        raise ModelUnavailable(f"{model!r} is no model; give a name or a path, or leave it out")
    with model_errors():
        return placed(_suitable(models.load(_name(model)), arrays), device)


def _name(model: str | os.PathLike[str]) -> str:
    """Raises ModelUnavailable."""
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise ModelUnavailable(
            f"model is {model!r}; give the name of a checkpoint, or the path of a .safetensors file"
        )
    return name


def find(h: Named, device: str = "cpu", arrays: bool = False) -> LatentCodec:
    """The model that a file was written with; arrays: as for load, likewise the errors."""
    from lictor import models
    from lictor.codec.runtime.device import placed

    with model_errors():
        found = models.find(h.model_id, h.model_name, h.weights)
        return placed(_suitable(found, arrays), device)


def for_depth(codec: LatentCodec, depth: int) -> LatentCodec:
    """The model as it codes samples of so many bits."""
    return codec.deep() if depth > 8 else codec


def _suitable(codec: LatentCodec, arrays: bool | None) -> LatentCodec:
    if arrays and not codec.channels:
        raise ModelUnavailable(
            f"{codec.name} codes pictures, not arrays; leave the model out, or give one that codes "
            "features"
        )
    if codec.channels and arrays is False:
        raise ModelUnavailable(
            f"{codec.name} codes arrays of {codec.channels} channels, not pictures; give another"
        )
    return codec


@contextmanager
def model_errors() -> Iterator[None]:
    """What models raise, as an error of the codec."""
    from lictor import models

    try:
        yield
    except models.ModelError as e:
        raise ModelUnavailable(str(e)) from e


def shipped_name(model_id: int) -> str | None:
    """Name of a shipped checkpoint; None if this release does not have it."""
    from lictor import models

    return next((e.name for e in models.index().values() if e.id == model_id), None)
