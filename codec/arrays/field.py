"""The integers of an array while they are coded: what is predicted of each pass, from those before.

The C extension does it quickly (field.h), and `Slow` with numpy where there is none, or where a
plane is too long for it: the same integers from both.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import context
from lictor.codec.arrays.context import LEVELS, MAX_SYMBOL, Grid, Weights

if TYPE_CHECKING:
    from numpy import int32, int64, uint8
    from numpy.typing import NDArray

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

_LONGEST = 2**30
IDENTITY = np.arange(LEVELS, dtype=np.uint8)


class Field(Protocol):
    """What a coder of a field does, channel by channel, pass by pass, in the order of coding."""

    def expect(
        self, channel: int, turn: int, w: Weights, contexts: NDArray[uint8] | None
    ) -> tuple[NDArray[int64], NDArray[uint8]]:
        """Predictions of a pass, times 2^FRACTION, and what contexts (64,) has for their levels.

        Without contexts, nothing stands in the place of the second.
        """

    def restore(
        self, channel: int, turn: int, predictions: NDArray[int64], residuals: NDArray[int32]
    ) -> bool:
        """Take a pass in, as its residuals; whether all its values are in range."""

    def store(self, channel: int, turn: int, seen: NDArray[int32], values: NDArray[int32]) -> None:
        """Take a pass in whose values are within MAX_SYMBOL; seen: what predictions are made of."""

    @property
    def values(self) -> NDArray[int32]:
        """All that was taken in, (channels, plane)."""


def of(g: Grid) -> Field:
    """An empty field."""
    if _field is None or max(g.channels, g.count, g.height, g.width) >= _LONGEST:
        return Slow(g)
    return _Quick(g)


def available() -> bool:
    """Whether the C extension is here."""
    return _field is not None


class _Quick:
    """A field in C."""

    def __init__(self, g: Grid) -> None:
        assert _field is not None
        self._c = _field.Field(g.channels, g.count, g.height, g.width)
        self._sizes = g.sizes
        self.values = np.zeros((g.channels, g.plane), np.int32)

    def expect(
        self, channel: int, turn: int, w: Weights, contexts: NDArray[uint8] | None
    ) -> tuple[NDArray[int64], NDArray[uint8]]:
        """As Field.expect."""
        size = self._sizes[turn]
        predictions = np.empty(size, np.int64)
        index = np.empty(size if contexts is not None else 0, np.uint8)
        taps = np.array([(*tap, v) for tap, v in zip(w.taps, w.values, strict=True)], np.int32)
        own = None if contexts is None else index
        self._c.expect(channel, turn, taps, w.bias, *w.spread, contexts, predictions, own)
        return predictions, index

    def restore(
        self, channel: int, turn: int, predictions: NDArray[int64], residuals: NDArray[int32]
    ) -> bool:
        """As Field.restore."""
        return bool(self._c.restore(channel, turn, predictions, residuals, self.values[channel]))

    def store(self, channel: int, turn: int, seen: NDArray[int32], values: NDArray[int32]) -> None:
        """As Field.store."""
        self._c.store(channel, turn, seen, values, self.values[channel])


class Slow:
    """A field with numpy."""

    def __init__(self, g: Grid) -> None:
        self._g = g
        self._coded, self._errors = np.zeros((2, g.channels, g.plane))
        self.values = np.zeros((g.channels, g.plane), np.int32)

    def expect(
        self, channel: int, turn: int, w: Weights, contexts: NDArray[uint8] | None
    ) -> tuple[NDArray[int64], NDArray[uint8]]:
        """As Field.expect."""
        predictions = context.predict(self._g, self._coded, channel, turn, w)
        if contexts is None:
            return predictions, np.empty(0, np.uint8)
        levels = context.levels(self._g, self._errors, channel, turn, w)
        return predictions, contexts[levels]

    def restore(
        self, channel: int, turn: int, predictions: NDArray[int64], residuals: NDArray[int32]
    ) -> bool:
        """As Field.restore."""
        values = residuals + context.rounded(predictions)
        if values.size and int(np.abs(values).max()) > MAX_SYMBOL:
            return False
        self._errors[channel][self._g.places[turn]] = np.abs(residuals.astype(np.int64))
        small = values.astype(np.int32)
        self.store(channel, turn, small, small)
        return True

    def store(self, channel: int, turn: int, seen: NDArray[int32], values: NDArray[int32]) -> None:
        """As Field.store."""
        self._coded[channel][self._g.places[turn]] = seen
        self.values[channel][self._g.places[turn]] = values


class Fitted:
    """What an encoder finds for a whole field at once, in C.

    Args:
        g: the cut of the array.
        seen: what predictions are made of, int32 (channels, plane), contiguous.

    Attributes:
        weights: of each channel, of each pass.
        residuals: of all values in the order of coding, int32. levels: likewise, uint8.
        predictions: likewise, int64, times 2^FRACTION.
    """

    def __init__(self, g: Grid, seen: NDArray[int32]) -> None:
        assert _field is not None
        units, size = g.channels * context.PASSES, g.channels * g.plane
        counts, biases = np.empty((2, units), np.int32)
        taps = np.empty((units * context.MAX_TAPS, 3), np.int32)
        spreads = np.empty((units, 3), np.int32)
        self.residuals, self.levels = np.empty(size, np.int32), np.empty(size, np.uint8)
        self.predictions = np.empty(size, np.int64)
        self._c = _field.Field(g.channels, g.count, g.height, g.width)
        self._c.fit(
            seen, counts, taps, biases, spreads, self.residuals, self.levels, self.predictions
        )
        self.weights = _weights(counts, taps, biases, spreads)

    def ordered(self, values: NDArray[int32]) -> NDArray[int32]:
        """Values (channels, plane) in the order of coding."""
        found = np.empty(values.size, np.int32)
        self._c.order(values, found)
        return found


def _weights(
    counts: npt.NDArray[np.int32],
    taps: npt.NDArray[np.int32],
    biases: npt.NDArray[np.int32],
    spreads: npt.NDArray[np.int32],
) -> list[list[Weights]]:
    rows = taps[: int(counts.sum())].tolist()
    found, start = [], 0
    for count, bias, spread in zip(counts.tolist(), biases.tolist(), spreads.tolist(), strict=True):
        own = rows[start : start + count]
        start += count
        values = [w for _, _, w in own]
        found.append(Weights([(d, p) for d, p, _ in own], values, bias, tuple(spread)))
    return [found[i : i + context.PASSES] for i in range(0, len(found), context.PASSES)]
