"""Lossless coding of pixels without a network, a tile at a time.

encode(pixels, depth), decode(data, shape, depth) take the better of two coders: `photo`
(LOSSLESS.md) and `screen` (SCREEN.md). estimate(pixels) says about how long a stream is.
"""

from __future__ import annotations

from lictor.models.lossless.choice import available, decode, encode
from lictor.models.lossless.estimate import estimate

__all__ = ["available", "decode", "encode", "estimate"]
