"""The learned way of the feature codec: arrays as planes through a model of their layer.

Channels are first brought to what the model knows: where one is much louder or lies elsewhere, its
scale in octaves and its shift are sent, as integers. Values far out and those that are no number
are kept bit by bit, beside. FEATURES.md is the specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.planes import Layout, Piece, fits, likely_axis
from lictor.codec.arrays.stream import ints
from lictor.codec.errors import CorruptFile, InvalidTarget, LatentMismatch
from lictor.codec.format.picture import Bytes
from lictor.codec.runtime import store
from lictor.entropy import CorruptStream, Decoder, Encoder, Pull, Push, SymbolIo

if TYPE_CHECKING:
    from lictor.codec.runtime.runtime import ArrayNetwork
    from lictor.models.capabilities import Usual
    from lictor.models.quality import Quality

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FAR = 2.0**10
"""Values further out, in units of the model, are kept exactly."""
MAX_OCTAVE, MAX_SHIFT = 1100, 2**20
_INLIERS = 0.99


@dataclass(frozen=True)
class Scaling:
    """How the channels of an array differ from those the model knows; both int64 (channels,).

    octaves: log2 of how much louder each is. shifts: of its mean, in its own spread.
    """

    octaves: IntArray
    shifts: IntArray

    def centre_and_unit(self, model: ArrayNetwork) -> tuple[FloatArray, FloatArray]:
        """What is taken from each channel's values, and what they are then divided by."""
        known = _known(model, self.octaves.size)
        return (
            known.mean + self.shifts * np.ldexp(known.spread, self.octaves.astype(np.int32)),
            np.ldexp(known.unit, self.octaves.astype(np.int32)),
        )


def measure(x: FloatArray, layout: Layout, model: ArrayNetwork) -> Scaling:
    """The scaling of finite values (0 where there are none), robust to a few far out.

    Only a channel four times as loud as the others make expect gets an octave of its own: one step
    for all gives the least squared error. A shift is sent for a mean more than a spread off.
    """
    centre, loudness = _centre_and_loudness(layout.by_channel(x))
    mean, spread, _ = _known(model, len(centre))
    ratio = loudness / spread
    heard = ratio[ratio > 0]
    common = int(np.trunc(np.log2(np.median(heard)))) if heard.size else 0
    own = np.log2(np.maximum(np.ldexp(ratio, -common), 1.0))
    octaves = common + np.maximum(np.floor(own) - 1, 0).astype(np.int64)
    octaves = np.clip(octaves, -MAX_OCTAVE, MAX_OCTAVE)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shifts = (centre - mean) / np.ldexp(spread, octaves.astype(np.int32))
    shifts = np.clip(np.trunc(np.nan_to_num(shifts)), -MAX_SHIFT, MAX_SHIFT)
    return Scaling(octaves, shifts.astype(np.int64))


def _centre_and_loudness(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each row, without values far outside most of the others."""
    middle = np.median(rows, axis=1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = rows - middle
        most = np.quantile(np.abs(apart), _INLIERS, axis=1, method="lower", keepdims=True)
        # In parts of what is still inside, so that squares are finite.
        unit = np.clip(4 * most, np.finfo(np.float64).tiny, np.finfo(np.float64).max)
        inside = np.abs(apart) <= unit
        parts = np.where(inside, apart / unit, 0.0)
    count = np.maximum(inside.sum(1), 1)
    offset = parts.sum(1) / count
    deviation = np.sqrt(np.maximum(np.square(parts).sum(1) / count - offset**2, 0.0))
    return middle[:, 0] + offset * unit[:, 0], deviation * unit[:, 0]


def _known(model: ArrayNetwork, channels: int) -> Usual:
    """What the model expects of channels; those beyond its own begin anew."""
    slots = np.arange(channels) % model.channels
    usual = model.usual()
    return usual._replace(mean=usual.mean[slots], spread=usual.spread[slots])


def _scaling_syntax(io: SymbolIo, scaling: Scaling | None, count: int) -> Scaling:
    """Octaves, as differences from one channel to the next, then shifts."""
    octaves = ints(io, np.diff(scaling.octaves, prepend=0) if scaling else [], count).cumsum()
    shifts = ints(io, scaling.shifts if scaling else [], count)
    if np.abs(octaves).max() > MAX_OCTAVE or np.abs(shifts).max() > MAX_SHIFT:
        raise CorruptFile("a channel has a scale that there is not; the file is damaged")
    return Scaling(octaves, shifts)


class Planes:
    """An array as a model is given it: float32 frames, what is kept exactly, and the bounds.

    Args:
        x: float64 values of the array.
        axis: of its channels; found by its shape if None.
        model: that will code it.

    Raises InvalidTarget for an axis that most of what is coded would be padding with.
    """

    def __init__(self, x: FloatArray, axis: int | None, model: ArrayNetwork) -> None:
        width = model.channels
        self.axis = likely_axis(x.shape, width) if axis is None else axis
        if self.axis >= 0 and not fits(x.shape[self.axis], width):
            raise InvalidTarget(
                f"axis {axis} has {x.shape[self.axis]} channels, {model.name} knows {width}; give "
                "another axis, or none"
            )
        self.layout = Layout(x.shape, self.axis, width)
        self.model = model
        finite = np.where(np.isfinite(x), x, 0.0)
        self.scaling = measure(finite, self.layout, model)
        centre, unit = map(self.layout.spread_out, self.scaling.centre_and_unit(model))
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (finite - centre) / unit
            self.patched = ~(np.isfinite(x) & (np.abs(scaled) <= FAR))
        kept = finite[~self.patched]
        self.low, self.high = _bounds(kept) if kept.size else (0.0, 0.0)
        self.frames = self.layout.pack(np.where(self.patched, 0.0, scaled).astype(np.float32))

    def push(self, encoder: Encoder, quality: Quality) -> None:
        """Code all symbols. Raises ModelUnavailable for weights that cannot."""
        _scaling_syntax(Push(encoder), self.scaling, self.layout.channels)
        for piece in self.layout.pieces():
            with store.model_errors():
                self.model.encode(self.frames[piece.place], quality, encoder)

    def encode(self, quality: Quality) -> tuple[bytes, int]:
        """The stream, and the checksum of its symbols."""
        encoder = Encoder()
        self.push(encoder, quality)
        return encoder.finish(), encoder.checksum

    def estimate(self, quality: Quality) -> float:
        """Bits that the float model expects of all values."""
        pieces = self.layout.pieces()
        return sum(self.model.estimate(self.frames[piece.place], quality) for piece in pieces)


def _bounds(kept: FloatArray) -> tuple[float, float]:
    """Least and largest value in float32, rounded outwards."""
    with np.errstate(over="ignore"):
        low, high = np.float32(kept.min()), np.float32(kept.max())
    low = low if low <= kept.min() else np.nextafter(low, np.float32(-np.inf))
    high = high if high >= kept.max() else np.nextafter(high, np.float32(np.inf))
    return float(low), float(high)


class Stored(Protocol):
    """An array that a model coded, as a file has it: methods/learned.py."""

    shape: tuple[int, ...]
    axis: int
    coded: Bytes
    learned: Any


@dataclass(frozen=True)
class Latents:
    """What an array's stream holds: the model, and for each piece its latents (N, M, h, w)."""

    model: ArrayNetwork
    layout: Layout
    scaling: Scaling
    pieces: list[tuple[Piece, npt.NDArray[np.float32]]]


def latents(a: Stored, model: ArrayNetwork | None = None) -> Latents:
    """Decode the stream of an array: the same numbers on every machine.

    model: that coded it, found by what the file says if None.
    Raises CorruptFile, LatentMismatch, ModelUnavailable.
    """
    model = model or store.find_for_arrays(a.learned)
    if a.axis >= 0 and not fits(a.shape[a.axis], model.channels):
        raise CorruptFile("an array has another axis of channels than any encoder gives it")
    layout, quality = Layout(a.shape, a.axis, model.channels), a.learned.quality
    with _whole(), store.model_errors():
        decoder = Decoder(a.coded)
        scaling = _scaling_syntax(Pull(decoder), None, layout.channels)
        pieces = [
            (piece, model.pull(piece.shape, quality, decoder, piece.count))
            for piece in layout.pieces()
        ]
        decoder.close()
    if decoder.checksum != a.learned.latents:
        raise LatentMismatch(
            "other latents were decoded than were encoded: this machine computes the model "
            "differently, or the encoder was broken; please report it with the file"
        )
    return Latents(model, layout, scaling, pieces)


def decode(a: Stored, model: ArrayNetwork | None = None) -> FloatArray:
    """The values of an array, float64, without its patch. Model and errors: as for `latents`."""
    found = latents(a, model)
    model, layout, low, high = found.model, found.layout, a.learned.low, a.learned.high
    frames = np.zeros((layout.planes[0], model.channels, *layout.planes[1:]), np.float32)
    for piece, part in found.pieces:
        rows, columns = piece.shape
        planes = model.reconstruct(part, a.learned.quality)
        frames[piece.place] = planes[:, :, :rows, :columns]
    centre, unit = map(layout.spread_out, found.scaling.centre_and_unit(model))
    with np.errstate(over="ignore", invalid="ignore"):
        x = layout.unpack(frames).astype(np.float64) * unit + centre
    return np.clip(np.nan_to_num(x, nan=low), low, high)


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except CorruptStream as e:
        raise CorruptFile(
            f"the stream of an array does not decode ({e}); the file is damaged, get another copy"
        ) from e
