"""A weight file that was opened: what it holds, where, and whether it is whole. Without numpy."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from lictor.codec.errors import (
    CorruptFile,
    FileError,
    InvalidOption,
    ModelUnavailable,
    TruncatedFile,
)
from lictor.codec.format import weights as form
from lictor.codec.format.elements import Bytes
from lictor.codec.format.weights import PLAIN, Beginning, Chunked, Layers, Record, Same, Words
from lictor.codec.weights import container
from lictor.codec.weights.chunks import check_coded
from lictor.codec.weights.container import Header, NotSafetensors, Tensor
from lictor.codec.weights.source import Source


@dataclass(frozen=True)
class File:
    """A weight file. start: of its first record."""

    data: memoryview
    beginning: Beginning
    header: Header
    start: int

    @cached_property
    def stored(self) -> tuple[Tensor, ...]:
        """The tensors that have records, in the order of these."""
        return self.header.stored

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The record of each tensor that has one."""
        return {t.name: i for i, t in enumerate(self.stored)}

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Where each record is. Raises CorruptFile."""
        return form.places(self.data, self.start, len(self.stored))

    def record(self, number: int) -> tuple[Record, memoryview]:
        """A record, and its chunks. Raises CorruptFile, UnsupportedFeature."""
        begin, end = self.places[number]
        if end > len(self.data):
            raise TruncatedFile("the file ends inside its record; get a complete copy of it")
        record, at = form.read_record(self.data[begin:end])
        if isinstance(record, Same) and record.of >= number:
            raise CorruptFile("a record says it is as a later one; get another copy of the file")
        return record, self.data[begin + at : end]

    def original(self, number: int) -> tuple[Tensor, Chunked, memoryview]:
        """The tensor whose record has a tensor's numbers (itself, or the same), and its chunks.

        Raises CorruptFile, UnsupportedFeature.
        """
        record, chunks = self.record(number)
        own = self.stored[number]
        if isinstance(record, Same):
            if self.stored[record.of].bytes != own.bytes:
                raise CorruptFile("a record says it is as one of another size; get another copy")
            own = self.stored[record.of]
            record, chunks = self.record(record.of)
        if not isinstance(record, Chunked):
            raise CorruptFile("a record has no numbers of its own; get another copy of the file")
        return own, record, chunks

    def check(self) -> None:
        """Raises FileError unless all is there, and all checksums of what was written right."""
        for number, tensor in enumerate(self.stored):
            with naming(tensor.name):
                record, chunks = self.record(number)
                at = 0
                for chunk in record.chunks if isinstance(record, Chunked) else ():
                    check_coded(chunk, chunks[at : at + chunk.size])
                    at += chunk.size
        self.ended()

    def ended(self) -> None:
        """Raises CorruptFile unless the file ends where it should, with its index."""
        end = self.places[-1][1] if self.places else self.start
        form.check_end(self.data, end, [b - a for a, b in self.places])

    def need(self, base: Source | None) -> None:
        """Raises ModelUnavailable unless the base is the one that the file was coded with."""
        want = self.beginning.base
        if want and base is None:
            raise ModelUnavailable(
                f"holds what differs from another file, whose SHA-256 begins with "
                f"{want.hex()[:16]}; give that file as the base"
            )
        if want and base is not None and base.digest != want:
            raise ModelUnavailable(
                f"was coded with another base, whose SHA-256 begins with {want.hex()[:16]}; "
                "give that one"
            )

    def need_layers(self, layers: int) -> None:
        """Raises InvalidOption unless tensors have layers, and so many are at least one."""
        if layers < 1:
            raise InvalidOption(f"layers is {layers}; give 1 or more")
        for number in range(len(self.stored)):
            with suppress(FileError):  # what is damaged shows when it is read
                if isinstance(self.record(number)[0], Layers):
                    return
        raise InvalidOption("no tensor of the file has layers; leave them out")


class naming:
    """Puts the name of a tensor before what is wrong with its record."""

    def __init__(self, name: str) -> None:
        self._name = name if name.isprintable() else ascii(name)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileError):
            raise type(error)(f"tensor {self._name[:80]}: {error}") from error


def needs_base(record: Chunked) -> bool:
    """Whether a record is of what differs from another file."""
    return isinstance(record, Words) and record.prediction not in (PLAIN, form.BEFORE)


def read(data: Bytes) -> File:
    """The file, its beginning checked. Raises FileError."""
    view = memoryview(data).cast("B")
    beginning, start = form.read_beginning(view)
    try:
        header = container.parse(beginning.header)
    except NotSafetensors as e:
        raise CorruptFile(f"{e}; the file is damaged, get another copy of it") from e
    return File(view, beginning, header, start)
