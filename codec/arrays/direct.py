"""Values coded themselves, with predictions as their contexts: FEATURES.md, modes 1 and 2.

In C where that is here (direct.h), else with numpy: the same integers from both.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import MAX_SYMBOL, IntArray

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

_MOST_BOUNDS = 127
AnyInt = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]


def roots(values: AnyInt) -> AnyInt:
    """What ROOT predicts: sign(q) · floor(√(64 |q|)); IEEE's square root makes it exact.

    values: within MAX_SYMBOL; in 16 bits, so are the roots.
    """
    if _field is not None:
        given = np.ascontiguousarray(values, None if values.dtype == np.int16 else np.int32)
        out = np.empty_like(given)
        _field.roots(given, out, given.itemsize == 4)
        return out
    return (np.sign(values) * np.floor(np.sqrt(64.0 * np.abs(values)))).astype(np.int32)


def contexts(predictions: IntArray, bounds: IntArray) -> npt.NDArray[np.uint8]:
    """How many bounds, which are in order, are at or below each prediction."""
    if _field is None or bounds.size > _MOST_BOUNDS or not predictions.flags.c_contiguous:
        return np.searchsorted(bounds, predictions, side="right").astype(np.uint8)
    out = np.empty(predictions.shape, np.uint8)
    _field.search(predictions, padded(bounds), out)
    return out


def padded(bounds: IntArray) -> IntArray:
    """Bounds, as many as there may be, as the extension takes them."""
    found = np.full(_MOST_BOUNDS + 1, np.iinfo(np.int64).max)
    found[: bounds.size] = bounds
    return found


def split(values: AnyInt, low: int) -> tuple[Int32, Int32]:
    """What has a table of a value, sign(q) · ceil(|q| / 2^low), and the low bits of what is not 0.

    These are those of |q| - 1, less half of their range; 0 stays alone. Without low bits values are
    given as they are.
    """
    if not low:
        return values.astype(np.int32, copy=False), np.zeros(0, np.int32)
    if _field is not None:
        given = np.ascontiguousarray(values, np.int32)
        high, rest = np.empty_like(given), np.empty(given.size, np.int32)
        count = _field.split(given, low, high, rest)
        return high, rest[:count]
    sizes = np.abs(values.astype(np.int64))
    high = (np.sign(values) * ((sizes + (1 << low) - 1) >> low)).astype(np.int32)
    rest = (sizes[sizes > 0] - 1 & (1 << low) - 1) - ((1 << low) >> 1)
    return high, rest.astype(np.int32)


def join(high: Int32, rest: Int32, low: int) -> Int32 | None:
    """The other way; None where a value is out of range. high is written over."""
    if _field is not None:
        return high if _field.join(high, low, rest) else None
    there = high != 0
    lower = rest + ((1 << low) >> 1) if low else 0
    sizes = ((np.abs(high[there].astype(np.int64)) - 1) << low) + lower + 1
    if sizes.size and int(sizes.max()) > MAX_SYMBOL:
        return None
    high[there] = np.sign(high[there]) * sizes
    return high
