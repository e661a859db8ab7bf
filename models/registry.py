"""Architectures by name: `arch` in "arch.tag". A name taken twice is an error."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from lictor.models.base import LatentCodec

_architectures: dict[str, Callable[[], LatentCodec]] = {}

_HOMES = (
    "lictor.models.picture.lictor",
    "lictor.models.task.student",
    "lictor.models.array.plane_hyper",
    "lictor.models.picture.compressai_adapter",
)
"""Modules whose import registers architectures."""

C = TypeVar("C", bound=type[LatentCodec])


def register(name: str, **arguments: Any) -> Callable[[C], C]:
    """Class decorator: `name` builds this class with these arguments."""

    def add(cls: C) -> C:
        if name in _architectures:
            raise ValueError(f"architecture {name!r} is registered twice; give the new one its own")
        _architectures[name] = lambda: cls(**arguments)
        return cls

    return add


def create(architecture: str) -> LatentCodec:
    """A fresh model with random weights. Raises KeyError for a name that nobody registered."""
    _import_homes()
    return _architectures[architecture]()


def architectures() -> list[str]:
    """All registered names, sorted."""
    _import_homes()
    return sorted(_architectures)


def _import_homes() -> None:
    for home in _HOMES:
        import_module(home)
