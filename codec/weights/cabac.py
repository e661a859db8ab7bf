"""Levels of a tensor by adaptive binary decisions: DeepCABAC, to hold the codec's own way against.

Each level is whether it is 0, its sign, whether it is larger than 1 … 10, and a remainder; what
each decision costs is learnt on the way, and by the level before. The C extension does it quickly
(cabac.h), and Python where there is none: the same from both.

Source: S. Wiedemann et al., "DeepCABAC: A universal compression algorithm for deep neural
networks", IEEE JSTSP 14(4), 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.weights import MAX_VALUES, Cabac, Chunk
from lictor.codec.weights import grid, slow_cabac
from lictor.codec.weights.chunks import check_coded, check_decoded, of_stream
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import Mapped, Quantised, Spaced
from lictor.codec.weights.quantisers import Known, quantiser

_quick: ModuleType = slow_cabac
with suppress(ImportError):  # built without a C compiler
    from lictor.codec.weights import _cabac as _quick

Array = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Adaptive:
    """Levels, not of a trellis, that are to be coded by adaptive decisions."""

    given: Quantised

    def decoded(self, tensor: Tensor) -> Floats:
        """The values that a decoder gives."""
        return grid.decoded(tensor, self.given)

    def encode(self, tensor: Tensor, mapped: Mapped[Any, Any]) -> tuple[Cabac, list[bytes]]:
        """The record of a tensor, and its chunks; each was decoded, and held against the levels."""
        rows, columns = grid.matrix(tensor)
        levels = np.ascontiguousarray(self.given.levels, np.int32).reshape(rows * columns)
        record = Cabac(
            step=int(np.float32(self.given.step).view(np.uint32)),
            values=max(1, MAX_VALUES // columns) * columns if columns < MAX_VALUES else MAX_VALUES,
            row_steps=grid.packed_steps(self.given.rows),
            column_steps=grid.packed_steps(self.given.columns),
        )
        spaced = grid.spaced(tensor, record)

        def one(start: int) -> tuple[Chunk, bytes]:
            return _encode_chunk(spaced, levels[start : start + record.values], start)

        made: Iterator[tuple[Chunk, bytes]] = mapped(one, range(0, levels.size, record.values))
        pairs = list(made)
        record.chunks = [chunk for chunk, _ in pairs]
        return record, [data for _, data in pairs]


def coding_of(record: Cabac, tensor: Tensor) -> Spaced:
    """What all chunks share, of a record that was read. Raises CorruptFile."""
    grid.check(tensor, record)
    return grid.spaced(tensor, record)


def _encode_chunk(spaced: Spaced, levels: Ints, start: int) -> tuple[Chunk, bytes]:
    data = _quick.encode(levels, spaced.width, start % spaced.width)
    raw = grid.stored(spaced.values(levels, start), spaced.dtype)

    def decode(chunk: Chunk, out: Array) -> None:
        decode_chunk(spaced, chunk, data, start, out)

    return of_stream(data, raw, decode), data


def decode_chunk(spaced: Spaced, chunk: Chunk, data: Any, start: int, out: Array) -> None:
    """The bytes of a chunk's values, into `out`. Raises CorruptFile."""
    check_coded(chunk, data)
    levels = np.zeros(out.size // grid.ITEMS[spaced.dtype], np.int32)
    if not _quick.decode(data, spaced.width, start % spaced.width, levels):
        raise CorruptFile("a chunk is no stream; the file is damaged, get another copy")
    out[:] = grid.stored(spaced.values(levels, start), spaced.dtype)
    check_decoded(chunk, out)


# ---- which levels


def chosen(values: Floats, slope: float) -> Ints:
    """Levels of values in steps, one after another, by their error and what they cost.

    values: (rows, columns). slope: squared half steps that a bit is worth.
    """
    levels = np.empty(values.shape, np.int32)
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    _quick.choose(flat, values.shape[1], slope, levels.reshape(-1))
    return levels


SLOPE = 0.2


@quantiser("deepcabac")
def deepcabac(values: Floats, known: Known) -> Adaptive | None:
    """One step for all tensors, levels by their cost, and adaptive decisions."""
    scaled = values / np.float32(known.step)
    if np.abs(scaled).max() > grid.MOST:
        return None
    return Adaptive(Quantised(chosen(scaled, SLOPE), known.step))
