"""Arrays in a number of bytes: the finest step of a ladder that is fixed by the array.

More bytes never lead to a coarser step. In the search by halves, the tries of two budgets are the
same until one fits the larger budget alone; from there on it goes among the finer steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from lictor.codec.arrays.stream import Uncodable
from lictor.codec.format.arrays import Array, size_of

_BY_HALVES = 2**15
"""Values of an array up to which steps are searched by halves. Above, sizes hardly jump from one
step to the next, and fewer tries are made by their slope."""
_SLOPE_TRIES = 8
_RUNGS_AN_OCTAVE = 64


A = TypeVar("A", bound=Array)


@dataclass
class Search(Generic[A]):
    """The tries at an array in at most `wanted` bytes.

    encode: gives the array coded with a step, or raises Uncodable. values: how many are coded.
    steps: from the coarsest to the finest. start: where to begin with large arrays.
    """

    encode: Callable[[float], A]
    values: int
    steps: list[float]
    wanted: float
    start: float
    tried: dict[int, tuple[float, A | None]] = field(default_factory=dict)

    def run(self) -> list[A]:
        """All that was tried, best first: what fits, from the finest on; then the smallest."""
        low, high = 0, len(self.steps)  # steps before low fit, those from high on do not
        while low < high:
            place = self._next(low, high)
            if self._size(place) <= self.wanted:
                low = place + 1
            else:
                high = place
        fits = sorted((i for i, t in self.tried.items() if t[0] <= self.wanted), reverse=True)
        rest = sorted((t[0], i) for i, t in self.tried.items() if self.wanted < t[0] < math.inf)
        found = (self.tried[i][1] for i in (*fits, *(i for _, i in rest)))
        return [array for array in found if array is not None]

    def _size(self, place: int) -> float:
        try:
            array = self.encode(self.steps[place])
            self.tried[place] = size_of(array), array
        except Uncodable:
            self.tried[place] = math.inf, None
        return self.tried[place][0]

    def _next(self, low: int, high: int) -> int:
        if self.values <= _BY_HALVES or len(self.tried) >= _SLOPE_TRIES:
            return (low + high) // 2
        if not self.tried:
            near = np.abs(np.log(self.steps) - math.log(self.start))
            return int(near.argmin())
        below, above = self._known(low - 1), self._known(high)
        slope = self.values / 8 / _RUNGS_AN_OCTAVE
        if below is not None and above is not None:
            slope = (above - below) / (high - low + 1)
        if below is not None:
            place = low - 1 + (self.wanted - below) / slope
        else:
            place = high + (self.wanted - (above or 0.0)) / slope
        return min(max(math.floor(place), low), high - 1)

    def _known(self, place: int) -> float | None:
        size = self.tried[place][0] if place in self.tried else math.inf
        return size if size < math.inf else None
