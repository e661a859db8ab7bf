from typing import Any

from numpy import bool_, float32, int16, uint8
from numpy.typing import NDArray

def encode(
    pixels: NDArray[Any],
    height: int,
    width: int,
    channels: int,
    depth: int,
    mask: NDArray[bool_],
    fineness: NDArray[uint8],
    bits: NDArray[float32],
    step: int,
    matrix: NDArray[int16],
    slope: float,
    /,
) -> bytes: ...
def decode(
    stream: bytes,
    pixels: NDArray[Any],
    height: int,
    width: int,
    channels: int,
    depth: int,
    mask: NDArray[bool_],
    fineness: NDArray[uint8],
    /,
) -> bool: ...
