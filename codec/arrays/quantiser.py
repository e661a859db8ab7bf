"""Arrays to integers: which step keeps what was promised, and what no integer can give back."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import differences, stream
from lictor.codec.arrays.context import MAX_SHIFT, MAX_SYMBOL, FloatArray, cut, grid
from lictor.codec.arrays.dtypes import rounded, to_float64
from lictor.codec.arrays.lossless import pack, pack_patch
from lictor.codec.arrays.predictor_fit import entropy
from lictor.codec.arrays.target import Distance, within

_AXIS_SAMPLE = 2**16
_PROMISING = 1.1
"""Differences are tried where they alone seem to take at most so many times the bytes."""
_SOME = 2**16
_MAX_CHANNELS = 2**13
_DEAD = (0.0, 0.08, 0.16)
_FINEST = 2.0**-29
"""In parts of the median distance from the middle: with a finer step most integers would be out of
their range."""
_RUNGS_AN_OCTAVE = 64
_MOST_RUNGS = 2**13
_SCANNED = 2**23
_FAR = 2.0**23
"""From this level on, integers are counted from the middle level of their channel."""
_WIDE = 2.0**29
_LEAST, _MOST = 5e-324, sys.float_info.max
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}

_MOST_PATCHED = 0.9
_CHUNK = 2**18

Some = float | FloatArray
"""A step, or the level that integers are counted from: one, or such that they fit the array."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Parts:
    """An array that was coded with a step.

    axis: of the channels; None if there is none. shifts: the levels that their integers are counted
    from, packed; nothing where those are 0. patch: values that are kept exactly, packed.
    coded: the stream.
    """

    axis: int | None
    shifts: bytes
    patch: bytes
    coded: bytes
    orders: tuple[int, ...] = ()


class Quantiser:
    """An array on its way to integers.

    Args:
        name: of the array.
        dtype: its type, one of FLOATS.
        raw: the array, with at least one finite value; bfloat16 as uint16.
        axis: of its channels; found when first needed if None.
        quick: choose what its integers are predicted from in C, from less.
    """

    def __init__(
        self,
        name: str,
        dtype: str,
        raw: npt.NDArray[Any],
        axis: int | None,
        quick: bool = False,
    ) -> None:
        self.quick = quick
        self.name, self.dtype, self.raw = name, dtype, raw
        self.x = to_float64(dtype, raw)
        self.finite = np.isfinite(self.x)
        self.known = self.x[self.finite]
        self.largest = float(np.abs(self.known).max())
        self._given = self._axis = axis
        self._dead = 0.0

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.raw.size

    @property
    def coarsest(self) -> float:
        """A step that makes all values 0."""
        return min(4 * self.largest, _MOST)

    def rounded(self, values: FloatArray) -> FloatArray:
        """Values as the array's type has them."""
        return rounded(self.dtype, values)

    # ---- steps

    def int8(self) -> Distance:
        """The error of 8-bit integers with one scale, symmetric or affine."""
        exponent = math.frexp(self.largest)[1]
        unit = exponent if abs(exponent) > 400 else 0
        x = np.ldexp(self.known, -unit) if unit else self.known
        low, high = float(x.min()), float(x.max())
        mse = min(
            _grid_mse(x, max(abs(low), abs(high)) / 127, 0.0, 127),
            _grid_mse(x, (high - low) / 255, low, 255),
        )
        return Distance(mse, unit)

    def step_for(self, wanted: Distance) -> float:
        """A step, and how far values are drawn to 0, with at most this mean squared error.

        Drawing them to 0 makes them cheaper and the step finer: where most are small, that pays.
        What they take is judged by their entropy. The largest such step, nearly.
        """
        best, least = 0.0, math.inf
        part = self.raw[self.finite][:: self.known.size // _SOME + 1]
        some = Quantiser(self.name, self.dtype, part, None)
        for dead in _DEAD:
            some._dead = dead
            step = some._step_for(wanted)
            rate = entropy(_levels(some.known, step, dead, some._shift(step))[0])
            if rate < least:
                best, least = dead, rate
        self._dead = best
        step = self._step_for(wanted)
        if wanted.mse > 0 and self.lattice >= step:
            self._dead = 0.0
            return self.lattice
        return step

    def _step_for(self, wanted: Distance) -> float:
        if wanted.mse <= 0 or not self.largest:
            return self._exact_step()
        step = min(wanted.times(12), self.coarsest)
        if self._keeps(self.coarsest, wanted):
            return self.coarsest
        low = high = max(step, _LEAST)
        # No value is then further off than twice the root of what is wanted.
        while low > max(wanted.root / 4, _LEAST) and not self._keeps(low, wanted):
            low, high = max(low / 1.5, _LEAST), low
        # With one above that, a single error would be more than all may have together.
        most = min(self.coarsest, 4 * wanted.times(self.known.size))
        while high < most and self._keeps(high, wanted):
            low, high = high, min(high * 1.5, self.coarsest)
        for _ in range(9):
            middle = _between(low, high)
            low, high = (middle, high) if self._keeps(middle, wanted) else (low, middle)
        return low

    def _exact_step(self) -> float:
        """The largest of some steps with which all values come back as they are, if there is one.

        One of 8-bit integers, where those are exact; of all-alike values these themselves.
        """
        largest, low, high = self.largest, float(self.known.min()), float(self.known.max())
        tried = (largest, (high - low) / 255, largest / 127, self.lattice)
        for step in sorted((s for s in tried if 0 < s < math.inf), reverse=True):
            decoded, patched = self._quantised(self.known, step, self._shift(step))[1:]
            if not patched.any() and (decoded == self.known).all():
                return step
        return largest or 1.0

    def step_for_bound(self, bound: float) -> float:
        """The largest step whose values keep a bound, leaving room for their type's rounding."""
        rounding = rounding_of(float(np.quantile(np.abs(self.known), 0.98)), self.dtype)
        step = 2 * (bound - rounding if rounding < bound / 2 else bound) * (1 - 2.0**-40)
        return min(max(step, self.lattice, _LEAST), _MOST)

    @cached_property
    def lattice(self) -> float:
        """The largest number of which all values are multiples, if few enough; else 0."""
        return lattice_of(self.known[self.known != 0])

    def _keeps(self, step: float, wanted: Distance) -> bool:
        return wanted.keeps(self._errors(self.known, step))

    def _errors(self, known: FloatArray, step: float) -> FloatArray:
        decoded, patched = self._quantised(known, step, self._shift(step))[1:]
        with np.errstate(all="ignore"):
            return np.where(patched, 0.0, decoded - known)

    def idea(self, step: float) -> Distance:
        """How near the values will come to their originals, as the encoder sees it."""
        shifts = self._shifts(self.x, self.axis(step), step)
        decoded, patched = self._quantised(self.x, step, shifts)[1:]
        return Distance.between(np.where(patched, self.x, decoded)[self.finite], self.known)

    def rungs(self) -> list[float]:
        """Steps from the coarsest to the finest that is worth a try, each nearer than those before.

        All are fixed by the array: of two searches among them neither knows a step that the other
        does not. How near they come is taken from a part of a large array.
        """
        sizes = np.abs(self.known - self._middle)
        sizes = sizes[(sizes > 0) & (sizes < math.inf)]
        if not sizes.size:
            return [self.largest or 1.0]
        finest = max(_median(sizes) * _FINEST, self.lattice, _LEAST)
        octaves = math.log2(self.coarsest) - math.log2(finest)
        count = min(math.ceil(max(octaves, 0.0) * _RUNGS_AN_OCTAVE), _MOST_RUNGS)
        steps = np.exp2(math.log2(self.coarsest) - np.arange(count) * (octaves / max(count, 1)))
        steps = np.append(steps[steps > finest].clip(max=self.coarsest), finest)
        some = self.known[:: self.known.size * steps.size // _SCANNED + 1]
        errors = self._mean_squares(some, steps)
        nearer = np.append(True, errors[1:] < np.minimum.accumulate(errors)[:-1])
        return [float(step) for step in steps[nearer]]

    def _mean_squares(self, some: FloatArray, steps: FloatArray) -> FloatArray:
        """The errors of some values with each of some steps, in any unit."""
        unit = math.frexp(self.largest)[1] if not 2.0**-400 < self.largest < 2.0**400 else 0
        found = []
        for start in range(0, steps.size, rows := _CHUNK // some.size + 1):
            step = steps[start : start + rows, None]
            level = self._middle / step
            far = (np.abs(level) >= _FAR) & (np.abs(level) <= MAX_SHIFT)
            decoded, patched = self._quantised(some, step, np.where(far, np.rint(level), 0.0))[1:]
            error = np.ldexp(np.where(patched, 0.0, decoded - some), -unit)
            found.append(np.square(error).mean(1))
        return np.concatenate(found)

    def _far_off(self, step: float) -> float:
        """The share of values that have no integer, without channels."""
        if self.largest / step <= MAX_SYMBOL:
            return 0.0
        level = np.minimum(np.abs(self.known), np.abs(self.known - self._middle)) / step
        return float((level > MAX_SYMBOL).mean())

    # ---- integers

    @cached_property
    def _middle(self) -> float:
        return _median(self.known)

    def _shift(self, step: float) -> float:
        """The level that all integers are counted from, without channels; mostly 0."""
        return _far(self._middle / step) if self.largest / step >= _FAR else 0.0

    def _shifts(self, x: FloatArray, axis: int | None, step: float) -> FloatArray:
        """The levels that the integers of each channel are counted from, whole numbers."""
        shape = [1] * x.ndim
        if axis is not None:
            shape[axis] = x.shape[axis]
        if self.largest / step < _FAR:
            return np.zeros(shape)
        rows = (row[np.isfinite(row)] for row in cut(x, axis))
        middle = [_far(_median(row) / step) if row.size else 0.0 for row in rows]
        return np.array(middle).reshape(shape)

    def _quantised(
        self, x: FloatArray, step: Some, shift: Some
    ) -> tuple[FloatArray, FloatArray, Flags]:
        """Integers, what they are decoded to, and where neither will do."""
        levels, patched = _levels(x, step, self._dead, shift)
        with np.errstate(all="ignore"):
            decoded = self.rounded((levels + shift) * step)
        return levels, decoded, patched | ~np.isfinite(decoded)

    def encode(self, step: float, bound: float = math.inf) -> Parts:
        """The array coded with a step; values further off than the bound are kept exactly.

        Raises Uncodable.
        """
        if not 0 < step < math.inf or self._far_off(step) > _MOST_PATCHED:
            raise stream.Uncodable("most values are out of the range of integers")
        axis = self.axis(step)
        shifts = self._shifts(self.x, axis, step)
        levels, decoded, patched = self._quantised(self.x, step, shifts)
        if bound < math.inf:
            patched |= ~within(decoded, self.x, bound)
        g = grid(self.raw.shape, axis)
        coded = stream.encode(cut(levels.astype(np.int64), axis), g, self.quick)
        if shifts.any():
            packed = pack(shifts.astype(np.int64))
            return Parts(axis, packed, pack_patch(self.raw, patched), coded)
        other = self._differenced(levels, len(coded))
        axis, coded, orders = other or (axis, coded, ())
        return Parts(axis, b"", pack_patch(self.raw, patched), coded, orders)

    def _differenced(
        self, levels: FloatArray, most: int
    ) -> tuple[int | None, bytes, tuple[int, ...]] | None:
        """Axis, stream and orders where differences take fewer than `most` bytes."""
        bits, orders = differences.best(levels.astype(np.int32))
        if not any(orders) or bits * levels.size / 8 > most * _PROMISING:
            return None
        found = differences.differences(levels, orders)
        if not differences.fit(found):
            return None
        least: tuple[int | None, bytes, tuple[int, ...]] | None = None
        known = self._axis if self._axis is not None and self._axis >= 0 else None
        for axis in dict.fromkeys((known, None)):
            g = grid(levels.shape, axis)
            coded = stream.encode(cut(found.astype(np.int64), axis), g, self.quick)
            if len(coded) < most:
                least, most = (axis, coded, orders), len(coded)
        return least

    def axes(self) -> list[int]:
        """Those that may be the channels': the one that was given, or all."""
        return list(range(self.raw.ndim)) if self._given is None else [self._given]

    def axis(self, step: float) -> int | None:
        """The axis of the channels by which a part of the array takes the fewest bytes."""
        if self._axis is None:
            self._axis = self._find_axis(step)
        return None if self._axis < 0 else self._axis

    def _find_axis(self, step: float) -> int:
        tried = [i for i, n in enumerate(self.raw.shape) if 1 < n <= _MAX_CHANNELS]
        if len(tried) == self.raw.ndim == 1:
            return -1
        return min([-1, *tried[-3:]], key=lambda axis: self._cost(step, axis))

    def _cost(self, step: float, axis: int) -> float:
        """Bytes a value with an axis (-1 is none), from a part of the array.

        What the model takes grows with the channels, the rest with the values.
        """
        shape, own = self.raw.shape, None if axis < 0 else axis
        part = self.x[_sample(shape, axis, max(_AXIS_SAMPLE, self.raw.size // 8))]
        shifts = self._shifts(part, own, step)
        levels, patched = _levels(part, step, self._dead, shifts)
        g = grid(levels.shape, own)
        model, whole = stream.sizes(cut(levels.astype(np.int64), own), g, self.quick)
        more = 1 if own is None else shape[own] / g.channels
        kept = self.raw.itemsize * patched.mean() if self.largest / step >= _FAR else 0.0
        return (whole - model) / levels.size + model * more / self.raw.size + kept


def rounding_of(size: float, dtype: str) -> float:
    """How far off a value of a size may be once it is rounded to its type."""
    return 2.0 ** (math.frexp(size)[1] - _DIGITS[dtype] - 1) if size else 0.0


def lattice_of(values: npt.NDArray[Any]) -> float:
    """The largest number of which all values, none of them 0, are multiples; 0 if they are many."""
    unit = _unit(values[:: values.size // 256 + 1]) and _unit(values)
    if not unit:
        return 0.0
    return int(np.gcd.reduce((values / unit).astype(np.int64))) * unit


def _between(low: float, high: float) -> float:
    """The geometric mean."""
    if 0 < low * high < math.inf:
        return math.sqrt(low * high)
    return min(max(math.sqrt(low) * math.sqrt(high), low), high)


def _unit(values: FloatArray) -> float:
    """The largest power of 2 of which all values are multiples, if few enough; else 0."""
    if not values.size:
        return 0.0
    mantissa, exponent = np.frexp(values.astype(np.float64))
    digits = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = np.frexp((digits & -digits).astype(np.float64))[1] - 54
    unit = math.ldexp(1.0, int((exponent + lowest).min()))
    low, high = values.min() / unit, values.max() / unit
    return unit if high - low <= _WIDE and max(high, -low) < 2.0**52 else 0.0


def _median(values: FloatArray) -> float:
    """Also where the sum of the two in the middle is out of range."""
    middle = float(np.median(values))
    return middle if math.isfinite(middle) else 2 * float(np.median(values / 2))


def _far(level: float) -> float:
    """The whole number nearest to a level that is far enough out to be counted from; else 0."""
    return float(np.rint(level)) if _FAR <= abs(level) <= MAX_SHIFT else 0.0


def _levels(x: FloatArray, step: Some, dead: float, shift: Some) -> tuple[FloatArray, Flags]:
    """Integers near x / step - shift, and where there is none within the format: there they are 0.

    dead: how much further than half a step a value must be from a level to go up to the next, where
        levels are counted from 0.
    """
    with np.errstate(all="ignore"):
        levels = np.rint(x / step)
        if dead:
            near = np.sign(x) * np.floor(np.abs(x / step) + (0.5 - dead))
            levels = np.where(np.equal(shift, 0), near, levels)
        levels = levels - shift
        patched = ~(np.abs(levels) <= MAX_SYMBOL)
    return np.where(patched, 0.0, levels), patched


def _grid_mse(x: FloatArray, step: float, zero: float, most: int) -> float:
    if not (step > 0 and math.isfinite(step)):
        return 0.0
    levels = np.clip(np.rint((x - zero) / step), -most, most)
    return float(np.square(levels * step + zero - x).mean())


def _sample(shape: tuple[int, ...], axis: int, most: int) -> tuple[slice, ...]:
    """A middle part of an array, of at most `most` values; of the axis most places stay."""
    sizes = list(shape)
    while math.prod(sizes) > most:
        longest = max(range(len(sizes)), key=lambda i: sizes[i] / (4 if i == axis else 1))
        sizes[longest] = -(-sizes[longest] // 2)
    return tuple(
        slice((n - size) // 2, (n - size) // 2 + size) for n, size in zip(shape, sizes, strict=True)
    )
