"""Symbols changed by one where it pays: after fitting, with the networks as they are.

Soft rounding leaves symbols that cost more bits, their own and those of symbols that have them as
context, than the error that they save. Which these are is tried: changes that are far enough from
one another do not meet, so that one look at the whole picture tells of each whether it pays.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.models.overfit.fitting import Fit, Weights
from lictor.models.overfit.sizes import (
    GUIDED_LEVELS,
    LEAST_SYMBOL,
    LOG_SCALE_LIMIT,
    LOG_SCALE_SHIFT,
    MOST_SYMBOL,
)

Floats = NDArray[np.float32]

_GRIDS = range(5)
"""Those whose symbols are tried, number and level alike: the others have few."""
_CELL, _QUARTER = 12, 6
"""Sides, in symbols. A change in the middle quarter does next to nothing outside of its cell:
contexts reach 3 symbols, and what filters add farther away is little."""
_FLOOR = 2.0**-21
"""Of probabilities, as fit_context.h has it."""


def refined(fit: Fit, symbols: Floats, parameters: Floats, weights: Weights, rounds: int) -> Floats:
    """Symbols of less loss, or the same.

    Args:
        fit: of the picture.
        symbols: of all grids, one after another, whole numbers of -64…63.
        parameters: of the networks, as the file has them.
        weights: of the loss.
        rounds: in each, one symbol is tried in every quarter of every cell of a grid.
    """
    search = _Search(fit, symbols, parameters, weights)
    for grid in _GRIDS:
        search.refine(grid, rounds)
    return search.symbols


class _Search:
    """Symbols, and what they are judged by."""

    def __init__(self, fit: Fit, symbols: Floats, parameters: Floats, weights: Weights) -> None:
        self.fit, self.parameters, self.weights = fit, parameters, weights
        self.symbols = symbols.copy()
        ends = [0, *np.cumsum([rows * columns for rows, columns in fit.shapes])]
        self.parts = [slice(*pair) for pair in pairwise(ends)]

    def refine(self, grid: int, rounds: int) -> None:
        """Go through one grid."""
        before, part = self.symbols.copy(), self.parts[grid]
        expected, moves = self._expected(grid)
        costs = self._costs(before, grid)
        for corner in [*np.ndindex(2, 2)] * rounds:
            cells = _Cells(self.fit.shapes[grid], (_QUARTER * corner[0], _QUARTER * corner[1]))
            chosen = cells.chosen(expected)
            if not chosen.any():
                continue
            expected[chosen] = np.inf
            tried = self.symbols.copy()
            tried[part] += (moves * chosen).ravel()
            found = self._costs(tried, grid)
            changes = [cells.sums(found[level] - costs[level], grid - level) for level in found]
            pays = np.sum(changes, axis=0) < 0
            for level, cost in costs.items():
                where = cells.spread(pays, cost.shape, grid - level)
                np.copyto(cost, found[level], where=where)
            where = cells.spread(pays, chosen.shape, 0)
            np.copyto(self.symbols[part], tried[part], where=where.ravel())
        if self._loss(self.symbols) >= self._loss(before):  # cells met after all
            self.symbols = before

    def _loss(self, symbols: Floats) -> float:
        found = self.fit.loss(symbols, self.parameters)
        squares = 3 * self.fit.pixels * found.mse
        return self.weights.error * squares + self.weights.bit * found.bits

    def _expected(self, grid: int) -> tuple[Floats, Floats]:
        """Of each symbol of a grid: about what a change by one adds to the loss, and which way.

        That is what it does to the symbol's own bits, and in the first order all else.
        """
        part, shape, bit = self.parts[grid], self.fit.shapes[grid], self.weights.bit
        slopes = self.fit.slopes(self.symbols, self.parameters, self.weights)[part]
        means, scales, _ = self.fit.told(self.symbols, self.parameters)
        now, told = self.symbols[part], (means[part], scales[part])
        near = np.float32(2**-7)
        bits, above, below = (own_bits(now + by, *told) for by in (0, near, -near))
        slopes = slopes - bit * (above - below) / (2 * near)
        costs = np.empty((2, now.size), np.float32)
        for cost, move in zip(costs, (-1, 1), strict=True):
            cost[:] = slopes * move + bit * (own_bits(now + move, *told) - bits)
            cost[(now + move).clip(LEAST_SYMBOL, MOST_SYMBOL) != now + move] = np.inf
        moves = np.where(costs[1] < costs[0], 1, -1).astype(np.float32)
        return costs.min(axis=0).reshape(shape), moves.reshape(shape)

    def _costs(self, symbols: Floats, grid: int) -> dict[int, Floats]:
        """The loss that changes in a grid can change, place by place, by level.

        It is that of its own grid and of finer ones that are told of it; errors are with level 0.
        """
        means, scales, x_hat = self.fit.told(symbols, self.parameters)
        found = {}
        for level in {0, grid, *range(min(grid, GUIDED_LEVELS))}:
            part = self.parts[level]
            bits = own_bits(symbols[part], means[part], scales[part])
            found[level] = (self.weights.bit * bits).reshape(self.fit.shapes[level])
        errors = x_hat.clip(0, 1) - self.fit.x
        found[0] += self.weights.error * np.einsum("cij,cij->ij", errors, errors)
        return found


class _Cells:
    """A grid in cells of like size.

    shape: of the grid. offset: rows and columns that the first cells have before it.
    """

    def __init__(self, shape: tuple[int, int], offset: tuple[int, int]) -> None:
        self.shape, self.offset = shape, offset
        self.counts = [-(-(side + at) // _CELL) for side, at in zip(shape, offset, strict=True)]

    def chosen(self, expected: Floats) -> NDArray[np.bool_]:
        """Where the least is of the middle of each cell, if it is negative."""
        cut = self._cut(expected, 0, np.inf)
        first = (_CELL - _QUARTER) // 2
        middle = slice(first, first + _QUARTER)
        values = cut[:, middle, :, middle].transpose(0, 2, 1, 3).reshape(*self.counts, -1)
        rows, columns = np.nonzero(values.min(axis=2) < 0)
        down, right = np.divmod(values.argmin(axis=2)[rows, columns], _QUARTER)
        found = np.zeros(self.shape, bool)
        top, left = (first - at for at in self.offset)
        found[rows * _CELL + down + top, columns * _CELL + right + left] = True
        return found

    def sums(self, values: Floats, finer: int) -> NDArray[np.float64]:
        """Of each cell, of values of a grid that is so many levels finer."""
        return self._cut(values, finer, 0).sum(axis=(1, 3), dtype=np.float64)

    def spread(
        self, values: NDArray[np.bool_], shape: tuple[int, ...], finer: int
    ) -> NDArray[np.bool_]:
        """Values of cells, at each place of a grid that is so many levels finer."""
        rows, columns = (
            ((np.arange(side) >> finer) + at) // _CELL
            for side, at in zip(shape, self.offset, strict=True)
        )
        return values[rows[:, None], columns]

    def _cut(self, values: Floats, finer: int, fill: float) -> NDArray[Any]:
        """(cells down, rows of one, cells across, columns of one)."""
        side = _CELL << finer
        pads = [
            (at << finer, count * side - (at << finer) - length)
            for at, count, length in zip(self.offset, self.counts, values.shape, strict=True)
        ]
        padded = np.pad(values, pads, constant_values=fill)
        return padded.reshape(self.counts[0], side, self.counts[1], side)


def own_bits(symbols: Floats, means: Floats, scales: Floats) -> Floats:
    """Of each symbol. scales: what the network says of them."""
    sharp = np.exp((LOG_SCALE_SHIFT - scales).clip(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))
    away = np.abs(symbols - means)
    near, far = np.exp(-np.abs(away - 0.5) * sharp), np.exp(-(away + 0.5) * sharp)
    p = np.where(away < 0.5, 1 - (near + far) / 2, (near - far) / 2)
    bits: Floats = -np.log2(p.clip(_FLOOR))
    return bits
