"""Which table codes each value of a feature tensor: exact integers, the same on every machine.

A quantised tensor is seen as channels, each of `count` planes of height x width. Channels are coded
one after the other, each in three passes: even rows and columns, odd rows and columns, the rest. A
value's prediction is a weighted sum of values already coded: of earlier channels, in a 3x3 window
around its place, and in the second and third pass of its own channel, four around it. FEATURES.md
states all of it. Only the encoder's *choice* of weights (predictor_fit.py) is floating point; they
travel in the stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MAX_SYMBOL = 2**28
"""Quantised values are within this, so that no sum below leaves the 2^53 that float64 holds."""
MAX_SHIFT = 2**51
"""So are those that quantised values are counted from: the sum is exact in float64."""
MAX_BIAS = 2**31 - 1
MAX_TAPS = 64
MAX_WEIGHT = 2**14
FRACTION = 8
"""Bits after the point of weights and predictions."""
PASSES = 3

WINDOW = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
CENTRE = 4
BESIDE = (1, 3, 5, 7)
DIAGONAL = (0, 2, 6, 8)
OWN = ((), DIAGONAL, BESIDE)
"""For each pass the places of WINDOW that are coded before, in the same channel."""

LEVELS = 64


def _level_bounds() -> IntArray:
    """Upper bounds of the levels but the last, in units of 2^-FRACTION: about 2^(k/3) each."""
    octave = (16, 20, 25)  # 16 * 2^(k/3), rounded: integers, so that no power is ever computed
    bounds = [(octave[k % 3] << (k // 3)) >> 1 for k in range(LEVELS - 1)]
    return np.array(bounds, np.int64)


LEVEL_BOUNDS = _level_bounds()


@dataclass(frozen=True)
class Grid:
    """How a tensor is cut: `channels` x `count` planes of height x width."""

    channels: int
    count: int
    height: int
    width: int

    @property
    def plane(self) -> int:
        """Values in a channel."""
        return self.count * self.height * self.width

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Values of a channel in each pass."""
        rows, columns = (self.height + 1) // 2, (self.width + 1) // 2
        odd = (self.height // 2) * (self.width // 2)
        first, second = self.count * rows * columns, self.count * odd
        return first, second, self.plane - first - second

    @cached_property
    def places(self) -> tuple[IntArray, ...]:
        """For each pass the flat places of its values in a channel, in order of coding."""
        y, x = np.mgrid[: self.height, : self.width]
        turn = np.where(y % 2 == x % 2, y % 2, 2)
        turns = np.broadcast_to(turn, (self.count, self.height, self.width)).ravel()
        return tuple(np.flatnonzero(turns == p) for p in range(PASSES))

    @cached_property
    def _shifted(self) -> dict[tuple[int, int], IntArray]:
        return {}

    def shifted(self, turn: int, place: int) -> IntArray:
        """For each value of a pass, where in a channel its neighbour at WINDOW[place] is.

        Beyond an edge the plane is mirrored about its last value: the same pass coded that.
        """
        key = (turn, place)
        if key not in self._shifted:
            dy, dx = WINDOW[place]
            rows = _mirrored(self.height, dy)
            columns = _mirrored(self.width, dx)
            plane = rows[:, None] * self.width + columns
            first = np.arange(self.count) * (self.height * self.width)
            self._shifted[key] = (first[:, None, None] + plane).ravel()[self.places[turn]]
        return self._shifted[key]

    def has(self, place: int) -> bool:
        """Whether planes are large enough for a neighbour at WINDOW[place]."""
        dy, dx = WINDOW[place]
        return (self.height > 1 or dy == 0) and (self.width > 1 or dx == 0)


def _mirrored(size: int, shift: int) -> IntArray:
    i = np.arange(size) + shift
    i = np.where(i < 0, -i, i)
    return np.where(i >= size, 2 * (size - 1) - i, i)


def grid(shape: Sequence[int], axis: int | None) -> Grid:
    """The cut of a tensor: channels along `axis`, planes over the last two of the other axes."""
    rest = [n for i, n in enumerate(shape) if i != axis]
    rest = [1, 1, *rest]
    count = 1
    for n in rest[:-2]:
        count *= n
    return Grid(1 if axis is None else shape[axis], count, rest[-2], rest[-1])


def cut(array: npt.NDArray[Any], axis: int | None) -> npt.NDArray[Any]:
    """An array as (channels, plane)."""
    if axis is None:
        return array.reshape(1, -1)
    return np.ascontiguousarray(np.moveaxis(array, axis, 0)).reshape(array.shape[axis], -1)


def join(planes: npt.NDArray[Any], shape: tuple[int, ...], axis: int | None) -> npt.NDArray[Any]:
    """The array of (channels, plane)."""
    if axis is None:
        return planes.reshape(shape)
    rest = [n for i, n in enumerate(shape) if i != axis]
    return np.moveaxis(planes.reshape(shape[axis], *rest), 0, axis)


def parts(
    shape: tuple[int, int, int], most: int
) -> Iterator[tuple[slice, tuple[slice, slice, slice]]]:
    """Places of an array (outer, channels, inner) in order, and where they are in it.

    Each part has about `most` values, of all channels, and at least one place.
    """
    outer, channels, inner = shape
    rows = max(1, most // (channels * inner))
    columns = inner if rows > 1 else max(1, min(inner, most // channels))
    for o in range(0, outer, rows):
        for i in range(0, inner, columns):
            places = slice(
                o * inner + i, min(o + rows, outer) * inner - inner + min(i + columns, inner)
            )
            yield places, (slice(o, o + rows), slice(None), slice(i, i + columns))


def outside(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """A shape as what comes before an axis, the axis, and what comes behind it."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _no_rows() -> npt.NDArray[np.int32]:
    return np.zeros((0, 3), np.int32)


@dataclass(eq=False)
class Weights:
    """What predicts the values of one channel in one pass.

    rows: (taps, 3) int32, contiguous; of each its distance to an earlier channel, or 0 for its own,
        its place in WINDOW, and its weight, times 2^FRACTION.
    bias: in the same unit.
    spread: weights of the three terms of the expected error: 1, neighbours', earlier channel's.
    """

    rows: npt.NDArray[np.int32] = field(default_factory=_no_rows)
    bias: int = 0
    spread: tuple[int, int, int] = (0, 0, 0)

    @staticmethod
    def of(taps: list[tuple[int, int]], values: list[int], bias: int) -> Weights:
        """Of distances and places, and their weights."""
        rows = [(*tap, value) for tap, value in zip(taps, values, strict=True)]
        return Weights(np.array(rows, np.int32).reshape(-1, 3), bias)

    @property
    def taps(self) -> list[tuple[int, int]]:
        """Distance and place of each."""
        return [(d, p) for d, p, _ in self.rows.tolist()]

    @property
    def values(self) -> list[int]:
        """The weight of each."""
        return [v for _, _, v in self.rows.tolist()]


def allowed(g: Grid, channel: int, turn: int, tap: tuple[int, int]) -> bool:
    """Whether what a tap takes is there before the values of this channel and pass."""
    distance, place = tap
    if not (0 <= distance <= channel and 0 <= place < len(WINDOW) and g.has(place)):
        return False
    return distance > 0 or place in OWN[turn]


def all_allowed(g: Grid, units: IntArray, distances: IntArray, places: IntArray) -> bool:
    """`allowed` of many taps at once, each of a unit, channel · PASSES + turn."""
    channels, turns = np.divmod(units, PASSES)
    there = np.array([g.has(place) for place in range(len(WINDOW))])
    own = np.array([[place in OWN[turn] for place in range(len(WINDOW))] for turn in range(PASSES)])
    inside = (places >= 0) & (places < len(WINDOW)) & (distances >= 0) & (distances <= channels)
    if not inside.all():
        return False
    return bool((there[places] & ((distances > 0) | own[turns, places])).all())


def predict(g: Grid, coded: FloatArray, channel: int, turn: int, w: Weights) -> IntArray:
    """Predictions of the values of one pass, times 2^FRACTION.

    Args:
        g: the cut of the tensor.
        coded: float64 (channels, plane) of integers; only what is coded before is read.
        channel: which channel.
        turn: which pass.
        w: the weights.

    All terms are integers below 2^53 in sum, so that float64 is exact in whatever order it adds.
    """
    total = np.full(g.places[turn].size, float(w.bias))
    for (distance, place), value in zip(w.taps, w.values, strict=True):
        total += value * coded[channel - distance][g.shifted(turn, place)]
    return total.astype(np.int64)


def rounded(prediction: IntArray) -> IntArray:
    """Predictions to the nearest integer within MAX_SYMBOL."""
    nearest = (prediction + (1 << (FRACTION - 1))) >> FRACTION
    return np.clip(nearest, -MAX_SYMBOL, MAX_SYMBOL)


def spread_terms(
    g: Grid, errors: FloatArray, channel: int, turn: int, w: Weights
) -> tuple[FloatArray, FloatArray]:
    """Sums of errors already known: at the neighbours, and of an earlier channel around the place.

    Args:
        g: the cut of the tensor.
        errors: float64 (channels, plane), absolute errors of the predictions so far.
        channel: which channel.
        turn: which pass.
        w: the weights; their first tap of an earlier channel says which is looked at, else the
            last.
    """
    size = g.places[turn].size
    near = np.zeros(size)
    for place in OWN[turn]:
        if g.has(place):
            near += errors[channel][g.shifted(turn, place)]
    if channel == 0:
        return near, np.zeros(size)
    distance = next((d for d, _ in w.taps if d > 0), 1)
    other = errors[channel - distance]
    before = 2 * other[g.shifted(turn, CENTRE)]
    for place in BESIDE:
        if g.has(place):
            before += other[g.shifted(turn, place)]
    return near, before


def levels(
    g: Grid, errors: FloatArray, channel: int, turn: int, w: Weights
) -> npt.NDArray[np.intp]:
    """The level, 0…LEVELS-1, of the error to expect of each prediction."""
    near, before = spread_terms(g, errors, channel, turn, w)
    expected = w.spread[0] + w.spread[1] * near + w.spread[2] * before
    return np.searchsorted(LEVEL_BOUNDS, expected, side="right")
