from typing import Any

from numpy import float32, int32, int64, uint8
from numpy.typing import NDArray

def split(
    words: Any,
    item: int,
    raw: int,
    sign: int,
    low: int,
    symbols: NDArray[int32],
    planes: NDArray[uint8],
    /,
) -> None: ...
def join(
    symbols: NDArray[int32],
    planes: NDArray[uint8],
    item: int,
    raw: int,
    sign: int,
    low: int,
    words: NDArray[uint8],
    /,
) -> None: ...
def pack(values: NDArray[uint8], width: int, packed: NDArray[uint8], /) -> None: ...
def unpack(packed: Any, width: int, values: NDArray[uint8], /) -> None: ...
def contexts(
    rows: NDArray[uint8],
    columns: NDArray[uint8],
    start: int,
    least: int,
    most: int,
    out: NDArray[uint8],
    /,
) -> None: ...
def tally(
    symbols: NDArray[int32], contexts: NDArray[uint8], width: int, counts: NDArray[int64], /
) -> None: ...
def sums(
    symbols: NDArray[int32],
    mask: int,
    start: int,
    rows: NDArray[int64],
    columns: NDArray[int64],
    /,
) -> None: ...
def viterbi(
    values: NDArray[float32],
    contexts: NDArray[uint8],
    rates: NDArray[float32],
    count: int,
    strands: int,
    levels: NDArray[int32],
    /,
) -> None: ...
def advance(
    symbols: NDArray[int32],
    states: NDArray[uint8],
    following: NDArray[uint8],
    zero: int,
    quantiser: int,
    /,
) -> None: ...
