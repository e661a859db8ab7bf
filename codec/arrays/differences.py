"""Integers as differences from their neighbours: what smooth fields of few channels are coded as.

Along an axis, a difference of order 1 is that to the integer before, of order 2 the difference of
two such. Along several axes it is what Lorenzo's predictor leaves (Ibarria et al., "Out-of-core
compression and decompression of large n-dimensional scalar fields", 2003). All is modulo 2^32, so
that sums bring back the integers, whatever they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import MAX_SYMBOL

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

MOST = 2
"""The highest order."""
_LOOKED_AT = 2**13
"""Integers that tell the best orders, about."""
_SIZE = 9.6
"""2^3.27: the entropy of a Laplacian is as much above the mean logarithm of its sizes, in bits."""
_TOO_LOW = 0.057
"""What a float's bits are below its logarithm, on average."""
_HOPELESS = 0.1
"""An axis along which one difference costs so many bits more, as with noise, is not tried on."""
_AXES = 3
"""The last axes, of more than one place, along which differences are tried."""

Integers = npt.NDArray[Any]


def take(levels: npt.NDArray[np.int32], orders: Sequence[int]) -> None:
    """Puts differences in the place of integers, in place; orders: for each axis, 0 to MOST.

    levels: contiguous.
    """
    for axis, order in enumerate(orders):
        rest = (slice(None),) * axis
        for _ in range(order):
            if _field is not None:
                _field.difference(levels, *_axis(levels.shape, axis), False)
            else:
                before = levels[(*rest, slice(None, -1))].copy()
                levels[(*rest, slice(1, None))] -= before


def sums(found: npt.NDArray[np.int32], orders: Sequence[int]) -> None:
    """The other way, in place; found: contiguous."""
    for axis, order in enumerate(orders):
        for _ in range(order if found.size else 0):
            if _field is not None:
                _field.difference(found, *_axis(found.shape, axis), True)
            else:
                np.add.accumulate(found, axis=axis, dtype=np.int32, out=found)


def _axis(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    return shape[axis], math.prod(shape[axis + 1 :])


def differences(levels: Integers, orders: Sequence[int]) -> npt.NDArray[np.int32]:
    """Of an array of integers within int32, another one."""
    found = np.array(levels, np.int32, order="C")
    take(found, orders)
    return found


def inner(found: npt.NDArray[np.int32], orders: Sequence[int]) -> npt.NDArray[np.int32]:
    """Without the edges, which are no differences, where there is anything but these."""
    there = zip(found.shape, orders, strict=True)
    return found[tuple(slice(order if n > order else 0, None) for n, order in there)]


def permuted(values: Sequence[int], axis: int | None) -> tuple[int, ...]:
    """What belongs to the axes of an array, once its channels come first."""
    if axis is None:
        return tuple(values)
    return (values[axis], *values[:axis], *values[axis + 1 :])


def fit(found: npt.NDArray[np.int32]) -> bool:
    """Whether differences are within what is coded."""
    return max(int(found.max()), -int(found.min())) <= MAX_SYMBOL


def best(levels: Integers) -> tuple[float, tuple[int, ...]]:
    """Bits of a difference alone, and the orders that need the fewest of them; see `rough`."""
    found = rough(levels)
    orders = min(found, key=lambda orders: found[orders])
    return found[orders], orders


def rough(levels: Integers) -> dict[tuple[int, ...], float]:
    """Orders, and bits of a difference alone, about.

    From a middle part of the array, whose edges, which know no neighbours, are left out.
    """
    part = _middle(levels)
    axes = [i for i, n in enumerate(part.shape) if n > 2 * MOST][-_AXES:]
    edges = [MOST * (i in axes) for i in range(part.ndim)]

    def bits(some: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
        orders = [0] * part.ndim
        for axis, order in zip(axes, some, strict=True):
            orders[axis] = order
        return tuple(orders), _bits(inner(differences(part, orders), edges))

    first = [bits(tuple(int(i == k) for i in range(len(axes)))) for k in range(len(axes))]
    found = dict([bits((0,) * len(axes)), *first])
    good = found[(0,) * part.ndim] + _HOPELESS
    most = [MOST if own < good else 0 for _, own in first]
    others = itertools.product(*(range(n + 1) for n in most))
    return found | dict(bits(some) for some in others if sum(some) > 1)


def _middle(levels: Integers) -> Integers:
    shape = list(levels.shape)
    while math.prod(shape) > _LOOKED_AT:
        longest = max(range(len(shape)), key=lambda i: shape[i])
        shape[longest] = -(-shape[longest] // 2)
    starts = ((n - m) // 2 for n, m in zip(levels.shape, shape, strict=True))
    return levels[tuple(slice(s, s + m) for s, m in zip(starts, shape, strict=True))]


def _bits(found: npt.NDArray[np.int32]) -> float:
    """About the entropy, such that it is right for a Laplacian, and a few far out count little.

    Of a float the bits themselves tell the logarithm, less than a tenth too low.
    """
    sizes = np.abs(np.atleast_1d(found).astype(np.float32))
    sizes *= _SIZE
    sizes += 1
    return float(sizes.view(np.int32).mean(dtype=np.float64) / 2**23 - 127 + _TOO_LOW)
