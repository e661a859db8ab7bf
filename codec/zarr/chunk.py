"""What both codecs share: a chunk to bytes and back, and the settings that a store keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.api import decode_features, encode_features
from lictor.codec.arrays.target import Target, whole_axis
from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import FLOATS
from lictor.codec.format.picture import Bytes
from lictor.codec.quality import effort as whole_effort


@dataclass(frozen=True)
class Settings:
    """How chunks are coded.

    max_error: of floats: no value is further from its original. mse: nor their mean squared error.
        With neither of them all is exact, as integers are anyway.
    axis: of the channels, of arrays with as many dimensions; found by trial if None.
    effort: as `lictor.codec.encode_features` has it.

    Raises InvalidTarget, InvalidEffort.
    """

    max_error: float | None = None
    mse: float | None = None
    axis: int | None = None
    effort: int = 0

    def __post_init__(self) -> None:
        target = Target(self.max_error, self.mse)
        object.__setattr__(self, "max_error", target.max_error)
        object.__setattr__(self, "mse", target.mse)
        object.__setattr__(self, "effort", whole_effort(self.effort))
        if self.axis is not None:
            object.__setattr__(self, "axis", whole_axis(self.axis, 32))

    def named(self) -> dict[str, Any]:
        """Those that are not as they are by default, for a store's metadata."""
        return {k: v for k, v in asdict(self).items() if v is not None and (k != "effort" or v)}

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        """A chunk to bytes. Raises UnsupportedArray."""
        given = self.max_error is not None or self.mse is not None
        lossy = given and chunk.dtype.name in FLOATS
        # A chunk of a store is read as a whole, so it is not cut again.
        return encode_features(
            chunk,
            max_error=self.max_error if lossy else None,
            mse=self.mse if lossy else None,
            exact=not lossy,
            axis=self.axis if lossy else None,
            effort=self.effort,
            chunk=0,
        )


def decode(data: Bytes) -> npt.NDArray[Any]:
    """A chunk. Raises CodecError."""
    found = decode_features(data)
    if not isinstance(found, np.ndarray):
        raise CorruptFile("a chunk of a store holds no numpy array; the store is damaged")
    return found
