"""What an encoder of arrays aims at, and how near decoded values have come to their originals.

Squares of errors leave the range of float64 long before the errors do: they are taken in a unit
that fits what is aimed at.
"""

from __future__ import annotations

import math
import numbers
import operator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import FloatArray
from lictor.codec.arrays.dtypes import to_float64
from lictor.codec.errors import InvalidTarget

_PLAIN = 400
"""Numbers within 2^±_PLAIN have squares that are numbers, too, and sums of such."""


@dataclass(frozen=True)
class Target:
    """What an encoder aims at: at most one of these is set.

    max_error: no value may be further off. mse: nor the mean of the squares.
    bits: size of the file in bits per value. None of them: the mean squared error of 8-bit
        integers, one scale for the whole array (symmetric or affine, the better).

    Any real number above 0 is taken, Python's, numpy's or torch's, and kept as a float.
    """

    max_error: float | None = None
    mse: float | None = None
    bits: float | None = None

    def __post_init__(self) -> None:
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        if len(given) > 1:
            raise InvalidTarget("give one of max_error, mse and bits, not several")
        for name in given:
            object.__setattr__(self, name, _positive(getattr(self, name)))


def _positive(value: Any) -> float:
    single = getattr(value, "ndim", None) == 0 and not isinstance(value, np.bool_)
    try:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        found = float(value) if real or single else math.nan
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise InvalidTarget(f"{value!r} is no target; give a number above 0")
    return found


def whole_axis(axis: Any, dimensions: int) -> int | None:
    """An axis as a number from 0 on; None for None. Raises InvalidTarget for what is none."""
    if axis is None:
        return None
    try:
        number = operator.index(axis)
    except TypeError:
        number = None
    if number is None or isinstance(axis, bool):
        raise InvalidTarget(f"{axis!r} is no axis; give a whole number")
    if not -dimensions <= number < dimensions:
        raise InvalidTarget(f"there is no axis {number} in {dimensions} dimensions")
    return number % dimensions


@dataclass(frozen=True)
class Distance:
    """A mean squared error: mse · 4^unit."""

    mse: float
    unit: int = 0

    @classmethod
    def of_mse(cls, mse: float) -> Distance:
        """A mean squared error in the unit that suits it."""
        exponent = math.frexp(mse)[1] // 2
        unit = exponent if mse and abs(exponent) > _PLAIN else 0
        return cls(math.ldexp(mse, -2 * unit), unit)

    @classmethod
    def between(cls, a: FloatArray, b: FloatArray) -> Distance:
        """That between two arrays of at least one value, whatever their range."""
        with np.errstate(all="ignore"):
            error = a - b
            largest = float(np.abs(error).max())
        exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
        unit = exponent if largest and abs(exponent) > _PLAIN else 0
        return cls(_mean_square(error, unit), unit)

    @property
    def root(self) -> float:
        """The root of the mean squared error."""
        return math.ldexp(math.sqrt(self.mse), self.unit)

    def times(self, factor: float) -> float:
        """The root of so many times the mean squared error."""
        return math.ldexp(math.sqrt(factor * self.mse), self.unit)

    def loosened(self) -> Distance:
        """A little more, for what is summed up in another order."""
        return Distance(self.mse * (1 + 2.0**-20), self.unit)

    def keeps(self, error: FloatArray) -> bool:
        """Whether errors have at most this mean square, also as float64 without a unit has it."""
        if not _mean_square(error, self.unit) <= self.mse:
            return False
        return self.unit >= 0 or _mean_square(error, 0) <= math.ldexp(self.mse, 2 * self.unit)


def _mean_square(error: FloatArray, unit: int) -> float:
    with np.errstate(all="ignore"):
        return float(np.square(np.ldexp(error, -unit) if unit else error).mean())


def within(a: FloatArray, b: FloatArray, bound: float) -> npt.NDArray[np.bool_]:
    """Where two arrays are no further apart than a bound: exactly so, not as float64 rounds it."""
    with np.errstate(all="ignore"):
        error = a - b
        near = np.abs(error) <= bound
        edge = np.flatnonzero(np.abs(error) == bound)
    if edge.size:
        x, y, d = (v.reshape(-1)[edge] for v in (a, b, error))
        # What the subtraction rounded away (Knuth's TwoSum): if it goes outwards, they are apart.
        other = d - x
        lost = (x - (d - other)) - (y + other)
        near.reshape(-1)[edge] = np.sign(d) * lost <= 0
    return near


@dataclass(frozen=True)
class Promise:
    """What is held against the decoded values: of all that is finite, these at most.

    What is not finite has to come back as it was, bit by bit.
    """

    bound: float = math.inf
    distance: Distance | None = None

    def kept(self, dtype: str, raw: npt.NDArray[Any], back: npt.NDArray[Any]) -> bool:
        """Whether an array came back as promised; both as feature_types.bits_of gives them."""
        if back.dtype != raw.dtype or back.shape != raw.shape:
            return False
        x, decoded = to_float64(dtype, raw), to_float64(dtype, back)
        finite = np.isfinite(x)
        if raw[~finite].tobytes() != back[~finite].tobytes():
            return False
        x, decoded = x[finite], decoded[finite]
        if not x.size:
            return True
        if not np.isfinite(decoded).all() or not within(decoded, x, self.bound).all():
            return False
        with np.errstate(all="ignore"):
            return self.distance is None or self.distance.keeps(decoded - x)
