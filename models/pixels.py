"""What coders of pixels share: blocks of 64x64, and a checksum of samples."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Side of the blocks of a mask."""
CHECKSUM = 4
"""Bytes of a checksum."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]


def block_count(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of blocks; those of the last may be smaller."""
    return -(-height // BLOCK), -(-width // BLOCK)


def inside(mask: Mask, height: int, width: int) -> Mask:
    """The pixels (height, width) of the blocks of a mask."""
    return mask.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]


def sums(values: NDArray[Any]) -> NDArray[np.float64]:
    """Of (H, W), for each block, (rows, columns)."""
    rows, columns = (np.arange(0, side, BLOCK) for side in values.shape)
    lines = np.add.reduceat(values, rows, axis=0, dtype=np.float64)
    return np.add.reduceat(lines, columns, axis=1)


def checksum(samples: Pixels) -> bytes:
    """CRC-32 of samples, those of 16 bits with the low byte first; 4 bytes, the low one first."""
    low_first = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(low_first.tobytes()).to_bytes(CHECKSUM, "little")
