"""Finds the few channels that many are linear maps of, even behind an activation that clips.

A layer that widens 80 channels to 480 gives values of rank 80; a ReLU6 then holds them between 0
and 6, and no linear transform finds the rank again. But what was clipped is known to lie beyond its
bound, and all else is as it was. So the values are completed: in turn, the clipped ones are taken
from the span of the strongest components, held beyond their bound, and the components found anew,
with a threshold that falls (singular value thresholding, Cai, Candès, Shen 2010, with the momentum
of Beck and Teboulle 2009). Nothing is learned but from the array itself.

Encoder only. Floating point here decides how small a file gets, never whether it decodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import FloatArray, IntArray

MEAN_BITS = 4
"""Means are in 2^-MEAN_BITS of the step."""
MOST_CHANNELS = 768
"""Components of more take minutes to find."""
LEAST_CHANNELS = 8
_ROUNDS, _MOST_ROUNDS, _LOOK, _FALLING = 80, 400, 10, 0.9
"""Rounds of completion, more where more is clipped; when to give up on too many components; share
of the rounds in which the threshold still falls."""
_CHANNELS_EACH = 3
"""Least number of channels to a component: with fewer, little is gained, and memory is wanted."""
_LARGEST = 1e100
_START = 0.04
"""The first threshold, as a part of the strongest component's variance."""
_SAMPLE, _SAMPLE_A_CHANNEL = 4096, 8
_CLIPPED = 0.01
"""Share of clipped values below which components are found at once."""
_PRECISION = 3.5
"""Bits of a component's weights beyond those of its size in quantiser steps."""
_ALTERNATIONS, _HELD = 2, 3
"""Rounds of least squares for weights and components in turn; of bringing what was clipped back."""
_TRUSTED = 32.0
"""What was completed counts as so many values of a channel when its weights are fitted."""
_CHUNK = 2**22


@dataclass
class Components:
    """An array (places, channels) as components: x is about clip(z @ (rows / 2**shifts) + mean).

    z: float (places, K). rows: int64 (K, channels). shifts: int64 (K,), 0 or more.
    mean: (channels,). low, high: bounds of all values.
    """

    z: npt.NDArray[Any]
    rows: IntArray
    shifts: IntArray
    mean: FloatArray
    low: float
    high: float

    @property
    def weights(self) -> FloatArray:
        """(K, channels)."""
        return np.ldexp(self.rows.astype(np.float64), -self.shifts[:, None].astype(np.int32))


@dataclass(frozen=True)
class Span:
    """What the channels of an array are combinations of.

    basis: orthonormal, (K, channels). mean: (channels,).
    """

    basis: FloatArray
    mean: FloatArray

    @property
    def share(self) -> float:
        """Components to a channel."""
        return self.basis.shape[0] / self.basis.shape[1]


def find(x: FloatArray, mse: float) -> Span | None:
    """What x (places, channels), finite, spans, as far as it matters at this mean squared error.

    None where that takes more components than a third of the channels, or could not be told from
    chance. May raise LinAlgError.
    """
    places, channels = x.shape
    few = not LEAST_CHANNELS <= channels <= MOST_CHANNELS or places < channels // 2
    if few or not mse > 0 or not np.abs(x).max() < _LARGEST:
        return None
    step = max(1, places // max(_SAMPLE, _SAMPLE_A_CHANNEL * channels))
    return _span(x[::step], Clip.of(x), mse)


def resolve(x: FloatArray, span: Span, mse: float) -> Components:
    """X (places, channels) as components of a span, which is fitted to all of it first."""
    clip, basis, mean = Clip.of(x), span.basis, span.mean
    z = _solve(x, clip, basis, mean, np.full(len(basis), np.inf), mse)
    for _ in range(_ALTERNATIONS):
        basis, mean = _fitted(x, clip, z, basis, mean)
        z = _solve(x, clip, basis, mean, z.var(0).clip(min=mse), mse)
    rows, shifts, variance = principal(basis, np.cov(z.T), mse)
    parts = Components(z, rows, shifts, mean, clip.low, clip.high)
    parts.z = _held(x, clip, parts, _solve(x, clip, parts.weights, mean, variance, mse))
    return parts


def principal(
    basis: FloatArray, covariance: FloatArray, mse: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """The principal axes of components, the strongest first: rows, shifts, and their variance.

    basis: orthonormal, (K, channels). covariance: of the components, (K, K).
    """
    variance, turn = np.linalg.eigh(np.atleast_2d(covariance))
    basis, variance = turn.T[::-1] @ basis, variance[::-1].clip(min=mse)
    shifts = np.ceil(0.5 * np.log2(variance / mse) + _PRECISION).astype(np.int64)
    rows = np.rint(np.ldexp(basis, shifts[:, None].astype(np.int32))).astype(np.int64)
    return rows, shifts, variance


@dataclass(frozen=True)
class Clip:
    """Bounds that values may have been held between: the least and the largest there is."""

    low: float
    high: float

    @classmethod
    def of(cls, x: FloatArray) -> Clip:
        """Those of x."""
        return cls(float(x.min()), float(x.max()))

    def seen(self, x: FloatArray) -> np.ndarray:
        """Where x is as it was, bool."""
        return (x > self.low) & (x < self.high)

    def hold(self, x: FloatArray, guess: FloatArray) -> FloatArray:
        """X where it is seen; elsewhere what is guessed, as far as it lies beyond the bound."""
        above = np.where(x < self.high, x, np.maximum(guess, self.high))
        return np.where(x > self.low, above, np.minimum(guess, self.low))


def _span(x: FloatArray, clip: Clip, mse: float) -> Span | None:
    """The span of x, completed; None if it is too large."""
    seen = clip.seen(x)
    if not seen.any():
        return None
    rounds = 1 if seen.mean() > 1 - _CLIPPED else min(round(_ROUNDS / seen.mean()), _MOST_ROUNDS)
    full = before = np.where(x <= clip.low, 1.5 * clip.low - 0.5 * x[seen].mean(), x)
    for i in range(rounds):
        trial = clip.hold(x, full + i / (i + 3) * (full - before))
        mean = trial.mean(0)
        variance, axes = np.linalg.eigh((trial - mean).T @ (trial - mean) / len(trial))
        first = max(variance[-1] * _START, mse)
        part = min(1.0, i / (rounds * _FALLING)) if rounds > 1 else 1.0
        basis = axes[:, variance > first * (mse / first) ** part].T
        if i in (_LOOK, rounds - 1) and not 0 < len(basis) <= x.shape[1] // _CHANNELS_EACH:
            return None
        before, full = full, clip.hold(x, (trial - mean) @ basis.T @ basis + mean)
    return Span(basis, mean)


def _solve(
    x: FloatArray, clip: Clip, basis: FloatArray, mean: FloatArray, variance: FloatArray, mse: float
) -> FloatArray:
    """Z of each place from the values that are seen, least squares; variance: a prior of z."""
    size, channels = basis.shape
    products = (basis[:, None] * basis[None]).reshape(size * size, channels).T
    prior = np.diag(mse / variance + 1e-3 * mse)
    z = np.empty((len(x), size))
    step = max(1, _CHUNK // (size * size))
    for start in range(0, len(x), step):
        part = x[start : start + step]
        seen = clip.seen(part).astype(np.float64)
        left = (seen @ products).reshape(-1, size, size) + prior
        right = ((part - mean) * seen) @ basis.T
        z[start : start + step] = np.linalg.solve(left, right[..., None])[..., 0]
    return z


def _fitted(
    x: FloatArray, clip: Clip, z: FloatArray, basis: FloatArray, mean: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Orthonormal components and mean, fitted to z by what is seen; where little is, as before."""
    design = np.column_stack([z, np.ones(len(z))])
    size, channels = design.shape[1], x.shape[1]
    prior = np.diag(_TRUSTED * np.square(design).mean(0) + np.finfo(float).tiny)
    left = np.tile(prior.ravel(), (channels, 1))
    right = np.column_stack([basis.T, mean]) @ prior
    step = max(1, _CHUNK // (size * size))
    for start in range(0, len(x), step):
        part, own = x[start : start + step], design[start : start + step]
        seen = clip.seen(part).astype(np.float64).T
        left += seen @ (own[:, :, None] * own[:, None]).reshape(len(own), size * size)
        right += (seen * part.T) @ own
    weights = np.linalg.solve(left.reshape(channels, size, size), right[..., None])[..., 0]
    return np.linalg.qr(weights[:, :-1])[0].T, weights[:, -1]


def _held(x: FloatArray, clip: Clip, parts: Components, z: FloatArray) -> FloatArray:
    """Z such that what was clipped stays beyond its bound, too, about."""
    weights = parts.weights
    inverse = np.linalg.pinv(weights)
    for _ in range(_HELD):
        z = (clip.hold(x, z @ weights + parts.mean) - parts.mean) @ inverse
    return z
