"""The integers of an array while they are coded: what is predicted of each pass, from those before.

The C extension does it quickly (field.h), and `Slow` with numpy where there is none, or where a
plane is too long for it: the same integers from both.
"""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import context, direct
from lictor.codec.arrays.context import LEVELS, MAX_SYMBOL, Grid, Weights
from lictor.codec.arrays.direct import padded

if TYPE_CHECKING:
    from numpy import int32, int64, uint8
    from numpy.typing import NDArray

_field: ModuleType | None
try:
    from lictor.codec.arrays import _field
except ImportError:  # built without a C compiler
    _field = None

_LONGEST = 2**30
_TRIMMED = 2**20
IDENTITY = np.arange(LEVELS, dtype=np.uint8)


class Field(Protocol):
    """What a coder of a field does, channel by channel, pass by pass, in the order of coding."""

    def predict(self, channel: int, turn: int, w: Weights) -> NDArray[int64]:
        """Predictions of a pass, times 2^FRACTION."""

    def expect(
        self, channel: int, turn: int, w: Weights, contexts: NDArray[uint8]
    ) -> tuple[NDArray[int32], NDArray[uint8]]:
        """Rounded predictions of a pass, and what contexts (64,) has for their levels."""

    def restore(
        self, channel: int, turn: int, rounded: NDArray[int32], residuals: NDArray[int32]
    ) -> bool:
        """Take a pass in, as its residuals; whether all its values are in range.

        Both arrays are written over.
        """

    def contexts(
        self, channel: int, turn: int, w: Weights, bounds: NDArray[int64]
    ) -> NDArray[uint8]:
        """How many of some bounds, which are in order, are at or below each prediction."""

    def store(self, channel: int, turn: int, values: NDArray[int32], root: bool) -> None:
        """Take a pass in, as its values, within MAX_SYMBOL.

        root: predictions are made of square roots; of all passes, or of none.
        """

    @property
    def values(self) -> NDArray[Any]:
        """All that was taken in, (channels, plane), int32, or int16 where these do."""


def of(g: Grid) -> Field:
    """An empty field."""
    if _field is None or max(g.channels, g.count, g.height, g.width) >= _LONGEST:
        return Slow(g)
    return _Quick(g)


def available() -> bool:
    """Whether the C extension is here."""
    return _field is not None


def trim(values: int) -> None:
    """Gives memory that an array took back to the system, if it was large."""
    if _field is not None and values >= _TRIMMED:
        _field.trim()


class _Quick:
    """A field in C."""

    def __init__(self, g: Grid) -> None:
        assert _field is not None
        self._c = _field.Field(g.channels, g.count, g.height, g.width)
        self._g, self._sizes = g, g.sizes
        self._bounds: tuple[NDArray[int64], NDArray[int64]] | None = None
        self._others: NDArray[Any] | None = None  # where predictions are made of something else

    def predict(self, channel: int, turn: int, w: Weights) -> NDArray[int64]:
        """As Field.predict."""
        predictions = np.empty(self._sizes[turn], np.int64)
        self._c.predict(channel, turn, w.rows, w.bias, predictions)
        return predictions

    def expect(
        self, channel: int, turn: int, w: Weights, contexts: NDArray[uint8]
    ) -> tuple[NDArray[int32], NDArray[uint8]]:
        """As Field.expect."""
        size = self._sizes[turn]
        rounded, index = np.empty(size, np.int32), np.empty(size, np.uint8)
        self._c.expect(channel, turn, w.rows, w.bias, *w.spread, contexts, rounded, index)
        return rounded, index

    def restore(
        self, channel: int, turn: int, rounded: NDArray[int32], residuals: NDArray[int32]
    ) -> bool:
        """As Field.restore."""
        return bool(self._c.restore(channel, turn, rounded, residuals))

    def contexts(
        self, channel: int, turn: int, w: Weights, bounds: NDArray[int64]
    ) -> NDArray[uint8]:
        """As Field.contexts."""
        if self._bounds is None or self._bounds[0] is not bounds:
            self._bounds = bounds, padded(bounds)  # once, as those of a stream stay
        return _contexts(self._c, self._sizes[turn], channel, turn, w, self._bounds[1])

    def store(self, channel: int, turn: int, values: NDArray[int32], root: bool) -> None:
        """As Field.store."""
        if root and self._others is None:
            self._others = np.zeros((self._g.channels, self._g.plane), np.int16)
        plane = None if self._others is None else self._others[channel]
        if not self._c.store(channel, turn, values, root, plane):
            assert self._others is not None
            self._others = self._others.astype(np.int32)
            self._c.store(channel, turn, values, root, self._others[channel])

    @cached_property
    def values(self) -> NDArray[Any]:
        """As Field.values; nothing is taken in afterwards."""
        if self._others is not None:
            return self._others
        kind = np.int16 if self._c.narrow() else np.int32
        found = np.empty((self._g.channels, self._g.plane), kind)
        self._c.take(found)
        return found


def _contexts(
    field: Any, size: int, channel: int, turn: int, w: Weights, bounds: NDArray[int64]
) -> NDArray[uint8]:
    """As Field.contexts, by a field of the extension; bounds: `padded`."""
    index = np.empty(size, np.uint8)
    field.contexts(channel, turn, w.rows, w.bias, bounds, index)
    return index


class Slow:
    """A field with numpy."""

    def __init__(self, g: Grid) -> None:
        self._g = g
        self._coded, self._errors = np.zeros((2, g.channels, g.plane))
        self.values = np.zeros((g.channels, g.plane), np.int32)

    def predict(self, channel: int, turn: int, w: Weights) -> NDArray[int64]:
        """As Field.predict."""
        return context.predict(self._g, self._coded, channel, turn, w)

    def expect(
        self, channel: int, turn: int, w: Weights, contexts: NDArray[uint8]
    ) -> tuple[NDArray[int32], NDArray[uint8]]:
        """As Field.expect."""
        rounded = context.rounded(self.predict(channel, turn, w)).astype(np.int32)
        return rounded, contexts[context.levels(self._g, self._errors, channel, turn, w)]

    def restore(
        self, channel: int, turn: int, rounded: NDArray[int32], residuals: NDArray[int32]
    ) -> bool:
        """As Field.restore."""
        values = residuals.astype(np.int64) + rounded
        if values.size and int(np.abs(values).max()) > MAX_SYMBOL:
            return False
        self._errors[channel][self._g.places[turn]] = np.abs(residuals.astype(np.int64))
        small = values.astype(np.int32)
        self.store(channel, turn, small, False)
        return True

    def contexts(
        self, channel: int, turn: int, w: Weights, bounds: NDArray[int64]
    ) -> NDArray[uint8]:
        """As Field.contexts."""
        return direct.contexts(self.predict(channel, turn, w), bounds)

    def store(self, channel: int, turn: int, values: NDArray[int32], root: bool) -> None:
        """As Field.store."""
        seen = direct.roots(values) if root else values
        self._coded[channel][self._g.places[turn]] = seen
        self.values[channel][self._g.places[turn]] = values


class Fitted:
    """What an encoder finds for a whole field at once, in C.

    Args:
        g: the cut of the array.
        seen: what predictions are made of, int32 or int16 (channels, plane), contiguous.
        every: predictions are kept of one in so many values.
        apart: keep what values are off by, in their place.

    Attributes:
        residuals: of all values in the order of coding. levels: likewise, uint8. None of these
            unless `apart`.
        predictions: of values 0, every, …, in that order, int64, times 2^FRACTION.
    """

    def __init__(self, g: Grid, seen: NDArray[Any], every: int = 1, apart: bool = True) -> None:
        assert _field is not None
        units, size = g.channels * context.PASSES, g.channels * g.plane
        counts, biases = np.empty((2, units), np.int32)
        taps = np.empty((units * context.MAX_TAPS, 3), np.int32)
        spreads = np.zeros((units, 3), np.int32)
        self.levels = np.empty(size if apart else 0, np.uint8)
        self.predictions = np.empty(-(-size // every), np.int64)
        self._g = g
        self._c = _field.Field(g.channels, g.count, g.height, g.width)
        found = (counts, taps, biases, spreads, self.levels if apart else None, self.predictions)
        self._c.fit(seen, *found, every)
        self.residuals = seen.reshape(-1) if apart else seen.reshape(-1)[:0]
        self._found = counts, taps[: int(counts.sum())].copy(), biases, spreads

    @cached_property
    def weights(self) -> list[list[Weights]]:
        """Of each channel, of each pass."""
        return _weights(*self._found)

    @property
    def weight_bits(self) -> float:
        """About what the weights take, by their sizes, and where they are."""
        counts, taps, biases, spreads = self._found
        numbers = np.concatenate([biases, spreads.ravel(), taps[:, 0], taps[:, 2]])
        lengths = np.ceil(np.log2(1.0 + np.abs(numbers.astype(np.float64))))
        return float(lengths.sum()) + 2 * numbers.size + 4 * counts.size + 4 * len(taps)

    def contexts(self, bounds: NDArray[int64], out: NDArray[uint8]) -> None:
        """Of all values, in the order of coding, as Field.contexts."""
        start, known = 0, padded(bounds)
        for c, turn in ((c, t) for c in range(self._g.channels) for t in range(context.PASSES)):
            end = start + self._g.sizes[turn]
            out[start:end] = _contexts(self._c, end - start, c, turn, self.weights[c][turn], known)
            start = end

    def values(self, out: NDArray[Any]) -> None:
        """All that predictions are made of, in the order of coding."""
        self._c.ordered(out)

    def order(self, values: NDArray[Any]) -> None:
        """Puts values (channels, plane) in the order of coding, in place."""
        self._c.order(values)


def _weights(
    counts: npt.NDArray[np.int32],
    taps: npt.NDArray[np.int32],
    biases: npt.NDArray[np.int32],
    spreads: npt.NDArray[np.int32],
) -> list[list[Weights]]:
    ends, own = np.cumsum(counts).tolist(), zip(biases.tolist(), spreads.tolist(), strict=True)
    found = [
        Weights(taps[end - n : end], bias, tuple(spread))
        for end, n, (bias, spread) in zip(ends, counts.tolist(), own, strict=True)
    ]
    return [found[i : i + context.PASSES] for i in range(0, len(found), context.PASSES)]
