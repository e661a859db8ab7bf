"""A run that went astray goes back to its averaged weights, at half the learning rate.

Gated blocks in a row let grow what is large: after one step too many, some crops come out with
errors of millions, and more training makes it worse. Nobody watches a card that is there for
minutes.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from lictor.training.state import State

FAR = 50.0
"""Times the usual squared error, from which on a run is astray: photos and screens vary by 2."""
USUAL = 9
"""Looks whose median is usual."""


class Recovery:
    """Looks at the mean squared errors of a run, each of some steps."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=USUAL)

    def needed(self, error: float) -> bool:
        """Whether this error is beyond all that is usual; if not, it is usual from now on."""
        if self._seen and not error <= FAR * median(self._seen):  # nor is nan
            return True
        self._seen.append(error)
        return False

    @staticmethod
    def go_back(state: State, progress: float) -> None:
        """Averaged weights, an optimiser that knows nothing, a warm-up, half the learning rate."""
        state.model.load_state_dict(state.average.state_dict())
        state.optim.state.clear()
        state.tempo /= 2
        state.warm_from, state.warm_since = state.step, progress
