"""Low rank by data: a product that is near what a layer gives, not near its weights.

Where a network was calibrated, an error E of a matrix costs about g_r E_r M E_r' for row r
(curvature.py). With M = L L', singular vectors are those of the rows, times the root of g, and L:
what inputs seldom have, a product needs nothing for. The right factor's columns are rounded one
after another, and those that follow make up for the errors, as in feedback.py; the left factor is
the best one to the right as it is. Some ranks are held against the matrix with feedback alone, by
what errors cost and by real bytes. A grid of what a product leaves never paid beside feedback, and
is not tried.

Source: A. Kaushal, T. Vaidhya, I. Rish, "LORD: Low rank decomposition of monolingual code LLMs for
one-shot compression", 2023 (arXiv:2309.14021), which decomposes what layers give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lictor.codec.format.weights import MAX_VALUES
from lictor.codec.weights import feedback, grid
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.curvature import Curvature
from lictor.codec.weights.factors import (
    TINIEST,
    Product,
    coded_bits,
    factored,
    in_steps,
    points,
    singular,
)
from lictor.codec.weights.grid import MOST, Quantised
from lictor.codec.weights.quantisers import POINTS, RATE, Coded, Known, quantiser, with_feedback

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_RANKS = 10
"""That are tried at most, each the next one over the root of two."""


@quantiser("lord")
def by_data(values: Floats, known: Known) -> Coded | None:
    """A product where it is better than "feedback", else that; not calibrated, as "factors"."""
    curvature = known.curvature
    if curvature is None:
        return factored(values, known)
    whole = with_feedback(values, known)
    groups, columns, _ = curvature.moments.shape
    if whole is None or groups > 1 or min(values.shape) < 2 or columns > MAX_VALUES // 16:
        return whole
    metric = _Metric.of(values, known, curvature)
    sizes, right = singular((values * metric.rows[:, None] @ metric.lower).astype(np.float32))[1:]
    lost = np.cumsum(np.square(sizes)[::-1])[::-1] / metric.worth
    best: tuple[float, Coded] = metric.figure(whole), whole
    for rank in _ranks(values.shape):
        if rank < len(lost) and lost[rank] > best[0]:
            break
        own = metric.product(sizes[:rank], right[:rank])
        if own is not None:
            best = min(best, (metric.figure(own), own), key=lambda pair: pair[0])
    return best[1]


def _ranks(shape: tuple[int, ...]) -> list[int]:
    """From that with which a product has as many values as its matrix downwards."""
    most = shape[0] * shape[1] / sum(shape)
    found = {int(most * 2 ** (-k / 2)) for k in range(_RANKS)}
    return sorted(found - {0}, reverse=True)


@dataclass(frozen=True)
class _Metric:
    """What errors of a matrix cost.

    rows: the root of what rows weigh. lower: L. step: of a value whose error costs its square.
    """

    values: Floats
    curvature: Curvature
    tensor: Tensor
    rows: Doubles
    lower: Doubles
    step: float

    @classmethod
    def of(cls, values: Floats, known: Known, curvature: Curvature) -> _Metric:
        of_rows = np.broadcast_to(curvature.logs(True)[0], len(values))
        lower = np.linalg.cholesky(curvature.damped[0])
        tensor = Tensor(known.name, "F32", known.shape, 0, 4 * values.size)
        step = known.step / POINTS * 2 ** (known.level / 2)
        return cls(values, curvature, tensor, 2 ** (of_rows / 2), lower, step)

    @property
    def worth(self) -> float:
        """What a bit is worth."""
        return RATE * self.step**2

    def figure(self, own: Coded) -> float:
        """Bits, and what errors cost in what bits are worth."""
        off = (own.decoded(self.tensor) - self.values) * self.rows[:, None] @ self.lower
        return float(np.square(off).sum()) / self.worth + coded_bits(own, self.tensor)

    def product(self, sizes: Doubles, vectors: Doubles) -> Product | None:
        """Both factors as grids. sizes, vectors: singular values, and right vectors times L."""
        with np.errstate(divide="ignore", over="ignore"):
            own = np.float32(self.step / sizes[0])
        if not np.isfinite(own) or own < TINIEST:
            return None
        octaves = np.rint(np.log2(sizes[0] / np.maximum(sizes, sizes[0] * 2.0**-20)))
        halves = feedback.steps(self.curvature, len(self.values), 0.0, True)[1]
        scales = (own * 2.0 ** octaves[:, None] * grid.factors(halves)).astype(np.float32)
        given = np.linalg.solve(self.lower.T, vectors.T).T.astype(np.float32)
        if not np.abs(given / scales).max() < MOST:
            return None
        alone = replace(self.curvature, gradients=np.ones(1, np.float32))
        levels = feedback.made_up_for(given, scales, alone, RATE)
        right = Quantised(levels, float(own), (2 * octaves).astype(np.int8), halves, trellis=True)
        left = self._left(points(right) * scales)
        made = None if left is None else Product(left, right)
        try:
            return made if made and np.isfinite(made.decoded(self.tensor)).all() else None
        except OverflowError:
            return None

    def _left(self, right: Floats) -> Quantised | None:
        """The best left factor to a right one."""
        wanted = (self.values @ self.lower).T
        fitted = np.linalg.lstsq((right @ self.lower).T, wanted, rcond=1e-9)[0].T
        halves = np.clip(np.rint(-2 * np.log2(self.rows)), -grid.FARTHEST, grid.FARTHEST)
        rows = halves.astype(np.int8)
        levels = in_steps((fitted / (self.step * grid.factors(rows)[:, None])).astype(np.float32))
        return None if levels is None else Quantised(levels, self.step, rows, trellis=True)
