"""Makes gaussian.npz, the checked-in integer tables of the zero-mean Gaussian family.

    python entropy/make_gaussian.py [OUT.npz]

The file is data, made once: coder and models load it, and never compute a probability themselves,
because erfc may differ in its last bit between machines. A new file is a new format.

Table i serves sigma = gaussian_sigmas()[i], integrated over integer bins as in J. Ballé et al.,
"Variational image compression with a scale hyperprior", 2018 (arXiv:1802.01436), appendix 6.2.
Above SHIFT_ABOVE it has shift k and the frequencies of the table for sigma / 2^k, k octaves below.
"""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lictor.entropy.gaussian import SCALES_PER_OCTAVE, gaussian_sigmas
from lictor.entropy.pmf import PRECISION, quantise
from lictor.entropy.tables import ESCAPE_BITS, Tables

SHIFT_ABOVE = 16.0
LARGEST_REACH = 127  # 255 symbols and the escape fill a table
OUTLIERS, OUTLIERS_BELOW = 0.01, 2.0


def upper_tail(x: float) -> float:
    """The standard normal distribution's mass above x."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def gaussian_pmf(sigma: float, reach: int) -> npt.NDArray[np.float64]:
    """P(-reach), …, P(reach) of a rounded Gaussian; symmetric to the last bit."""
    tails = [upper_tail((k + 0.5) / sigma) for k in range(reach + 1)]
    right = [inner - outer for inner, outer in pairwise(tails)]
    return np.array([*reversed(right), 1 - 2 * tails[0], *right])


def with_tails(sigma: float, reach: int) -> npt.NDArray[np.float64]:
    """gaussian_pmf, and last the mass beyond ±reach."""
    return np.append(gaussian_pmf(sigma, reach), 2 * upper_tail((reach + 0.5) / sigma))


def expected_bits(sigma: float, reach: int) -> float:
    """Mean cost of a symbol under the integer table that reaches to ±reach.

    Small scales foresee one symbol in a hundred of twice the scale: networks' residuals have
    heavier tails than a Gaussian. Otherwise those of real pictures were escapes, 30 bits each, and
    made small files 1 to 2 % larger. At large scales, where tables are long, that gains little and
    costs true Gaussians 0.015 %.
    """
    outliers = OUTLIERS if sigma < OUTLIERS_BELOW else 0.0
    bits = PRECISION - np.log2(quantise(with_tails(sigma, reach)).astype(np.float64))
    bits[-1] += ESCAPE_BITS
    p = (1 - outliers) * with_tails(sigma, reach) + outliers * with_tails(2 * sigma, reach)
    return float((p * bits).sum())


def best_reach(sigma: float) -> int:
    """The reach of least mean cost."""
    near = max(1, math.floor(2.5 * sigma))
    far = min(LARGEST_REACH, math.ceil(8 * sigma) + 2)
    return min(range(near, far + 1), key=lambda reach: expected_bits(sigma, reach))


def gaussian_family() -> Tables:
    """All tables of the family, smallest scale first."""
    pmfs, offsets, shifts = [], [], []
    for i, sigma in enumerate(gaussian_sigmas().tolist()):
        shift = max(0, math.ceil(math.log2(sigma / SHIFT_ABOVE)))
        if shift == 0:
            pmfs.append(gaussian_pmf(sigma, best_reach(sigma)))
        else:
            pmfs.append(pmfs[i - shift * SCALES_PER_OCTAVE])
        offsets.append(-(len(pmfs[-1]) // 2))
        shifts.append(shift)
    return Tables.from_pmf(pmfs, offsets, shifts)


def main(path: Path) -> None:
    """Write the family to path."""
    tables = gaussian_family()
    np.savez_compressed(
        path,
        frequencies=tables.frequencies,
        lengths=tables.lengths,
        offsets=tables.offsets,
        shifts=tables.shifts,
    )
    print(f"{path}: {tables!r}, digest {tables.digest().hex()}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    default = Path(__file__).with_name("gaussian.npz")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
