"""Arrays as planes of channels, and back: what a learned feature codec is given.

FEATURES.md, "Planes", is the specification.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.context import cut, join

ROW = 4
"""Values of a sequence in a row."""
SIDE = 128
PLACES = 2**14
"""A piece has at most so many places in a row, and in all; memory grows with it."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Piece:
    """Some frames' rectangle, coded at once."""

    frames: slice
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def count(self) -> int:
        """How many frames."""
        return int(self.frames.stop - self.frames.start)

    @property
    def place(self) -> tuple[slice, slice, slice, slice]:
        """Where it is in (frames, channels, rows, columns)."""
        return self.frames, slice(None), self.rows, self.columns


@dataclass(frozen=True)
class Layout:
    """How an array of some shape is cut into frames of planes.

    shape: of the array, with at least one value.
    axis: of its channels; -1 for none, then values in order are seen as vectors of `width`.
    width: channels of a frame, those of the model.
    """

    shape: tuple[int, ...]
    axis: int
    width: int

    @property
    def channels(self) -> int:
        """Of the array."""
        return self.shape[self.axis] if self.axis >= 0 else self.width

    @property
    def groups(self) -> int:
        """An array of more channels than the model's is seen as so many arrays."""
        return -(-self.channels // self.width)

    @property
    def rest(self) -> tuple[int, ...]:
        """The other axes."""
        if self.axis < 0:
            return (-(-math.prod(self.shape) // self.width),)
        return tuple(n for i, n in enumerate(self.shape) if i != self.axis)

    @property
    def sequence(self) -> bool:
        """Whether places follow one another in one direction only."""
        return len(self.rest) < 2 or min(self.rest[-2:]) == 1

    @property
    def planes(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        places = math.prod(self.rest)
        if self.sequence:
            return self.groups, -(-places // ROW), ROW
        height, width = self.rest[-2:]
        return self.groups * (places // (height * width)), height, width

    def by_channel(self, x: Array) -> Array:
        """The values of each channel, (channels, values); without an axis with zeros at the end."""
        if self.axis < 0:
            flat = _longer(x.reshape(1, -1), self.width * self.rest[0])
            return flat.reshape(-1, self.width).T
        return cut(x, self.axis)

    def spread_out(self, values: Array) -> Array:
        """A value for each channel, as it goes with the array."""
        if self.axis < 0:
            return np.resize(values, math.prod(self.shape)).reshape(self.shape)
        return values.reshape([-1 if i == self.axis else 1 for i in range(len(self.shape))])

    def pack(self, x: Array) -> Array:
        """The array as frames (frames, width, rows, columns); what is added is 0."""
        x = _longer(self.by_channel(x).T, self.groups * self.width).T
        frames, rows, columns = self.planes
        if self.sequence:
            x = _longer(x, rows * columns)
        x = x.reshape(self.groups, self.width, frames // self.groups, rows, columns)
        return np.ascontiguousarray(x.swapaxes(1, 2)).reshape(frames, self.width, rows, columns)

    def unpack(self, frames: Array) -> Array:
        """The array of frames."""
        count, rows, columns = self.planes
        x = frames.reshape(self.groups, count // self.groups, self.width, rows, columns)
        x = x.swapaxes(1, 2).reshape(self.groups * self.width, -1)
        if self.axis < 0:
            return x[:, : self.rest[0]].T.reshape(-1)[: math.prod(self.shape)].reshape(self.shape)
        x = x[: self.channels, : math.prod(self.rest)]
        return np.ascontiguousarray(join(x, self.shape, self.axis))

    def pieces(self) -> Iterator[Piece]:
        """All pieces in the order of coding: rows, columns, frames."""
        frames, height, width = self.planes
        wide = min(width, SIDE)
        high = min(height, PLACES // wide)
        for top in range(0, height, high):
            for left in range(0, width, wide):
                rows = slice(top, min(top + high, height))
                columns = slice(left, min(left + wide, width))
                most = max(1, PLACES // ((rows.stop - top) * (columns.stop - left)))
                for first in range(0, frames, most):
                    yield Piece(slice(first, min(first + most, frames)), rows, columns)


def _longer(x: Array, size: int) -> Array:
    """With zeros at the end of the last axis."""
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])])


def likely_axis(shape: tuple[int, ...], width: int) -> int:
    """The axis of the channels: one as long as the model has them, else one that holds them nearly.

    Of several, the second of four (pictures, channels, rows, columns), else the last. -1: none.
    """
    order = [1, 3, 2, 0] if len(shape) == 4 else list(range(len(shape)))[::-1]
    same = [axis for axis in order if shape[axis] == width]
    near = [axis for axis in order[:1] if fits(shape[axis], width)]
    return next(iter(same + near), -1)


def fits(channels: int, width: int) -> bool:
    """Whether an axis may be that of the channels: else most of what is coded would be padding."""
    return 2 * channels >= width
