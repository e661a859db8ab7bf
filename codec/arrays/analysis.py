"""How the integers of a tensor are best coded: weights, contexts and tables, fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

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
    symbols: what is coded, in order: residuals, int32, or values. contexts: of each, uint8.
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
        quick: weights from less, and the way from some of the values; int32 are written over.
    """
    sparse = _is_sparse(q)
    low = _low_bits(q)
    modes = [] if sparse else [RESIDUAL]
    if low <= MAX_SHIFT:  # what is sparse was seen to have few enough low bits
        modes.append(ROOT if sparse else DIRECT)
    analysis: _Analysis
    if quick and fields.available():
        analysis = _Quick(q, g, sparse)
        if len(modes) > 1:
            part = analysis.some()
            modes = [min(modes, key=lambda mode: _way(part, low, mode)[0])]
    else:
        analysis = _analyse(q, g, sparse)
    found = {mode: _way(analysis, low, mode) for mode in modes}
    mode = min(modes, key=lambda mode: found[mode][0])
    bounds, shapes, contexts = found[mode][1]
    weights = analysis.weights
    if mode == RESIDUAL:
        symbols = analysis.residuals.astype(np.int32, copy=False)
        return Choice(weights, mode, 0, bounds, shapes, symbols, contexts)
    for w in (w for turns in weights for w in turns):
        w.spread = (0, 0, 0)
    return Choice(weights, mode, low, bounds, shapes, analysis.values, contexts)


def _is_sparse(q: AnyInt) -> bool:
    """Whether most are 0, and the others have few enough low bits."""
    return bool(np.count_nonzero(q) * 2 < q.size and _low_bits(q) <= MAX_SHIFT)


class _Analysis(Protocol):
    """All values in the order of coding, with what is predicted of each."""

    @property
    def weights(self) -> list[list[Weights]]: ...
    @property
    def values(self) -> AnyInt: ...
    @property
    def predictions(self) -> IntArray:
        """Of values from all over."""

    @property
    def residuals(self) -> AnyInt: ...
    @property
    def levels(self) -> AnyInt: ...
    def below(self, cuts: IntArray) -> npt.NDArray[np.uint8]:
        """Of each prediction how many cuts are at or below it."""


@dataclass
class _Known:
    """One that is here, with all predictions."""

    weights: list[list[Weights]]
    values: AnyInt
    predictions: IntArray
    residuals: AnyInt
    levels: AnyInt

    def below(self, cuts: IntArray) -> npt.NDArray[np.uint8]:
        return direct.contexts(self.predictions, cuts)


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
    """One made in C; what not every way of coding needs is made when it is asked for."""

    def __init__(self, q: AnyInt, g: Grid, sparse: bool) -> None:
        own = np.ascontiguousarray(q, np.int32)
        self._sparse = own if sparse else None
        # An odd distance meets no period of a power of 2.
        self._every = (q.size // _CUT_BY) | 1
        seen = direct.roots(own) if sparse else own
        self._fitted = fields.Fitted(g, seen, self._every)
        self.predictions = self._fitted.predictions
        self.residuals, self.levels = self._fitted.residuals, self._fitted.levels

    @property
    def weights(self) -> list[list[Weights]]:
        return self._fitted.weights

    @property
    def weight_bits(self) -> float:
        """About what the weights take."""
        return self._fitted.weight_bits

    @cached_property
    def values(self) -> AnyInt:
        if self._sparse is not None:
            return self._fitted.ordered(self._sparse)
        found = self.residuals.copy()
        for part, predictions in self._fitted.each():
            found[part] += context.rounded(predictions).astype(np.int32)
        return found

    def below(self, cuts: IntArray) -> npt.NDArray[np.uint8]:
        found = np.empty(self.levels.size, np.uint8)
        for part, predictions in self._fitted.each():
            found[part] = direct.contexts(predictions, cuts)
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


def _way(a: _Analysis, low: int, mode: int) -> tuple[float, _Contexts]:
    """Bits, and contexts, of a way of coding."""
    if mode == RESIDUAL:
        return _contexts(a.residuals, a.levels, np.arange(1, LEVELS))
    wanted = np.linspace(0, 1, min(MAX_TABLES, 2 + a.values.size // 1000) + 1)[1:-1]
    some = a.predictions[:: a.predictions.size // _CUT_BY | 1]
    cuts = np.unique(np.quantile(some, wanted, method="nearest").astype(np.int64))
    high, _ = direct.split(a.values, low)
    cuts = cuts[np.abs(cuts) < 2**30]
    cost, found = _contexts(high, a.below(cuts), cuts)
    return cost + low * np.count_nonzero(high), found


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


def _contexts(symbols: AnyInt, fine: AnyInt, bounds: IntArray) -> tuple[float, _Contexts]:
    """Bits; bounds, tables and contexts, after those that are not worth a table were merged.

    fine: of each symbol how many bounds are at or below its level, or its prediction.
    """
    cost, starts, joined = shared(symbols, fine, bounds.size + 1, MAX_TABLES)
    kept = bounds[np.array(starts[1:], int) - 1]
    run = np.searchsorted(starts, np.arange(bounds.size + 1), side="right") - 1
    contexts = _translated(fine, run)
    if joined is None:
        joined = fitted.histograms(symbols, contexts, kept.size + 1)
        cost = sum(fitted.bits(h) for h in joined)
    return cost, (kept, [fitted.shape(h) for h in joined], contexts)


def _translated(fine: AnyInt, run: IntArray) -> npt.NDArray[np.uint8]:
    """run[fine], both of less than 256, a byte at a time."""
    table = run.astype(np.uint8).tobytes().ljust(256, b"\0")
    whole = np.ascontiguousarray(fine, np.uint8).tobytes().translate(table)
    return np.frombuffer(whole, np.uint8)


def estimate(q: AnyInt, g: Grid) -> tuple[float, float]:
    """Bits of a tensor in a hurry, about, of its weights and of its symbols; in C alone.

    q: as for `choose`, written over likewise.
    """
    q = np.ascontiguousarray(q, np.int32)
    if _is_sparse(q):
        sparse = _Quick(q, g, True)
        return sparse.weight_bits, _way(sparse, _low_bits(q), ROOT)[0]
    found = fields.Fitted(g, q, every=q.size)
    symbols = shared(found.residuals, found.levels, LEVELS, MAX_TABLES)[0]
    return found.weight_bits, symbols
