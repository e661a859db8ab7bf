from typing import Any, final

from numpy import float32, float64, int16, int32, int64, uint8
from numpy.typing import NDArray

Integers = NDArray[int16] | NDArray[int32]

@final
class Field:
    def __new__(cls, channels: int, count: int, height: int, width: int, /) -> Field: ...
    def predict(
        self,
        channel: int,
        turn: int,
        taps: NDArray[int32],
        bias: int,
        predictions: NDArray[int64],
        /,
    ) -> None: ...
    def expect(
        self,
        channel: int,
        turn: int,
        taps: NDArray[int32],
        bias: int,
        spread0: int,
        spread1: int,
        spread2: int,
        contexts: NDArray[uint8],
        rounded: NDArray[int32],
        index: NDArray[uint8],
        /,
    ) -> None: ...
    def restore(
        self,
        channel: int,
        turn: int,
        rounded: NDArray[int32],
        residuals: NDArray[int32],
        /,
    ) -> bool: ...
    def store(
        self,
        channel: int,
        turn: int,
        values: NDArray[int32],
        root: bool,
        plane: Integers | None,
        /,
    ) -> bool: ...
    def contexts(
        self,
        channel: int,
        turn: int,
        taps: NDArray[int32],
        bias: int,
        bounds: NDArray[int64],
        index: NDArray[uint8],
        /,
    ) -> None: ...
    def ordered(self, out: Integers, /) -> None: ...
    def order(self, values: Integers, /) -> None: ...
    def narrow(self, /) -> bool: ...
    def take(self, out: Integers, /) -> None: ...
    def fit(
        self,
        seen: Integers,
        counts: NDArray[int32],
        taps: NDArray[int32],
        biases: NDArray[int32],
        spreads: NDArray[int32],
        levels: NDArray[uint8] | None,
        predictions: NDArray[int64] | None,
        every: int,
        /,
    ) -> int: ...

def quantise(
    x: NDArray[Any],
    kind: int,
    channels: int,
    inner: int,
    step: float,
    dead: float,
    out: Integers | None,
    /,
) -> tuple[float, float]: ...
def scale(
    levels: Integers,
    channels: int,
    inner: int,
    step: float,
    kind: int,
    out: NDArray[Any],
    /,
) -> None: ...
def grid(x: NDArray[Any], kind: int, step: float, zero: float, most: float, /) -> float: ...
def compare(a: NDArray[Any], b: NDArray[Any], kind: int, /) -> tuple[float, float]: ...
def count(
    symbols: Integers,
    contexts: NDArray[uint8],
    split: int,
    low: int,
    width: int,
    out: NDArray[int64],
    /,
) -> None: ...
def merge(
    counts: NDArray[int64],
    width: int,
    most: int,
    table: float,
    entry: float,
    entries: int,
    starts: NDArray[int32],
    /,
) -> tuple[int, float]: ...
def roots(values: Integers, out: Integers, wide: bool, /) -> None: ...
def search(predictions: NDArray[int64], bounds: NDArray[int64], out: NDArray[uint8], /) -> None: ...
def split(
    values: NDArray[int32], low: int, high: NDArray[int32], rest: NDArray[int32], /
) -> int: ...
def join(high: NDArray[int32], low: int, rest: NDArray[int32], /) -> bool: ...
def difference(x: NDArray[int32], length: int, inner: int, back: bool, /) -> None: ...
def missed(x: NDArray[float32], guess: NDArray[float32], low: float, high: float, /) -> float: ...
def impute(
    rows: int,
    projection: NDArray[float64],
    columns: NDArray[float32],
    projected: NDArray[float32],
    there: NDArray[Any],
    /,
) -> None: ...
def trim() -> None: ...
