"""Caches to bytes and back: `encode`, `append`, `decode`, `info`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lictor.codec.errors import (
    CorruptFile,
    InvalidOption,
    InvalidTarget,
    SelfCheckFailed,
    UnsupportedArray,
)
from lictor.codec.format.picture import Bytes
from lictor.codec.kv import cache as caches
from lictor.codec.kv import form, search
from lictor.codec.kv.cache import Cache
from lictor.codec.kv.calibration import Calibration, find
from lictor.codec.kv.form import Chunk, Header
from lictor.codec.kv.layer import Layers, Rows
from lictor.codec.rows import bits as exact_bits
from lictor.codec.rows.arguments import positive, whole
from lictor.codec.rows.basis import MOST_COLUMNS

CHUNK = 256
SINKS = 4
"""First tokens, to which models pay attention whatever they say (G. Xiao et al., 2023,
arXiv:2309.17453): kept exactly unless told."""
TRANSFORMS = ("basis", "grid", "tensor")


@dataclass(frozen=True)
class KvInfo:
    """What a stream of keys and values says of itself.

    Attributes:
        tokens, values, bytes: how many.
        bits: of the stream, a value.
        dtype: of the values. sizes: of each layer heads and dim of keys, then of values.
        start: position of the first token. chunks: how many.
        way: "exact", "basis", "grid" or "tensor". calibration: the start of its hash, or None.
        step: of components or values; None if exact. rank: components of a matrix, at most.
        error: root of the squared errors' share of the squared values; 0 if exact.
        largest: error of any value.
        expected: divergence in nats that is expected of the model's next answers, by the
            calibration's gradients; None where nothing says so.
        raw: share of layers of chunks that are kept as they are.
    """

    tokens: int
    values: int
    bytes: int
    bits: float
    dtype: str
    sizes: list[tuple[int, int, int, int]]
    form: str
    start: int
    chunks: int
    way: str
    calibration: str | None
    step: float | None
    rank: int | None
    error: float
    largest: float
    expected: float | None
    raw: float


def encode(
    cache: Any,
    *,
    calibration: Any = None,
    lossless: bool = False,
    max_error: float | None = None,
    bits: float | None = None,
    divergence: float | None = None,
    transform: str | None = None,
    rank: int | None = None,
    sinks: int = SINKS,
    recent: int = 0,
    chunk: int = CHUNK,
    start: int = 0,
) -> bytes:
    """Encode a cache of keys and values.

    Args:
        cache: what `lictor.kv.Cache` is made of: a `DynamicCache` of transformers, pairs of keys
            and values, an array (layers, 2, tokens, channels), or a dict of named matrices;
            float16, bfloat16 or float32.
        calibration: a `Calibration` of the model, or the path or bytes of one. Without one a cache
            is coded without loss unless a target is given.
        lossless: everything comes back bit by bit.
        max_error: no value is further off, after rounding to its type.
        bits: a value, of the stream, at most; found by search.
        divergence: of the model's next answers, in nats, as the calibration's gradients expect it;
            0.005 if nothing else is asked for, and there are gradients.
        transform: "basis", the calibration's; "grid", none; "tensor", a small and a large factor
            found for each matrix. With a calibration the first unless told, and max_error.
        rank: components of each matrix that are kept at most; bases are nested.
        sinks: first tokens of a text that are kept as they are; none where `start` is beyond them.
        recent: last tokens that are kept as they are.
        chunk: tokens that are coded together, and decode without the others.
        start: position of the first token in its text.

    Returns:
        The stream. It is never longer than the cache by more than its headers, whatever is asked.

    Raises:
        CodecError: UnsupportedArray for what is no cache, or not the calibration's model's;
            InvalidTarget for targets that are none, or several; InvalidOption; FileError for a
            calibration that is none.
    """
    found = caches.of(cache)
    own = None
    if calibration is not None:
        own = calibration if isinstance(calibration, Calibration) else Calibration.load(calibration)
        found = _as_known(found, own)
    header = Header(found.dtype, found.sizes, found.form)
    header.chunk = whole("chunk", chunk, 1, form.MOST_TOKENS)
    header.start = whole("start", start, 0, form.MOST_POSITION)
    header.sinks = whole("sinks", sinks, 0, form.MOST_POSITION)
    header.recent = whole("recent", recent, 0, form.MOST_POSITION)
    header.rank = whole("rank", MOST_COLUMNS if rank is None else rank, 1, MOST_COLUMNS)
    targets = {"max_error": max_error, "bits": bits, "divergence": divergence}
    given = {name: positive(name, v) for name, v in targets.items() if v is not None}
    if len(given) + bool(lossless) > 1:
        raise InvalidTarget("give one of lossless, max_error, bits and divergence, not several")
    header.way = _way(given, lossless, own, transform)
    if own and header.way in (form.EXACT, form.BASIS):
        header.calibration = own.hash
    if header.way == form.EXACT and own is None:
        return _exact(header, found)
    layers = Layers(header, own if header.calibration else None)
    layers, chunks = search.reached(
        layers, found, given, lambda tried, check: _chunks(tried, found, found.tokens, check=check)
    )
    return form.written(layers.header, chunks)


def _exact(header: Header, cache: Cache) -> bytes:
    """With tables of its own, if they save more than they take."""
    made = []
    for models in (_models(cache), []):
        own = replace(header, models=models)
        made.append(form.written(own, _chunks(Layers(own), cache, cache.tokens)))
    return min(made, key=len)


def append(data: Bytes, cache: Any, *, calibration: Any = None) -> bytes:
    """The chunks of further tokens, to put behind a stream.

    Args:
        data: the stream so far, which says how everything is coded.
        cache: of the tokens that follow its last.
        calibration: as for `decode`.

    Returns:
        The bytes to add.

    Raises:
        CodecError: a FileError for what is no stream; UnsupportedArray for a cache that is not like
            it; CalibrationUnavailable.
    """
    header, chunks = form.read(data)
    found = caches.of(cache)
    if (found.dtype, found.sizes) != (header.dtype, header.sizes):
        raise UnsupportedArray("the cache is of another type or model than the stream; encode it")
    at = sum(c.tokens for c in chunks)
    own = find(header.calibration, calibration) if header.calibration else None
    layers = Layers(header, own)
    made = _chunks(layers, found, at + found.tokens, at)
    return b"".join(form.written_chunk(header, c) for c in made)


def decode(
    data: Bytes,
    *,
    calibration: Any = None,
    tokens: tuple[int, int] | None = None,
    layers: Iterable[int] | None = None,
) -> Cache:
    """Decode a stream, or part of it.

    Args:
        data: the stream.
        calibration: that it was made with, a `Calibration`, or the path or bytes of one; None: it
            is looked for in the files that LICTOR_CALIBRATIONS names.
        tokens: from … to before …, counted from the first of the stream; None for all. Only chunks
            that they lie in are decoded.
        layers: numbers of those to decode, in the order in which they are wanted; None for all.

    Returns:
        The cache; its `dynamic_cache()`, `tensors()`, `array()` and `named()` are for others.

    Raises:
        CodecError: a FileError for what is no stream, or damaged; CalibrationUnavailable;
            InvalidOption for tokens or layers that there are not.
    """
    header, chunks = form.read(data)
    own = find(header.calibration, calibration) if header.calibration else None
    if own is not None and own.sizes != header.sizes:
        raise CorruptFile("the stream's sizes are not its calibration's; get another copy of it")
    coder = Layers(header, own)
    total = sum(c.tokens for c in chunks)
    first, last = (0, total) if tokens is None else tokens
    if not 0 <= first < last <= total:
        raise InvalidOption(f"tokens {first} to {last} are not in the stream's 0 to {total}")
    numbers = list(range(len(header.sizes)) if layers is None else layers)
    if not numbers or not all(0 <= n < len(header.sizes) for n in numbers):
        raise InvalidOption(f"layers {numbers} are not all of 0 to {len(header.sizes) - 1}")
    return _decoded(coder, chunks, first, last, numbers)


@np.errstate(all="ignore")  # of streams that no encoder wrote
def _decoded(
    coder: Layers, chunks: Sequence[Chunk], first: int, last: int, numbers: list[int]
) -> Cache:
    header = coder.header
    found = []
    for n in numbers:
        kh, kd, vh, vd = header.sizes[n]
        kind = np.dtype("uint16" if header.dtype == "bfloat16" else header.dtype)
        shapes = ((last - first, kh, kd), (last - first, vh, vd))
        found.append((np.empty(shapes[0], kind), np.empty(shapes[1], kind)))
    at = 0
    for c in chunks:
        low, high = max(first, at), min(last, at + c.tokens)
        for out, n in zip(found, numbers, strict=True) if low < high else ():
            rows = Rows(n, at, c.tokens, c.first, c.last)
            pair = coder.decode(c.ways[n], c.payloads[n], rows)
            for all_rows, part in zip(out, pair, strict=True):
                all_rows[low - first : high - first] = part[low - at : high - at]
        at += c.tokens
    return Cache(header.dtype, found, header.form)


def info(data: Bytes) -> KvInfo:
    """What a stream says of itself; needs no calibration, and decodes nothing.

    Args:
        data: the stream.

    Raises:
        FileError: it is none, or damaged.
    """
    h, chunks = form.read(data)
    tokens = sum(c.tokens for c in chunks)
    values = tokens * h.columns
    power = sum(c.power for c in chunks)
    expected = sum(c.expected for c in chunks) / tokens
    step = {form.EXACT: None, form.BASIS: 2 ** (-h.quality / 8)}.get(h.way, h.step)
    ways = [way for c in chunks for way in c.ways]
    return KvInfo(
        tokens=tokens,
        values=values,
        bytes=len(data),
        bits=8 * len(data) / values,
        dtype=h.dtype,
        sizes=h.sizes,
        form=h.form,
        start=h.start,
        chunks=len(chunks),
        way=form.WAYS[h.way],
        calibration=h.calibration.hex()[:16] or None,
        step=step,
        rank=h.rank if h.way == form.BASIS and h.rank < MOST_COLUMNS else None,
        error=math.sqrt(sum(c.error for c in chunks) / power) if power > 0 else 0.0,
        largest=max(c.largest for c in chunks),
        expected=None if math.isnan(expected) else expected,
        raw=ways.count(form.RAW) / len(ways),
    )


# ---- encoding


def _chunks(
    layers: Layers, cache: Cache, total: int, at: int = 0, *, check: bool = True
) -> list[Chunk]:
    """Those of a cache whose first token is the stream's `at`-th of so many.

    check: decode them, to tell how near they are; a search for bits need not.
    """
    h, made = layers.header, []
    for low in range(0, cache.tokens, h.chunk):
        part = cache.part(low, min(low + h.chunk, cache.tokens))
        first = min(max(h.sinks - h.start - at - low, 0), part.tokens)
        last = min(max(at + low + part.tokens - (total - h.recent), 0), part.tokens - first)
        if h.way == form.EXACT:
            first = last = 0
        made.append(_chunk(layers, part, Rows(0, at + low, part.tokens, first, last), check))
    return made


@np.errstate(all="ignore")  # of what is not finite, and keeps its layer as it is
def _chunk(layers: Layers, part: Cache, rows: Rows, check: bool) -> Chunk:
    """Each layer is decoded again, to tell how near it is. Raises SelfCheckFailed."""
    made = Chunk(rows.tokens, rows.first, rows.last, expected=0.0)
    h = layers.header
    for n, pair in enumerate(part.layers):
        own = replace(rows, layer=n)
        how, payload = layers.encode(pair, own)
        made.ways.append(how)
        made.payloads.append(payload)
        if not check:
            continue
        error, power, largest, expected = layers.errors(
            pair, layers.decode(how, payload, own) if how == form.CODED else pair, own
        )
        if (h.way == form.EXACT and largest) or (h.bound and largest > h.bound):
            raise SelfCheckFailed("a cache does not decode as it should; please report it")
        made.error += error
        made.power += power
        made.largest = max(made.largest, largest)
        made.expected += expected
    return made


def _models(cache: Cache) -> list[tuple[exact_bits.Model, exact_bits.Model]]:
    """Tables of a cache's own for its exact values."""
    flat = [[m.reshape(len(m), -1) for m in pair] for pair in cache.layers]
    return [(exact_bits.fit(cache.dtype, k), exact_bits.fit(cache.dtype, v)) for k, v in flat]


def _way(
    given: dict[str, float], lossless: bool, own: Calibration | None, transform: str | None
) -> int:
    """Raises InvalidTarget, InvalidOption."""
    if transform not in (None, *TRANSFORMS):
        raise InvalidOption(f"transform is {transform!r}; take one of {', '.join(TRANSFORMS)}")
    bounded = "max_error" in given
    if (lossless and transform) or (bounded and transform not in (None, "grid")):
        raise InvalidTarget("a transform keeps no bound; leave it out, or ask for bits")
    if lossless:
        return form.EXACT
    if bounded:
        return form.GRID
    if "divergence" in given and (transform not in (None, "basis") or not own or not own.weighted):
        raise InvalidTarget("a divergence is expected by a calibration with gradients; give one")
    if transform == "basis" and own is None:
        raise InvalidOption("the transform basis is a calibration's; give one")
    if transform:
        return form.WAYS.index(transform)
    if own:
        return form.BASIS
    return form.GRID if given else form.EXACT


def _as_known(cache: Cache, own: Calibration) -> Cache:
    """With heads as the calibration has them, which a cache of (tokens, channels) does not tell."""
    given, known = ([(kh * kd, vh * vd) for kh, kd, vh, vd in x.sizes] for x in (cache, own))
    if given != known:
        raise UnsupportedArray(
            f"a cache of {len(cache.sizes)} layers, the first {cache.sizes[0]}, is not of the "
            f"calibration's model: {len(own.sizes)}, {own.sizes[0]}; make one for it"
        )
    shapes = [((-1, kh, kd), (-1, vh, vd)) for kh, kd, vh, vd in own.sizes]
    pairs = zip(cache.layers, shapes, strict=True)
    layers = [(k.reshape(keys), v.reshape(values)) for (k, v), (keys, values) in pairs]
    return Cache(cache.dtype, layers, cache.form)
