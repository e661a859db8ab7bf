"""Names of ImageNet's 1000 classes, where timm is installed, which has them."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module


@lru_cache(maxsize=1)
def _names() -> list[str]:
    try:
        info = import_module("timm.data").ImageNetInfo()
    except ImportError:
        return []
    return [info.index_to_description(k).split(",")[0] for k in range(info.num_classes())]


def name(number: int) -> str | None:
    """The first name of a class; None without timm."""
    names = _names()
    return names[number] if names else None
