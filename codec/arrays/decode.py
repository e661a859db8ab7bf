"""What a file has of an array to its values: for the decoder, and for the encoder that checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import MAX_SHIFT, FloatArray, IntArray, grid, join
from lictor.codec.arrays.dtypes import from_float64
from lictor.codec.arrays.lossless import unpack, unpack_patch
from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import EXACT, LEARNED, MIXED, SHIFTED, Array


def decode(a: Array, model: Any = None) -> npt.NDArray[Any]:
    """The array; bfloat16 as uint16.

    model: that coded it, found by what the file says if None.
    Raises CorruptFile, LatentMismatch, ModelUnavailable.
    """
    if a.way == EXACT:
        return unpack(a.payload, a.dtype, a.shape)
    raw = from_float64(a.dtype, _values(a, model))
    unpack_patch(a.patch, raw)
    return raw


def _values(a: Array, model: Any) -> FloatArray:
    if a.way == LEARNED:
        from lictor.codec.arrays import learned

        return learned.decode(a, model)
    if a.way == MIXED:
        from lictor.codec.arrays import low_rank

        return low_rank.decode(a)
    return _predicted(a)


def _predicted(a: Array) -> FloatArray:
    from lictor.codec.arrays import stream

    axis = None if a.axis < 0 else a.axis
    g = grid(a.shape, axis)
    levels = stream.decode(a.coded, g)
    if a.way == SHIFTED:
        levels += _shifts(a, g.channels)[:, None]
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(join(levels, a.shape, axis)).astype(np.float64) * a.step


def _shifts(a: Array, channels: int) -> IntArray:
    shifts = unpack(a.shifts, "int64", (channels,))
    if (shifts < -MAX_SHIFT).any() or (shifts > MAX_SHIFT).any():
        raise CorruptFile(
            "a channel of an array is shifted out of range; the file is damaged, get another copy"
        )
    return shifts
