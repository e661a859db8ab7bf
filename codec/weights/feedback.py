"""Quantisers that know a network's curvature: steps by it, and errors made up for.

Each value's step is in inverse proportion to the root of what its error costs, in half octaves of
its row and its column. With feedback, columns are rounded one after another, and what is lost is
made up for by those that follow: optimal brain surgery, one column at a time. The trellis runs down
each column, and weighs bits against errors on the way.

Source: E. Frantar et al., "GPTQ", ICLR 2023 (arXiv:2210.17323); B. Hassibi, D. Stork, NIPS 1992.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lictor.codec.weights import grid, grid_tables, trellis
from lictor.codec.weights.curvature import Curvature
from lictor.codec.weights.grid import MOST, Quantised

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
_BLOCK = 64
"""Columns after which those beyond are brought up to date."""


def steps(
    curvature: Curvature, rows: int, level: float, feedback: bool
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Half octaves of rows and of columns. level: the mean of log2 of all costs of the network."""
    of_rows, of_columns = curvature.logs(feedback)
    if len(of_columns) > 1:
        of_rows = of_rows + of_columns.mean(1) - of_columns.mean()
    own = np.broadcast_to(level - of_rows, (rows,))
    others = -of_columns.mean(0)
    return _halves(own), _halves(others)


def _halves(logs: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """A cost's logarithm is two of its root's, and so half octaves."""
    return np.clip(np.rint(logs), -grid.FARTHEST, grid.FARTHEST).astype(np.int8)


def quantise(
    values: Floats, step: float, curvature: Curvature, level: float, feedback: bool, rate: float
) -> Quantised | None:
    """Levels in a trellis.

    step: of a value that costs as much as the mean. rate: squared steps that a bit is worth.
    """
    rows, columns = steps(curvature, len(values), level, feedback)
    scales = (grid.factors(rows) * np.float32(step))[:, None] * grid.factors(columns)
    scaled = values / scales
    if not np.abs(scaled).max() < MOST:
        return None
    if feedback:
        levels = made_up_for(values, scales, curvature, rate)
    else:
        levels = trellis.of_matrix(scaled, rate)
    return Quantised(levels, step, rows, columns, trellis=True)


def made_up_for(values: Floats, scales: Floats, curvature: Curvature, rate: float) -> Ints:
    """Levels in a trellis, whose errors the columns that follow make up for.

    Column by column; the tables are those that levels without feedback would have.

    values, scales: (rows, columns), of each value its step. rate: as of `quantise`.
    """
    rows, columns = values.shape
    first = trellis.of_matrix(values / scales, rate)
    tables, _ = grid_tables.choose(first, trellis.odd_of_matrix(first))
    costs = grid_tables.bits(tables) * np.float32(rate)
    contexts = tables.contexts(0, values.size).reshape(values.shape).copy()
    strands, size = trellis.layout(rows, columns)
    tall, wide = size // columns, strands // columns
    factors = curvature.factors.astype(np.float32)
    work = values.copy()
    levels = np.empty(values.shape, np.int32)
    for begin in range(0, columns, _BLOCK):
        end = min(begin + _BLOCK, columns)
        errors = np.empty((rows, end - begin), np.float32)
        for j in range(begin, end):
            x = work[:, j] / scales[:, j]
            for at in range(0, rows, tall):
                part = slice(at, at + tall)
                own = np.ascontiguousarray(contexts[part, j])
                levels[part, j] = trellis.levels(x[part], own, costs, wide)
            points = _points(levels[:, j], tall, wide)
            off = (work[:, j] - points * scales[:, j]) / factors[:, j, j]
            errors[:, j - begin] = off
            work[:, j + 1 : end] -= off[:, None] * factors[:, j, j + 1 : end]
        work[:, end:] -= _spread(errors, factors[:, begin:end, end:])
    return levels


def _spread(errors: Floats, factors: Floats) -> Floats:
    """What columns beyond a block make up for."""
    if len(factors) == 1:
        return errors @ factors[0]
    found: Floats = np.einsum("rj,rjk->rk", errors, factors)
    return found


def _points(levels: Ints, tall: int, wide: int) -> Ints:
    parts = [levels[at : at + tall] for at in range(0, levels.size, tall)]
    return np.concatenate([trellis.points(part, trellis.odd(part, wide)) for part in parts])
