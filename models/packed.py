"""Weights on grids: whole numbers of steps, a step for each row and for each column of a matrix.

So a weights file takes a third of the bytes of its halves, once the weights codec has coded it, and
decoding takes no longer than reading halves did. training/pack.py makes such files. The file holds
levels of parts, as "g_s", that are decoded when a tensor of theirs is first asked for:

    PART.levels   uint16 (n, 64): 2^15 and the whole number, matrix after matrix; each begins a row
    steps         uint8: of each matrix the steps of its rows, then those of its columns
    rest          float32: all other tensors, one after another

The text "tensors" tells of each part, in order, name, shape and way of what is in it; steps and
rest are in the same order. Products of a whole number and two steps fit float32: they are exact, on
every machine and in any order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FORMAT = "lictor-2"
RUN = 64
"""Levels in a row of their tensor: from one to the next they may change in how large they are."""
MIDDLE = 1 << 15
STEPS, REST = "steps", "rest"
_TOGETHER = {"h_s": "context"}
"""Networks that are needed whenever others are go with these."""
PLAIN, BY_ROWS, BY_COLUMNS = range(3)
"""Ways: as it is; in levels, row after row; or column after column."""
_UNIT = 40
"""Octaves from the least step to 4."""


class Place(NamedTuple):
    """What the text tells of a tensor."""

    name: str
    shape: tuple[int, ...]
    way: int

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def matrices(self) -> tuple[int, int, int]:
        """How many there are in it, of how many rows, of how many columns."""
        first, *rest = self.shape
        if len(rest) == 2:
            return first, *rest  # type: ignore[return-value]
        return 1, first, math.prod(rest)

    @property
    def runs(self) -> int:
        """Rows of levels that it takes."""
        return -(-self.size // RUN)

    @property
    def steps(self) -> int:
        """How many it has."""
        count, rows, columns = self.matrices
        return count * (rows + columns)


def step(codes: Array) -> NDArray[np.float32]:
    """The steps of bytes: four to an octave, whose mantissa has three bits."""
    mantissa, exponent = (codes % 4 + 4).astype(np.float32), codes // 4
    return np.ldexp(mantissa, exponent.astype(np.int32) - _UNIT)


def codes(steps: Array) -> NDArray[np.uint8]:
    """The bytes of the steps that are nearest."""
    exponent = np.floor(np.log2(steps))
    quarters = np.rint((np.asarray(steps) / np.exp2(exponent) - 1) * 4)
    return (4 * (exponent - 2 + _UNIT) + quarters).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Grid:
    """Matrices on a grid.

    levels: int (count, rows, columns), within ±32767. rows: codes of steps, uint8 (count, rows);
    columns: (count, columns).
    """

    levels: Array
    rows: Array
    columns: Array

    @property
    def values(self) -> NDArray[np.float32]:
        """What they stand for, exactly, (count, rows, columns)."""
        return _values(self.levels, self.rows, self.columns)


def _values(levels: Array, rows: Array, columns: Array) -> NDArray[np.float32]:
    found = levels.astype(np.float32)
    found *= step(rows)[:, :, None]
    found *= step(columns)[:, None, :]
    return found


class Packed(Mapping[str, Array]):
    """The tensors of such a file by name, float32.

    Args:
        text: what it tells of them.
        whole: gives a tensor of the file by its name.

    Raises:
        ValueError: the text is none.
    """

    def __init__(self, text: str, whole: Callable[[str], Array]) -> None:
        self._whole = whole
        self._kept: dict[str, Array] = {}
        self._homes: dict[str, tuple[str, Place, int, int, int]] = {}
        rest = steps = 0
        for part, told in _listed(text):
            run = 0
            for place in (_place(*one) for one in told):
                self._homes[place.name] = part, place, rest, run, steps
                if place.way == PLAIN:
                    rest += place.size
                else:
                    run, steps = run + place.runs, steps + place.steps

    def __contains__(self, name: object) -> bool:
        return name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    def __getitem__(self, name: str) -> Array:
        part, place, rest, run, first = self._homes[name]
        if place.way == PLAIN:
            return _part(self._of(REST), rest, place.size).reshape(place.shape)
        count, rows, columns = place.matrices
        levels = _part(self._of(f"{part}.levels"), run * RUN, place.size)
        if place.way == BY_COLUMNS:
            levels = levels.reshape(count, columns, rows).swapaxes(1, 2)
        own, middle = _part(self._of(STEPS), first, place.steps), count * rows
        found = _values(
            levels.reshape(count, rows, columns),
            own[:middle].reshape(count, rows),
            own[middle:].reshape(count, columns),
        )
        return found.reshape(place.shape)

    def _of(self, name: str) -> Array:
        """A tensor of the file, flat; levels without their middle."""
        found = self._kept.get(name)
        if found is None:
            found = self._whole(name).reshape(-1)
            if found.dtype == np.uint16:
                # Of 2^15 and a whole number, all but the sign is as in two's complement.
                found = (found ^ np.uint16(MIDDLE)).view(np.int16)
            self._kept[name] = found
        return found


def _part(of: Array, start: int, size: int) -> Array:
    found = of[start : start + size]
    if found.size != size:
        raise ValueError("there are fewer numbers than the tensors have")
    return found


def _listed(text: str) -> Iterator[tuple[str, Any]]:
    try:
        yield from json.loads(text).items()
    except AttributeError as error:
        raise ValueError("what it tells of its tensors is no list") from error


def _place(name: str, shape: Sequence[int], way: int) -> Place:
    if way not in (PLAIN, BY_ROWS, BY_COLUMNS) or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError(f"what it tells of {name} is nothing")
    if way != PLAIN and len(shape) < 2:
        raise ValueError(f"{name} is no matrix")
    return Place(name, tuple(shape), way)


def pack(tensors: Mapping[str, Array], grids: Mapping[str, Grid]) -> tuple[dict[str, Array], str]:
    """The tensors of such a file, and its text.

    Args:
        tensors: by name; all of them.
        grids: those that go as levels.

    Returns:
        Arrays by name, and what to tell of them.
    """
    parts: dict[str, list[str]] = {}
    for name in tensors:
        part = name.partition(".")[0] if "." in name else ""
        parts.setdefault(_TOGETHER.get(part, part), []).append(name)
    found: dict[str, Array] = {}
    text: dict[str, list[Place]] = {}
    steps, rest = [np.zeros(0, np.uint8)], [np.zeros(0, np.float32)]
    for part, names in parts.items():
        levels = []
        for name in names:
            way, shape = PLAIN, tensors[name].shape
            if name in grids:
                grid = grids[name]
                way, runs = _runs(grid.levels)
                levels.append(runs)
                steps += [grid.rows.ravel(), grid.columns.ravel()]
            else:
                rest.append(np.asarray(tensors[name], np.float32).ravel())
            text.setdefault(part, []).append(Place(name, tuple(shape), way))
        if levels:
            found[f"{part}.levels"] = (np.concatenate(levels) + MIDDLE).astype(np.uint16)
    found |= {STEPS: np.concatenate(steps), REST: np.concatenate(rest)}
    return found, json.dumps(text, separators=(",", ":"))


def _runs(levels: Array) -> tuple[int, Array]:
    """The way that takes fewer bits, and its rows of levels."""
    ways = {BY_ROWS: levels, BY_COLUMNS: levels.swapaxes(1, 2)}
    runs = {}
    for way, given in ways.items():
        flat = given.reshape(-1).astype(np.int32)
        runs[way] = np.pad(flat, (0, -flat.size % RUN)).reshape(-1, RUN)
    # By how much rows differ in size: what a table for each size saves.
    bits = {way: np.log2(np.abs(own).mean(1) + 0.3).sum() for way, own in runs.items()}
    best = min(bits, key=lambda way: bits[way])
    return best, runs[best]
