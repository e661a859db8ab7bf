"""Architectures by name: `arch` in "arch.tag". A name taken twice is an error."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from lictor.models.base import Network

_architectures: dict[str, tuple[type[Network], dict[str, Any]]] = {}

_HOMES = (
    "lictor.models.picture.lictor",
    "lictor.models.task.student",
    "lictor.models.array.plane_hyper",
    "lictor.models.picture.compressai_adapter",
)
"""Modules whose import registers architectures."""

C = TypeVar("C", bound=type[Network])


def register(name: str, **arguments: Any) -> Callable[[C], C]:
    """Class decorator: `name` builds this class with these arguments."""

    def add(cls: C) -> C:
        if name in _architectures:
            raise ValueError(f"architecture {name!r} is registered twice; give the new one its own")
        _architectures[name] = cls, arguments
        return cls

    return add


def create(architecture: str) -> Network:
    """A fresh model with random weights.

    Args:
        architecture: a name that `architectures` lists.

    Raises:
        KeyError: nobody registered the name.
    """
    cls, arguments = _registered()[architecture]
    return cls(**arguments)


def architectures(of: type = Network) -> list[str]:
    """All registered names, sorted, or those of a class, or of a capability such as Trainable.

    Args:
        of: a class, or a protocol that has only methods.
    """
    return sorted(name for name, (cls, _) in _registered().items() if issubclass(cls, of))


def _registered() -> dict[str, tuple[type[Network], dict[str, Any]]]:
    for home in _HOMES:
        import_module(home)
    return _architectures
