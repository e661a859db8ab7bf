"""A codec of numcodecs: `numcodecs.get_codec({"id": "lictor", "max_error": 0.01})`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray, ndarray_copy

from lictor.codec.zarr import chunk
from lictor.codec.zarr.chunk import Settings


class Lictor(Codec):
    """Codes the arrays that it is given, with their shapes and types; what are bytes, as bytes.

    Args:
        max_error: of floats: no value is further from its original.
        mse: nor is their mean squared error above this. With neither of them all is exact.
        axis: of the channels; found by trial if None.
        effort: 0, or up to 9 to search for smaller ones.

    Raises:
        CodecError: InvalidTarget, InvalidEffort.
    """

    codec_id = "lictor"

    def __init__(
        self,
        max_error: float | None = None,
        mse: float | None = None,
        axis: int | None = None,
        effort: int = 0,
    ) -> None:
        self._settings = Settings(max_error, mse, axis, effort)

    def encode(self, buf: Any) -> bytes:
        """An array, or anything with a buffer, to bytes. Raises UnsupportedArray."""
        array = ensure_ndarray(buf)
        return self._settings.encode(array if array.ndim else array.reshape(1))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The array again, also in `out`, if that is given. Raises CodecError."""
        data = ensure_ndarray(buf)
        found = chunk.decode(np.ascontiguousarray(data).view(np.uint8).ravel().data)
        return found if out is None else ndarray_copy(found, out)

    def get_config(self) -> dict[str, Any]:
        """What `numcodecs.get_codec` makes it of again."""
        return {"id": self.codec_id, **self._settings.named()}

    def __repr__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self._settings.named().items())
        return f"{type(self).__name__}({given})"
