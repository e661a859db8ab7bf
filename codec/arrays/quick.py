"""Arrays to integers in a hurry: what becomes of large arrays unless told to search.

The step is found on a part of the array and measured on all of it, channels are along the axis that
a small part says, and no components are looked for. quantiser.py takes what is rare: numbers that
are not finite or far out, and multiples of something coarse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import analysis, differences, stream
from lictor.codec.arrays.context import cut, grid
from lictor.codec.arrays.dtypes import rounded, single, to_float64
from lictor.codec.arrays.lossless import pack_patch
from lictor.codec.arrays.quantiser import _DEAD, _FAR, lattice_of, rounding_of
from lictor.codec.arrays.target import Distance, Promise, within
from lictor.codec.format.arrays import FLOATS

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

LEAST = 2**16
"""Values of the smallest array for which it pays not to search."""
_RANGE = 2.0**100
_SOME, _MORE, _SHARE = 2**13, 2**16, 8
"""Values by which the dead zone, and the step, are chosen; the latter one in so many at most."""
_CLIPPED = 0.02
"""The share of values at one end of the range from which on they are taken for clipped."""
_NEAR, _HALVES = 6, 16
"""Tries at a step by the square root, and by halves."""
_CLOSE, _AIM = 0.999, 0.9997
"""What of an error is used up when a step will do, and which part of the root is aimed at."""
_TRIES, _SLACK = 4, 1.004
"""Steps that are tried on all values; how much less than the error a first one may take."""
_SMALL = 2**14
"""Levels below this stay within 16 bits, also with steps that are finer by a half."""
_CHANNELS, _PLACES, _PART, _HALVED = 24, 2**10, 32, 2**19
"""What of an array tells its axis: channels, and places of each, one in so many of all at most; of
arrays of fewer values than the last, half as many channels."""
_MOST_CHANNELS = 2**13
_SMOOTH, _PROMISING, _CLEARLY = 2**13, 0.1, 0.5
"""Values by which orders of differences are chosen; how many bits more they may seem to take than
channels alone, and how many less than integers, for channels alone not to be tried."""
_PARTS, _FEWEST, _BLOCKS, _SHARED = 6, 2**14, 2**15, 16
"""Parts of a smooth array by which a way is chosen, and values of all of them: at least, at most,
and between these one in so many of all."""


_BLOCK = 2**18
"""Values of 16 bits that are made wide together."""


_Way = tuple[int | None, tuple[int, ...]]
"""The axis of channels, and orders of differences along each; none at all where there are no
differences."""
Pieces = Callable[[], Iterable[npt.NDArray[Any]]]
"""An array, piece by piece."""


@dataclass(frozen=True)
class Levels:
    """An array's integers (channels, plane), and values that are kept exactly, packed.

    levels: int16 if that holds them, else int32.
    axis: of the channels, None for one channel. orders: of the differences along each axis, which
        stand in the place of the integers.
    """

    levels: npt.NDArray[Any]
    axis: int | None
    step: float
    orders: tuple[int, ...] = ()
    patch: bytes = b""


class Quick:
    """A large array, all finite.

    Args:
        dtype: its type, one of FLOATS. raw: the array, contiguous; bfloat16 as uint16.
        axis: of its channels; found if None.
    """

    def __init__(self, dtype: str, raw: npt.NDArray[Any], axis: int | None) -> None:
        self._raw, self._given, self.dtype = raw, axis, dtype
        self._x = raw.reshape(-1)
        self.low, self.high = _ends(dtype, [raw])
        self._largest = max(-self.low, self.high)

    @staticmethod
    def of(dtype: str, raw: npt.NDArray[Any], axis: int | None) -> Quick | None:
        """None where the array is none of these."""
        if _field is None or dtype not in FLOATS or raw.size < LEAST:
            return None
        found = Quick(dtype, raw, axis)
        return found if _usual(found._largest) else None

    @property
    def raw(self) -> npt.NDArray[Any]:
        """The array, bfloat16 as uint16."""
        return self._raw

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self._raw.shape

    def axes(self) -> list[int]:
        """Those that may be the channels': the one that was given, or all."""
        return list(range(self._raw.ndim)) if self._given is None else [self._given]

    def is_clipped(self) -> bool:
        """Whether an activation cut the values: they may have few components."""
        some = self._part(_SOME)
        return bool(max((some == end).mean() for end in (self.low, self.high)) > _CLIPPED)

    # ---- steps

    def _sum(self, x: npt.NDArray[Any], step: float, dead: float) -> float:
        return self._quantise(x, step, dead, None)[0]

    def _quantise(
        self,
        x: npt.NDArray[Any],
        step: float,
        dead: float,
        out: npt.NDArray[Any] | None,
        cut: tuple[int, int] | None = None,
    ) -> tuple[float, float]:
        """The sum of the squared errors, and the largest of them; cut: as of `_cut`."""
        assert _field is not None
        channels, inner = cut or (1, x.size)
        found: tuple[float, float]
        found = _field.quantise(x, _kind(x), channels, inner, step, dead, out)
        return found

    def _part(self, most: int) -> npt.NDArray[Any]:
        """Values from all over; an odd distance meets no period of a power of 2."""
        return single(self.dtype, np.ascontiguousarray(self._x[:: (self._x.size // most) | 1]))

    def _more(self) -> npt.NDArray[Any]:
        return self._part(max(_SOME, min(_MORE, self._x.size // _SHARE)))

    def int8(self) -> Distance:
        """As Quantiser.int8."""
        return Distance(_int8(self.dtype, lambda: [self._raw], self.low, self.high))

    def within(self, wanted: Distance) -> Levels | None:
        """With about the largest step that keeps an error; None where that is not simple."""
        if wanted.unit or not wanted.mse > 0:
            return None
        some, best, least = self._part(_SOME), 0.0, math.inf
        for dead in _DEAD:
            step = self._step(some, wanted, dead)
            rate = _entropy(self._levels(some, step, dead))
            if rate < least:
                best, least = dead, rate
        more = self._more()
        step = self._step(more, wanted, best)
        if self._largest / step >= _FAR or lattice_of(some[some != 0]) >= step:
            return None
        most = wanted.mse - self.rounding(step)
        if most < wanted.mse / 2:
            return None
        if most < wanted.mse:
            step = self._step(more, Distance(most), best)
        axis, orders = self._way(step, best)
        levels, cut = self._room(axis, step, orders)
        for turn in range(_TRIES):
            error, _ = self._quantise(self._raw, step, best, levels, cut)
            ratio = most * self._x.size / error if error else 1.0
            if ratio >= 1 + 1e-9 and (turn or ratio < _SLACK):
                return Levels(levels, axis, step, self._differenced(levels, axis, orders))
            step *= math.sqrt(ratio) * (1 - 1e-4)
        return None

    def rounding(self, step: float) -> float:
        """What rounding to a type of 16 bits adds to the mean squared error, with room to spare."""
        if self.dtype in ("float32", "float64"):
            return 0.0
        x = self._more()
        values = np.rint(x / step) * float(step)
        return 1.25 * float(np.square(rounded(self.dtype, values) - values).mean())

    def _step(self, x: npt.NDArray[Any], wanted: Distance, dead: float) -> float:
        """About the largest that keeps the error for some values.

        The error grows about with the square of the step; where it does not, halves find it.
        """
        most = wanted.mse * x.size
        low, high = wanted.times(1), min(wanted.times(400), 4 * self._largest)
        step = min(wanted.times(12) * (1 - dead), high)
        for turn in range(_NEAR + _HALVES):
            error = self._sum(x, step, dead)
            if error <= most:
                if error >= most * _CLOSE or step >= high:
                    return step
                low = step
            else:
                high = step
            near = step * math.sqrt(most / error) * _AIM if turn < _NEAR and error else 0.0
            step = near if low < near < high else math.sqrt(low * high)
        return low

    def bounded(self, bound: float) -> Levels | None:
        """With a step that keeps a bound; what it does not, is kept exactly."""
        some = self._part(_SOME)
        rounding = rounding_of(float(np.quantile(np.abs(some), 0.98)), self.dtype)
        step = 2 * (bound - rounding if rounding < bound / 2 else bound) * (1 - 2.0**-40)
        if not step > 0 or self._largest / step >= _FAR or lattice_of(some[some != 0]) >= step:
            return None
        axis, orders = self._way(step, 0.0)
        levels, cut = self._room(axis, step, orders)
        _, largest = self._quantise(self._raw, step, 0.0, levels, cut)
        patch = b""
        exact = self.dtype in ("float32", "float64")
        if not (exact and math.sqrt(largest) < bound * (1 - 1e-9)):
            back = scaled(levels, self._raw.shape, axis, step, self.dtype)
            own, other = to_float64(self.dtype, back), to_float64(self.dtype, self._raw)
            far = ~within(own, other, bound)
            patch = pack_patch(self._raw, far) if far.any() else b""
        return Levels(levels, axis, step, self._differenced(levels, axis, orders), patch)

    def _differenced(
        self, levels: npt.NDArray[Any], axis: int | None, orders: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Differences in the place of the integers; their orders, none where they do not fit."""
        if not any(orders):
            return ()
        whole = levels.reshape(differences.permuted(self._raw.shape, axis))
        own = differences.permuted(orders, axis)
        differences.take(whole, own)
        if differences.fit(whole):
            return orders
        differences.sums(whole, own)
        return ()

    def _levels(self, x: npt.NDArray[Any], step: float, dead: float) -> npt.NDArray[np.int32]:
        levels = np.empty(x.shape, np.int32)
        self._quantise(x, step, dead, levels)
        return levels

    # ---- integers

    def _room(
        self, axis: int | None, step: float, orders: tuple[int, ...]
    ) -> tuple[npt.NDArray[Any], tuple[int, int]]:
        """For integers (channels, plane) with about this step, and the cut."""
        channels, inner = cut_of(self._raw.shape, axis)
        small = self._largest / step < _SMALL and not any(orders)
        kind = np.int16 if small else np.int32
        return np.empty((channels, self._raw.size // channels), kind), (channels, inner)

    def encode(self, found: Levels) -> bytes:
        """The stream. Raises Uncodable."""
        return stream.encode(found.levels, grid(self._raw.shape, found.axis), quick=True)

    def _way(self, step: float, dead: float) -> tuple[int | None, tuple[int, ...]]:
        """The axis of the channels, and orders of differences, by which a part takes least."""
        shape = self._raw.shape
        axes = [i for i, n in enumerate(shape) if 1 < n <= _MOST_CHANNELS][-3:]
        tried: list[int | None]
        if self._given is not None:
            tried = [self._given]
        elif len(shape) == 1:
            tried = [None]
        else:
            tried = [None, *axes]
        found = differences.rough(
            self._part_levels(self._parts(list(shape), _SMOOTH), step, dead)[0]
        )
        orders = min(found, key=lambda orders: found[orders])
        ways = _ways(tried, orders)
        if not ways or found[orders] >= found[(0,) * len(shape)] - _CLEARLY:
            likely = tried[1:] if len(tried) > 3 else tried  # of several one is better than none
            costs = {axis: self._cost(axis, step, dead) for axis in likely}
            axis = min(costs, key=lambda axis: costs[axis])
            if not ways or found[orders] > costs[axis] + _PROMISING:
                return axis, ()
            ways.append((axis, ()))
        return self._smooth(ways, orders, step, dead)

    def _smooth(self, ways: list[_Way], orders: tuple[int, ...], step: float, dead: float) -> _Way:
        """The way by which some parts take least; orders: as high as any."""
        most = max(_FEWEST, min(_BLOCKS, self._x.size // _SHARED))
        parts = self._parts(list(self._raw.shape), most, None, _PARTS)
        levels = self._part_levels(parts, step, dead)
        costs = {}
        for axis, own in ways:
            part = differences.differences(levels, (0, *own)) if any(own) else levels
            costs[axis, own] = self._bits(differences.inner(part, (0, *orders)), axis, 1)
        return min(costs, key=lambda way: costs[way])

    def _bits(self, part: npt.NDArray[np.int32], axis: int | None, more: int = 0) -> float:
        """Bits a value of integers, what channels' weights take shared out over all places.

        more: axes before those of the array.
        """
        own = None if axis is None else axis + more
        model, symbols = analysis.estimate(cut(part, own), grid(part.shape, own))
        channels = 1 if own is None else part.shape[own]
        places = self._x.size / (1 if axis is None else self._raw.shape[axis])
        return symbols / part.size + model / channels / places

    def _part_levels(
        self, parts: list[tuple[slice, ...]], step: float, dead: float
    ) -> npt.NDArray[np.int32]:
        """Integers of parts of one shape (parts, …)."""
        some = [np.ascontiguousarray(self._raw[part]) for part in parts]
        return self._levels(np.stack(some) if len(some) > 1 else some[0][None], step, dead)

    def _parts(
        self, shape: list[int], most: int, axis: int | None = None, count: int = 1
    ) -> list[tuple[slice, ...]]:
        """Of the array, `most` places at most in all axes but one, from a shape on.

        From the middle, or several one behind the other along the axis that they are least of.
        """
        whole = self._raw.shape
        shape = [min(n, m) for n, m in zip(whole, shape, strict=True)]
        others = [i for i in range(len(whole)) if i != axis]
        while math.prod(shape[i] for i in others) * count > most:
            longest = max(others, key=lambda i: shape[i])
            shape[longest] = -(-shape[longest] // 2)
        apart = max(others, key=lambda i: whole[i] / shape[i]) if count > 1 else 0
        return [
            tuple(
                slice(
                    start := (n - m) * (2 * k + 1) // (2 * count) if i == apart else (n - m) // 2,
                    start + m,
                )
                for i, (n, m) in enumerate(zip(whole, shape, strict=True))
            )
            for k in range(count)
        ]

    def _cost(self, axis: int | None, step: float, dead: float) -> float:
        """Bits a value of a part."""
        shape, size = list(self._raw.shape), self._raw.size
        some = _CHANNELS if size >= _HALVED else _CHANNELS // 2
        if axis is not None:
            shape[axis] = min(shape[axis], some)
        channels = 1 if axis is None else shape[axis]
        most = max(_PLACES, min(_PLACES * some, size // _PART) // channels)
        return self._bits(self._part_levels(self._parts(shape, most, axis), step, dead)[0], axis)


def _ways(axes: list[int | None], orders: tuple[int, ...]) -> list[_Way]:
    """Axes of channels, and orders of differences: those given, and without any along that axis.

    What predicts from other channels does what differences along them would do, and more.
    """
    both = dict.fromkeys((orders, tuple(min(n, 1) for n in orders)))
    found = [
        (axis, tuple(0 if i == axis else n for i, n in enumerate(own)))
        for axis in axes
        for own in both
    ]
    return [way for way in dict.fromkeys(found) if any(way[1])]


def _usual(largest: float) -> bool:
    return 1 / _RANGE < largest < _RANGE  # nor is NaN


def _int8(dtype: str, pieces: Pieces, low: float, high: float) -> float:
    """The mean squared error of integers of 8 bits with one scale, symmetric or affine."""
    assert _field is not None
    largest = max(-low, high)
    grids = [(largest / 127, 0.0, 127.0), ((high - low) / 255, low, 255.0)]
    sums, size = [0.0] * len(grids), 0
    for x in pieces():
        size += x.size
        for i, (step, *rest) in enumerate(grids):
            sums[i] += _field.grid(x, FLOATS.index(dtype), step, *rest) if step > 0 else 0.0
    return min(sums) / size


def int8(dtype: str, pieces: Pieces) -> float | None:
    """As Quick.int8, of an array of which a piece at a time is looked at.

    pieces: all of it anew, as `bits_of` has it, contiguous. None where there is no Quick.
    """
    if _field is None or dtype not in FLOATS:
        return None

    low, high = _ends(dtype, pieces())
    return _int8(dtype, pieces, low, high) if _usual(max(-low, high)) else None


def _ends(dtype: str, pieces: Iterable[npt.NDArray[Any]]) -> tuple[float, float]:
    """The least and the largest value of an array, or NaN; pieces: contiguous."""
    flat = (piece.reshape(-1) for piece in pieces)
    parts = (x[start : start + _BLOCK] for x in flat for start in range(0, x.size, _BLOCK))
    ends = np.array([(x.min(), x.max()) for x in (single(dtype, x) for x in parts)], np.float64)
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def cut_of(shape: tuple[int, ...], axis: int | None) -> tuple[int, int]:
    """How many channels there are, and values of one that lie together, as the extension asks."""
    if axis is None:
        return 1, math.prod(shape)
    return shape[axis], math.prod(shape[axis + 1 :])


def scaled(
    levels: npt.NDArray[Any],
    shape: tuple[int, ...],
    axis: int | None,
    step: float,
    dtype: str,
) -> npt.NDArray[Any]:
    """Integers (channels, plane) times a step, as an array of a type, bfloat16 as uint16; in C."""
    assert _field is not None
    out = np.empty(shape, "uint16" if dtype == "bfloat16" else dtype)
    _field.scale(levels, *cut_of(shape, axis), step, FLOATS.index(dtype), out)
    return out


def kept(promise: Promise, dtype: str, raw: npt.NDArray[Any], back: npt.NDArray[Any]) -> bool:
    """Whether a promise is kept by so far that no rounding of sums can matter.

    raw, back: contiguous. False says nothing.
    """
    if _field is None or dtype not in FLOATS or back.dtype != raw.dtype:
        return False
    if back.shape != raw.shape or not raw.flags.c_contiguous or not back.flags.c_contiguous:
        return False
    total, largest = _field.compare(raw, back, FLOATS.index(dtype))
    near = promise.distance
    if not (math.isfinite(total) and largest < promise.bound * (1 - 1e-9)):
        return False
    return near is None or (near.unit == 0 and total < near.mse * raw.size * (1 - 1e-9))


def _kind(x: npt.NDArray[Any]) -> int:
    """Of numbers, as the extension has it; those of 16 bits without a sign are bfloat16."""
    return FLOATS.index("bfloat16" if x.dtype == np.uint16 else x.dtype.name)


def _entropy(levels: npt.NDArray[np.int32]) -> float:
    """Bits of a value without any prediction; of values far out, at least."""
    low = int(levels.min())
    if int(levels.max()) - low > 2**20:
        levels, low = levels >> 8, low >> 8
    counts = np.bincount(levels - low)
    counts = counts[counts > 0]
    return float(np.log2(levels.size) - (counts * np.log2(counts)).sum() / levels.size)
