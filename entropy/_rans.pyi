from typing import final

from numpy import int32, uint8, uint16
from numpy.typing import NDArray

paths: tuple[str, ...]

@final
class Tables:
    def __new__(
        cls,
        frequencies: NDArray[uint16],
        lengths: NDArray[uint16],
        offsets: NDArray[int32],
        shifts: NDArray[uint8],
        /,
    ) -> Tables: ...

@final
class Encoder:
    def __new__(cls, path: str, /) -> Encoder: ...
    @property
    def checksum(self) -> int: ...
    def push(
        self, symbols: NDArray[int32], index: NDArray[uint8], tables: Tables, checksum: bool, /
    ) -> int: ...
    def finish(self, lanes: int = 0, /) -> bytes: ...

@final
class Decoder:
    def __new__(cls, data: bytes, path: str, /) -> Decoder: ...
    @property
    def checksum(self) -> int: ...
    @property
    def failed(self) -> bool: ...
    def pull(
        self, index: NDArray[uint8], tables: Tables, out: NDArray[int32], checksum: bool, /
    ) -> bool: ...
    def ended(self) -> tuple[bool, int, int]: ...
