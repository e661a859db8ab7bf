"""Equalisation: columns whose inputs are large have finer steps, and rows' of a size their own.

A scale that is taken from a layer's inputs and put into its weights changes nothing before these
are rounded, and what it is worth afterwards is worth the same as steps of columns that differ. So
nothing is rescaled: the scale is in the steps, in half octaves. Of powers of the inputs' size the
one is taken with which error and bits together are least.

Source: the learned scales of W. Shao et al., "OmniQuant", ICLR 2024 (arXiv:2308.13137), and their
search over one power as in J. Lin et al., "AWQ", MLSys 2024 (arXiv:2306.00978).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lictor.codec.weights import grid, grid_tables, trellis
from lictor.codec.weights.grid import MOST, Quantised
from lictor.codec.weights.quantisers import POINTS, RATE, Known

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.int8]
POWERS = 0.0, 0.25, 0.5, 0.75, 1.0
_LEAST = 0.01
"""Of the mean, what an input's square is at least."""


@dataclass(frozen=True)
class Equalised:
    """A quantiser to the nearest level, or in a trellis, with steps by columns' inputs.

    moments: of tensors by names, the mean square of each column's input.
    """

    moments: Mapping[str, Floats]
    trellis: bool = False

    def __call__(self, values: Floats, known: Known) -> Quantised | None:
        """As a quantiser is called."""
        squares = self.moments.get(known.name)
        if squares is None or squares.size != values.shape[1]:
            squares = np.ones(values.shape[1], np.float32)
        held = np.maximum(squares, _LEAST * squares.mean() + 1e-30).astype(np.float64)
        tried = [self._tried(values, known.step, held, power) for power in POWERS]
        found = [t for t in tried if t is not None]
        best = min(found, key=lambda t: t[0])[1] if found else None
        return _in_trellis(values, known, best) if best and self.trellis else best

    def _tried(
        self, values: Floats, step: float, squares: npt.NDArray[np.float64], power: float
    ) -> tuple[float, Quantised] | None:
        """Bits and half the logarithm of the error, for each value; and the levels."""
        halves = _halves(squares, power)
        factors = grid.factors(halves)
        scaled = values / (factors * np.float32(step))
        levels = np.rint(scaled)
        if not np.abs(levels).max() < MOST:
            return None
        error = ((levels - scaled) * factors) ** 2 @ squares
        own = levels.astype(np.int32)
        figure = _bits(own) + 0.5 * np.log2(float(error.mean()) + 1e-30)
        return figure, Quantised(own, step, columns=halves if halves.any() else None)


def _in_trellis(values: Floats, known: Known, best: Quantised) -> Quantised | None:
    step = best.step * known.unknown / POINTS
    halves = np.zeros(values.shape[1], np.int8) if best.columns is None else best.columns
    scaled = values / (grid.factors(halves) * np.float32(step))
    if not np.abs(scaled).max() < MOST:
        return None
    levels = trellis.of_matrix(scaled, RATE)
    return Quantised(levels, step, columns=best.columns, trellis=True)


def _bits(levels: npt.NDArray[np.int32]) -> float:
    """Of a value, without the tables' own."""
    tables, _ = grid_tables.choose(levels, None)
    symbols = np.clip(levels.reshape(-1) + grid_tables.ZERO, 0, 2 * grid_tables.ZERO)
    costs = grid_tables.bits(tables)[0]
    return float(costs[tables.contexts(0, symbols.size), symbols].mean())


def _halves(squares: npt.NDArray[np.float64], power: float) -> Halves:
    logs = -power * np.log2(squares)
    found = np.rint(logs - logs.mean())
    return np.clip(found, -grid.FARTHEST, grid.FARTHEST).astype(np.int8)
