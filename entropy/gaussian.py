"""The family of Gaussian tables that the models' scales point into."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lictor.entropy.tables import Tables

GAUSSIAN_SCALE_MIN = 0.11
SCALES = 128
SCALES_PER_OCTAVE = 8
FINE_OCTAVES = 4
"""From the smallest scale up, this many octaves have twice SCALES_PER_OCTAVE.

There nearly all symbols are 0, and what they cost depends steeply on the scale: with 8 an octave,
small files were 0.4 % larger than with exact scales.
"""


def gaussian_sigmas() -> npt.NDArray[np.float64]:
    """The standard deviation of each table, float64 (SCALES,): 0.11 to 413."""
    fine = np.arange(FINE_OCTAVES * SCALES_PER_OCTAVE * 2) / (2 * SCALES_PER_OCTAVE)
    coarse = FINE_OCTAVES + np.arange(SCALES - fine.size) / SCALES_PER_OCTAVE
    return GAUSSIAN_SCALE_MIN * 2.0 ** np.concatenate([fine, coarse])


@lru_cache(maxsize=1)
def gaussian_tables() -> Tables:
    """The tables for zero-mean Gaussians rounded to integers, loaded from gaussian.npz.

    Table i serves sigma = gaussian_sigmas()[i]. All have an escape. Above sigma = 16 they shift,
    and share the frequencies of the octave 8 to 16.

    The file is made by make_gaussian.py, and is part of the format.
    """
    path = Path(__file__).with_name("gaussian.npz")
    with np.load(path, allow_pickle=False) as file:
        return Tables(file["frequencies"], file["lengths"], file["offsets"], file["shifts"])
