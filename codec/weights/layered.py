"""Grids within grids: a coarse network and what makes it finer, in one file.

A level of the finest grid is one of a grid that is coarser by an odd number, three times that one
say, and what is left: −1, 0 or 1. What is left is coded by how large the coarse level is, towards
or away from 0, and by how large those of its row and column are, so that the parts take hardly more
than the whole. Whoever wants less reads only the first layers.

Source: nested weights of several precisions, as in H. Wu et al., "Vertical layering of quantized
neural networks for heterogeneous inference", IEEE TPAMI 45(12), 2023.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile, SelfCheckFailed
from lictor.codec.format.elements import Bytes
from lictor.codec.format.weights import STREAM, Chunk, Finer, Grid, Layers
from lictor.codec.weights import grid, grid_tables, tables, words
from lictor.codec.weights.chunks import check_coded, check_decoded
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import Coding, Mapped, Quantised
from lictor.codec.weights.quantisers import Known, quantiser
from lictor.entropy import CorruptStream, Decoder, Encoder, Tables

Array = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
_CLASSES = 3
"""Of coarse levels: 0, 1 and larger."""


@dataclass(frozen=True)
class Nested:
    """Levels of the finest grid, not of a trellis. ratios: of grids, from the coarsest on, odd."""

    given: Quantised
    ratios: tuple[int, ...]

    def _coarse(self) -> Quantised:
        levels = self.given.levels.astype(np.int32)
        for ratio in reversed(self.ratios):
            levels = _coarser(levels, ratio)
        step = float(np.float32(self.given.step) * np.float32(np.prod(self.ratios)))
        return replace(self.given, levels=levels, step=step)

    def decoded(self, tensor: Tensor) -> Floats:
        """The values that a decoder gives of all layers."""
        step = _steps(np.float32(self._coarse().step), self.ratios)[-1]
        return grid.decoded(tensor, replace(self.given, step=float(step)))

    def encode(self, tensor: Tensor, mapped: Mapped[Any, Any]) -> tuple[Layers, list[bytes]]:
        """The record of a tensor, and its chunks; all layers were decoded, and held against it."""
        coarse, chunks = grid.encode(tensor, self._coarse(), mapped)
        record = Layers(coarse=coarse, values=coarse.values)
        coding = grid.coding_of(coarse, tensor)
        fine = [self.given.levels.astype(np.int32).reshape(-1)]
        for ratio in reversed(self.ratios):
            fine.insert(0, _coarser(fine[0], ratio))
        steps = _steps(coding_step(coarse), self.ratios)
        for (before, now), ratio, step in zip(pairwise(fine), self.ratios, steps[1:], strict=True):
            spaced = _respaced(coding, coarse, step, tensor)
            layer, more = _encode_layer(spaced, before, now, ratio, coarse.values, mapped)
            record.finer.append(layer)
            chunks += more
        record.chunks = [c for layer in (coarse, *record.finer) for c in layer.chunks]
        _verify(record, chunks, tensor, self.given.levels)
        return record, chunks


def _coarser(levels: Ints, ratio: int) -> Ints:
    found: Ints = np.floor_divide(levels + np.int32(ratio // 2), np.int32(ratio))
    return found


def _steps(coarse: np.float32, ratios: tuple[int, ...]) -> list[np.float32]:
    """Of each layer."""
    found = [coarse]
    for ratio in ratios:
        found.append(np.float32(found[-1] / np.float32(ratio)))
    return found


def coding_step(record: Grid) -> np.float32:
    """The step of a grid."""
    return np.uint32(record.step).view(np.float32)


def _respaced(coding: Coding, coarse: Grid, step: np.float32, tensor: Tensor) -> Coding:
    """As a grid, but with another step."""
    own = grid.spaced(tensor, replace(coarse, step=int(step.view(np.uint32))))
    return replace(coding, rows=own.rows)


# ---- a layer


def _contexts(coding: Coding, before: Ints, start: int) -> Array:
    """Of what is left: how large the coarse level is, and then that level's own context."""
    own = coding.tables.contexts(start, before.size)
    classes = np.minimum(np.abs(before), _CLASSES - 1).astype(np.uint8)
    found: Array = own + classes * np.uint8(coding.tables.count)
    return found


def _encode_layer(
    coding: Coding, before: Ints, now: Ints, ratio: int, values: int, mapped: Mapped[Any, Any]
) -> tuple[Finer, list[bytes]]:
    parts = [slice(at, at + values) for at in range(0, before.size, values)]
    left = now - before * np.int32(ratio)
    symbols = np.where(before < 0, -left, left) + np.int32(ratio // 2)
    contexts = [_contexts(coding, before[part], part.start).copy() for part in parts]
    counts = sum(
        words.tally(symbols[part], own, ratio + 1, _CLASSES * coding.tables.count)
        for part, own in zip(parts, contexts, strict=True)
    )
    runs, shapes = tables.merged(np.asarray(counts))
    compiled = grid_tables.compiled(runs, shapes)

    def one(number: int) -> tuple[Chunk, bytes]:
        part = parts[number]
        encoder = Encoder(compiled, checksum=False)
        encoder.push(np.ascontiguousarray(symbols[part]), contexts[number])
        data = encoder.finish()
        raw = grid.stored(coding.values(now[part], part.start), coding.dtype)
        return Chunk(STREAM, len(data), zlib.crc32(data), zlib.crc32(raw.data)), data

    made: list[tuple[Chunk, bytes]] = list(mapped(one, range(len(parts))))
    layer = Finer(ratio=ratio, runs=runs, tables=tables.pack(shapes))
    layer.chunks = [chunk for chunk, _ in made]
    return layer, [data for _, data in made]


def _finer(coding: Coding, layer: Finer, of: Tables, data: Bytes, before: Ints, start: int) -> Ints:
    """Levels of the next layer. Raises CorruptFile."""
    contexts = _contexts(coding, before, start)
    try:
        decoder = Decoder(data, of, checksum=False)
        left = decoder.pull(contexts)
        decoder.close()
    except CorruptStream as e:
        raise CorruptFile("a chunk is no stream; the file is damaged, get another copy") from e
    left -= np.int32(layer.ratio // 2)
    found: Ints = before * np.int32(layer.ratio) + np.where(before < 0, -left, left)
    return found


# ---- decoding


class Opened:
    """A record whose chunks can be decoded, up to so many layers.

    step: bytes of the values of each chunk but the last. count: of chunks. Raises CorruptFile.
    """

    def __init__(
        self, record: Layers, chunks: Bytes, tensor: Tensor, layers: int | None = None
    ) -> None:
        self._check(record, tensor)
        self._record, self._layers = record, record.finer[: layers - 1 if layers else None]
        self._coding = grid.coding_of(record.coarse, tensor)
        self._tables = [self._compiled(layer) for layer in self._layers]
        ratios = tuple(layer.ratio for layer in self._layers)
        step = _steps(coding_step(record.coarse), ratios)[-1]
        self._last = _respaced(self._coding, record.coarse, step, tensor)
        self._data = memoryview(chunks)
        self._starts = np.cumsum([0, *(chunk.size for chunk in record.chunks)]).tolist()
        self._item = grid.ITEMS[tensor.dtype]
        self.step, self.count = record.values * self._item, len(record.coarse.chunks)

    @staticmethod
    def _check(record: Layers, tensor: Tensor) -> None:
        numbers = {len(layer.chunks) for layer in (record.coarse, *record.finer)}
        if record.coarse.trellis or len(numbers) != 1:
            raise CorruptFile("the layers of a tensor do not go together; get another copy")
        grid.check(tensor, record.coarse)

    def _compiled(self, layer: Finer) -> Tables:
        if sum(layer.runs) != _CLASSES * self._coding.tables.count:
            raise CorruptFile("a layer has other tables than contexts; get another copy")
        return grid_tables.compiled(layer.runs, tables.unpack(layer.tables, len(layer.runs)))

    def levels(self, number: int, count: int) -> Ints:
        """Levels of a chunk, which has so many values. Raises CorruptFile."""
        start = number * self._record.values
        found = grid.pull(self._coding, self._bytes(0, number), start, count)
        for i, (layer, of) in enumerate(zip(self._layers, self._tables, strict=True), 1):
            found = _finer(self._coding, layer, of, self._bytes(i, number), found, start)
        return found

    def _bytes(self, layer: int, number: int) -> memoryview:
        at = layer * self.count + number
        data = self._data[self._starts[at] : self._starts[at + 1]]
        check_coded(self._record.chunks[at], data)
        return data

    def chunk(self, number: int, out: Array) -> None:
        """The values of a chunk. Raises CorruptFile."""
        found = self.levels(number, out.size // self._item)
        start = number * self._record.values
        out[:] = grid.stored(self._last.values(found, start), self._last.dtype)
        check_decoded(self._record.chunks[len(self._layers) * self.count + number], out)


def _verify(record: Layers, chunks: list[bytes], tensor: Tensor, levels: Ints) -> None:
    """Raises SelfCheckFailed unless all layers decode to values that have their checksums."""
    data, flat = b"".join(chunks), levels.reshape(-1)
    for layers in range(1, len(record.finer) + 2):
        opened = Opened(record, data, tensor, layers)
        for number in range(opened.count):
            at = number * opened.step
            opened.chunk(number, np.empty(min(opened.step, tensor.bytes - at), np.uint8))
    for number in range(opened.count):
        own = flat[number * record.values : (number + 1) * record.values]
        if not np.array_equal(opened.levels(number, own.size), own):
            raise SelfCheckFailed("a tensor decodes to other values than were coded; report it")


# ---- which levels

RATIOS = 3, 3


@quantiser("nested")
def nested(values: Floats, known: Known) -> Nested | None:
    """The nearest level of three grids, each three times as fine as the one before."""
    scaled = values / np.float32(known.step)
    if np.abs(scaled).max() > grid.MOST:
        return None
    return Nested(Quantised(np.rint(scaled).astype(np.int32), known.step), RATIOS)
