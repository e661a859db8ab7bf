"""Finds the few channels that many are linear maps of, at once, where an activation left enough.

What a layer that widens gives has a low rank exactly, until the activation clips it. There are
places where none of the channels that are seldom clipped is: there their covariance has the rank of
the layer, and the rest follows by least squares from what is seen, without the rounds of completion
that low_rank_fit.py takes, which finds components where more is clipped, too.

Encoder only. Floating point here decides how small a file gets, never whether it decodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import FloatArray, IntArray, outside, parts
from lictor.codec.arrays.dtypes import single
from lictor.codec.arrays.field import trim
from lictor.codec.arrays.low_rank_fit import MEAN_BITS, Components, principal

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

F32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

LEAST_CHANNELS, MOST_CHANNELS = 8, 1024
_CHANNELS_EACH = 3
"""Least number of channels to a component."""
_SAMPLE, _SAMPLE_A_CHANNEL = 4096, 8
_CLEAR = 0.9
"""Of the channels of a block, the share that its rank has to stay below."""
_SEEN_EACH, _SEEN_MORE = 1.5, 8
"""Places where a whole block is seen, for each of its channels, and more."""
_EACH, _EXTRA = 1, 16
"""Places that weights are fitted to, for each component, and more."""
_KNOWN, _MORE = 1.2, 32
"""Channels that components are solved from, for each component, and more."""
_TOGETHER, _OFTEN = 2, 0.6
"""Places for each component in which many channels' weights are found together, and the share of
these where a channel has to be seen for that."""
_ENOUGH = 1.3
"""With fewer places for each component, weights are held where the channel is clipped, too."""
_RIDGE = 3e-7
_VIOLATIONS, _NO_BETTER = 12, 0.9
"""Rounds in which a channel's weights are held where it is clipped, at most, and the part of an
error that shows that more of them would not pay."""
_BLOCK, _SOLVED = 2**17, 2**15
"""Values that are worked on together, and of which components are found together."""
_JUDGED, _TRIES, _AIMS = 2**17, 3, (0.9998, 0.999, 0.997, 0.99, 0.97, 0.93)
"""Values by which a step is sought, and tries at it; then the part of the root that is aimed at, as
means, which are rounded to parts of the step, make the error rise and fall with it."""


@dataclass(frozen=True)
class Planes:
    """An array as (outer, channels, inner), whatever its type; the least and the largest value.

    Places are in order of outer, then inner, as `context.cut` has them.
    """

    dtype: str
    whole: npt.NDArray[Any]
    low: float
    high: float

    @staticmethod
    def of(raw: npt.NDArray[Any], axis: int, low: float, high: float) -> Planes:
        """With its channels along an axis; raw: bfloat16 as uint16."""
        dtype = "bfloat16" if raw.dtype == np.uint16 else raw.dtype.name
        return Planes(dtype, raw.reshape(outside(raw.shape, axis)), low, high)

    @property
    def channels(self) -> int:
        """How many."""
        return int(self.whole.shape[1])

    @property
    def places(self) -> int:
        """Values of a channel."""
        return int(self.whole.shape[0] * self.whole.shape[2])

    def spread(self, count: int) -> IntArray:
        """So many places from all over."""
        return np.arange(count) * self.places // count

    def some(self, places: IntArray) -> F32:
        """(channels, places), float32."""
        if places.size == self.places:
            return np.concatenate([x for _, x in self.blocks()], 1)
        inner, found = self.whole.shape[2], np.empty((self.channels, places.size), np.float32)
        each = max(1, _BLOCK // self.channels)
        for start in range(0, places.size, each):
            own = places[start : start + each]
            found[:, start : start + each] = self._single(
                self.whole[own // inner, :, own % inner].T
            )
        return found

    def _single(self, x: npt.NDArray[Any]) -> F32:
        wide = single(self.dtype, x)
        return wide.astype(np.float32, copy=False)

    def blocks(self) -> Iterator[tuple[slice, F32]]:
        """All places in order, and their values (channels, places)."""
        outer, channels, inner = self.whole.shape
        for places, where in parts((outer, channels, inner), _BLOCK):
            own = np.moveaxis(self.whole[where], 1, 0).reshape(self.channels, -1)
            yield places, np.ascontiguousarray(self._single(own))

    def seen(self, x: F32) -> Flags:
        """Where values are as they were."""
        found: Flags = x > self.low
        found &= x < self.high
        return found

    def missed(self, x: F32, guess: F32) -> float:
        """The sum of the squares of what is missed, which takes the place of a guess.

        That is what is seen, less what is guessed; elsewhere as far as that is within the bounds.
        x, guess: contiguous.
        """
        if _field is not None:
            return _field.missed(x, guess, self.low, self.high)
        np.subtract(x, guess, out=guess)
        guess[(x <= self.low) & (guess > 0)] = 0
        guess[(x >= self.high) & (guess < 0)] = 0
        return float(np.vdot(guess, guess))


@dataclass(frozen=True)
class Maps:
    """Channels as maps of components, which have about unit variance, uncorrelated.

    weights: (channels, K). mean: (channels,). order: of channels, those most seen first.
    """

    weights: FloatArray
    mean: FloatArray
    order: IntArray


def find(planes: Planes, mse: float) -> Maps | None:
    """The maps of an array, as far as they matter at this mean squared error.

    None where no block of channels is seen that tells, or takes too many components. May raise
    LinAlgError.
    """
    if not LEAST_CHANNELS <= planes.channels <= min(MOST_CHANNELS, planes.places):
        return None
    return _Sample(planes).maps(mse)


class _Sample:
    """Some places of an array, and what they tell."""

    def __init__(self, planes: Planes) -> None:
        count = min(planes.places, max(_SAMPLE, _SAMPLE_A_CHANNEL * planes.channels))
        self._planes, self._x = planes, planes.some(planes.spread(count))
        self._seen = planes.seen(self._x)
        self._order = np.argsort(-self._seen.sum(1), kind="stable")

    @cached_property
    def _first(self) -> IntArray:
        """Of each place how many channels, in order, are seen before one that is not."""
        found, going = np.full(self._seen.shape[1], len(self._order)), self._seen[self._order[0]]
        found[~going] = 0
        for k, c in enumerate(self._order[1:], 1):
            now = going & self._seen[c]
            found[going & ~now] = k
            going = now
            if not going.any():
                break
        return found

    def _most(self, each: float, more: int) -> int:
        """The most channels that are all seen at so many places for each of them, and more."""
        size = len(self._order) + 1
        places = np.bincount(self._first, minlength=size)[::-1].cumsum()[::-1]
        channels = np.arange(size)
        return int(channels[places >= each * channels + more].max(initial=0))

    def maps(self, mse: float) -> Maps | None:
        """As `find`."""
        channels = len(self._order)
        block = min(self._most(_SEEN_EACH, _SEEN_MORE), channels // 2)
        if block < LEAST_CHANNELS:
            return None
        own, places = self._order[:block], np.flatnonzero(self._first >= block)
        x = self._x[own][:, places].astype(np.float64)
        mean = x.mean(1, keepdims=True)
        variance, axes = np.linalg.eigh((x - mean) @ (x - mean).T / places.size)
        axes = axes[:, variance > mse]
        size = axes.shape[1]
        if not 0 < size <= min(_CLEAR * block, channels / _CHANNELS_EACH):
            return None
        # Fewer channels are all seen in more places, which tell more channels' weights.
        fewer = max(math.ceil(1.05 * size) + 1, self._most(0, 4 * size))
        own, mean, axes = own[:fewer], mean[:fewer], axes[:fewer]
        places = np.flatnonzero(self._first >= len(own))
        z = np.linalg.pinv(axes) @ (self._x[own][:, places] - mean)
        rows, known = self._solvable(z, places, np.column_stack([axes, mean]))
        return self._all(_white(self._solved(rows[:, :-1], rows[:, -1:], known)))

    def _solved(self, weights: FloatArray, mean: FloatArray, known: IntArray) -> F32:
        """The components of all places, by some channels."""
        count, each = self._x.shape[1], max(1, _SOLVED // known.size)
        parts = (slice(start, start + each) for start in range(0, count, each))
        solve = Completed(weights)
        found = [solve(self._x[known, part] - mean, self._seen[known, part]) for part in parts]
        whole = np.concatenate(found, 1)
        del found
        trim(self._x.size)
        return whole

    def _solvable(
        self, z: FloatArray, places: IntArray, rows: FloatArray
    ) -> tuple[FloatArray, IntArray]:
        """Weights and means of channels, most seen first, enough to solve places by; their numbers.

        rows: those that are known, of the first channels. z: components of places where all these
            are seen.
        """
        found, known, design = list(rows), list(self._order[: len(rows)]), _design(z)
        for c in self._order[len(rows) :]:
            if len(known) >= _KNOWN * len(z) + _MORE:
                break
            seen = np.flatnonzero(self._seen[c, places])
            if seen.size >= _ENOUGH * len(z) + 4:
                found.append(_fitted(design, self._x[c, places], seen))
                known.append(c)
        return np.array(found), np.array(known, np.int64)

    def _all(self, z: F32) -> Maps:
        """All channels, by all places."""
        channels, design = len(self._order), _design(z)
        rows = np.zeros((channels, len(z) + 1))
        # Channels that are seen in enough of some places are solved there, with one projection.
        count = min(int(_TOGETHER * len(z)) + 4 * _EXTRA, z.shape[1])
        some = np.arange(count) * z.shape[1] // count
        often = self._seen[:, some].mean(1) > _OFTEN
        solve, where = Completed(design[some]), np.ix_(often, some)
        rows[often] = solve(self._x[where].T, self._seen[where].T).T
        for c in np.flatnonzero(~often):
            seen = np.flatnonzero(self._seen[c])
            if seen.size >= _ENOUGH * len(z):
                rows[c] = _fitted(design, self._x[c], seen)
            else:
                rows[c] = self._scarce(design, c)
        return Maps(rows[:, :-1], rows[:, -1], self._order)

    def _scarce(self, design: F32, c: int) -> FloatArray:
        """Of a channel that is seldom seen: where it is, and where it else came inside."""
        seen, x = self._seen[c], self._x[c]
        best, least = np.append(np.zeros(design.shape[1] - 1), x.mean(dtype=np.float64)), np.inf
        taken = seen
        for _ in range(_VIOLATIONS if seen.any() else 0):
            row = _fitted(design, x, np.flatnonzero(taken), most=x.size)
            guess = (design @ row.astype(np.float32)).clip(self._planes.low, self._planes.high)
            error, taken = float(np.square(guess - x).sum(dtype=np.float64)), seen | (guess != x)
            done = error > _NO_BETTER * least or taken.sum() < _ENOUGH * len(row)  # too few to tell
            if error < least:
                best, least = row, error
            if done:
                break
        return best


def _design(z: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Components of places (K, places) as rows, each with a 1 behind them."""
    found = np.ones((z.shape[1], len(z) + 1), z.dtype)
    found[:, :-1] = z.T
    return found


def _fitted(
    design: npt.NDArray[Any], x: npt.NDArray[Any], places: IntArray, most: int | None = None
) -> FloatArray:
    """Weights, then a mean, by least squares from some of the places."""
    wanted = most or _EACH * (design.shape[1] - 1) + _EXTRA
    some = places[:: max(1, places.size // wanted)]
    own = design[some]
    gram = own.T @ own
    gram[np.diag_indices(len(gram))] += _RIDGE * some.size
    found: FloatArray = np.linalg.solve(gram, x[some].astype(own.dtype) @ own)
    return found


def _white(z: F32) -> F32:
    """Components of about unit variance, uncorrelated."""
    centred = z - z.mean(1, keepdims=True)
    variance, axes = np.linalg.eigh((centred @ centred.T).astype(np.float64) / z.shape[1])
    scale = np.sqrt(variance.clip(min=variance.max() * 1e-12 + 1e-300))
    found: F32 = (axes / scale).T.astype(np.float32) @ z
    return found


class Completed:
    """What lies near few directions, from what is seen of it, by least squares.

    Args:
        weights: the directions, as columns: (channels, K).
    """

    def __init__(self, weights: npt.NDArray[Any]) -> None:
        q, r = np.linalg.qr(weights.astype(np.float64))
        self._projection = q @ q.T
        self._single = self._projection.astype(np.float32)
        self._back = (np.linalg.inv(r) @ q.T).astype(np.float32)

    def __call__(self, x: npt.NDArray[Any], seen: Flags) -> F32:
        """The components of places (K, places); x, seen: (channels, places), x less the means."""
        assert _field is not None
        filled, there = np.ascontiguousarray(x, np.float32) * seen, np.ascontiguousarray(seen)
        _field.impute(len(filled), self._projection, filled, self._single @ filled, there)
        found: F32 = self._back @ filled
        return found


def resolve(planes: Planes, maps: Maps, mse: float) -> Components:
    """An array as components, whose weights are rounded as finely as this error needs."""
    q, r = np.linalg.qr(maps.weights)
    rows, shifts, _ = principal(q.T, r @ r.T, mse)
    weights = np.ldexp(rows.astype(np.float64), -shifts[:, None].astype(np.int32)).T
    some = maps.order[: int(_KNOWN * len(rows)) + _MORE]
    solve, means = Completed(weights[some]), maps.mean[some, None].astype(np.float32)
    all_weights, all_means = weights.astype(np.float32), maps.mean[:, None].astype(np.float32)
    inverse = np.linalg.solve(weights.T @ weights, weights.T).astype(np.float32)
    z = np.empty((len(rows), planes.places), np.float32)
    for places, x in planes.blocks():
        few = x[some]
        part = solve(few - means, planes.seen(few))
        guess = all_weights @ part
        guess += all_means
        planes.missed(x, guess)
        part += inverse @ guess
        z[:, places] = part
    return Components(z.T, rows, shifts, maps.mean, planes.low, planes.high)


def step_for(planes: Planes, parts: Components, mse: float) -> float | None:
    """About the largest step that keeps a mean squared error; None if none is found."""
    some = planes.spread(min(planes.places, max(1, _JUDGED // planes.channels)))
    x, z = planes.some(some), np.ascontiguousarray(parts.z[some].T)
    weights, finest = parts.weights.T.astype(np.float32), 2.0**-MEAN_BITS

    def off(x: F32, z: npt.NDArray[Any]) -> float:
        mean = np.rint(parts.mean / (step * finest)) * (step * finest)
        guess = weights @ (np.rint(z / np.float32(step)) * np.float32(step))
        guess += mean[:, None].astype(np.float32)
        return planes.missed(x, guess)

    step = math.sqrt(12 * mse * planes.channels / len(parts.rows))
    for _ in range(_TRIES):
        step *= math.sqrt(mse / max(off(x, z) / x.size, 1e-6 * mse))
    for aim in _AIMS:
        found = sum(off(x, parts.z[places].T) for places, x in planes.blocks())
        ratio = mse * planes.whole.size / max(found, 1e-300)
        if ratio > 1:
            return step
        step *= math.sqrt(ratio) * aim
    return None
