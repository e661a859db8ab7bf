"""Networks that were fitted to photos, for some lambdas: where those of a picture start.

With them no starts are tried, fewer iterations do, and a picture's networks are near to known ones.
starts.npz is made by make_starts.py.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lictor.models.overfit.sizes import Size

PATH = Path(__file__).with_name("starts.npz")


@lru_cache(maxsize=1)
def _held() -> dict[str, NDArray[np.float32]]:
    with np.load(PATH, allow_pickle=False) as held:
        return {name: held[name].astype(np.float32) for name in held.files}


def nearest(size: Size, weight: float) -> int:
    """Which start goes with a lambda: its place among those of the size, from 1; 0 is none.

    Of like ones the newest, which is the last.
    """
    weights = _held().get(f"{size.name}_weights")
    if weights is None:
        return 0
    away = np.abs(np.log(weights) - math.log(weight))
    return len(away) - int(away[::-1].argmin())


def count(size: Size) -> int:
    """How many there are of a size."""
    held = _held().get(size.name)
    return 0 if held is None else len(held)


def parameters(size: Size, number: int) -> NDArray[np.float32]:
    """Of start `number`, from 1. They are exact in half precision."""
    return _held()[size.name][number - 1].copy()
