"""A codec of Zarr 3, of arrays to bytes: what has a loss has to know what the bytes mean."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer

from lictor.codec.errors import CorruptFile, UnsupportedArray
from lictor.codec.format.arrays import DTYPES
from lictor.codec.zarr import chunk
from lictor.codec.zarr.chunk import Settings

NAME = "lictor"


@dataclass(frozen=True)
class LictorSerializer(ArrayBytesCodec):
    """Give it as the `serializer` of an array, without compressors: they would find nothing.

    Args:
        max_error: of floats: no value is further from its original.
        mse: nor is their mean squared error above this. With neither of them all is exact.
        axis: of the channels; found by trial if None.
        effort: 0, or up to 9 to search for smaller chunks.

    Raises:
        CodecError: InvalidTarget, InvalidEffort.
    """

    is_fixed_size = False

    max_error: float | None = None
    mse: float | None = None
    axis: int | None = None
    effort: int = 0

    def __post_init__(self) -> None:
        settings = self._settings
        for name in ("max_error", "mse", "axis", "effort"):
            object.__setattr__(self, name, getattr(settings, name))

    @property
    def _settings(self) -> Settings:
        return Settings(self.max_error, self.mse, self.axis, self.effort)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Of what a store's metadata say."""
        return cls(**data.get("configuration") or {})

    def to_dict(self) -> dict[str, Any]:
        """What a store's metadata say."""
        return {"name": NAME, "configuration": self._settings.named()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raises UnsupportedArray for types that are not coded, before anything is written."""
        name = dtype.to_native_dtype().name
        if name not in DTYPES or name == "bfloat16":
            raise UnsupportedArray(f"an array of {name} is not coded; convert it to float32")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Nobody knows before. Raises NotImplementedError."""
        raise NotImplementedError

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        array = chunk_array.as_numpy_array()
        data = await asyncio.to_thread(self._settings.encode, array)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        found = await asyncio.to_thread(chunk.decode, chunk_bytes.to_bytes())
        wanted = chunk_spec.dtype.to_native_dtype()
        if found.dtype.newbyteorder("=") != wanted.newbyteorder("="):
            raise CorruptFile(f"a chunk holds {found.dtype}, not {wanted}; the store is damaged")
        if found.shape != chunk_spec.shape:
            raise CorruptFile(
                f"a chunk is of shape {found.shape}, not {chunk_spec.shape}; the store is damaged"
            )
        native = np.asarray(found, wanted)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(native)
