"""Models by name, and by what a file says of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import ModelUnavailable

if TYPE_CHECKING:
    from lictor.codec.format.picture import Named
    from lictor.models.base import LatentCodec


Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Store:
    """Where weights are looked for: those that are shipped, and weights files of one's own.

    Attributes:
        places: .safetensors files, and folders of them, the first before the others. None: those
            that the environment variable LICTOR_CHECKPOINTS names, separated as PATH is.
    """

    places: tuple[Place, ...] | None = None

    def also(self, *places: Place) -> Store:
        """A store that looks in other places first."""
        from lictor.models import zoo

        rest = zoo.named_places() if self.places is None else self.places
        return Store((*places, *rest))

    def load(
        self, model: str | os.PathLike[str], device: str = "cpu", arrays: bool | None = False
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
            found = models.load(_name(model), **self._own())
            return placed(_suitable(found, arrays), device)

    def find(self, h: Named, device: str = "cpu", arrays: bool = False) -> LatentCodec:
        """The model that a file was written with; arrays: as for load, likewise the errors."""
        from lictor import models
        from lictor.codec.runtime.device import placed

        with model_errors():
            found = models.find(h.model_id, h.model_name, h.weights, **self._own())
            return placed(_suitable(found, arrays), device)

    def _own(self) -> dict[str, Any]:
        """What models are to know of places, unless they are those of the environment."""
        return {} if self.places is None else {"places": self.places}


DEFAULT = Store()
load, find = DEFAULT.load, DEFAULT.find


def _name(model: str | os.PathLike[str]) -> str:
    """Raises ModelUnavailable."""
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise ModelUnavailable(
            f"model is {model!r}; give the name of a checkpoint, or the path of a .safetensors file"
        )
    return name


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
