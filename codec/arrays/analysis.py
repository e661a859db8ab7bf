"""How the integers of a tensor are best coded: weights, contexts and tables, fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import context, direct, predictor_fit
from lictor.codec.arrays import field as fields
from lictor.codec.arrays.context import LEVELS, PASSES, Grid, IntArray, Weights
from lictor.codec.arrays.shared_tables import shared
from lictor.entropy import fitted
from lictor.entropy.fitted import ENTRIES, MAX_SHIFT, Shape

RESIDUAL, DIRECT, ROOT = 0, 1, 2
"""What a symbol is: the value less its prediction, or the value itself, with its prediction as its
context. ROOT is DIRECT with square roots predicted in place of values: for what is mostly 0."""
MAX_TABLES = 128
_SOME, _CUT_BY = 2**13, 2**16
"""Values by which the way of coding is chosen in a hurry, and by which predictions are cut."""
AnyInt = npt.NDArray[Any]


@dataclass(frozen=True)
class Choice:
    """How a tensor is coded.

    weights: of each channel, of each pass. mode, low, bounds, shapes: as stream.Model has them.
    symbols: what is coded, in order: residuals, or values. contexts: of each, uint8.
    """

    weights: list[list[Weights]]
    mode: int
    low: int
    bounds: IntArray
    shapes: list[Shape]
    symbols: AnyInt
    contexts: npt.NDArray[np.uint8]


def choose(q: AnyInt, g: Grid, quick: bool = False) -> Choice:
    """The way of coding that takes fewer bits.

    Args:
        q: integers (channels, plane), within MAX_SYMBOL.
        g: how the tensor is cut.
        quick: weights from less, and the way from some of the values; int16 and int32 are written
            over.
    """
    sparse = _is_sparse(q)
    low = _low_bits(q)
    modes = [] if sparse else [RESIDUAL]
    hurry = quick and fields.available()
    # What is sparse was seen to have few enough low bits. In a hurry values that have any are not
    # tried: what they are off by took less of all arrays that were looked at.
    if low <= (0 if hurry and not sparse else MAX_SHIFT):
        modes.append(ROOT if sparse else DIRECT)
    if hurry:
        return _chosen_quickly(q, g, low, modes)
    analysis = _analyse(q, g, sparse)
    found = {mode: _way(analysis, low, mode) for mode in modes}
    mode = min(modes, key=lambda mode: found[mode][0])
    bounds, shapes, contexts = found[mode][1]
    weights = analysis.weights
    if mode == RESIDUAL:
        symbols = analysis.residuals.astype(np.int32, copy=False)
        return Choice(weights, mode, 0, bounds, shapes, symbols, contexts)
    _without_spread(weights)
    return Choice(weights, mode, low, bounds, shapes, analysis.values, contexts)


def _is_sparse(q: AnyInt) -> bool:
    """Whether most are 0, and the others have few enough low bits."""
    return bool(np.count_nonzero(q) * 2 < q.size and _low_bits(q) <= MAX_SHIFT)


def _chosen_quickly(q: AnyInt, g: Grid, low: int, modes: list[int]) -> Choice:
    analysis = _Quick(q, g, ROOT in modes)
    mode = modes[0]
    if len(modes) > 1:
        part = analysis.some()
        mode = min(modes, key=lambda mode: _bits(part, low, mode))
    if mode == RESIDUAL:
        symbols, fine, bounds = analysis.residuals, analysis.levels, np.arange(1, LEVELS)
        low = 0
    else:
        symbols, bounds = analysis.to_values(), _cuts(analysis.predictions, q.size)
        fine = analysis.below(bounds)
    weights = analysis.weights
    del analysis  # and with it the field
    bounds, shapes, contexts = _contexts(symbols, fine, bounds, low)[1]
    if mode != RESIDUAL:
        _without_spread(weights)
    return Choice(weights, mode, low, bounds, shapes, symbols, contexts)


def _without_spread(weights: list[list[Weights]]) -> None:
    """Nothing is expected of errors where values are coded."""
    for w in (w for turns in weights for w in turns):
        w.spread = (0, 0, 0)


@dataclass
class _Known:
    """One that is here, with all predictions."""

    weights: list[list[Weights]]
    values: AnyInt
    predictions: IntArray
    residuals: AnyInt
    levels: AnyInt


def _analyse(q: AnyInt, g: Grid, sparse: bool) -> _Known:
    seen = direct.roots(q) if sparse else q
    coded, errors = seen.astype(np.float64), np.zeros(q.shape)
    weights, predictions, residuals, levels, values = [], [], [], [], []
    for c in range(g.channels):
        own = []
        for turn in range(PASSES):
            w = predictor_fit.fit(g, coded, c, turn)
            prediction = context.predict(g, coded, c, turn, w)
            here = q[c][g.places[turn]]
            left = seen[c][g.places[turn]] - context.rounded(prediction)
            errors[c][g.places[turn]] = np.abs(left)
            predictor_fit.fit_spread(g, errors, c, turn, w)
            own.append(w)
            values.append(here)
            predictions.append(prediction)
            residuals.append(left)
            levels.append(context.levels(g, errors, c, turn, w))
        weights.append(own)
    return _Known(weights, *(np.concatenate(v) for v in (values, predictions, residuals, levels)))


class _Quick:
    """One made in C, in the place of the integers.

    Args:
        q: int16 or int32, written over unless sparse. g: the cut.
        sparse: predict square roots; values will be coded, not what they are off by.
    """

    def __init__(self, q: AnyInt, g: Grid, sparse: bool) -> None:
        own = np.ascontiguousarray(q, None if q.dtype == np.int16 else np.int32)
        self._sparse = own if sparse else None
        # An odd distance meets no period of a power of 2.
        self._every = (q.size // _CUT_BY) | 1
        seen = direct.roots(own) if sparse else own
        self._fitted = fields.Fitted(g, seen, self._every, not sparse)
        self.predictions = self._fitted.predictions
        self.residuals, self.levels = self._fitted.residuals, self._fitted.levels

    @property
    def weights(self) -> list[list[Weights]]:
        return self._fitted.weights

    @property
    def weight_bits(self) -> float:
        """About what the weights take."""
        return self._fitted.weight_bits

    def to_values(self) -> AnyInt:
        """The values in the order of coding, in the place of whatever is here."""
        if self._sparse is not None:
            self._fitted.order(self._sparse)
            return self._sparse.reshape(-1)
        self._fitted.values(self.residuals)
        return self.residuals

    def below(self, cuts: IntArray) -> npt.NDArray[np.uint8]:
        """Of each prediction how many cuts are at or below it; levels are written over."""
        size = self.residuals.size if self._sparse is None else self._sparse.size
        found = self.levels if self.levels.size else np.empty(size, np.uint8)
        self._fitted.contexts(cuts, found)
        return found

    def some(self) -> _Known:
        """Of fewer values, where nothing is sparse."""
        step = self.predictions.size // _SOME | 1
        part, predictions = slice(None, None, step * self._every), self.predictions[::step].copy()
        residuals = self.residuals[part]
        values = residuals + context.rounded(predictions).astype(np.int32)
        return _Known(self.weights, values, predictions, residuals, self.levels[part])


_Contexts = tuple[IntArray, list[Shape], npt.NDArray[Any]]
"""Bounds, tables, and each value's context."""


def _way(a: _Known, low: int, mode: int) -> tuple[float, _Contexts]:
    """Bits, and contexts, of a way of coding."""
    if mode == RESIDUAL:
        return _contexts(a.residuals, a.levels, np.arange(1, LEVELS))
    cuts = _cuts(a.predictions, a.values.size)
    cost, found = _contexts(a.values, direct.contexts(a.predictions, cuts), cuts, low)
    return cost + low * np.count_nonzero(a.values), found


def _bits(a: _Known, low: int, mode: int) -> float:
    """Bits of a way of coding alone, about."""
    if mode == RESIDUAL:
        return _shared_bits(a.residuals, a.levels, LEVELS)
    cuts = _cuts(a.predictions, a.values.size)
    contexts = direct.contexts(a.predictions, cuts)
    return _shared_bits(a.values, contexts, cuts.size + 1, low)


def _shared_bits(values: AnyInt, fine: AnyInt, count: int, low: int = 0) -> float:
    """Of values, once contexts share tables; with the low bits that have none."""
    bits, _, found = shared(values, fine, count, MAX_TABLES, low)
    if found is None:
        bits = _contexts(values, fine, np.arange(1, count), low)[0]
    return bits + low * np.count_nonzero(values)


def _cuts(predictions: IntArray, size: int) -> IntArray:
    """Bounds of contexts, by some predictions from all over, for so many values."""
    wanted = np.linspace(0, 1, min(MAX_TABLES, 2 + size // 1000) + 1)[1:-1]
    some = predictions[:: predictions.size // _CUT_BY | 1]
    cuts = np.unique(np.quantile(some, wanted, method="nearest").astype(np.int64))
    return cuts[np.abs(cuts) < 2**30]


def _low_bits(values: IntArray) -> int:
    """The fewest low bits to split off so that what is left has a table entry each."""
    low = 0
    while (
        low <= MAX_SHIFT
        and np.ptp(direct.split(np.array([values.min(), values.max()]), low)[0].astype(np.int64))
        >= ENTRIES - 1
    ):
        low += 1
    return low


def _contexts(
    values: AnyInt, fine: AnyInt, bounds: IntArray, low: int = 0
) -> tuple[float, _Contexts]:
    """Bits; bounds, tables and contexts, after those that are not worth a table were merged.

    values: of which so many low bits are split off; bits are without these.
    fine: of each symbol how many bounds are at or below its level, or its prediction.
    """
    cost, starts, joined = shared(values, fine, bounds.size + 1, MAX_TABLES, low)
    kept = bounds[np.array(starts[1:], int) - 1]
    run = np.searchsorted(starts, np.arange(bounds.size + 1), side="right") - 1
    contexts = _translated(fine, run)
    if joined is None:
        symbols = direct.split(values, low)[0]
        joined = fitted.histograms(symbols, contexts, kept.size + 1)
        cost = sum(fitted.bits(h) for h in joined)
    return cost, (kept, [fitted.shape(h) for h in joined], contexts)


def _translated(fine: AnyInt, run: IntArray) -> npt.NDArray[np.uint8]:
    """run[fine], both of less than 256, a byte at a time; uint8 are written over."""
    table = run.astype(np.uint8).tobytes().ljust(256, b"\0")
    found = np.ascontiguousarray(fine, np.uint8)
    for start in range(0, found.size, _CUT_BY):
        part = found[start : start + _CUT_BY]
        part[:] = np.frombuffer(part.tobytes().translate(table), np.uint8)
    return found


def estimate(q: AnyInt, g: Grid) -> tuple[float, float]:
    """Bits of a tensor in a hurry, about, of its weights and of its symbols; in C alone.

    q: as for `choose`, written over likewise.
    """
    q = np.ascontiguousarray(q, np.int32)
    if _is_sparse(q):
        sparse = _Quick(q, g, True)
        bits = sparse.weight_bits
        low, values = _low_bits(q), sparse.to_values()
        cuts = _cuts(sparse.predictions, q.size)
        return bits, _shared_bits(values, sparse.below(cuts), cuts.size + 1, low)
    found = fields.Fitted(g, q, every=q.size)
    return found.weight_bits, _shared_bits(found.residuals, found.levels, LEVELS)
