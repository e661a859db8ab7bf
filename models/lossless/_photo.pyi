from numpy import bool_, uint8, uint16
from numpy.typing import NDArray

paths: int

def encode(
    pixels: NDArray[uint8] | NDArray[uint16],
    height: int,
    width: int,
    channels: int,
    depth: int,
    mask: NDArray[bool_] | None,
    flags: int,
    path: int,
    /,
) -> bytes: ...
def decode(
    stream: bytes,
    pixels: NDArray[uint8] | NDArray[uint16],
    height: int,
    width: int,
    channels: int,
    depth: int,
    mask: NDArray[bool_] | None,
    path: int,
    /,
) -> bool: ...
