"""The family of Gaussian tables that the models' scales point into."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from lictor.entropy.tables import Tables

GAUSSIAN_SCALE_MIN = 0.11
SCALES_PER_OCTAVE = 8
SCALES = 96


@lru_cache(maxsize=1)
def gaussian_tables() -> Tables:
    """Tables for zero-mean Gaussians rounded to integers, loaded from gaussian.npz.

    Table i, 0 <= i < SCALES, serves sigma = GAUSSIAN_SCALE_MIN * 2^(i / SCALES_PER_OCTAVE), from
    0.11 to 413. Rounding log2(sigma) to the nearest table costs about 0.03 % of rate. All have an
    escape. Above sigma = 16 they shift, and share the frequencies of the octave 8 to 16.

    The file is made by make_gaussian.py, and is part of the format.
    """
    path = Path(__file__).with_name("gaussian.npz")
    with np.load(path, allow_pickle=False) as file:
        return Tables(file["frequencies"], file["lengths"], file["offsets"], file["shifts"])
