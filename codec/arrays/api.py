"""Arrays of floating-point numbers to bytes and back, without training: the feature codec.

A tensor is quantised with one step, which for squared error is best whatever the channels' scales
are: they only matter to the coder, which finds them. What comes out of that, integers, is coded
without loss (stream.py). Whatever that cannot give back within the bound (NaN, infinities,
numbers far out) is kept bit by bit. Each array is decoded again before it is written, and held
against what was promised; where it falls short, the next way is taken, and at last the exact one.
FEATURES.md is the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from lictor.codec import quality as qualities
from lictor.codec.arrays import chunks, field, methods, quick, rate_search
from lictor.codec.arrays.dtypes import AnyArray, as_array, bits_of, is_big_endian, to_float64
from lictor.codec.arrays.info import view
from lictor.codec.arrays.lossless import packed_size
from lictor.codec.arrays.methods import Exact, Learned, Mixed, Predicted
from lictor.codec.arrays.opened import part_of
from lictor.codec.arrays.quantiser import Quantiser
from lictor.codec.arrays.stream import Uncodable
from lictor.codec.arrays.target import Distance, Promise, Target, whole_axis
from lictor.codec.errors import (
    CodecError,
    CorruptFile,
    InvalidTarget,
    LatentMismatch,
    SelfCheckFailed,
    UnsupportedArray,
)
from lictor.codec.format import arrays as feature_format
from lictor.codec.format.arrays import FLOATS, KINDS, Array, File, size_of
from lictor.codec.format.picture import Bytes
from lictor.codec.runtime import store
from lictor.codec.runtime.store import Store
from lictor.models.quality import STEPS, Quality

if TYPE_CHECKING:
    from lictor.codec.arrays.low_rank import Mixer
    from lictor.codec.runtime.runtime import ArrayNetwork

A = TypeVar("A", bound=Array)

_MUCH = 2
"""So many times smaller than the exact array, as seen from parts of it, what was coded is taken."""
_THRESHOLDS = 4
"""Sizes below which components do not matter: so many are tried for an array of so many bits."""
_FINER = 2
"""Times that a step is made finer where decoded values were too far off."""


def encode_features(
    arrays: AnyArray | Mapping[str, AnyArray],
    *,
    max_error: float | None = None,
    mse: float | None = None,
    bits: float | None = None,
    exact: bool = False,
    axis: int | None = None,
    effort: int = 0,
    chunk: int | None = None,
    model: str | os.PathLike[str] | None = None,
    quality: float | None = None,
    kind: str | None = None,
    metadata: Mapping[str, str] | None = None,
    models: Store = store.DEFAULT,
    runtime: str | None = None,
) -> bytes:
    """Encode an array, or several with names.

    Args:
        arrays: numpy arrays or torch tensors of any shape; float16, bfloat16 (torch), float32 or
            float64. Arrays of integers and booleans are kept exactly. Byte order is kept.
        max_error: no decoded value is further from its original, after rounding to its type.
        mse: mean squared error of each array is at most this, over its finite values.
        bits: of the file for each value, for each array; found by search, at most this if that is
            possible, at least 0.98 of it if the array has that much to say. More bits never mean a
            coarser step, and an array that fits as it is comes back exactly.
        exact: every bit comes back, as without it of integers; given without a target.
        axis: of the channels: values that share a meaning. Found by trial if None.
        effort: 0 codes large arrays, of 2^16 values or more, without a search; from 1 on (to 9, no
            different) all are searched for components of which channels are mixtures (behind an
            activation 0 finds them, too, where enough channels are seldom clipped), the best axis,
            and more to predict from, which takes some fifty times as long.
        chunk: rows along the first axis that are coded together, and decode without the rest
            (`open_array`); 0 for one piece. Unless told otherwise, arrays of more than 2^22 values
            are cut into chunks of about 2^21, which are coded as many at a time as there are
            threads (4, and half of them, at most). Models take arrays in one piece.
        model: name of weights that learned what such arrays look like, or path of a .safetensors
            file that `lictor train-features` made. It has no max_error.
        quality: of the model, 0 (smallest file) to 100, 50 if nothing is given; found by search for
            an mse (the lowest that keeps it) or bits (the highest that keeps it). What the model
            cannot bring within the mse is coded without it.
        kind: ".npy", ".npz" or ".safetensors", what `lictor decode` will write; by the arrays.
        metadata: texts with names, as .safetensors files have them; `feature_info` gives them back.
        models: where to look for weights that are not shipped, as for `lictor.codec.encode`.
        runtime: what computes networks, likewise.

    Any target can be kept, at worst by an array that comes back exactly: values are decoded and
    held against it before anything is returned.
    With neither target nor model the mean squared error is at most that of int8 with one scale for
    the array. NaN, with its bits, and infinities come back as they are. -0.0 may come back as 0.0.

    Raises:
        CodecError: InvalidTarget, InvalidQuality, ModelUnavailable, or UnsupportedArray (complex,
            object, ...).
    """
    options = _Options(axis, qualities.effort(effort), chunks.given(chunk), bool(exact))
    target = Target(max_error, mse, bits)
    if exact and (target != Target() or model is not None):
        raise InvalidTarget("exact arrays have no max_error, mse, bits or model; leave these out")
    way = _way(model, quality, target, models.on(runtime))
    named: Mapping[str, AnyArray] = arrays if isinstance(arrays, Mapping) else {"": arrays}
    kind = kind or (".npz" if isinstance(arrays, Mapping) else ".npy")
    if kind not in KINDS or (kind == ".npy" and len(named) != 1):
        raise UnsupportedArray(
            f"{len(named)} arrays make no {kind!r} file; kinds are {', '.join(KINDS)}, the first "
            "with one array"
        )
    file = File(kind, metadata=_texts(metadata or {}))
    try:
        with np.errstate(all="ignore"):  # what overflows is found when it is decoded
            file.arrays += [_encode_named(*item, target, options, way) for item in named.items()]
        return _written(file)
    except CodecError:
        raise  # some are ValueErrors, too
    except ValueError as e:
        raise UnsupportedArray(f"does not fit the format: {e}") from e


def _texts(metadata: Mapping[str, str]) -> dict[str, str]:
    if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        raise UnsupportedArray("metadata are texts with names; make them str")
    return dict(metadata)


def _encode_named(
    name: str, array: AnyArray, target: Target, options: _Options, way: _Way | None
) -> Array:
    """An array of the file; errors name it."""
    if not isinstance(name, str):
        raise UnsupportedArray(f"{name!r} is no name of an array; name arrays with str")
    try:
        dtype, raw = bits_of(array)
        coded = _encode_cut(name, dtype, raw, target, options, way)
    except (UnsupportedArray, InvalidTarget, SelfCheckFailed) as e:
        raise (type(e)(f"{name}: {e}") if name else e) from e
    coded.big_endian = is_big_endian(array)
    return coded


def _encode_cut(
    name: str,
    dtype: str,
    raw: npt.NDArray[Any],
    target: Target,
    options: _Options,
    way: _Way | None,
) -> Array:
    """In chunks, if it is to be cut; each keeps what is promised of all."""
    planned = None if way else chunks.plan(raw.shape, options.chunk)
    if planned is None:
        return _encode_array(name, dtype, raw, target, options, way)
    if target == Target() and not options.exact:
        near = quick.int8(dtype, lambda: chunks.pieces(raw, planned))
        target = Target(mse=near) if near else target  # else each its own int8's

    def one(part: npt.NDArray[Any]) -> Array:
        return _encode_array(name, dtype, part, target, options)

    return chunks.encode(name, dtype, raw, planned, one)


def _written(file: File) -> bytes:
    """The bytes of a file, after they were read again."""
    data = feature_format.write(file)
    if methods.read(data) != file:
        raise SelfCheckFailed("a file of arrays is not read as it was written; please report it")
    return data


def decode_features(
    data: Bytes,
    *,
    region: Any = None,
    models: Store = store.DEFAULT,
    runtime: str | None = None,
) -> Any:
    """Decode what `encode_features` made.

    Args:
        data: the whole file, as bytes.
        region: of a file with one array, a part of it, as numpy is indexed: `(slice(100, 200), 3)`.
            Of an array in chunks only those that it lies in are decoded, and checked.
        models: where to look for weights that are not shipped, as for `lictor.codec.encode`.
        runtime: what computes networks, likewise.

    Returns:
        What went in: an array, or a dict of arrays, with their shapes, types and byte order; numpy
        arrays, but torch tensors for bfloat16, which numpy does not have.

    Raises:
        CodecError: a FileError for what is not such a file, or damaged; InvalidRegion for what is
            not there; ModelUnavailable.
    """
    if region is not None:
        return part_of(data, region, models.on(runtime))
    file = methods.read(view(data))
    with np.errstate(all="ignore"):  # of files that no encoder wrote
        arrays = {
            a.name: as_array(a.dtype, a.decode(_model(a, models.on(runtime))), a.big_endian)
            for a in file.arrays
        }
    if len(arrays) != len(file.arrays):
        raise CorruptFile("two arrays have one name; the file is damaged, get another copy of it")
    if file.kind != ".npy":
        return arrays
    if len(arrays) != 1:
        raise CorruptFile("an .npy file has one array; the file is damaged, get another copy of it")
    return next(iter(arrays.values()))


def _model(a: Array, models: Store) -> ArrayNetwork | None:
    """The one that coded an array, if any did."""
    return models.find_for_arrays(a.learned) if isinstance(a, Learned) else None


# ---- one array


@dataclass(frozen=True)
class _Options:
    """Of `encode_features`, as they are given there."""

    axis: int | None
    effort: int
    chunk: int | None
    exact: bool


@dataclass(frozen=True)
class _Way:
    """Weights, and the quality, None if it is to be found."""

    model: Any
    quality: Quality | None


def _way(
    model: str | os.PathLike[str] | None, quality: float | None, target: Target, models: Store
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
    own = None if aimed else qualities.given(qualities.DEFAULT if quality is None else quality)
    return _Way(models.load_for_arrays(model), own)


Candidates = Iterator[tuple[Array, Promise | None]]
"""Ways to code an array, the best first, and what decoded values are held against;
None where nothing was promised."""


def _encode_array(
    name: str,
    dtype: str,
    raw: npt.NDArray[Any],
    target: Target,
    options: _Options,
    way: _Way | None = None,
) -> Array:
    if options.exact:
        return _exactly(name, dtype, raw)
    own = whole_axis(options.axis, raw.ndim) if dtype in FLOATS and raw.size else None
    quickly = _quick_one(name, dtype, raw, own, target) if way is None else None
    if quickly is not None and options.effort == 0:
        return quickly
    exact = _exactly(name, dtype, raw)
    if dtype not in FLOATS or not np.isfinite(to_float64(dtype, raw)).any():
        return exact
    model, known = way.model if way else None, quickly or exact
    hurry = options.effort == 0 and raw.size >= quick.LEAST
    for coded, promise in _candidates(exact, raw, own, target, way, hurry):
        if size_of(coded) >= size_of(known):
            continue
        if promise is None or _kept(coded, raw, promise, model):
            return coded
    return known


def _quick_one(
    name: str, dtype: str, raw: npt.NDArray[Any], axis: int | None, target: Target
) -> Array | None:
    """Without a search, where that is possible and keeps the target."""
    for coded, promise in _quickly(name, dtype, raw, axis, target):
        small = size_of(coded) * _MUCH < packed_size(raw)
        if small and promise is not None and _kept(coded, raw, promise, None):
            return coded
    return None


def _exactly(name: str, dtype: str, raw: npt.NDArray[Any]) -> Exact:
    exact = Exact.encode(name, dtype, raw)
    if exact.decode().tobytes() != raw.tobytes():
        raise SelfCheckFailed(
            "an array that is kept exactly does not come back as it was; this machine's memory or "
            "its zlib is broken"
        )
    return exact


def _kept(coded: Array, raw: npt.NDArray[Any], promise: Promise, model: Any) -> bool:
    """Whether an array decodes, by what the decoder runs, to values that keep a promise."""
    try:
        back = coded.decode(model)
    except (CorruptFile, LatentMismatch):
        return False
    kept = quick.kept(promise, coded.dtype, raw, back)
    return kept or promise.kept(coded.dtype, raw, back)


def _quickly(
    name: str, dtype: str, raw: npt.NDArray[Any], axis: int | None, target: Target
) -> Candidates:
    way = quick.Quick.of(dtype, raw, axis) if target.bits is None else None
    if way is None:
        return
    if target.max_error is not None:
        promise, found = Promise(bound=target.max_error), way.bounded(target.max_error)
    else:
        near = way.int8() if target.mse is None else Distance.of_mse(target.mse)
        promise = Promise(distance=near)
        mixed = None
        if way.is_clipped() and not near.unit:
            mixed = Mixed.quickly(way, near)
            field.trim(raw.size)
        if mixed is not None:
            mixed.name = name
            yield mixed, promise
        found = way.within(near)
    if found is None:
        return
    try:
        coded = way.encode(found)
    except Uncodable:
        return
    array = Predicted.of(found.orders)
    array.name, array.dtype, array.shape = name, dtype, raw.shape
    array.axis = -1 if found.axis is None else found.axis
    array.patch, array.coded, array.step = found.patch, coded, found.step
    del found, way, coded  # whose integers take half the memory of the array
    field.trim(raw.size)
    yield array, promise


def _candidates(
    exact: Array,
    raw: npt.NDArray[Any],
    axis: int | None,
    target: Target,
    way: _Way | None,
    hurry: bool,
) -> Candidates:
    if target.bits is not None and size_of(exact) <= target.bits * raw.size / 8:
        return  # nothing is nearer
    if way is not None:
        yield from _learned(exact, raw, axis, target, way)
        if target.mse is None:
            return
    quantiser = Quantiser(exact.name, exact.dtype, raw, axis, hurry)
    if target.max_error is not None:
        yield from _bounded(quantiser, target.max_error)
    elif target.bits is not None:
        yield from _sized(quantiser, target.bits * raw.size / 8)
    else:
        near = quantiser.int8() if target.mse is None else Distance.of_mse(target.mse)
        yield from _near(quantiser, near, size_of(exact))


def _coded(encode: Callable[[float], A], step: float) -> list[A]:
    """The array coded with a step, if it can be."""
    try:
        return [encode(step)]
    except Uncodable:
        return []


def _bounded(quantiser: Quantiser, bound: float) -> Candidates:
    step = quantiser.step_for_bound(bound)
    try:
        yield Predicted.encode(quantiser, step, bound), Promise(bound=bound)
    except Uncodable:
        return


def _near(quantiser: Quantiser, distance: Distance, most: int) -> Candidates:
    """Within a mean squared error, the smallest first. most: bytes from which none is of use."""
    promise = Promise(distance=distance)
    step = quantiser.step_for(distance)
    predicted = partial(Predicted.encode, quantiser)
    found: list[Array] = [*_coded(predicted, step)]
    mixer = Mixed.mixer(quantiser, distance)
    mixed = mixer.step_for_mse(distance.mse) if mixer else None
    if mixer and mixed is not None:
        found += _coded(partial(Mixed.encode, quantiser, mixer), mixed)
    useful = [coded for coded in found if size_of(coded) < most]
    yield from ((coded, promise) for coded in sorted(useful, key=size_of))
    # Who asks for more has found these too far off.
    for _ in range(_FINER if useful and distance.mse > 0 else 0):
        step /= 1.5
        yield from ((coded, promise) for coded in _coded(predicted, step))


def _sized(quantiser: Quantiser, wanted: float) -> Candidates:
    """In at most so many bytes, the nearest first."""
    start, steps = quantiser.step_for(quantiser.int8()), quantiser.rungs()
    encode = partial(Predicted.encode, quantiser)
    plain = rate_search.Search(encode, quantiser.size, steps, wanted, start).run()
    found: list[tuple[Distance, Predicted | Mixed]] = []
    found += [(quantiser.idea(coded.step), coded) for coded in plain[:1]]
    if plain:
        most = max(wanted, size_of(plain[0]))
        for mixer in _mixers(quantiser, found[0][0]):
            mix = partial(Mixed.encode, quantiser, mixer)
            finer = [step for step in steps if step < mixer.coarsest]
            mixed = rate_search.Search(mix, mixer.size, finer, wanted, plain[0].step).run()
            found += [(mixer.idea(m.step), m) for m in mixed[:1] if size_of(m) <= most]
    for idea, coded in sorted(found, key=lambda item: item[0].root):
        yield coded, Promise(distance=idea.loosened())
    for coded in plain[1:]:
        yield coded, Promise(distance=quantiser.idea(coded.step).loosened())


def _mixers(quantiser: Quantiser, plain: Distance) -> list[Mixer]:
    """Components that may come nearer than the plain way does, in as many bytes.

    They cost less than channels, so that they come nearer with a finer step, and more of them then
    matter; where these are too many, fewer are tried. How fine is a power of 4, so that what is
    tried does not change with every byte that there may be.
    """
    if plain.mse <= 0 or plain.unit:
        return []
    least = math.ceil(math.log2(plain.mse / 16) / 2)
    thresholds = (Distance(4.0**power) for power in range(least, least + _THRESHOLDS))
    tried = [mixer for t in thresholds if (mixer := Mixed.mixer(quantiser, t))]
    return list({mixer.components: mixer for mixer in reversed(tried)}.values())


def _learned(
    exact: Array, raw: npt.NDArray[Any], axis: int | None, target: Target, way: _Way
) -> Candidates:
    from lictor.codec.arrays import learned

    planes = learned.Planes(to_float64(exact.dtype, raw), axis, way.model)

    def attempt(quality: Quality) -> Array:
        return Learned.encode(exact.name, exact.dtype, raw, planes, quality)

    if way.quality is not None:
        yield attempt(way.quality), None
    elif target.bits is not None:
        most = target.bits * raw.size / 8
        found = _last(lambda quality: size_of(attempt(quality)) <= most)
        yield attempt(Quality(found)), Promise()
    elif target.mse is not None:
        promise = Promise(distance=Distance.of_mse(target.mse))

        def too_far(quality: Quality) -> bool:
            return not _kept(attempt(quality), raw, promise, way.model)

        step = _last(too_far) + 1 if too_far(Quality(0)) else 0
        if step <= STEPS:
            yield attempt(Quality(step)), promise


def _last(holds: Callable[[Quality], bool]) -> int:
    """The highest quality, in steps, for which holds what holds up to some; at least 0."""
    low, high = 0, STEPS + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(Quality(middle)) else (low, middle)
    return low
