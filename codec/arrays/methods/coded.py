"""What methods that code floats with a loss share: channels, values kept beside, a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.format.arrays import Array, block
from lictor.codec.format.picture import Bytes, Reader, Writer

if TYPE_CHECKING:
    import numpy.typing as npt

    from lictor.codec.arrays.context import FloatArray


@dataclass
class Coded(Array):
    """axis: of the channels; -1 if there is none.

    patch: values that are kept exactly, packed. coded: the entropy coder's stream.
    """

    axis: int = -1
    patch: Bytes = b""
    coded: Bytes = b""

    def syntax(self, io: Reader | Writer) -> None:
        """The axis, what the method says, and both blocks."""
        self.axis = io.uint("axis of the channels", self.axis + 1, 0, len(self.shape)) - 1
        self.own_syntax(io)
        self.patch = block(io, "exact values", self.patch)
        self.coded = block(io, "coded values", self.coded)

    def own_syntax(self, io: Reader | Writer) -> None:
        """What the method says between."""
        raise NotImplementedError

    def decode(self, model: Any = None) -> npt.NDArray[Any]:
        """The coded values as the array's type has them, and over them what is kept exactly."""
        from lictor.codec.arrays.dtypes import from_float64
        from lictor.codec.arrays.lossless import unpack_patch

        raw = from_float64(self.dtype, self.values(model))
        unpack_patch(self.patch, raw)
        return raw

    def values(self, model: Any) -> FloatArray:
        """All values as they were coded, float64. Args and errors: as for decode."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Axis and bytes."""
        axis = self.axis if self.axis >= 0 else None
        return {"axis": axis, "bytes": len(self.patch) + len(self.coded)}
