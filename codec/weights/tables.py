"""Tables of symbols, fitted to what an encoder counted, and the bytes that they travel in."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.elements import Bytes
from lictor.codec.format.weights import MAX_CONTEXTS
from lictor.entropy import (
    CorruptStream,
    Decoder,
    Encoder,
    Tables,
    fitted,
    gaussian_sigmas,
    gaussian_tables,
)
from lictor.entropy.fitted import MAX_LOG, Histogram, Shape

Counts = npt.NDArray[np.int64]


def cost(counts: Counts) -> float:
    """About the bits of all symbols and tables, each context with its own.

    counts: (contexts, symbols), the last symbol standing for all others.
    """
    some = counts[counts.any(1)]
    own = np.maximum(some, 1).astype(np.float64)
    sizes = some.sum(1).astype(np.float64)
    spent = (sizes * np.log2(sizes)).sum() - (some * np.log2(own)).sum()
    escapes = float(counts[:, -1].sum()) * _ESCAPE
    return float(spent + _ENTRY * (some > 0).sum() + _TABLE * len(some) + escapes)


_ESCAPE, _ENTRY, _TABLE = 28, 3, 40
"""Bits that take, about: a symbol that no table has, an entry of a table, a table."""


def merged(counts: Counts) -> tuple[list[int], list[Shape]]:
    """Tables for contexts in a row, those that suit each other with one.

    counts: as for `cost`. Returns how many contexts each table has, and the tables.
    """
    rows, runs = list(counts), [1] * len(counts)
    costs = [cost(row[None]) for row in rows]
    gains = [_gain(rows, costs, i) for i in range(len(rows) - 1)]
    while gains and (max(gains) >= 0 or len(rows) > MAX_CONTEXTS):
        best = int(np.argmax(gains))
        rows[best : best + 2] = [rows[best] + rows[best + 1]]
        runs[best : best + 2] = [runs[best] + runs[best + 1]]
        costs[best : best + 2] = [cost(rows[best][None])]
        del gains[best]
        for i in (best - 1, best):
            if 0 <= i < len(gains):
                gains[i] = _gain(rows, costs, i)
    return runs, [fitted.windowed(Histogram(0, row[:-1], far=bool(row[-1]))) for row in rows]


def _gain(rows: list[Counts], costs: list[float], i: int) -> float:
    """What one table for both of two neighbours saves."""
    if not costs[i] or not costs[i + 1]:
        return costs[i] + costs[i + 1] + 1.0
    return costs[i] + costs[i + 1] - cost((rows[i] + rows[i + 1])[None])


def held(runs: list[int]) -> tuple[int, int]:
    """Between which sums of levels contexts differ."""
    return runs[0] - 1, max(runs[0] - 1, sum(runs) - runs[-1])


def compiled(runs: list[int], shapes: list[Shape]) -> Tables:
    """A table for each sum of levels, as they are once they are held."""
    inner = [1, *runs[1:-1], 1][: len(runs)]
    each = [shape for n, shape in zip(inner, shapes, strict=True) for _ in range(n)]
    try:
        return fitted.tables(each)
    except ValueError as e:
        raise CorruptFile(f"the tables of a tensor are none ({e}); get another copy") from e


# ---- as bytes


def pack(shapes: list[Shape]) -> bytes:
    """Tables as bytes: of each its first symbol, entries and escape, then steps of logarithms."""
    heads = [(s.offset, len(s.logs) - 1, s.logs[-1] + 1) for s in shapes]
    steps = [np.diff(s.logs[:-1], prepend=_MIDDLE) for s in shapes]
    symbols = np.concatenate(steps).astype(np.int32)
    near = np.abs(_sigmas() - max(float(np.abs(symbols).mean()) * 1.25, 0.11))
    table = int(near.argmin())
    encoder = Encoder(gaussian_tables(), checksum=False)
    encoder.push(symbols, np.full(symbols.size, table, np.uint8))
    return bytes(n for head in heads for n in head) + bytes([table]) + encoder.finish()


def unpack(data: Bytes, count: int) -> list[Shape]:
    """What `pack` made of so many tables. Raises CorruptFile."""
    if len(data) <= 3 * count or data[3 * count] >= len(gaussian_tables()):
        raise _damaged()
    heads = np.frombuffer(data[: 3 * count], np.uint8).reshape(-1, 3).astype(np.int64)
    sizes = heads[:, 1]
    if not sizes.all():
        raise _damaged()
    try:
        decoder = Decoder(bytes(data[3 * count + 1 :]), gaussian_tables(), checksum=False)
        steps = decoder.pull(np.full(int(sizes.sum()), data[3 * count], np.uint8))
        decoder.close()
    except CorruptStream as e:
        raise _damaged() from e
    shapes = []
    for (offset, _, escape), own in zip(
        heads.tolist(), np.split(steps, np.cumsum(sizes)[:-1]), strict=True
    ):
        logs = np.cumsum(own, dtype=np.int64) + _MIDDLE
        if logs.min() < 0 or logs.max() > MAX_LOG or escape > MAX_LOG + 1:
            raise _damaged()
        shapes.append(Shape(offset, 0, [*logs.tolist(), escape - 1]))
    return shapes


_MIDDLE = 24


@lru_cache(maxsize=1)
def _sigmas() -> npt.NDArray[np.float64]:
    return np.asarray(gaussian_sigmas())


def _damaged() -> CorruptFile:
    return CorruptFile("the tables of a tensor are damaged; get another copy of the file")
