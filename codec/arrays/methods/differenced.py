"""Quantised with one step; what is coded are differences of neighbouring integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.arrays.methods.predicted import Predicted
from lictor.codec.errors import CorruptFile
from lictor.codec.format.picture import Reader, Writer

if TYPE_CHECKING:
    import numpy.typing as npt


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
        from lictor.codec.arrays.context import MAX_SYMBOL
        from lictor.codec.arrays.differences import permuted, sums

        levels = super()._levels(axis)
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
