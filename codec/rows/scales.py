"""The tables that code components by their scale: three shapes, from Gaussian to Laplacian.

Table `shape * SCALES + scale` serves components of standard deviation 0.11 · 2^(scale/8), in steps.
scales.npz, which make_scales.py made, is part of the format.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.entropy import Tables

SCALES, SHAPES, PER_OCTAVE = 80, 3, 8
SMALLEST = 0.11
GAUSSIAN, BETWEEN, LAPLACIAN = range(SHAPES)


MOST_SHIFT = 12
"""Of `tables`: low bits of wide integers that are coded as they are."""


@lru_cache(maxsize=4)
def tables(shift: int = 0) -> Tables:
    """All of them. shift: for integers 2^shift times as wide."""
    with np.load(Path(__file__).with_name("scales.npz"), allow_pickle=False) as file:
        return Tables(file["frequencies"], file["lengths"], file["offsets"], file["shifts"] + shift)


def scale_of(deviations: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The scales nearest to standard deviations, in eighths of an octave; not held in the range.

    Only an encoder asks: what it finds is sent.
    """
    ratio = np.maximum(deviations, 1e-30) / SMALLEST
    return np.rint(PER_OCTAVE * np.log2(ratio)).astype(np.int32)


def index(scales: npt.NDArray[Any], shapes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The table of each component; scales beyond the range take the last that there is."""
    return (shapes * SCALES + scales.clip(0, SCALES - 1)).astype(np.uint8)
