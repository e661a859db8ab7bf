"""Which arrays are cut into chunks, and how: each is coded alone, several at a time."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.methods.chunked import (
    MOST_CHUNKS,
    MOST_WORKERS,
    Chunk,
    Chunked,
    slices,
)
from lictor.codec.errors import InvalidOption
from lictor.codec.format.arrays import Array
from lictor.codec.runtime.pool import workers
from lictor.codec.runtime.threads import OwnThreads

LARGE = 2**22
"""Values above which an array is cut."""
_VALUES = 2**21
"""Of a chunk, about: large enough that what describes its channels does not matter."""
_AT_ONCE = 2
"""Of so many chunks one is worked on at a time, which takes some four times its memory."""


def given(chunk: Any) -> int | None:
    """Rows of a chunk that somebody gave; None for None. Raises InvalidOption."""
    if chunk is None:
        return None
    try:
        rows = operator.index(chunk)
    except TypeError:
        rows = -1
    if rows < 0:
        raise InvalidOption(f"chunk is {chunk!r}; give a whole number of rows, or 0 for one piece")
    return rows


def plan(shape: tuple[int, ...], chunk: int | None) -> tuple[int, int] | None:
    """The axis to cut and the rows of a chunk; None for one piece.

    chunk: rows along the first axis; 0 for one piece; None: large arrays are cut along the first
    axis that is long enough, so that a chunk lies together in memory.
    """
    size = math.prod(shape)
    if not shape or not size or chunk == 0:
        return None
    if chunk is not None:
        rows = max(min(chunk, shape[0]), -(-shape[0] // MOST_CHUNKS))
        return (0, rows) if rows < shape[0] else None
    if size <= LARGE:
        return None
    wanted = -(-size // _VALUES)
    cut = next((i for i, n in enumerate(shape) if n >= wanted), int(np.argmax(shape)))
    rows = max(1, shape[cut] * _VALUES // size)
    return (cut, rows) if rows < shape[cut] else None


def pieces(raw: npt.NDArray[Any], planned: tuple[int, int]) -> Iterator[npt.NDArray[Any]]:
    """The chunks of an array, contiguous, one after the other."""
    return (np.ascontiguousarray(raw[place]) for place in slices(raw.shape, *planned))


def encode(
    name: str,
    dtype: str,
    raw: npt.NDArray[Any],
    planned: tuple[int, int],
    one: Callable[[npt.NDArray[Any]], Array],
) -> Chunked:
    """An array in chunks; one: codes a chunk, a contiguous array."""
    cut, rows = planned
    places = list(slices(raw.shape, cut, rows))

    def code(place: tuple[slice, ...]) -> Chunk:
        with np.errstate(all="ignore"):  # which holds in one thread
            return Chunked.packed(one(np.ascontiguousarray(raw[place])))

    most = min(MOST_WORKERS, max(1, len(places) // _AT_ONCE))
    with workers(len(places), OwnThreads(), most) as (pool, _):
        coded = [task.result() for task in [pool.submit(code, place) for place in places]]
    return Chunked(name, dtype, raw.shape, cut=cut, rows=rows, chunks=coded)
