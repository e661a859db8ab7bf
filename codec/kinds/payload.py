"""What every kind of payload answers; kinds.py is the table of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, ClassVar

from lictor.codec.errors import CodecError, DeviceUnavailable
from lictor.codec.format.elements import Bytes

Row = dict[str, Any]
Progress = Callable[[int, int], None]


class Kind(ABC):
    """A kind of payload: what is encoded, and what .bin files of it hold.

    name: in the plural. one: what a single file holds. whose: its possessive.
    magic: how .bin files begin. suffixes: by which inputs are known; lower case, with their dots.
    key: what only this kind's rows of a report have.
    output: extensions to name an output by, as a user is told.
    options: those of encoding that it takes. decode_options, info_options: likewise.
    advice: what to do in place of an option that it does not take.
    common: errors that are wrong with the options of encoding, not with one of several files.
    writes: extensions that another kind has, and that .bin files can be decoded to all the same.
    maps: whether inputs are mapped; what comes from standard input is kept in a file for that.
    streams: whether a file is written while it is encoded, as it may not fit into memory.
    """

    name: ClassVar[str]
    one: ClassVar[str]
    whose: ClassVar[str]
    magic: ClassVar[bytes]
    suffixes: ClassVar[frozenset[str]]
    key: ClassVar[str]
    output: ClassVar[str]
    options: ClassVar[frozenset[str]]
    decode_options: ClassVar[frozenset[str]]
    info_options: ClassVar[frozenset[str]] = frozenset()
    advice: ClassVar[str]
    common: ClassVar[tuple[type[CodecError], ...]]
    decode_common: ClassVar[tuple[type[CodecError], ...]] = (DeviceUnavailable,)
    writes: ClassVar[frozenset[str]] = frozenset()
    maps: ClassVar[bool] = False
    streams: ClassVar[bool] = False

    # ---- what it is

    @abstractmethod
    def sniff(self, name: str, start: bytes = b"") -> bool:
        """Whether an input is of this kind: by its name, else by its first 16 bytes."""

    @abstractmethod
    def suffix(self, start: bytes) -> str:
        """The extension of what a .bin file decodes to; start: its first 5 bytes."""

    def takes(self, given: Mapping[str, Any]) -> frozenset[str]:
        """Those of the options of encoding that it takes with the others that are given."""
        return self.options.intersection(given)

    @abstractmethod
    def check_model(self, name: str) -> None:
        """Raises ModelUnavailable if no such model codes this kind."""

    # ---- encoding

    @abstractmethod
    def read(self, name: str, data: bytes | None = None, *, salvage: bool = False) -> Any:
        """The content of an input file. data: its bytes, of what can be read but once.

        Raises CodecError, OSError.
        """

    @abstractmethod
    def encode(
        self, content: Any, options: Mapping[str, Any], progress: Progress | None = None
    ) -> tuple[bytes, Row]:
        """The .bin file, and its row of a report. options: such as it takes. Raises CodecError."""

    def encode_into(
        self,
        file: IO[bytes],
        content: Any,
        options: Mapping[str, Any],
        progress: Progress | None = None,
    ) -> Row:
        """As `encode`, into a file."""
        data, row = self.encode(content, options, progress)
        file.write(data)
        return row

    # ---- decoding

    @abstractmethod
    def decode(self, data: Any, **options: Any) -> Any:
        """What `lictor.codec.decode` gives. options: such as it takes. Raises CodecError."""

    @abstractmethod
    def info(self, data: Any) -> Any:
        """What `lictor.codec.info` gives: a dataclass. Raises FileError."""

    @abstractmethod
    def check(self, data: Any) -> None:
        """Raises FileError unless a .bin file is whole, its checksums all right."""

    @abstractmethod
    def unpack(
        self, data: Bytes, options: Mapping[str, Any], progress: Progress | None = None
    ) -> Any:
        """The content of a .bin file, for `write`. Raises CodecError."""

    @abstractmethod
    def write(self, content: Any, file: IO[bytes], target: str, format: str) -> Iterable[str]:
        """Write what was unpacked; what of it is not kept. target: the output's name.

        format: of pictures, as Pillow names it. Raises CodecError.
        """

    @abstractmethod
    def decoded(self, content: Any, data: Bytes, notes: Iterable[str]) -> Row:
        """The row of a report on a file that was decoded and written."""

    # ---- telling

    @abstractmethod
    def line(self, row: Row) -> str:
        """A file in one line, from what `info` said."""

    @abstractmethod
    def brief(self, row: Row, seconds: str) -> str:
        """One file that was encoded or decoded, in what took so long."""

    @abstractmethod
    def total(self, rows: list[Row]) -> str:
        """What several files take together."""
