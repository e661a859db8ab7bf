"""Weights that predict a feature tensor best: least squares, chosen tap by tap for what they save.

Encoder only. Floating point here decides how small a file gets, never whether it decodes.
"""

from __future__ import annotations

import numpy as np

from lictor.codec.arrays.context import (
    CENTRE,
    FRACTION,
    MAX_BIAS,
    MAX_TAPS,
    MAX_WEIGHT,
    OWN,
    WINDOW,
    FloatArray,
    Grid,
    Weights,
    spread_terms,
)

TAP_BITS = 24.0
"""What a tap costs in the stream: its channel, place and weight."""
_ROWS = 6144
_WINDOWED = 16
"""Earlier channels that are offered with their whole window; more come with their centre only."""
_CENTRED = 24
_FLOOR = 0.06
"""Variance that no prediction goes below: of integers there is little left to save there."""


def fit(g: Grid, coded: FloatArray, channel: int, turn: int) -> Weights:
    """Taps, weights and bias for one channel and pass."""
    places = g.places[turn]
    step = max(1, -(-places.size // _ROWS))
    rows = places[::step]
    if not rows.size:
        return Weights()
    wanted = coded[channel][rows]
    mean = wanted.mean()
    if not np.any(wanted != wanted[0]):
        return Weights(bias=_bias(mean))
    offered = _offer(g, coded, channel, turn, rows, wanted - mean)
    if not offered:
        return Weights(bias=_bias(mean))
    a = np.stack([coded[channel - d][g.shifted(turn, p)[::step]] for d, p in offered], 1)
    centre = a.mean(0)
    a -= centre
    chosen = _select(a, wanted - mean, places.size * entropy(wanted), places.size)
    if not chosen:
        return Weights(bias=_bias(mean))
    part = a[:, chosen]
    gram = part.T @ part
    gram[np.diag_indices_from(gram)] *= 1 + 1e-4
    exact = np.linalg.solve(gram, part.T @ (wanted - mean))
    values = np.clip(np.rint(exact * (1 << FRACTION)), -MAX_WEIGHT, MAX_WEIGHT)
    bias = _bias(mean - float(values @ centre[chosen]) / (1 << FRACTION))
    kept = [i for i, v in enumerate(values) if v]
    return Weights.of([offered[chosen[i]] for i in kept], [int(values[i]) for i in kept], bias)


def _bias(mean: float) -> int:
    """A mean in the unit of biases; as near as 32 bits come, for they travel in so many."""
    return min(max(round(float(mean) * (1 << FRACTION)), -MAX_BIAS), MAX_BIAS)


def _offer(
    g: Grid, coded: FloatArray, channel: int, turn: int, rows: np.ndarray, wanted: np.ndarray
) -> list[tuple[int, int]]:
    """The taps to choose from: neighbours, and the channels most alike."""
    taps = [(0, p) for p in OWN[turn] if g.has(p)]
    if channel == 0:
        return taps
    before = coded[:channel][:, rows]
    middle = before - before.mean(1, keepdims=True)
    power = (middle * middle).sum(1)
    alike = np.abs(middle @ wanted) / np.sqrt(power + 1e-9)
    order = np.argsort(-alike, kind="stable")
    order = order[power[order] > 0]
    room = max(4, rows.size // 6)  # with fewer rows than that a tap, what is found is chance
    for rank, c in enumerate(order[:_CENTRED]):
        places = range(len(WINDOW)) if rank < _WINDOWED and 9 * rank < room else (CENTRE,)
        taps += [(channel - int(c), p) for p in places if g.has(p)]
    return taps[:room]


def entropy(levels: np.ndarray) -> float:
    """Bits of a value without any prediction; values are integers, or nearly."""
    _, counts = np.unique(levels, return_counts=True)
    return float(np.log2(levels.size) - (counts * np.log2(counts)).sum() / levels.size)


def _select(a: np.ndarray, wanted: np.ndarray, bits: float, size: int) -> list[int]:
    """Columns that save more than they cost, the best first (forward selection).

    A tap saves what it takes from a Gaussian's entropy, but of values that are mostly 0 no more
    than its share of the `bits` that they take without it.
    """
    rows = wanted.size
    gram, left = a.T @ a / rows, a.T @ wanted / rows
    variance = total = float(wanted @ wanted) / rows
    floor = np.diag(gram) * 1e-4 + 1e-9
    open_ = np.ones(a.shape[1], bool)
    chosen: list[int] = []
    while len(chosen) < MAX_TAPS and open_.any():
        own = np.diag(gram)
        score = np.where(open_ & (own > floor), left * left / np.maximum(own, floor), 0.0)
        best = int(score.argmax())
        after = max(variance - score[best], 0.0)
        saved = size / 2 * np.log2((variance + _FLOOR) / (after + _FLOOR))
        if min(saved, bits * (variance - after) / (total + 1e-9)) < TAP_BITS:
            break
        chosen.append(best)
        open_[best] = False
        column = gram[:, best].copy()
        left = left - column * (left[best] / column[best])
        gram -= np.outer(column, column / column[best])
        variance = after
    return chosen


def fit_spread(g: Grid, errors: FloatArray, channel: int, turn: int, w: Weights) -> None:
    """Set the weights of the expected error, from the errors themselves."""
    places = g.places[turn]
    if not places.size:
        return
    step = max(1, -(-places.size // _ROWS))
    own = errors[channel][places][::step]
    near, before = (t[::step] for t in spread_terms(g, errors, channel, turn, w))
    best = np.array([own.mean(), 0.0, 0.0])
    columns = [i for i, t in ((1, near), (2, before)) if own.size >= 64 and t.any()]
    if columns:
        a = np.stack([np.ones_like(own), *((near, before)[i - 1] for i in columns)], 1)
        gram = a.T @ a
        gram[np.diag_indices_from(gram)] += 1e-3 * gram.diagonal() + 1e-9
        exact = np.linalg.solve(gram, a.T @ own)
        if (exact >= 0).all():
            best[[0, *columns]] = exact
    scaled = np.clip(np.rint(best * (1 << FRACTION)), 0, [2**30, MAX_WEIGHT, MAX_WEIGHT])
    w.spread = (int(scaled[0]), int(scaled[1]), int(scaled[2]))
