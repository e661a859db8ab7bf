"""The mixed way of the feature codec: components are coded, of which all channels are mixtures.

Many channels may be linear maps of few (low_rank_fit.py finds them). Then the few are quantised and
coded as an array of their own (stream.py), and beside them the weights of the mixtures, as
integers. Mixing is integer arithmetic, too: a value is the same on every machine. FEATURES.md is
the specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import low_rank_exact, low_rank_fit, stream
from lictor.codec.arrays.context import MAX_SYMBOL, FloatArray, IntArray, cut, grid
from lictor.codec.arrays.low_rank_fit import MEAN_BITS, Components
from lictor.codec.arrays.stream import Uncodable, ints
from lictor.codec.arrays.target import Distance
from lictor.codec.errors import CorruptFile
from lictor.codec.format.picture import Bytes
from lictor.entropy import CorruptStream, Decoder, Encoder, Pull, Push, SymbolIo

if TYPE_CHECKING:
    from lictor.codec.arrays.quick import Quick

MAX_SHIFT, MAX_WEIGHT, MAX_MEAN = 24, 2**24, 2**30
_EXACT = 2.0**53
_TRIES, _NEARER = 12, 0.99


@dataclass
class Mixture:
    """How channels follow from components, in units of step / 2^max(shifts, MEAN_BITS).

    shifts: int64 (K,), 0…MAX_SHIFT. rows: int64 (K, channels), in step / 2^shift. mean: int64
    (channels,), in step / 2^MEAN_BITS.
    """

    shifts: IntArray
    rows: IntArray
    mean: IntArray

    def values(self, levels: npt.NDArray[Any], step: float, low: float, high: float) -> FloatArray:
        """Of levels (K, places) the values (channels, places), held between low and high.

        Raises CorruptFile where a sum would not be exact.
        """
        return next(self.each([slice(None)], levels, step, low, high))

    def each(
        self,
        parts: Iterable[slice],
        levels: npt.NDArray[Any],
        step: float,
        low: float,
        high: float,
    ) -> Iterator[FloatArray]:
        """Likewise, of one part of the places after the other."""
        places = max(int(self.shifts.max(initial=0)), MEAN_BITS)
        weights = (self.rows << (places - self.shifts)[:, None]).astype(np.float64)
        mean = (self.mean << (places - MEAN_BITS)).astype(np.float64)
        # Largest first: the bound itself is then a sum of float64 that is too large if anything.
        ends = levels.max(1, initial=0), levels.min(1, initial=0)
        largest = np.maximum(*(np.abs(end.astype(np.float64)) for end in ends))
        if not (np.abs(weights).T @ largest + np.abs(mean)).max(initial=0) < _EXACT / 2:
            raise _damaged("has sums outside their range")
        last = np.column_stack([weights.T, mean])  # which goes with a level of 1 everywhere
        for part in parts:
            own = levels[:, part]
            ones = np.ones((len(own) + 1, own.shape[1]))
            ones[:-1] = own
            total = last @ ones
            with np.errstate(over="ignore"):
                total *= step * 2.0**-places
            yield np.clip(total, low, high, out=total)


def _syntax(io: SymbolIo, m: Mixture | None, count: int, channels: int) -> Mixture:
    """Shifts, means, then the weights of each component."""
    shifts = ints(io, m.shifts if m else [], count)
    mean = ints(io, m.mean if m else [], channels)
    rows = np.stack([ints(io, m.rows[k] if m else [], channels) for k in range(count)])
    if ((shifts < 0) | (shifts > MAX_SHIFT)).any():
        raise _damaged("has a weight of a precision that there is not")
    if np.abs(rows).max() > MAX_WEIGHT or np.abs(mean).max() > MAX_MEAN:
        raise _damaged("has a weight outside its range")
    return Mixture(shifts, rows, mean)


def _damaged(what: str) -> CorruptFile:
    return CorruptFile(f"a mixed array {what}; the file is damaged, get another copy of it")


# ---- encoding


class Mix:
    """Components that are to be coded.

    Args:
        axis: of the channels. parts: the components.
    """

    def __init__(self, axis: int, parts: Components) -> None:
        self.axis, self.parts = axis, parts

    @property
    def _largest(self) -> float:
        """The largest number that must not be more than MAX_SYMBOL steps."""
        z = self.parts.z
        means = np.abs(self.parts.mean).max() * (2.0**MEAN_BITS * MAX_SYMBOL / MAX_MEAN)
        return float(max(z.max(), -z.min(), means))

    @property
    def components(self) -> int:
        """How many there are."""
        return len(self.parts.rows)

    def encode(
        self, step: float, shape: tuple[int, ...], quick: bool = False
    ) -> tuple[bytes, bytes]:
        """The streams of the mixtures' weights and of the components, coded with a step.

        shape: of the array. quick: as `stream.encode` has it. Raises Uncodable.
        """
        if not (0 < step < math.inf and self._largest / step <= MAX_SYMBOL):
            raise Uncodable("components or means are out of the range of integers")
        count, channels = self.parts.rows.shape
        encoder = Encoder(checksum=False)
        _syntax(Push(encoder), self._mixture(step), count, channels)
        inner = grid(shape_of(shape, self.axis, count), self.axis)
        return encoder.finish(), stream.encode(self._levels(step), inner, quick)

    def _mixture(self, step: float) -> Mixture:
        mean = np.rint(np.ldexp(self.parts.mean / step, MEAN_BITS))
        return Mixture(self.parts.shifts, self.parts.rows, mean.astype(np.int64))

    def _levels(self, step: float) -> npt.NDArray[np.int32]:
        return np.rint(self.parts.z.T / step).astype(np.int32)


class Mixer(Mix):
    """An array on its way to components. Like features.Quantiser, with a step for those.

    Args:
        wanted: its values, (channels, places).
        axis: of its channels.
        parts: the components.
        rounded: values as its type has them.
    """

    def __init__(
        self,
        wanted: FloatArray,
        axis: int,
        parts: Components,
        rounded: Callable[[FloatArray], FloatArray],
    ) -> None:
        super().__init__(axis, parts)
        self.wanted, self.rounded = wanted, rounded

    @property
    def coarsest(self) -> float:
        """A step that makes all components 0."""
        return 4 * float(np.abs(self.parts.z).max())

    @property
    def size(self) -> int:
        """Values that are coded: of the components."""
        return self.parts.z.size

    def mse(self, step: float, every: int = 1) -> float:
        """Mean squared error with a step, of all places or of some."""
        levels = self._levels(step)[:, ::every]
        values = self._mixture(step).values(levels, step, self.parts.low, self.parts.high)
        return float(np.square(self.rounded(values) - self.wanted[:, ::every]).mean())

    def idea(self, step: float) -> Distance:
        """How near the values will come to their originals, as the encoder sees it."""
        return Distance.of_mse(self.mse(step))

    def step_for_mse(self, wanted: float) -> float | None:
        """The largest step, nearly, with at most this mean squared error; None if there is none."""
        every = self.wanted.size // 2**18 + 1
        low, high = (math.sqrt(12 * wanted) * factor for factor in (0.125, 16.0))
        for _ in range(_TRIES):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self.mse(middle, every) <= wanted else (low, middle)
        for _ in range(_TRIES):
            if self.mse(low) <= wanted:
                return low
            low *= _NEARER
        return None


def mixer(
    x: FloatArray,
    axes: Iterable[int],
    mse: float,
    rounded: Callable[[FloatArray], FloatArray],
) -> Mixer | None:
    """The array as components that matter at this mean squared error; None if they are many.

    x: its values, float64, finite. axes: those that may be its channels'.
    """
    try:
        spans = {axis: low_rank_fit.find(cut(x, axis).T, mse) for axis in axes}
        found = {axis: span for axis, span in spans.items() if span}
        if not found:
            return None
        axis, span = min(found.items(), key=lambda item: item[1].share)
        wanted = cut(x, axis)
        parts = low_rank_fit.resolve(wanted.T, span, mse)
    except np.linalg.LinAlgError:  # numbers so odd that no system of equations is solved with them
        return None
    return Mixer(wanted, axis, parts, rounded) if _fits(parts, math.sqrt(mse)) else None


def quickly(quick: Quick, mse: float) -> tuple[Mix, float] | None:
    """An array's components, and a step, where a clipped array shows them at once; else None.

    May raise LinAlgError.
    """
    wanted = mse - quick.rounding(math.sqrt(12 * mse))
    if not wanted > mse / 2:
        return None
    ends = float(np.float32(quick.low)), float(np.float32(quick.high))
    # The longest first: of a matrix both axes have one rank, and so that one the least share of it.
    for axis in sorted(quick.axes(), key=lambda axis: -quick.shape[axis]):
        planes = low_rank_exact.Planes.of(quick.raw, axis, *ends)
        maps = low_rank_exact.find(planes, mse)
        if maps is not None:
            break
    else:
        return None
    parts = low_rank_exact.resolve(planes, maps, mse)
    step = low_rank_exact.step_for(planes, parts, wanted)
    if step is None or not _fits(parts, step):
        return None
    return Mix(axis, parts), step


def _fits(parts: Components, step: float) -> bool:
    """Whether integers stay within the format, also with steps well below this one."""
    largest = max(np.abs(parts.z).max(), np.abs(parts.mean).max() * 2**MEAN_BITS) / step
    return bool(
        64 * largest < min(MAX_SYMBOL, MAX_MEAN)
        and parts.shifts.max() <= MAX_SHIFT
        and np.abs(parts.rows).max() <= MAX_WEIGHT
    )


def shape_of(shape: tuple[int, ...], axis: int, count: int) -> tuple[int, ...]:
    """The shape of an array's components."""
    return tuple(count if i == axis else n for i, n in enumerate(shape))


# ---- decoding


def unpack(basis: Bytes, count: int, channels: int) -> Mixture:
    """The mixtures of a stream of weights. Raises CorruptFile."""
    try:
        decoder = Decoder(basis, checksum=False)
        mixture = _syntax(Pull(decoder), None, count, channels)
        decoder.close()
    except CorruptStream as e:
        raise _damaged(f"has weights that cannot be read ({e})") from e
    return mixture
