"""Arrays of floating-point numbers to bytes and back, without training: the feature codec.

A tensor is quantised with one step, which for squared error is best whatever the channels' scales
are: they only matter to the coder, which finds them. What comes out of that, integers, is coded
without loss (feature_coder.py). Whatever that cannot give back within the bound (NaN, infinities,
numbers far out) is kept bit by bit. FEATURES.md is the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lictor.codec import feature_format
from lictor.codec.bitstream import QUALITY_STEPS, Bytes
from lictor.codec.errors import CodecError, CorruptFile, InvalidTarget, UnsupportedArray
from lictor.codec.feature_exact import pack, pack_patch, unpack, unpack_patch
from lictor.codec.feature_format import (
    CODED,
    DTYPES,
    EXACT,
    FLOATS,
    LEARNED,
    MIXED,
    Array,
    File,
)

if TYPE_CHECKING:
    from torch import Tensor

    from lictor.codec.feature_mixed import Mixer

AnyArray: TypeAlias = "npt.NDArray[Any] | Tensor"
FloatArray = npt.NDArray[np.float64]

_AXIS_SAMPLE = 2**16
_SOME = 2**16
_MAX_CHANNELS = 2**13
_CLOSE = 0.005
_DEAD = (0.0, 0.08, 0.16)
_TRIES = 12


@dataclass(frozen=True)
class Target:
    """What an encoder aims at: at most one of these is set.

    max_error: no value may be further off. mse: nor the mean of the squares.
    bits: size of the file in bits per value. None of them: the mean squared error of 8-bit
        integers, one scale for the whole array (symmetric or affine, the better).
    """

    max_error: float | None = None
    mse: float | None = None
    bits: float | None = None

    def __post_init__(self) -> None:
        given = [v for v in (self.max_error, self.mse, self.bits) if v is not None]
        if len(given) > 1:
            raise InvalidTarget("give one of max_error, mse and bits, not several")
        if any(not (isinstance(v, (int, float)) and math.isfinite(v) and v > 0) for v in given):
            raise InvalidTarget(f"{given[0]!r} is no target; give a number above 0")


def encode_features(
    arrays: AnyArray | Mapping[str, AnyArray],
    *,
    max_error: float | None = None,
    mse: float | None = None,
    bits: float | None = None,
    axis: int | None = None,
    model: str | os.PathLike[str] | None = None,
    quality: float | None = None,
    kind: str | None = None,
) -> bytes:
    """Encode an array, or several with names.

    Args:
        arrays: numpy arrays or torch tensors of any shape; float16, bfloat16 (torch), float32 or
            float64. Arrays of integers and booleans are kept exactly.
        max_error: no decoded value is further from its original, after rounding to its type.
        mse: mean squared error of each array is at most this, over its finite values.
        bits: of the file for each value, for each array; found by search, at most this if that is
            possible, at least 0.98 of it if the array has that much to say.
        axis: of the channels: values that share a meaning. Found by trial if None.
        model: name of weights that learned what such arrays look like, or path of a .safetensors
            file that `lictor train-features` made. It has no max_error.
        quality: of the model, 0 (smallest file) to 100, 50 if nothing is given; found by search for
            an mse (the lowest that keeps it) or bits (the highest that keeps it).
        kind: ".npy", ".npz" or ".safetensors", what `lictor decode` will write; by the arrays.

    With neither target nor model the mean squared error is at most that of int8 with one scale for
    the array. NaN, with its bits, and infinities come back as they are. -0.0 may come back as 0.0.

    Raises:
        CodecError: InvalidTarget, InvalidQuality, ModelUnavailable, or UnsupportedArray (complex,
            object, ...).
    """
    target = Target(max_error, mse, bits)
    way = _way(model, quality, target)
    named = dict(arrays) if isinstance(arrays, Mapping) else {"": arrays}
    kind = kind or (".npz" if isinstance(arrays, Mapping) else ".npy")
    file = File(kind)
    try:
        for name, array in named.items():
            dtype, raw = _bits_of(array)
            file.arrays.append(_encode_array(name, dtype, raw, target, axis, way))
        return feature_format.write(file)
    except CodecError:
        raise  # some are ValueErrors, too
    except ValueError as e:
        raise UnsupportedArray(f"does not fit the format: {e}") from e


def decode_features(data: Bytes) -> Any:
    """Decode what `encode_features` made.

    Returns:
        What went in: an array, or a dict of arrays, with their shapes and types; numpy arrays, but
        torch tensors for bfloat16, which numpy does not have.

    Raises:
        CodecError: a FileError for what is not such a file, or damaged; ModelUnavailable.
    """
    file = feature_format.read(_view(data))
    arrays = {a.name: as_array(a.dtype, _decode_array(a)) for a in file.arrays}
    if len(arrays) != len(file.arrays):
        raise CorruptFile("two arrays have one name; the file is damaged, get another copy of it")
    if file.kind != ".npy":
        return arrays
    if len(arrays) != 1:
        raise CorruptFile("an .npy file has one array; the file is damaged, get another copy of it")
    return next(iter(arrays.values()))


@dataclass(frozen=True)
class FeatureInfo:
    """What a feature file says of itself.

    kind: ".npy", ".npz" or ".safetensors". values: of all arrays. bits: of the file, a value.
    arrays: for each name, dtype, shape, axis of the channels, step or else the model, the start of
        the hash of its weights and quality, components if channels are mixtures, and bytes.
    """

    kind: str
    values: int
    bytes: int
    bits: float
    arrays: list[dict[str, Any]]


def feature_info(data: Bytes) -> FeatureInfo:
    """Read a feature file without decoding its values. Raises FileError."""
    data = _view(data)
    file = feature_format.read(data)
    rows = []
    for a in file.arrays:
        row: dict[str, Any] = {"name": a.name, "dtype": a.dtype, "shape": list(a.shape)}
        row["axis"] = a.axis if a.way != EXACT and a.axis >= 0 else None
        row["step"] = a.step if a.way not in (EXACT, LEARNED) else None
        row["components"] = a.mixed.components if a.way == MIXED else None
        row |= _said_of_model(a)
        row["bytes"] = len(a.payload) + len(a.patch) + len(a.coded) + len(a.mixed.basis)
        rows.append(row)
    values = sum(a.size for a in file.arrays)
    return FeatureInfo(file.kind, values, len(data), 8 * len(data) / max(values, 1), rows)


def _said_of_model(a: Array) -> dict[str, Any]:
    """Which model coded an array, its weights, and the quality."""
    if a.way != LEARNED:
        return {"model": None, "weights": None, "quality": None}
    from lictor.codec import weights

    m = a.learned
    name = m.model_name or weights.shipped_name(m.model_id) or f"unknown model {m.model_id}"
    return {"model": name, "weights": m.weights.hex(), "quality": m.step * 100 / QUALITY_STEPS}


def _view(data: Bytes) -> Bytes:
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise CorruptFile(f"bytes are decoded, not {type(data).__name__}") from None


# ---- types


def _bits_of(array: Any) -> tuple[str, npt.NDArray[Any]]:
    """The name of an array's type, and the array; bfloat16 as uint16."""
    if type(array).__module__.startswith("torch"):
        import torch

        array = array.detach().cpu().contiguous()
        if array.dtype == torch.bfloat16:
            return "bfloat16", array.view(torch.int16).numpy().view(np.uint16)
        array = array.numpy()
    array = np.asarray(array)
    name = array.dtype.name
    if name not in DTYPES:
        raise UnsupportedArray(f"an array of {name} is not coded; convert it to float32")
    if array.ndim > feature_format.MAX_DIMENSIONS:
        raise UnsupportedArray(f"{array.ndim} dimensions are too many; reshape it")
    return name, array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def as_array(dtype: str, raw: npt.NDArray[Any]) -> Any:
    """The other way: numpy, but a torch tensor for bfloat16."""
    if dtype != "bfloat16":
        return raw
    import torch

    return torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16)


def to_float64(dtype: str, raw: npt.NDArray[Any]) -> FloatArray:
    """Values of a type as float64, exact."""
    if dtype == "bfloat16":
        # Shifts of an array without dimensions give a scalar, of which numpy 1 makes 64 bits.
        raw = np.left_shift(raw.astype(np.uint32), 16, dtype=np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):  # of signalling NaN
        return raw.astype(np.float64)


def from_float64(dtype: str, values: FloatArray) -> npt.NDArray[Any]:
    """Values rounded to a type, to nearest and halves to even; bfloat16 through float32."""
    with np.errstate(over="ignore", under="ignore"):
        if dtype != "bfloat16":
            return values.astype(dtype)
        wide = values.astype(np.float32).view(np.uint32)
    return ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype(np.uint16)


# ---- one array


@dataclass(frozen=True)
class _Way:
    """Weights, and the quality in steps, None if it is to be found."""

    model: Any
    step: int | None


def _way(
    model: str | os.PathLike[str] | None, quality: float | None, target: Target
) -> _Way | None:
    """What codes arrays: weights, or None for the codec without training."""
    if model is None:
        if quality is not None:
            raise InvalidTarget("quality is for models; name one, or give max_error, mse or bits")
        return None
    if target.max_error is not None:
        raise InvalidTarget("a model keeps no max_error; leave the model out, or give a quality")
    aimed = target.mse is not None or target.bits is not None
    if aimed and quality is not None:
        raise InvalidTarget("give one of quality, mse and bits, not several")
    from lictor.codec import weights
    from lictor.codec.api import quality_step

    step = None if aimed else quality_step(50.0 if quality is None else quality)
    return _Way(weights.load(model, arrays=True), step)


def _encode_array(
    name: str,
    dtype: str,
    raw: npt.NDArray[Any],
    target: Target,
    axis: int | None,
    way: _Way | None = None,
) -> Array:
    exact = Array(name, dtype, raw.shape, EXACT, payload=pack(raw))
    if dtype not in FLOATS or not raw.size:
        return exact
    if axis is not None and not -raw.ndim <= axis < raw.ndim:
        raise InvalidTarget(f"there is no axis {axis} in {raw.ndim} dimensions")
    own = axis % raw.ndim if axis is not None else None
    if not np.isfinite(to_float64(dtype, raw)).any():
        return exact
    if way is None:
        coded = _encode_fitted(Quantiser(name, dtype, raw, own), target)
    else:
        coded = _encode_learned(name, dtype, raw, own, target, way)
    return coded if size_of(coded) < size_of(exact) else exact


def _encode_fitted(quantiser: Quantiser, target: Target) -> Array:
    if target.max_error is not None:
        return quantiser.encode(quantiser.step_for_bound(target.max_error), target.max_error)
    if target.bits is not None:
        return _encode_to_size(quantiser, target.bits * quantiser.raw.size / 8)
    mse = target.mse or quantiser.int8_mse()
    plain = quantiser.encode(quantiser.step_for_mse(mse))
    mixer = _mixer(quantiser, mse)
    step = mixer.step_for_mse(mse) if mixer else None
    if mixer is None or step is None:
        return plain
    return min(plain, mixer.encode(step), key=size_of)


def _encode_to_size(quantiser: Quantiser, wanted: float) -> Array:
    """The array in at most so many bytes, in the way whose values are nearer."""
    plain = _search(quantiser, quantiser.step_for_mse(quantiser.int8_mse()), wanted)
    mse = quantiser.mse_of(plain)
    # Components cost less than channels, so that they will be nearer: with a finer step.
    mixer = _mixer(quantiser, mse / 16)
    if mixer is None:
        return plain
    mixed = _search(mixer, mixer.step_for_mse(mse) or plain.step, wanted)
    fits = size_of(mixed) <= max(wanted, size_of(plain))
    return mixed if fits and quantiser.mse_of(mixed) < mse else plain


def _mixer(quantiser: Quantiser, mse: float) -> Mixer | None:
    from lictor.codec import feature_mixed

    if not quantiser.finite.all():
        return None
    about = Array(quantiser.name, quantiser.dtype, quantiser.raw.shape)
    return feature_mixed.mixer(about, quantiser.x, quantiser.axes(), mse, quantiser.rounded)


def _encode_learned(
    name: str, dtype: str, raw: npt.NDArray[Any], axis: int | None, target: Target, way: _Way
) -> Array:
    from lictor.codec import feature_learned

    x = to_float64(dtype, raw)
    planes = feature_learned.Planes(x, axis, way.model)
    if way.step is not None:
        return feature_learned.encode(name, dtype, raw, planes, way.step)

    def attempt(step: int) -> Array:
        return feature_learned.encode(name, dtype, raw, planes, step)

    if target.bits is not None:
        most = target.bits * raw.size / 8
        return attempt(_last(lambda step: size_of(attempt(step)) <= most))
    known = np.isfinite(x)
    wanted = target.mse or 0.0

    def too_far(step: int) -> bool:
        back = _decode_array(attempt(step), way.model)
        error = (to_float64(dtype, back) - x)[known]
        return not np.square(error).mean() <= wanted

    step = _last(too_far) + 1 if too_far(0) else 0
    if step > QUALITY_STEPS:
        raise InvalidTarget(
            f"{way.model.name} cannot keep an mse of {wanted:g} here, even at quality 100; leave "
            "the model out"
        )
    return attempt(step)


def _last(holds: Callable[[int], bool]) -> int:
    """The highest quality step for which holds what holds up to some quality; at least 0."""
    low, high = 0, QUALITY_STEPS + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def size_of(array: Array) -> int:
    """Bytes of a file with this array alone."""
    return len(feature_format.write(File(".npy", [array])))


class Quantiser:
    """An array on its way to integers.

    Args:
        name: of the array.
        dtype: its type, one of FLOATS.
        raw: the array; bfloat16 as uint16.
        axis: of its channels; found when first needed if None.
    """

    def __init__(self, name: str, dtype: str, raw: npt.NDArray[Any], axis: int | None) -> None:
        self.name, self.dtype, self.raw = name, dtype, raw
        self.x = to_float64(dtype, raw)
        self.finite = np.isfinite(self.x)
        self.known = self.x[self.finite]
        self._given = self._axis = axis
        self._dead = 0.0

    def int8_mse(self) -> float:
        """Mean squared error of 8-bit integers with one scale, symmetric or affine."""
        low, high = float(self.known.min()), float(self.known.max())
        return min(
            _grid_mse(self.known, max(abs(low), abs(high)) / 127, 0.0, 127),
            _grid_mse(self.known, (high - low) / 255, low, 255),
        )

    def step_for_mse(self, wanted: float) -> float:
        """A step, and how far values are drawn to 0, with at most this mean squared error.

        Drawing them to 0 makes them cheaper and the step finer: where most are small, that pays.
        What they take is judged by their entropy. The largest such step, nearly.
        """
        best, least = 0.0, math.inf
        part = self.raw[self.finite][:: self.known.size // _SOME + 1]
        some = Quantiser(self.name, self.dtype, part, None)
        for dead in _DEAD:
            some._dead = dead
            rate = _entropy(_levels(some.known, some._step_for_mse(wanted), dead)[0])
            if rate < least:
                best, least = dead, rate
        self._dead = best
        return self._step_for_mse(wanted)

    def _step_for_mse(self, wanted: float) -> float:
        largest = float(np.abs(self.known).max())
        if wanted <= 0 or not largest:
            return largest or 1.0
        step = min(math.sqrt(12 * wanted), 4 * largest)
        if self._mse(4 * largest) <= wanted:
            return 4 * largest
        low = high = step
        while self._mse(low) > wanted and low > largest * 2.0**-60:
            low, high = low / 1.5, low
        while self._mse(high) <= wanted:
            low, high = high, high * 1.5
        for _ in range(9):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self._mse(middle) <= wanted else (low, middle)
        return low

    def step_for_bound(self, bound: float) -> float:
        """The largest step whose values keep a bound, leaving room for their type's rounding."""
        size = float(np.quantile(np.abs(self.known), 0.98))
        digits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[self.dtype]
        rounding = 2.0 ** (math.frexp(size)[1] - digits - 1) if size else 0.0
        return 2 * (bound - rounding if rounding < bound / 2 else bound) * (1 - 2.0**-40)

    def _mse(self, step: float) -> float:
        levels, patched = _levels(self.known, step, self._dead)
        error = np.where(patched, 0.0, self.rounded(levels * step) - self.known)
        return float(np.square(error).mean())

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.raw.size

    def rounded(self, values: FloatArray) -> FloatArray:
        """Values as the array's type has them."""
        return to_float64(self.dtype, from_float64(self.dtype, values))

    def mse_of(self, coded: Array) -> float:
        """Mean squared error of the finite values as they will be decoded."""
        decoded = to_float64(self.dtype, _decode_array(coded))
        return float(np.square(decoded[self.finite] - self.known).mean())

    def encode(self, step: float, bound: float = math.inf) -> Array:
        """The array coded with a step; values further off than the bound are kept exactly."""
        from lictor.codec import feature_coder
        from lictor.codec.feature_context import cut, grid

        with np.errstate(invalid="ignore"):
            levels, patched = _levels(self.x, step, self._dead)
            decoded = self.rounded(levels * step)
            patched |= ~(np.abs(decoded - self.x) <= bound)
        axis = self.axis(step)
        g = grid(self.raw.shape, axis)
        coded = feature_coder.encode(cut(levels.astype(np.int64), axis), g)
        return Array(
            self.name,
            self.dtype,
            self.raw.shape,
            CODED,
            axis=-1 if axis is None else axis,
            step=step,
            patch=pack_patch(self.raw, patched),
            coded=coded,
        )

    def axes(self) -> list[int]:
        """Those that may be the channels': the one that was given, or all."""
        return list(range(self.raw.ndim)) if self._given is None else [self._given]

    def axis(self, step: float) -> int | None:
        """The axis of the channels by which a part of the array takes the fewest bytes."""
        if self._axis is None:
            self._axis = self._find_axis(step)
        return None if self._axis < 0 else self._axis

    def _find_axis(self, step: float) -> int:
        tried = [i for i, n in enumerate(self.raw.shape) if 1 < n <= _MAX_CHANNELS]
        if len(tried) == self.raw.ndim == 1:
            return -1
        return min([-1, *tried[-3:]], key=lambda axis: self._cost(step, axis))

    def _cost(self, step: float, axis: int) -> float:
        """Bytes a value with an axis (-1 is none), from a part of the array.

        What the model takes grows with the channels, the rest with the values.
        """
        from lictor.codec import feature_coder
        from lictor.codec.feature_context import cut, grid

        shape, own = self.raw.shape, None if axis < 0 else axis
        part = self.x[_sample(shape, axis, max(_AXIS_SAMPLE, self.raw.size // 8))]
        levels = _levels(part, step, self._dead)[0].astype(np.int64)
        g = grid(levels.shape, own)
        model, whole = feature_coder.sizes(cut(levels, own), g)
        more = 1 if own is None else shape[own] / g.channels
        return (whole - model) / levels.size + model * more / self.raw.size


def _levels(
    x: FloatArray, step: float, dead: float = 0.0
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Integers near x / step, and where there is none within the format: there they are 0.

    dead: how much further than half a step a value must be from a level to go up to the next.
    """
    from lictor.codec.feature_context import MAX_SYMBOL

    with np.errstate(over="ignore", invalid="ignore"):
        levels = np.rint(x / step)
        if dead:
            levels = np.sign(x) * np.floor(np.abs(x / step) + (0.5 - dead))
        patched = ~(np.abs(levels) <= MAX_SYMBOL)
    return np.where(patched, 0.0, levels), patched


def _entropy(levels: FloatArray) -> float:
    """Bits a value, without any context."""
    _, counts = np.unique(levels, return_counts=True)
    return float(np.log2(levels.size) - (counts * np.log2(counts)).sum() / levels.size)


def _grid_mse(x: FloatArray, step: float, zero: float, most: int) -> float:
    if not (step > 0 and math.isfinite(step)):
        return 0.0
    levels = np.clip(np.rint((x - zero) / step), -most, most)
    return float(np.square(levels * step + zero - x).mean())


def _sample(shape: tuple[int, ...], axis: int, most: int) -> tuple[slice, ...]:
    """A middle part of an array, of at most `most` values; of the axis most places stay."""
    sizes = list(shape)
    while math.prod(sizes) > most:
        longest = max(range(len(sizes)), key=lambda i: sizes[i] / (4 if i == axis else 1))
        sizes[longest] = -(-sizes[longest] // 2)
    return tuple(
        slice((n - size) // 2, (n - size) // 2 + size) for n, size in zip(shape, sizes, strict=True)
    )


def _search(quantiser: Quantiser | Mixer, step: float, wanted: float) -> Array:
    """The array coded in at most `wanted` bytes, and in little less. step: to begin with."""
    size = quantiser.size
    tried: dict[float, tuple[int, Array]] = {}

    def attempt(s: float) -> int:
        if s not in tried:
            coded = quantiser.encode(s)
            tried[s] = size_of(coded), coded
        return tried[s][0]

    for _ in range(_TRIES):
        got = attempt(step)
        if wanted * (1 - 2 * _CLOSE) <= got <= wanted:
            break
        step = _next_step({s: v[0] for s, v in tried.items()}, wanted * (1 - _CLOSE), size)
        if step in tried:
            break
    fitting = [(v[0], s) for s, v in tried.items() if v[0] <= wanted]
    chosen = max(fitting)[1] if fitting else min((v[0], s) for s, v in tried.items())[1]
    return tried[chosen][1]


def _next_step(tried: dict[float, int], wanted: float, size: int) -> float:
    """Between the nearest tries by log step over bytes, or beyond them: a bit a value an octave."""
    above = [(b, s) for s, b in tried.items() if b > wanted]
    below = [(b, s) for s, b in tried.items() if b <= wanted]
    if above and below:
        (b0, s0), (b1, s1) = min(above), max(below)
        part = min(max((b0 - wanted) / (b0 - b1), 0.05), 0.95)
        return math.exp(math.log(s0) + part * (math.log(s1) - math.log(s0)))
    bytes_, step = min(above) if above else max(below)
    octaves = 8 * (bytes_ - wanted) / size
    least = 1.0 if above else -1.0
    octaves = max(octaves * 1.2, 0.2) if least > 0 else min(octaves * 1.2, -0.2)
    return step * 2.0 ** min(max(octaves, -12.0), 12.0)


def _decode_array(a: Array, model: Any = None) -> npt.NDArray[Any]:
    if a.way == EXACT:
        return unpack(a.payload, a.dtype, a.shape)
    raw = from_float64(a.dtype, _decoded_values(a, model))
    unpack_patch(a.patch, raw)
    return raw


def _decoded_values(a: Array, model: Any) -> FloatArray:
    if a.way == LEARNED:
        from lictor.codec import feature_learned

        return feature_learned.decode(a, model)
    if a.way == MIXED:
        from lictor.codec import feature_mixed

        return feature_mixed.decode(a)
    return _decode_fitted(a)


def _decode_fitted(a: Array) -> FloatArray:
    from lictor.codec import feature_coder
    from lictor.codec.feature_context import grid, join

    axis = None if a.axis < 0 else a.axis
    levels = join(feature_coder.decode(a.coded, grid(a.shape, axis)), a.shape, axis)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(levels).astype(np.float64) * a.step
