"""Models by name, and by what a file says of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import ModelUnavailable
from lictor.codec.runtime import runtime

if TYPE_CHECKING:
    from lictor.codec.format.picture import Named
    from lictor.codec.runtime.runtime import ArrayNetwork, Network, PictureNetwork, Runtime


Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Store:
    """Where weights are looked for: those that are shipped, and weights files of one's own.

    Attributes:
        places: .safetensors files, and folders of them, the first before the others. None: those
            that the environment variable LICTOR_CHECKPOINTS names, separated as PATH is.
        runtime: what computes the networks, "light" or "torch"; None: what the environment variable
            LICTOR_RUNTIME says, else the light one, but PyTorch for what only that does.
    """

    places: tuple[Place, ...] | None = None
    runtime: str | None = None

    def also(self, *places: Place) -> Store:
        """A store that looks in other places first.

        Args:
            places: .safetensors files, and folders of them.
        """
        from lictor.models import zoo

        rest = zoo.named_places() if self.places is None else self.places
        return Store((*places, *rest), self.runtime)

    def on(self, runtime: str | None) -> Store:
        """The same for a runtime.

        Args:
            runtime: its name; None: as before.
        """
        return self if runtime is None else Store(self.places, runtime)

    def load(
        self, model: str | os.PathLike[str], device: str = "cpu", heavy: bool = False
    ) -> PictureNetwork:
        """The model for pictures of a name or path.

        Args:
            model: name of weights that are shipped or that `places` have, or the path of a
                .safetensors or .lictor file of them.
            device: where its networks run: "cpu", "cuda" or another of PyTorch's names, or "auto".
            heavy: whether it is to do what only PyTorch does: search, or synthesise in bfloat16.

        Raises:
            ModelUnavailable: there is none, it is damaged, or it is for something else.
            DeviceUnavailable: this machine has no such device.
            InvalidOption: the runtime cannot do this.
            MissingPackage: PyTorch is needed, and not here.
        """
        return _for_pictures(self.load_any(model, device, heavy))

    def load_for_arrays(self, model: str | os.PathLike[str], device: str = "cpu") -> ArrayNetwork:
        """The model for arrays of a name or path, as `load`."""
        return _for_arrays(self.load_any(model, device))

    def load_any(
        self, model: str | os.PathLike[str], device: str = "cpu", heavy: bool = False
    ) -> Network:
        """The model of a name or path, for whatever it is, as `load`."""
        if not isinstance(model, str | os.PathLike):
            raise ModelUnavailable(f"{model!r} is no model; give a name or a path, or leave it out")
        name = _name(model)
        return self._of(device, heavy, lambda who: who.load(name, device, **self._own()))

    def find(self, h: Named, device: str = "cpu", heavy: bool = False) -> PictureNetwork:
        """The model that a file of a picture was written with.

        Args:
            h: what the file says of it: number, name, and start of the hash of its weights.
            device: as for `load`.
            heavy: likewise.

        Raises:
            ModelUnavailable: its weights are not here.
            DeviceUnavailable: this machine has no such device.
            InvalidOption: as for `load`.
            MissingPackage: likewise.
        """
        return _for_pictures(self._find(h, device, heavy))

    def find_for_arrays(self, h: Named, device: str = "cpu") -> ArrayNetwork:
        """The model that an array was written with, as `find`."""
        return _for_arrays(self._find(h, device))

    def _find(self, h: Named, device: str, heavy: bool = False) -> Network:
        named = h.model_id, h.model_name, h.weights
        return self._of(device, heavy, lambda who: who.find(*named, device, **self._own()))

    def _of(self, device: str, heavy: bool, ask: Callable[[Runtime], Network]) -> Network:
        """What a runtime has; where none is forced, of what the light one lacks, PyTorch."""
        name = runtime.chosen(self.runtime, device, heavy)
        with model_errors():
            try:
                return ask(runtime.get(name))
            except runtime.NotHere as e:
                if runtime.forced(self.runtime):
                    raise ModelUnavailable(f"{e}; leave the runtime out") from e
            return ask(runtime.get("torch"))

    def _own(self) -> dict[str, Any]:
        """What models are to know of places, unless they are those of the environment."""
        return {} if self.places is None else {"places": self.places}


DEFAULT = Store()
load, load_for_arrays, load_any = DEFAULT.load, DEFAULT.load_for_arrays, DEFAULT.load_any
find, find_for_arrays = DEFAULT.find, DEFAULT.find_for_arrays


def _name(model: str | os.PathLike[str]) -> str:
    """Raises ModelUnavailable."""
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise ModelUnavailable(
            f"model is {model!r}; give the name of a checkpoint, or the path of a .safetensors file"
        )
    return name


def _for_arrays(model: Network) -> ArrayNetwork:
    from lictor.codec.runtime.runtime import ArrayNetwork

    if not isinstance(model, ArrayNetwork):
        raise ModelUnavailable(
            f"{model.name} codes pictures, not arrays; leave the model out, or give one that codes "
            "features"
        )
    return model


def _for_pictures(model: Network) -> PictureNetwork:
    from lictor.codec.runtime.runtime import ArrayNetwork, PictureNetwork

    if isinstance(model, ArrayNetwork):
        raise ModelUnavailable(
            f"{model.name} codes arrays of {model.channels} channels, not pictures; give another"
        )
    assert isinstance(model, PictureNetwork)  # what does not code arrays codes pictures
    return model


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
