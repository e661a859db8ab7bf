from typing import Any, final

from numpy import int32, int64, uint8
from numpy.typing import NDArray

@final
class Field:
    def __new__(cls, channels: int, count: int, height: int, width: int, /) -> Field: ...
    def expect(
        self,
        channel: int,
        turn: int,
        taps: NDArray[int32],
        bias: int,
        spread0: int,
        spread1: int,
        spread2: int,
        contexts: NDArray[uint8] | None,
        predictions: NDArray[int64],
        index: NDArray[uint8] | None,
        /,
    ) -> None: ...
    def restore(
        self,
        channel: int,
        turn: int,
        predictions: NDArray[int64],
        residuals: NDArray[int32],
        plane: NDArray[int32],
        /,
    ) -> bool: ...
    def store(
        self,
        channel: int,
        turn: int,
        seen: NDArray[int32],
        values: NDArray[int32],
        plane: NDArray[int32],
        /,
    ) -> None: ...
    def order(self, values: NDArray[int32], out: NDArray[int32], /) -> None: ...
    def fit(
        self,
        seen: NDArray[int32],
        counts: NDArray[int32],
        taps: NDArray[int32],
        biases: NDArray[int32],
        spreads: NDArray[int32],
        residuals: NDArray[int32],
        levels: NDArray[uint8],
        predictions: NDArray[int64] | None,
        /,
    ) -> int: ...

def quantise(
    x: NDArray[Any], wide: bool, step: float, dead: float, out: NDArray[int32] | None, /
) -> float: ...
def grid(x: NDArray[Any], wide: bool, step: float, zero: float, most: float, /) -> float: ...
def compare(a: NDArray[Any], b: NDArray[Any], wide: bool, /) -> tuple[float, float]: ...
