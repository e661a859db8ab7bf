"""Quantised with one step, and coded as integers that are predicted from their neighbours.

Shifted codes the integers as the distance from a level of each channel's own, Differenced as
differences of neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lictor.codec.arrays.methods.coded import Coded
from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import block, positive
from lictor.codec.format.picture import Bytes, Reader, Writer

if TYPE_CHECKING:
    import numpy.typing as npt

    from lictor.codec.arrays.context import FloatArray
    from lictor.codec.arrays.quantiser import Quantiser


@dataclass
class Predicted(Coded):
    """step: the distance of the quantiser's levels."""

    code = 1
    shifts_levels: ClassVar[bool] = False

    step: float = 1.0

    def own_syntax(self, io: Reader | Writer) -> None:
        """The step."""
        self.step = positive(io, "step", self.step)

    @staticmethod
    def of(orders: tuple[int, ...]) -> Predicted:
        """An array whose differences are coded, if any order is above 0."""
        return Differenced(orders=orders) if any(orders) else Predicted()

    @staticmethod
    def encode(quantiser: Quantiser, step: float, bound: float = math.inf) -> Predicted:
        """With a step; values further off than the bound are kept exactly. Raises Uncodable."""
        part = quantiser.encode(step, bound)
        array = Shifted(shifts=part.shifts) if part.shifts else Predicted.of(part.orders)
        array.name, array.dtype, array.shape = quantiser.name, quantiser.dtype, quantiser.raw.shape
        array.axis = -1 if part.axis is None else part.axis
        array.patch, array.coded, array.step = part.patch, part.coded, step
        return array

    def decode(self, model: Any = None) -> npt.NDArray[Any]:
        """As Coded.decode; in C where that is here, unless levels are shifted."""
        from lictor.codec.arrays import field, quick
        from lictor.codec.arrays.lossless import unpack_patch

        if not field.available() or self.shifts_levels:
            return super().decode(model)
        axis = None if self.axis < 0 else self.axis
        raw = quick.scaled(self._levels(axis), self.shape, axis, self.step, self.dtype)
        unpack_patch(self.patch, raw)
        return raw

    def _levels(self, axis: int | None) -> npt.NDArray[Any]:
        from lictor.codec.arrays import stream
        from lictor.codec.arrays.context import grid

        return self.shifted(stream.decode(self.coded, grid(self.shape, axis)))

    def values(self, model: Any) -> FloatArray:
        """Levels times the step."""
        import numpy as np

        from lictor.codec.arrays.context import join

        axis = None if self.axis < 0 else self.axis
        whole = np.ascontiguousarray(join(self._levels(axis), self.shape, axis))
        with np.errstate(over="ignore"):
            return whole.astype(np.float64) * self.step

    def shifted(self, levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The levels that the stream's integers mean, (channels, plane)."""
        return levels

    def describe(self) -> dict[str, Any]:
        """With the step."""
        return {**super().describe(), "step": self.step}


@dataclass
class Shifted(Predicted):
    """shifts: the level that each channel's integers are counted from, packed."""

    code, since = 4, 2
    shifts_levels = True

    shifts: Bytes = b""

    def own_syntax(self, io: Reader | Writer) -> None:
        """The step and the shifts."""
        super().own_syntax(io)
        self.shifts = block(io, "shifts of the channels", self.shifts)

    def shifted(self, levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Raises CorruptFile."""
        from lictor.codec.arrays.context import MAX_SHIFT
        from lictor.codec.arrays.lossless import unpack

        shifts = unpack(self.shifts, "int64", (len(levels),))
        if (shifts < -MAX_SHIFT).any() or (shifts > MAX_SHIFT).any():
            raise CorruptFile(
                "a channel of an array is shifted out of range; the file is damaged, get another "
                "copy"
            )
        return levels + shifts[:, None]

    def describe(self) -> dict[str, Any]:
        """With the bytes of the shifts."""
        said = super().describe()
        return {**said, "bytes": said["bytes"] + len(self.shifts)}


@dataclass
class Differenced(Predicted):
    """orders: of the differences along each axis of the array."""

    code, since = 6, 3

    orders: tuple[int, ...] = ()

    def own_syntax(self, io: Reader | Writer) -> None:
        """The step and the orders."""
        super().own_syntax(io)
        given = self.orders or (0,) * len(self.shape)
        self.orders = tuple(io.uint("order of differences", order, 0, 2) for order in given)

    def _levels(self, axis: int | None) -> npt.NDArray[Any]:
        """Raises CorruptFile."""
        import numpy as np

        from lictor.codec.arrays.context import MAX_SYMBOL
        from lictor.codec.arrays.differences import permuted, sums

        levels = super()._levels(axis).astype(np.int32, copy=False)
        whole = levels.reshape(permuted(self.shape, axis))
        sums(whole, permuted(self.orders, axis))
        if whole.size and (int(whole.max()) > MAX_SYMBOL or int(whole.min()) < -MAX_SYMBOL):
            raise CorruptFile(
                "the differences of an array lead out of range; the file is damaged, get another "
                "copy"
            )
        return levels

    def describe(self) -> dict[str, Any]:
        """With the orders."""
        return {**super().describe(), "differences": list(self.orders)}
