"""Lictor for Zarr and numcodecs, and so for xarray: chunks of arrays within a bound, or exact.

    from lictor.codec.zarr import LictorSerializer
    zarr.create_array("x.zarr", shape=…, chunks=…, dtype="float32",
                      serializer=LictorSerializer(max_error=0.01), compressors=None)

`zarr.open` and `numcodecs.get_codec({"id": "lictor", …})` find both codecs by their entry points:
nothing has to be imported to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lictor.codec.zarr.numcodec import Lictor
    from lictor.codec.zarr.serializer import LictorSerializer

__all__ = ["Lictor", "LictorSerializer"]


def __getattr__(name: str) -> Any:
    """Each codec needs its own package, which the other does without."""
    if name == "Lictor":
        from lictor.codec.zarr.numcodec import Lictor

        return Lictor
    if name == "LictorSerializer":
        from lictor.codec.zarr.serializer import LictorSerializer

        return LictorSerializer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
