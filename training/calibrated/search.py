"""The coarsest quality that keeps a promise, in few tries: each is a whole encoding.

The logarithm of what is lost goes nearly in a straight line with the quality, so that a secant
between the last try that kept the promise and the last that did not is soon there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
TRIES = 7
_CLOSE = 0.5
"""Between a quality that is enough and one that is not, where the search ends."""
_ASTRAY = 2
"""Tries on one side, after which the end of the scale is next."""
LOSS_SLOPE = -0.2
"""Octaves of a divergence by one more quality, about, until two were tried."""


class Search(Generic[T]):
    """What was tried.

    attempt: with a quality, to what came out and by how much it misses the promise: above 0 what
    is not enough, the nearer to 0 from below the better. It falls with the quality.
    """

    def __init__(self, attempt: Callable[[float], tuple[T, float]], near: float) -> None:
        self._attempt, self._near = attempt, near
        self._tried: list[tuple[float, float]] = []
        self._enough: tuple[float, float, T] | None = None
        self._short: tuple[float, float, T] | None = None

    def run(self, start: float, slope: float, told: Callable[[int], None]) -> T | None:
        """The best; None where the highest quality is not enough.

        slope: of the missing by quality, below 0, until two were tried. told: of tries done.
        """
        following: float | None = min(max(start, 0.0), 100.0)
        while following is not None and len(self._tried) < TRIES:
            self._try(following)
            told(len(self._tried))
            following = self._next(slope)
        return self._enough[2] if self._enough else None

    @property
    def nearest(self) -> T | None:
        """Of what was not enough, the finest."""
        return self._short[2] if self._short else None

    def _try(self, quality: float) -> None:
        found, missing = self._attempt(quality)
        self._tried.append((quality, missing))
        if missing > 0:
            if self._short is None or quality > self._short[0]:
                self._short = quality, missing, found
        elif self._enough is None or quality < self._enough[0]:
            self._enough = quality, missing, found

    def _next(self, slope: float) -> float | None:
        quality, missing = self._tried[-1]
        if -self._near <= missing <= 0:
            return None
        if self._enough is None or self._short is None:
            return self._further(quality, missing, slope)
        (upper, high, _), (lower, low, _) = self._enough, self._short
        width = upper - lower
        if width < _CLOSE:  # or less than 0: of what goes up and down, a lower one was enough
            return None
        at = lower + width * (low + self._near / 2) / max(low - high, 1e-9)
        return min(max(at, lower + 0.15 * width), upper - 0.15 * width)

    def _further(self, quality: float, missing: float, slope: float) -> float | None:
        """While all that was tried is enough, or nothing is."""
        end = 100.0 if missing > 0 else 0.0
        if quality == end:
            return None
        if len(self._tried) > _ASTRAY:
            return end
        if len(self._tried) > 1:
            (q, m), (p, n) = self._tried[-2:]
            slope = min((n - m) / (p - q), slope / 4)
        step = -1.2 * (missing + self._near / 2) / slope
        return min(max(quality + step, 0.0), 100.0)
