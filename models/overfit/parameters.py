"""The parameters of a picture's networks in whole steps, as they are coded.

Parameters that lie alike are a group, with a step of 2^-exponent in common and a Laplace
distribution by which they are coded. network.h has the same groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import CorruptStream
from lictor.models.overfit import starts
from lictor.models.overfit.sizes import SIZES, Size

_overfit: ModuleType | None
try:
    from lictor.models.overfit import _overfit
except ImportError:  # built without a C compiler
    _overfit = None

GROUPS = (
    ("context_1.weight", "context_2.weight"),
    ("context_1.bias", "context_2.bias", "context_3.bias"),
    ("context_3.weight", "context_linear.weight"),
    ("features_0.weight", "features_1.weight", "features_2.weight"),
    ("features_0.bias", "features_1.bias", "features_2.bias"),
    ("up.weight", "pre.weight"),
    ("synthesis_1.weight",),
    ("synthesis_1.bias",),
    ("synthesis_2.weight", "synthesis_linear.weight"),
    ("synthesis_2.bias", "filter_0.bias", "filter_1.bias"),
    ("filter_0.weight", "filter_1.weight"),
)
"""Names of parameters."""
CONTEXT_GROUPS = range(5)
"""Those that change bits and no samples."""
EXPONENTS = range(1, 16)
_USUAL = (5, 6, 7, 5, 6, 8, 6, 8, 8, 10, 8)
"""About those that are chosen in the end."""
_START = (10, 9, 10, 9, 9, 12, 10, 9, 14, 12, 12)
"""Exponents that lose next to nothing."""
_SPREADS = 81
_SPREAD_STEPS, _LEAST_SPREAD = 8, 32 * math.exp(-5)
"""A spread n is a scale of 32 exp(n / 8 - 5) steps."""
_LIMIT = 2**15
_ROUND_UP = 0.6
"""Of a step: what is more takes the larger number. Of two that lie as near, the smaller takes fewer
bits."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """Parameters in steps.

    numbers: int16, of `size.shapes` one after another. exponents: of the groups. start: of
    starts.py, to which the file has differences; 0: none.
    """

    size: Size
    exponents: tuple[int, ...]
    numbers: NDArray[np.int16]
    start: int = 0

    @property
    def values(self) -> NDArray[np.float32]:
        """What they stand for."""
        steps = np.array([2.0**-e for e in self.exponents])
        return (self.numbers * steps[group_of_each(self.size)]).astype(np.float32)

    def spreads(self) -> tuple[list[int], float]:
        """That by which each group takes the fewest bits; and the bits of all."""
        groups = group_of_each(self.size)
        coded = self._differences()
        best = [_spread(coded[groups == group]) for group in range(len(GROUPS))]
        return [spread for spread, _ in best], sum(bits for _, bits in best)

    def payload(self) -> bytes:
        """As the file has them."""
        spreads, _ = self.spreads()
        number = list(SIZES.values()).index(self.size)
        kinds = bytes(self.exponents), bytes(spreads)
        return extension().write_networks(number, self.start, *kinds, self._differences())

    def whole(self) -> bytes:
        """Likewise without a start, as the coder takes them."""
        return replace(self, start=0).payload()

    def _differences(self) -> NDArray[np.int16]:
        wide = self.numbers.astype(np.int64) - _start_numbers(self.size, self.exponents, self.start)
        return wide.clip(-_LIMIT, _LIMIT - 1).astype(np.int16)


def read(payload: bytes) -> Quantised:
    """What a file has. Raises CorruptStream."""
    found = extension().read_networks(payload)
    if found is None:
        raise CorruptStream("the networks of the picture are damaged")
    number, start, exponents, _, numbers = found
    size, exponents = [*SIZES.values()][number], tuple(exponents)
    if start and start > starts.count(size):
        raise CorruptStream("the networks of the picture start from others that are not here")
    wide = np.frombuffer(numbers, np.int16) + _start_numbers(size, exponents, start)
    if (wide != wide.clip(-_LIMIT, _LIMIT - 1)).any():
        raise CorruptStream("the networks of the picture are damaged")
    return Quantised(size, exponents, wide.astype(np.int16), start)


def quantised(
    size: Size, values: NDArray[np.float32], exponents: tuple[int, ...], start: int = 0
) -> Quantised:
    """About the nearest that there are, and that have differences which a file can hold."""
    first = _start_numbers(size, exponents, start)
    away = np.nan_to_num(values).astype(np.float64) * _steps_in_one(size, exponents) - first
    away = np.copysign(np.floor(np.abs(away) + (1 - _ROUND_UP)), away)
    near = away.clip(-_LIMIT, _LIMIT - 1) + first
    return Quantised(size, exponents, near.clip(-_LIMIT, _LIMIT - 1).astype(np.int16), start)


def slope(
    size: Size,
    values: NDArray[np.float32],
    start: int,
    exponents: tuple[int, ...] | None = None,
) -> NDArray[np.float32]:
    """Of the bits that parameters take, by parameters, as if these were not rounded.

    A parameter that is some steps away from its start takes as many bits as a Laplace distribution
    gives it, of the scale that its group has; within half a step there is less and less to gain.

    Args:
        size: of the networks.
        values: float32, of `size.shapes`.
        start: that differences are taken to.
        exponents: of the groups. None: the usual ones.
    """
    groups = group_of_each(size)
    half = 0.5 / _steps_in_one(size, exponents or _USUAL)
    away = values.astype(np.float64) - starts.parameters(size, start)
    scales = np.bincount(groups, np.abs(away)) / np.bincount(groups)
    bits = away / np.hypot(away, half) / (scales[groups] + half / 2)
    return (bits / math.log(2)).astype(np.float32)


def _steps_in_one(size: Size, exponents: tuple[int, ...]) -> NDArray[np.float64]:
    """Of each parameter."""
    return np.array([2.0**e for e in exponents])[group_of_each(size)]


def _start_numbers(size: Size, exponents: tuple[int, ...], start: int) -> NDArray[np.int64]:
    """The nearest whole numbers of steps; halves to even."""
    if not start:
        return np.zeros(size.parameters, np.int64)
    steps = starts.parameters(size, start).astype(np.float64) * _steps_in_one(size, exponents)
    return np.rint(steps).clip(-_LIMIT, _LIMIT - 1).astype(np.int64)


Cost = Callable[[Quantised], float]


def chosen(
    size: Size, values: NDArray[np.float32], bits: Cost, loss: Cost, start: int = 0
) -> Quantised:
    """In steps that are as coarse as pays, group by group.

    Args:
        size: of the networks.
        values: float32, of `size.shapes`.
        bits: what grids take with some networks. It depends on CONTEXT_GROUPS alone.
        loss: likewise the errors, in bits. It depends on the others alone.
        start: that differences are taken to.
    """
    found = quantised(size, values, _START, start)
    for groups, cost in ((CONTEXT_GROUPS, bits), (range(len(CONTEXT_GROUPS), len(GROUPS)), loss)):
        least = cost(found) + found.spreads()[1]
        for group in groups:
            for way in (-1, 1):
                while True:
                    exponent = found.exponents[group] + way
                    if exponent not in EXPONENTS:
                        break
                    exponents = list(found.exponents)
                    exponents[group] = exponent
                    tried = quantised(size, values, tuple(exponents), start)
                    needs = cost(tried) + tried.spreads()[1]
                    if needs >= least:
                        break
                    found, least = tried, needs
    return found


@cache
def group_of_each(size: Size) -> NDArray[np.intp]:
    """The group of each parameter."""
    group = {name: number for number, names in enumerate(GROUPS) for name in names}
    counts = [math.prod(shape) for shape in size.shapes.values()]
    return np.repeat([group[name] for name in size.shapes], counts)


def extension() -> ModuleType:
    """The C code. Raises RuntimeError."""
    if _overfit is None:
        raise RuntimeError("overfitted pictures need the C extension: install with a C compiler")
    return _overfit


def available() -> bool:
    """Whether the C extension is here, which this codec has no twin of."""
    return _overfit is not None


def _spread(numbers: NDArray[np.int16]) -> tuple[int, float]:
    """The spread by which numbers take the fewest bits, and these."""
    sizes, counts = np.unique(np.abs(numbers.astype(np.int64)), return_counts=True)
    spreads = np.arange(_SPREADS)
    scales = _LEAST_SPREAD * np.exp(spreads / _SPREAD_STEPS)[:, None]
    outside = np.exp(-np.abs(sizes - 0.5) / scales)
    inside = np.where(
        sizes == 0,
        1 - outside,
        (outside - np.exp(-(sizes + 0.5) / scales)) / 2,
    )
    bits = -(np.log2(inside.clip(2.0**-24)) * counts).sum(axis=1)
    best = int(bits.argmin())
    return best, float(bits[best])
