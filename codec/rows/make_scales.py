"""Makes scales.npz, the checked-in integer tables of scales.py.

    python codec/rows/make_scales.py [OUT.npz]

The file is data, made once, as entropy/gaussian.npz is: a new file is a new format. Above
SHIFT_ABOVE a table has a shift, and the frequencies of the one that many octaves below.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lictor.codec.rows.scales import PER_OCTAVE, SCALES, SMALLEST
from lictor.entropy import Tables

SHIFT_ABOVE = 13.0
REACH = 127
_TAIL = 2.0**-15
"""Symbols rarer than this are left to the escape."""


def gaussian(x: float) -> float:
    """Mass above x of a Gaussian of deviation 1."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def laplacian(x: float) -> float:
    """Mass above x, at least 0, of a Laplacian of deviation 1."""
    return 0.5 * math.exp(-x * math.sqrt(2))


def between(x: float) -> float:
    """Half of each."""
    return (gaussian(x) + laplacian(x)) / 2


def pmf(above: Callable[[float], float], sigma: float) -> npt.NDArray[np.float64]:
    """P(-reach), …, P(reach), rounded to integers."""
    right = [above((k - 0.5) / sigma) - above((k + 0.5) / sigma) for k in range(1, REACH + 1)]
    kept = [p for p in right if p > _TAIL] or right[:1]
    return np.array([*reversed(kept), 1 - 2 * above(0.5 / sigma), *kept])


def main(path: Path) -> None:
    """Write all shapes to path."""
    pmfs, offsets, shifts = [], [], []
    for above in (gaussian, between, laplacian):
        own: list[npt.NDArray[np.float64]] = []
        for i in range(SCALES):
            sigma = SMALLEST * 2 ** (i / PER_OCTAVE)
            shift = max(0, math.ceil(math.log2(sigma / SHIFT_ABOVE)))
            own.append(own[i - shift * PER_OCTAVE] if shift else pmf(above, sigma))
            offsets.append(-(own[-1].size // 2))
            shifts.append(shift)
        pmfs += own
    made = Tables.from_pmf(pmfs, offsets, shifts)
    names = ("frequencies", "lengths", "offsets", "shifts")
    np.savez_compressed(path, **{name: getattr(made, name) for name in names})
    print(f"{path}: {made!r}, digest {made.digest().hex()}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("scales.npz")
    main(given)
