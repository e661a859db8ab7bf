"""Arrays to integers in a hurry: what becomes of large arrays unless told to search.

The step is found on a part of the array and measured on all of it, channels are along the axis that
a small part says, and no components are looked for. quantiser.py takes what is rare: numbers that
are not finite or far out, multiples of something coarse, float16 and bfloat16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import stream
from lictor.codec.arrays.context import cut, grid
from lictor.codec.arrays.lossless import pack_patch
from lictor.codec.arrays.quantiser import _DEAD, _FAR, lattice_of, rounding_of
from lictor.codec.arrays.target import Distance, Promise, within

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

LEAST = 2**16
"""Values of the smallest array for which it pays not to search."""
_RANGE = 2.0**100
_SOME, _MORE = 2**15, 2**18
"""Values by which the dead zone, and the step, are chosen."""
_CLIPPED = 0.02
"""The share of values at one end of the range from which on they are taken for clipped."""
_HALVES = 12
_TRIES = 4
_CHANNELS, _PLACES = 24, 2**10
"""What of an array tells its axis."""
_MOST_CHANNELS = 2**13


@dataclass(frozen=True)
class Levels:
    """An array's integers (as its shape), and values that are kept exactly, packed."""

    levels: npt.NDArray[np.int32]
    step: float
    patch: bytes = b""


class Quick:
    """A large array of float32 or float64, all finite.

    Args:
        dtype: its type. raw: the array. axis: of its channels; found if None.
    """

    def __init__(self, dtype: str, raw: npt.NDArray[Any], axis: int | None) -> None:
        self._wide = dtype == "float64"
        self._raw, self._given, self._dtype = raw, axis, dtype
        self._x = raw.reshape(-1)
        self._low, self._high = float(self._x.min()), float(self._x.max())
        self._largest = max(-self._low, self._high)

    @staticmethod
    def of(dtype: str, raw: npt.NDArray[Any], axis: int | None) -> Quick | None:
        """None where the array is none of these."""
        if _field is None or dtype not in ("float32", "float64") or raw.size < LEAST:
            return None
        found = Quick(dtype, raw, axis)
        usual = 1 / _RANGE < found._largest < _RANGE  # nor is NaN
        return found if usual and not found._is_clipped() else None

    def _is_clipped(self) -> bool:
        """Whether an activation cut the values: a search may find that they have few components."""
        some = self._part(_SOME)
        return bool(max((some == end).mean() for end in (self._low, self._high)) > _CLIPPED)

    # ---- steps

    def _sum(self, x: npt.NDArray[Any], step: float, dead: float) -> float:
        return float(_field.quantise(x, self._wide, step, dead, None))  # type: ignore[union-attr]

    def _part(self, most: int) -> npt.NDArray[Any]:
        """Values from all over; an odd distance meets no period of a power of 2."""
        return np.ascontiguousarray(self._x[:: (self._x.size // most) | 1])

    def int8(self) -> Distance:
        """As Quantiser.int8."""
        assert _field is not None
        grids = (
            (self._largest / 127, 0.0, 127.0),
            ((self._high - self._low) / 255, self._low, 255.0),
        )
        sums = [_field.grid(self._x, self._wide, *g) if g[0] > 0 else 0.0 for g in grids]
        return Distance(min(sums) / self._x.size)

    def within(self, wanted: Distance) -> Levels | None:
        """With about the largest step that keeps an error; None where that is not simple."""
        if wanted.unit or not wanted.mse > 0:
            return None
        some, best, least = self._part(_SOME), 0.0, math.inf
        for dead in _DEAD:
            step = self._step(some, wanted, dead, _HALVES)
            rate = _entropy(self._levels(some, step, dead))
            if rate < least:
                best, least = dead, rate
        step = self._step(self._part(_MORE), wanted, best, 2 * _HALVES)
        if self._largest / step >= _FAR or lattice_of(some[some != 0]) >= step:
            return None
        for _ in range(_TRIES):
            levels = np.empty(self._raw.shape, np.int32)
            error = _field.quantise(self._x, self._wide, step, best, levels)  # type: ignore[union-attr]
            ratio = wanted.mse * self._x.size / error if error else 1.0
            if ratio >= 1 + 1e-9:
                return Levels(levels, step)
            step *= math.sqrt(ratio) * (1 - 1e-4)
        return None

    def _step(self, x: npt.NDArray[Any], wanted: Distance, dead: float, halves: int) -> float:
        """The largest, by halves, that keeps the error for some values."""
        most = wanted.mse * x.size
        low, high = wanted.times(1), min(wanted.times(400), 4 * self._largest)
        if self._sum(x, high, dead) <= most:
            return high
        for _ in range(halves):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self._sum(x, middle, dead) <= most else (low, middle)
        return low

    def bounded(self, bound: float) -> Levels | None:
        """With a step that keeps a bound; what it does not, is kept exactly."""
        some = self._part(_MORE)
        rounding = rounding_of(float(np.quantile(np.abs(some), 0.98)), self._dtype)
        step = 2 * (bound - rounding if rounding < bound / 2 else bound) * (1 - 2.0**-40)
        if not step > 0 or self._largest / step >= _FAR or lattice_of(some[some != 0]) >= step:
            return None
        levels = self._levels(self._raw, step, 0.0)
        decoded = (levels * step).astype(self._raw.dtype)
        largest = _field.compare(decoded, self._raw, self._wide)[1]  # type: ignore[union-attr]
        if largest < bound * (1 - 1e-9):
            return Levels(levels, step)
        far = ~within(decoded.astype(np.float64), self._raw.astype(np.float64), bound)
        return Levels(levels, step, pack_patch(self._raw, far))

    def _levels(self, x: npt.NDArray[Any], step: float, dead: float) -> npt.NDArray[np.int32]:
        levels = np.empty(x.shape, np.int32)
        _field.quantise(x, self._wide, step, dead, levels)  # type: ignore[union-attr]
        return levels

    # ---- integers

    def encode(self, found: Levels) -> tuple[int | None, bytes]:
        """The axis of the channels, and the stream. Raises Uncodable."""
        axis = self._given if self._given is not None else _axis(found.levels)
        planes = cut(found.levels, axis)
        return axis, stream.encode(planes, grid(found.levels.shape, axis), quick=True)


def kept(promise: Promise, dtype: str, raw: npt.NDArray[Any], back: npt.NDArray[Any]) -> bool:
    """Whether a promise is kept by so far that no rounding of sums can matter.

    raw, back: contiguous. False says nothing.
    """
    if _field is None or dtype not in ("float32", "float64") or back.dtype != raw.dtype:
        return False
    if back.shape != raw.shape or not raw.flags.c_contiguous or not back.flags.c_contiguous:
        return False
    total, largest = _field.compare(raw, back, dtype == "float64")
    near = promise.distance
    if not (math.isfinite(total) and largest < promise.bound * (1 - 1e-9)):
        return False
    return near is None or (near.unit == 0 and total < near.mse * raw.size * (1 - 1e-9))


def _entropy(levels: npt.NDArray[np.int32]) -> float:
    """Bits of a value without any prediction; of values far out, at least."""
    low = int(levels.min())
    if int(levels.max()) - low > 2**20:
        levels, low = levels >> 8, low >> 8
    counts = np.bincount(levels - low)
    counts = counts[counts > 0]
    return float(np.log2(levels.size) - (counts * np.log2(counts)).sum() / levels.size)


def _axis(levels: npt.NDArray[np.int32]) -> int | None:
    """The axis along which a middle part of the array takes the fewest bytes as channels."""
    tried = [i for i, n in enumerate(levels.shape) if 1 < n <= _MOST_CHANNELS][-3:]
    if levels.ndim == 1:
        return None
    return min([None, *tried], key=lambda axis: _cost(levels, axis))


def _cost(levels: npt.NDArray[np.int32], axis: int | None) -> float:
    """Bits a value of a part, what its channels' weights take shared out over all places."""
    shape = list(levels.shape)
    others = [i for i in range(levels.ndim) if i != axis]
    if axis is not None:
        shape[axis] = min(shape[axis], _CHANNELS)
    channels = 1 if axis is None else shape[axis]
    most = _PLACES if axis is not None else _PLACES * _CHANNELS
    while math.prod(shape[i] for i in others) > most:
        longest = max(others, key=lambda i: shape[i])
        shape[longest] = -(-shape[longest] // 2)
    part = levels[
        tuple(
            slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(levels.shape, shape, strict=True)
        )
    ]
    model, whole = stream.sizes(cut(part, axis), grid(part.shape, axis), quick=True)
    places = levels.size / (1 if axis is None else levels.shape[axis])
    return (whole - model) / part.size + model / channels / places
