from typing import Any

from numpy import int8, int16
from numpy.typing import NDArray

paths: int

def write_networks(
    size: int, start: int, exponents: bytes, spreads: bytes, numbers: NDArray[int16], /
) -> bytes: ...
def read_networks(data: bytes, /) -> tuple[int, int, bytes, bytes, bytes] | None: ...
def encode(
    networks: bytes, grids: NDArray[int8], height: int, width: int, path: int, /
) -> bytes: ...
def decode(
    networks: bytes, stream: bytes, grids: NDArray[int8], height: int, width: int, path: int, /
) -> bool: ...
def synthesize(
    networks: bytes,
    grids: NDArray[int8],
    height: int,
    width: int,
    top: int,
    left: int,
    bottom: int,
    right: int,
    samples: NDArray[Any],
    channels: int,
    depth: int,
    path: int,
    /,
) -> None: ...
