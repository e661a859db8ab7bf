"""Arrays in a number of bytes: the finest step of a ladder that is fixed by the array.

More bytes never lead to a coarser step. In the search by halves, the tries of two budgets are the
same until one fits the larger budget alone; from there on it goes among the finer steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from lictor.codec.arrays.stream import Uncodable
from lictor.codec.arrays.target import Distance
from lictor.codec.format.arrays import Array, size_of

_BY_HALVES = 2**15
"""Values of an array up to which steps are searched by halves. Above, sizes hardly jump from one
step to the next, and fewer tries are made by their slope."""
_SLOPE_TRIES = 8
_RUNGS_AN_OCTAVE = 64


class Coder(Protocol):
    """A Quantiser or a Mixer."""

    @property
    def size(self) -> int:
        """Values that are coded."""

    def encode(self, step: float) -> Array:
        """The array, coded with a step. Raises Uncodable."""

    def idea(self, step: float) -> Distance:
        """How near that comes, as the encoder sees it."""


@dataclass
class Search:
    """The tries at an array in at most `wanted` bytes.

    steps: from the coarsest to the finest. start: where to begin with large arrays.
    """

    coder: Coder
    steps: list[float]
    wanted: float
    start: float
    tried: dict[int, tuple[float, Array]] = field(default_factory=dict)

    def run(self) -> list[Array]:
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
        return [self.tried[i][1] for i in (*fits, *(i for _, i in rest))]

    def _size(self, place: int) -> float:
        try:
            array = self.coder.encode(self.steps[place])
            self.tried[place] = size_of(array), array
        except Uncodable:
            self.tried[place] = math.inf, Array()
        return self.tried[place][0]

    def _next(self, low: int, high: int) -> int:
        if self.coder.size <= _BY_HALVES or len(self.tried) >= _SLOPE_TRIES:
            return (low + high) // 2
        if not self.tried:
            near = np.abs(np.log(self.steps) - math.log(self.start))
            return int(near.argmin())
        below, above = self._known(low - 1), self._known(high)
        slope = self.coder.size / 8 / _RUNGS_AN_OCTAVE
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
