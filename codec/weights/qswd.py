"""Sparse, quantised factors: a matrix as a product of two grids most of whose values are 0.

Factors are fitted to one another with the grid in the loop: each vector in turn, of the left factor
and then of the right one, becomes the best one to what all others leave of the matrix, in whole
steps, and what is nearer to 0 than a dead zone is 0. So the next vectors make up for errors of
those before. Where no such product is better than the trellis, error and real bytes together, it is
that.

Source: A. Kuzmin et al., "Quantized sparse weight decomposition for neural network compression",
2022 (arXiv:2207.11048), which thresholds by a number of values; here the threshold is in steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lictor.codec.format.weights import MAX_VALUES
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.factors import HOPE, TINIEST, Product, figure, ranks, singular
from lictor.codec.weights.grid import MOST, Quantised
from lictor.codec.weights.quantisers import POINTS, RATE, Coded, Known, in_trellis, quantiser

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_ZONE = 0.7
"""Steps; what is nearer to 0 becomes 0."""
_SWEEPS = 3
_FARTHEST = 20
"""Octaves between steps of the right factor's rows."""


@quantiser("qswd")
def sparse(values: Floats, known: Known) -> Coded | None:
    """A product of sparse factors where it is better than "trellis", else that."""
    whole = in_trellis(values, known)
    if whole is None or min(values.shape) < 2 or values.shape[1] > MAX_VALUES // 16:
        return whole
    step = known.step * known.unknown
    worth = RATE * (step / POINTS) ** 2
    tensor = Tensor(known.name, "F32", known.shape, 0, 4 * values.size)
    sizes, right = singular(values)[1:]
    rank, hoped, _ = ranks(sizes, values.shape, step, worth)[0]
    own = figure(values, whole, tensor, worth)
    if not rank or hoped > HOPE * own:
        return whole
    made = fitted(values, sizes[:rank], right[:rank], step)
    better = made is not None and figure(values, made, tensor, worth) < own
    return made if better else whole


def fitted(values: Floats, sizes: Doubles, right: Doubles, step: float) -> Product | None:
    """Both factors in whole steps.

    sizes, right: singular values, and vectors, of as many as the product is to have.
    """
    own = float(np.float32(step / sizes[0]))
    if not np.isfinite(own) or own < TINIEST:
        return None
    octaves = _octaves(sizes[0] / np.maximum(sizes, TINIEST))
    a, b = np.zeros((len(values), len(sizes))), _whole(right / own * 2.0 ** -octaves[:, None])
    left = values.astype(np.float64)
    for _ in range(_SWEEPS):
        for k in range(len(sizes)):
            vector = b[k] * own * 2.0 ** octaves[k]
            left += np.outer(a[:, k] * step, vector)
            a[:, k] = _whole(left @ vector / max(float(vector @ vector), TINIEST) / step)
            left -= np.outer(a[:, k] * step, vector)
        for k in range(len(sizes)):
            vector = a[:, k] * step
            left += np.outer(vector, b[k] * own * 2.0 ** octaves[k])
            square = max(float(vector @ vector), TINIEST)
            octaves[k] = _octaves(sizes[:1] / np.sqrt(square))[0]
            b[k] = _whole(vector @ left / square / own * 2.0 ** -octaves[k])
            left -= np.outer(vector, b[k] * own * 2.0 ** octaves[k])
    if not max(np.abs(a).max(), np.abs(b).max()) < MOST:
        return None
    shifts = (2 * octaves).astype(np.int8)
    made = Product(
        Quantised(a.astype(np.int32), step), Quantised(b.astype(np.int32), own, rows=shifts)
    )
    tensor = Tensor("", "F32", values.shape, 0, 4 * values.size)
    try:
        return made if np.isfinite(made.decoded(tensor)).all() else None
    except OverflowError:
        return None


def _octaves(ratios: Doubles) -> Doubles:
    found: Doubles = np.rint(np.log2(np.clip(ratios, 1, 2.0**_FARTHEST)))
    return found


def _whole(scaled: Doubles) -> Doubles:
    found: Doubles = np.where(np.abs(scaled) < _ZONE, 0.0, np.rint(scaled))
    return found
