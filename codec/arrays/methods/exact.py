"""Kept without loss: the bytes of an array of any type, sorted by their place and deflated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.format.arrays import Array, block
from lictor.codec.format.picture import Bytes, Reader, Writer

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass
class Exact(Array):
    """payload: the packed bytes."""

    code, any_type = 0, True

    payload: Bytes = b""

    def syntax(self, io: Reader | Writer) -> None:
        """One block."""
        self.payload = block(io, "array", self.payload)

    @classmethod
    def encode(cls, name: str, dtype: str, raw: npt.NDArray[Any]) -> Exact:
        """raw: bfloat16 as uint16."""
        from lictor.codec.arrays.lossless import pack

        return cls(name, dtype, raw.shape, payload=pack(raw))

    def decode(self, model: Any = None) -> npt.NDArray[Any]:
        """No model needed."""
        from lictor.codec.arrays.lossless import unpack

        return unpack(self.payload, self.dtype, self.shape)

    def describe(self) -> dict[str, Any]:
        """Its bytes are all there is."""
        return {"bytes": len(self.payload)}
