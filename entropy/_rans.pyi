from typing import final

from numpy import int32, uint8, uint16
from numpy.typing import NDArray

@final
class Tables:
    def __new__(
        cls,
        frequencies: NDArray[uint16],
        lengths: NDArray[uint16],
        offsets: NDArray[int32],
        shifts: NDArray[uint8],
        costs: NDArray[uint16],
        /,
    ) -> Tables: ...

@final
class Encoder:
    def push(self, symbols: NDArray[int32], index: NDArray[uint8], tables: Tables, /) -> int: ...
    def finish(self) -> bytes: ...

@final
class Decoder:
    def __new__(cls, data: bytes, /) -> Decoder: ...
    @property
    def failed(self) -> bool: ...
    def pull(self, index: NDArray[uint8], tables: Tables, out: NDArray[int32], /) -> bool: ...
    def ended(self) -> tuple[bool, int, int]: ...
