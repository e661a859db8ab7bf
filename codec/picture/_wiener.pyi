from typing import Any

from numpy import float32, float64, int32
from numpy.typing import NDArray

def filter(
    samples: NDArray[Any],
    height: int,
    width: int,
    colours: int,
    size: int,
    thresholds: NDArray[int32],
    taps: NDArray[int32],
    precision: int,
    out: NDArray[Any],
    /,
) -> None: ...
def squares(
    samples: NDArray[Any],
    height: int,
    width: int,
    colours: int,
    size: int,
    thresholds: NDArray[int32],
    wanted: NDArray[Any],
    weights: NDArray[float32],
    sums: NDArray[float64],
    /,
) -> None: ...
def activity(
    samples: NDArray[Any],
    height: int,
    width: int,
    colours: int,
    size: int,
    thresholds: NDArray[int32],
    out: NDArray[int32],
    /,
) -> None: ...
