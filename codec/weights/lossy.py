"""A file of tensors with loss: which of them become grids, and how fine these are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import InvalidOption
from lictor.codec.format import weights as form
from lictor.codec.format.weights import Beginning, Record
from lictor.codec.quality import LOSSLESS
from lictor.codec.weights import exact, grid, vectors
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.curvature import Calibration
from lictor.codec.weights.grid import Floats, Quantised
from lictor.codec.weights.info import ZEROS
from lictor.codec.weights.quantisers import CALIBRATED, DEFAULT, NEEDING, Known, Quantiser, named
from lictor.codec.weights.source import Source
from lictor.codec.weights.vectors import Vector

Array = npt.NDArray[np.uint8]
FEWEST = 256
"""Values of a tensor that is worth a grid."""


@dataclass(frozen=True)
class Lossy:
    """How tensors are coded. step: of matrices; quantiser: what makes levels of them.

    vectors: what takes the place of tensors of one axis. calibration: what data say.
    size: the mean of log_size of matrices, of all values; level: that of what errors cost.
    scale: the root mean square of all matrices; typical: what steps are multiplied by where data
    say what errors cost.
    """

    step: float
    quantiser: Quantiser
    vectors: dict[str, Vector]
    calibration: Calibration
    size: float
    level: float = 0.0
    scale: float = 1.0
    typical: float = 1.0

    def encode(
        self, tensor: Tensor, raw: Array, mapped: Callable[..., Iterator[Any]]
    ) -> tuple[Record, list[bytes]] | None:
        """The record of a tensor, and its chunks; None where it is to be exact, as it is."""
        if tensor.name in self.vectors:
            return _encode_vector(tensor, self.vectors[tensor.name], mapped)
        if not is_matrix(tensor):
            return None
        values = grid.floats(raw, tensor.dtype).reshape(grid.matrix(tensor))
        if not np.isfinite(values).all():
            return None
        own = rms(values)
        if 0 < own < _TINIEST:  # so are steps, of which float32 then has no fractions
            return None
        curvature = self.calibration.layers.get(tensor.name)
        unknown = 2 ** (_BY_SIZE * (log_size(tensor.values) - self.size))
        unknown *= apart(own / (self.scale * unknown))
        step = self.step * (self.typical if curvature else 1.0)
        known = Known(tensor.name, tensor.shape, step, curvature, self.level, unknown)
        with np.errstate(over="ignore"):  # of steps; they are too many then
            found = self.quantiser(values, known)
        if found is None or not np.isfinite(found.decoded(tensor)).all():
            return None
        return found.encode(tensor, mapped)

    def bits(self, source: Source) -> float:
        """The bits a value of a whole file, or more, as tensors with the same bytes count each."""
        sizes, values = [], 0
        for tensor in source.header.stored:
            coded = self.encode(tensor, source.raw(tensor), map)
            coded = coded or exact.encode(tensor, source.raw(tensor), None, map)
            sizes.append(len(form.write_head(coded[0])) + sum(map(len, coded[1])))
            values += tensor.values
        frame = len(form.write_beginning(Beginning(source.text, b""))) + len(form.write_end(sizes))
        return 8 * (frame + sum(sizes)) / max(values, 1)


def _encode_vector(
    tensor: Tensor, vector: Vector, mapped: Callable[..., Iterator[Any]]
) -> tuple[Record, list[bytes]]:
    if vector.step:
        levels = np.rint(vector.values / np.float32(vector.step)).astype(np.int32)
        if np.abs(levels).max() < grid.MOST:
            return grid.encode(tensor, Quantised(levels[None], vector.step), mapped)
    return exact.encode(tensor, grid.stored(vector.values, tensor.dtype), None, mapped)


def planned(
    source: Source, quality: float, quantiser: str | Quantiser | None, calibration: Calibration
) -> Lossy:
    """How a file is coded with a quality. Raises InvalidOption."""
    name = quantiser or (CALIBRATED if calibration.layers else DEFAULT)
    scale = scale_of(source)
    step = step_of(scale, quality)

    def values(tensor: Tensor) -> Floats:
        if tensor.name in calibration.replaced:
            return calibration.replaced[tensor.name]
        return grid.floats(source.raw(tensor), tensor.dtype)

    fine = _FINE * 2 ** ((quality - 40) / _QUALITIES_A_BIT)
    found = vectors.rounded(source.header.stored, values, fine)
    sizes = {t.name: grid.matrix(t) for t in source.header.stored if is_matrix(t)}
    level = calibration.level(sizes, name != "diagonal")
    values_of = [rows * columns for rows, columns in sizes.values()]
    size = sum(n * log_size(n) for n in values_of) / max(sum(values_of), 1)
    typical = apart(_middle(source, calibration) / scale) if calibration.layers else 1.0
    return Lossy(step, named(name), found, calibration, size, level, scale, typical)


_FINE = 128

_BY_SIZE = 0.35
"""Power of a matrix' size in its step: what few weights do, each does more of, and their bits are
few. In proportion to its root would be best if all matrices' errors cost the same in sum."""
_LARGE = 2**20
"""Values from which on a matrix counts as no larger: tables of tokens are as large as all else, but
many language models answer by them, too."""


def log_size(values: int) -> float:
    """log2 of a matrix' values, as steps go by it."""
    return math.log2(min(values, _LARGE))


def asked(source: Source, options: Mapping[str, Any], based: bool = False) -> Lossy | None:
    """How a file is coded with the options of `encode_weights`; None for exactly.

    Raises InvalidOption.
    """
    quality, bits = options.get("quality"), options.get("bits")
    quality = None if quality == LOSSLESS and bits is None else quality
    if quality is None and bits is None:
        for name in ("calibration", "quantiser"):
            if options.get(name) is not None:
                raise InvalidOption(f"a {name} is for a quality or bits; give one of these, too")
        return None
    if quality is not None and bits is not None:
        raise InvalidOption("bits find the quality; leave the quality out")
    if based:
        raise InvalidOption("a base is for exact weights; leave it, or the quality, out")
    calibration = Calibration.of(options.get("calibration"))
    quantiser = options.get("quantiser")
    if isinstance(quantiser, str) and quantiser in NEEDING and not calibration.layers:
        raise InvalidOption(f"the quantiser {quantiser} needs a calibration; give one, too")
    if bits is not None:
        return _within(source, bits, quantiser, calibration)
    assert quality is not None
    return planned(source, quality, quantiser, calibration)


def apart(ratio: float) -> float:
    """What the step of a tensor is multiplied by that is smaller than others.

    ratio: of its scale to the common one, of which four times as much still counts as the same:
    what is smaller may matter less. Orders of magnitude say nothing of that, so that from a 16th on
    a tensor has a step of its own scale; between the two, the nearer to one or the other.
    """
    return min(1.0, max(ratio, 16 * ratio**2)) if ratio > 0 else 1.0


_TINIEST = 1e-33
"""A root mean square below which a tensor is exact."""


def rms(values: Floats) -> float:
    """The root mean square, of any finite values."""
    square = float(np.vdot(values, values))
    if 1e-30 < square < 1e30:
        return math.sqrt(square / values.size)
    most = float(np.abs(values).max(initial=0))
    return most * float(np.sqrt(np.mean((values / most) ** 2, dtype=np.float64))) if most else 0.0


def _middle(source: Source, calibration: Calibration) -> float:
    """The geometric mean of the scales of matrices that were calibrated, of all their values."""
    total, count = 0.0, 0
    for tensor in source.header.stored:
        if is_matrix(tensor) and tensor.name in calibration.layers:
            values = grid.floats(source.raw(tensor), tensor.dtype)
            own = rms(values) if np.isfinite(values).all() else 0.0
            if own:
                total, count = total + tensor.values * math.log(own), count + tensor.values
    return math.exp(total / count) if count else 0.0


def gone(source: Source, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is lost of tensors that became zeros and were none, to say. rows: as info has them."""
    zeros = {row["name"] for row in rows if row["method"] == ZEROS}
    named = [t.name for t in source.header.stored if t.name in zeros and source.raw(t).any()]
    if not named:
        return []
    some = ", ".join(named[:8]) + (f" and {len(named) - 8} more" if len(named) > 8 else "")
    return [f"all values become 0 at this quality, of {some}; ask for more to keep some"]


def fallen_short(found: float, options: Mapping[str, Any]) -> list[str]:
    """What of the options could not be done, to say. found: bits a value of the file."""
    bits = options.get("bits")
    if bits is None or found <= bits:
        return []
    return [f"takes {found:.3f} bits a value; {bits:g} are too few for it"]


def _within(
    source: Source, bits: float, quantiser: str | Quantiser | None, calibration: Calibration
) -> Lossy:
    """The best quality that was found with which a file has at most so many bits a value."""
    if not bits > 0:
        raise InvalidOption(f"bits is {bits:g}; give a number above 0")
    quality, best = bits * _QUALITIES_A_BIT, 0.0
    for _ in range(_TRIES):
        quality = min(max(quality, 0.0), 100.0)
        how = planned(source, quality, quantiser, calibration)
        found = how.bits(source)
        if found <= bits:
            best = max(best, quality)
            if quality == 100 or found > 0.99 * bits:
                break
        elif quality == 0:
            break
        quality += (0.997 * bits - found) * _QUALITIES_A_BIT
    return planned(source, best, quantiser, calibration)


_TRIES = 6


def is_matrix(tensor: Tensor) -> bool:
    """Whether a tensor has two axes, and enough values, of a type that a grid can have."""
    known = tensor.dtype in grid.TYPES and len(tensor.shape) > 1
    return known and tensor.values >= FEWEST


def step_of(scale: float, quality: float) -> float:
    """The step that a quality asks for: relative to the root mean square of all matrices.

    Raises InvalidOption for a quality outside 0 to 100.
    """
    if not 0 <= quality <= 100:
        raise InvalidOption(f"quality is {quality:g}; give 0 to 100")
    return float(np.float32(scale * _STEP_AT_0 * 2 ** (-quality / _QUALITIES_A_BIT)))


def scale_of(source: Source) -> float:
    """The root mean square of all matrices; 1 without any."""
    total, count = 0.0, 0
    for tensor in filter(is_matrix, source.header.stored):
        values = grid.floats(source.raw(tensor), tensor.dtype)
        square = float(np.vdot(values, values)) if np.isfinite(values).all() else 0.0
        if 0 < square < np.inf:
            total, count = total + square, count + values.size
    return float(np.sqrt(total / count)) if count else 1.0


_STEP_AT_0, _QUALITIES_A_BIT = 3.4, 12.5
