"""The tensors of a weight file: whole, in part, or all of them as the file that they came from.

Methods with loss are imported when a record has them: each process that loads shipped weights,
which have none, comes by here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.weights import CHUNK, Cabac, Chunk, Chunked, Factors, Grid, Layers, Words
from lictor.codec.weights import exact, layouts
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.exact import Mapped
from lictor.codec.weights.file import File, naming, needs_base
from lictor.codec.weights.source import Source

if TYPE_CHECKING:
    from lictor.codec.weights import factors, layered

Array = npt.NDArray[np.uint8]
_AHEAD = 8
"""Chunks of words that are decoded before they are written: as many as a cache holds."""


class Reader:
    """Decodes tensors of a file.

    base: what the file was coded with, if it was with one. layers: how many of those that have
    some, at least 1; None for all. Raises ModelUnavailable, InvalidOption.
    """

    def __init__(
        self,
        file: File,
        base: Source | None,
        mapped: Mapped[int, None],
        layers: int | None = None,
    ) -> None:
        file.need(base)
        if layers is not None:
            file.need_layers(layers)
        self._layers = layers
        self._file, self._mapped = file, mapped
        self._base = base if file.beginning.base else None
        self._room = np.empty(_AHEAD * CHUNK, np.uint8)

    def whole(self, tensor: Tensor) -> Array:
        """The bytes of a tensor. Raises FileError."""
        return self.part(tensor, 0, tensor.bytes)

    def part(self, tensor: Tensor, begin: int, end: int) -> Array:
        """Bytes of a tensor, from … to before …: only the chunks that they are in are decoded."""
        if begin >= end:
            return np.empty(0, np.uint8)
        with naming(tensor.name):
            one = self._one(tensor)
            first, last = begin // one.step, -(-end // one.step)
            start = first * one.step
            out = np.empty(min(last * one.step, tensor.bytes) - start, np.uint8)
            self._decode(one, first, last, out)
            return out[begin - start : end - start]

    def parts(self, tensor: Tensor) -> Iterator[Array]:
        """The bytes of a tensor, some chunks at a time, each time in the same memory."""
        if not tensor.bytes:
            return
        with naming(tensor.name):
            one = self._one(tensor)
            ahead = max(1, _AHEAD * CHUNK // one.step)
            if one.step > self._room.size:
                self._room = np.empty(one.step, np.uint8)
            for first in range(0, one.count, ahead):
                last = min(first + ahead, one.count)
                out = self._room[: min(last * one.step, tensor.bytes) - first * one.step]
                self._decode(one, first, last, out)
                yield out

    def _one(self, tensor: Tensor) -> _Opened:
        own, record, chunks = self._file.original(self._file.numbers[tensor.name])
        if isinstance(record, Layers):
            from lictor.codec.weights import layered

            return layered.Opened(record, chunks, own, self._layers)
        if isinstance(record, Factors):
            from lictor.codec.weights import factors

            return factors.Opened(record, chunks, own)
        return _One.of(own, record, chunks, self._base)

    def _decode(self, one: _Opened, first: int, last: int, out: Array) -> None:
        """Chunks from … to before …, into memory of just their size."""

        def decode(number: int) -> None:
            at = (number - first) * one.step
            one.chunk(number, out[at : at + one.step])

        for _ in self._mapped(decode, range(first, last)):
            pass

    def write(self, file: IO[bytes]) -> None:
        """The file that was coded, to the byte. Raises FileError."""
        self._file.ended()
        text = self._file.beginning.header
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for tensor in self._file.stored:
            for part in self.parts(tensor):
                file.write(part.data)


class _One:
    """One tensor's record. count: of its chunks. step: bytes of the values of each but the last."""

    def __init__(self, record: Chunked, chunks: memoryview, item: int, decode: _Decode) -> None:
        self._record, self._chunks, self._decode = record, chunks, decode
        self._starts = np.cumsum([0, *(chunk.size for chunk in record.chunks)]).tolist()
        self.step, self.count = record.values * item, len(record.chunks)

    @classmethod
    def of(cls, own: Tensor, record: Chunked, chunks: memoryview, base: Source | None) -> _One:
        """A tensor's record. Raises FileError."""
        item = layouts.word(own.dtype)
        if isinstance(record, Grid):
            return cls(record, chunks, item, _grid(record, own))
        if isinstance(record, Cabac):
            return cls(record, chunks, item, _cabac(record, own))
        assert isinstance(record, Words)
        return cls(record, chunks, record.item, _words(record, own, base))

    def chunk(self, number: int, out: Array) -> None:
        """The values of a chunk. Raises CorruptFile."""
        data = self._chunks[self._starts[number] : self._starts[number + 1]]
        self._decode(self._record.chunks[number], data, number * self.step, out)


_Opened: TypeAlias = "_One | layered.Opened | factors.Opened"
_Decode = Callable[[Chunk, memoryview, int, Array], None]
"""A chunk, its bytes, where its values begin among the tensor's bytes, and what takes them."""


def _grid(record: Grid, own: Tensor) -> _Decode:
    from lictor.codec.weights import grid

    coding, item = grid.coding_of(record, own), layouts.word(own.dtype)

    def decode(chunk: Chunk, data: memoryview, begin: int, out: Array) -> None:
        grid.decode_chunk(coding, chunk, data, begin // item, out)

    return decode


def _cabac(record: Cabac, own: Tensor) -> _Decode:
    from lictor.codec.weights import cabac

    spaced, item = cabac.coding_of(record, own), layouts.word(own.dtype)

    def decode(chunk: Chunk, data: memoryview, begin: int, out: Array) -> None:
        cabac.decode_chunk(spaced, chunk, data, begin // item, out)

    return decode


def _words(record: Words, own: Tensor, base: Source | None) -> _Decode:
    twin = base.twin(own) if base and needs_base(record) else None
    if needs_base(record) and twin is None:
        raise CorruptFile("its base has no such tensor; the file is damaged, get another copy")
    coding = exact.coding_of(record, own)

    def decode(chunk: Chunk, data: memoryview, begin: int, out: Array) -> None:
        other = None if twin is None else twin[begin : begin + record.values * record.item]
        exact.decode_chunk(coding, chunk, data, begin // record.item, other, out)

    return decode
