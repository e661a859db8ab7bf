"""Cut into chunks along an axis, each of which is coded, and decodes, alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import FLOATS, MAX_PAYLOAD, Array
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.runtime.pool import workers
from lictor.codec.runtime.threads import OwnThreads

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_CHUNKS = 2**20
MOST_WORKERS = 4
"""Each holds what coding one chunk takes, some 60 bytes a value."""


@dataclass
class Chunk:
    """way: the code of its method. payload: what that says. check: CRC-32 of the payload."""

    way: int = 0
    payload: Bytes = b""
    check: int = 0


@dataclass
class Chunked(Array):
    """cut: the axis that is cut. rows: of a chunk along it; the last may have fewer."""

    code, since, any_type = 5, 3, True
    inner: ClassVar[Mapping[int, type[Array]]] = {}
    """Methods that a chunk may be coded by."""

    cut: int = 0
    rows: int = 1
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return -(-self.shape[self.cut] // self.rows)

    def syntax(self, io: Reader | Writer) -> None:
        """The cut, a table of the chunks, and the chunks."""
        if not self.size:
            raise io.complaint("an array without values is said to be cut")
        self.cut = io.uint("axis that is cut", self.cut, 0, len(self.shape) - 1)
        self.rows = io.varint("rows of a chunk", self.rows, 1, self.shape[self.cut])
        if self.count > MOST_CHUNKS:
            raise io.complaint(f"{self.count} chunks are too many")
        sizes, known = [], max(self.inner)
        for number in range(self.count):
            if number == len(self.chunks):
                self.chunks.append(Chunk())
            chunk = self.chunks[number]
            chunk.way = io.uint("way of a chunk", chunk.way, 0, known)
            sizes.append(io.varint("length of a chunk", len(chunk.payload), 0, MAX_PAYLOAD))
            chunk.check = io.uint("check of a chunk", chunk.check, size=4)
        for chunk, size in zip(self.chunks, sizes, strict=True):
            chunk.payload = io.raw("chunk", chunk.payload, size)

    @staticmethod
    def packed(part: Array) -> Chunk:
        """A chunk that is coded, as the file has it."""
        io = Writer()
        part.syntax(io)
        payload = bytes(io.data)
        return Chunk(part.code, payload, zlib.crc32(payload))

    def places(self, number: int) -> tuple[int, int]:
        """The first row of a chunk, and the first that is not of it."""
        start = number * self.rows
        return start, min(start + self.rows, self.shape[self.cut])

    def part(self, number: int) -> Array:
        """A chunk as an array. Raises CorruptFile."""
        chunk = self.chunks[number]
        first, last = self.places(number)
        shape = tuple(last - first if i == self.cut else n for i, n in enumerate(self.shape))
        method = self.inner.get(chunk.way)
        if method is None or not (method.any_type or self.dtype in FLOATS):
            raise CorruptFile(
                "a chunk of an array is coded in a way that it cannot be; the file is damaged, get "
                "another copy of it"
            )
        if zlib.crc32(chunk.payload) != chunk.check:
            raise CorruptFile("a chunk of an array is damaged; get another copy of the file")
        io = Reader(chunk.payload)
        part = method(self.name, self.dtype, shape)
        part.syntax(io)
        if io.position != len(chunk.payload):
            raise io.complaint("bytes follow the end of a chunk")
        return part

    def window(self, first: int, last: int) -> npt.NDArray[Any]:
        """Rows from `first` to before `last`, of which there is one at least, along the cut.

        Raises CorruptFile.
        """
        import numpy as np

        from lictor.codec.format.arrays import ITEM_BYTES

        numbers = range(first // self.rows, -(-last // self.rows))
        shape = tuple(last - first if i == self.cut else n for i, n in enumerate(self.shape))
        kind = "uint16" if self.dtype == "bfloat16" else self.dtype
        assert np.dtype(kind).itemsize == ITEM_BYTES[self.dtype]
        out = np.empty(shape, kind)

        def take(number: int) -> None:
            start, stop = self.places(number)
            values = self.part(number).decode()
            low, high = max(start, first), min(stop, last)
            own = (slice(None),) * self.cut
            out[(*own, slice(low - first, high - first))] = values[
                (*own, slice(low - start, high - start))
            ]

        with workers(len(numbers), OwnThreads(), MOST_WORKERS) as (pool, _):
            for done in [pool.submit(take, number) for number in numbers]:
                done.result()
        return out

    def decode(self, model: Any = None) -> npt.NDArray[Any]:
        """All chunks."""
        return self.window(0, self.shape[self.cut])

    def describe(self) -> dict[str, Any]:
        """With the cut."""
        return {"bytes": sum(len(chunk.payload) for chunk in self.chunks)} | {
            "chunks": self.count,
            "cut": self.cut,
        }


def slices(shape: tuple[int, ...], cut: int, rows: int) -> Iterator[tuple[slice, ...]]:
    """Where the chunks are."""
    for start in range(0, shape[cut], rows):
        yield (*(slice(None),) * cut, slice(start, start + rows))
