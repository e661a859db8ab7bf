"""Rows of floats without loss: the bits of each as an ordered integer, by tables of its column.

Sign, exponent and the first two bits of the mantissa are modelled, the rest are raw. Of float32 the
lower 16 bits are apart: zeros in arrays that were bfloat16, else as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.entropy import Decoder, Encoder, Tables, fitted

RAW_BITS = {"float16": 8, "bfloat16": 5, "float32": 5}
"""Of the upper 16 bits of a value, those that are coded as they are."""
MOST_GROUPS = 255
_OWN = 24
"""Groups of columns with a table each where the tables travel with the stream."""


@dataclass(frozen=True)
class Model:
    """A table for each group of columns.

    Attributes:
        groups: (columns,) uint8, the table of each column.
        shapes: of the tables.
    """

    groups: npt.NDArray[np.uint8]
    shapes: list[fitted.Shape] = field(default_factory=list)

    @cached_property
    def tables(self) -> Tables:
        """As the coder takes them."""
        return fitted.tables(self.shapes)


def ordered(top: npt.NDArray[np.uint16]) -> npt.NDArray[np.int32]:
    """The upper 16 bits of floats as integers in the order of the values; -0 is -1."""
    wide = top.astype(np.int32)
    return np.where(wide < 0x8000, wide, 0x7FFF - wide)


def unordered(values: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
    """The other way."""
    return np.where(values >= 0, values, 0x7FFF - values).astype(np.uint16)


def halves(
    dtype: str, raw: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16] | None]:
    """The upper 16 bits of values, and of float32 the lower ones."""
    if dtype != "float32":
        return raw.view(np.uint16), None
    wide = raw.view(np.uint32)
    return (wide >> 16).astype(np.uint16), wide.astype(np.uint16)


def whole(
    dtype: str, top: npt.NDArray[np.uint16], low: npt.NDArray[np.uint16] | None
) -> npt.NDArray[Any]:
    """The other way."""
    if dtype == "float32":
        wide = top.astype(np.uint32) << 16
        return (wide if low is None else wide | low).view(np.float32)
    return top if dtype == "bfloat16" else top.view(np.float16)


def fit(dtype: str, raw: npt.NDArray[Any], groups: int = _OWN) -> Model:
    """Tables for rows like these. raw: (rows, columns); bfloat16 as uint16.

    Columns of like values share one: sorted by their means, they are cut into groups.
    """
    values = ordered(halves(dtype, raw)[0])
    columns = values.shape[1]
    count = min(columns, groups)
    place = np.empty(columns, np.int64)
    place[np.argsort(values.mean(0), kind="stable")] = np.arange(columns)
    own = (place * count // columns).astype(np.uint8)
    shift = RAW_BITS[dtype]
    symbols = (values + (1 << shift >> 1)) >> shift
    found = fitted.histograms(symbols.reshape(-1), np.tile(own, values.shape[0]), count)
    shapes = [fitted.shape(h) for h in found]
    return Model(own, [_open(s, shift) for s in shapes])


def _open(found: fitted.Shape, shift: int) -> fitted.Shape:
    """With an escape: nothing is certain of rows that were not seen."""
    logs = found.logs if found.logs[-1] >= 0 else [*found.logs[:-1], 0]
    return fitted.Shape(found.offset, found.shift + shift, logs)


def push(encoder: Encoder, top: npt.NDArray[np.uint16], model: Model) -> None:
    """Add the upper halves of rows, (rows, columns), to a stream."""
    table = np.broadcast_to(model.groups, top.shape)
    encoder.push(ordered(top).reshape(-1), np.ascontiguousarray(table).reshape(-1), model.tables)


def pull(decoder: Decoder, rows: int, model: Model) -> npt.NDArray[np.uint16]:
    """The upper halves of so many rows. Raises CorruptStream."""
    table = np.ascontiguousarray(np.broadcast_to(model.groups, (rows, model.groups.size)))
    return unordered(decoder.pull(table.reshape(-1), model.tables)).reshape(rows, -1)
