"""Quantised feature tensors to an entropy-coded stream and back: FEATURES.md, "The stream".

Syntax functions are written once: `io` is one direction of entropy coding (`SymbolIo`), and gives
back what is coded.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import analysis, context, direct
from lictor.codec.arrays import field as fields
from lictor.codec.arrays.analysis import DIRECT, MAX_TABLES, RESIDUAL, ROOT, AnyInt
from lictor.codec.arrays.context import LEVELS, MAX_SYMBOL, PASSES, Grid, IntArray, Weights
from lictor.codec.errors import CodecError, CorruptFile
from lictor.codec.format.picture import Bytes
from lictor.entropy import (
    CorruptStream,
    Decoder,
    Encoder,
    Pull,
    Push,
    SymbolIo,
    Tables,
    fitted,
    gaussian_sigmas,
    gaussian_tables,
)
from lictor.entropy.fitted import ENTRIES, MAX_LOG, MAX_SHIFT, Shape

_CHOICE = 104
"""The Gaussian table (sigma 56) that tells which one codes the integers that follow."""
_MIDDLE = 64
_PUSHED = 2**15
"""Symbols that are made 32 bits wide together."""
_PRICED = 2**11
"""Larger symbols are taken for as dear as this one, when tables are chosen."""


class Uncodable(CodecError):
    """What no stream can hold: the array has to be coded in another way."""


def ints(io: SymbolIo, values: npt.ArrayLike, count: int) -> IntArray:
    """Code `count` integers of int32 of about one magnitude; returns them as int64.

    values: count of them, of whatever length where a decoder gives them, which takes them from the
    stream. Raises Uncodable, CorruptFile, CorruptStream.
    """
    symbols = None if io.decoding else _int32(values)
    if not count:
        return np.zeros(0, np.int64)
    choice = None if symbols is None else np.array([_gaussian_for(symbols) - _MIDDLE], np.int32)
    table = int(io.code(choice, np.full(1, _CHOICE, np.uint8))[0]) + _MIDDLE
    if not 0 <= table < len(gaussian_tables()):
        raise _damaged("names a table that there is not")
    return io.code(symbols, np.full(count, table, np.uint8)).astype(np.int64)


def _int32(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    integers = np.asarray(values, np.int64).ravel()
    symbols = integers.astype(np.int32)
    if (symbols != integers).any():
        raise Uncodable("a number that describes the tensor does not fit 32 bits")
    return symbols


def _gaussian_for(symbols: npt.NDArray[np.int32]) -> int:
    """The Gaussian table that codes the symbols in the fewest bits, about."""
    sizes = np.abs(symbols.astype(np.int64))
    floats, middle = sizes.astype(np.float64), sizes.size // 2
    root = math.sqrt(float(floats @ floats) / sizes.size)
    median = float(np.partition(sizes, middle)[middle])
    guesses = root, 1.25 * float(floats.sum()) / sizes.size, 1.5 * median
    near = {bisect_left(_between_sigmas(), max(s, 0.11)) for s in guesses}
    if len(near) == 1:
        return near.pop()
    known = np.minimum(sizes, _PRICED)
    return min(sorted(near), key=lambda table: float(_prices(table)[known].sum()))


@lru_cache(maxsize=1)
def _between_sigmas() -> list[float]:
    """Up to which deviation each Gaussian table is the nearest."""
    sigmas = gaussian_sigmas()
    return [math.sqrt(a * b) for a, b in pairwise(sigmas.tolist())]


@lru_cache(maxsize=128)
def _prices(table: int) -> npt.NDArray[np.float64]:
    """Bits of symbols of sizes 0 to _PRICED with a Gaussian table."""
    return gaussian_tables().cost(np.arange(_PRICED + 1), np.full(_PRICED + 1, table))


def _damaged(what: str) -> CorruptFile:
    return CorruptFile(f"the stream of a tensor {what}; the file is damaged, get another copy")


@dataclass
class Model:
    """What the stream says before its symbols.

    weights: of each channel, of each pass. mode: RESIDUAL or DIRECT.
    low: but for RESIDUAL: bits of a value that are written as they are, 0…MAX_SHIFT.
    bounds: of contexts; a value's context is how many of them are at or below its level (RESIDUAL)
        or its prediction (else).
    shapes: the table of each context, one more than bounds.
    """

    weights: list[list[Weights]]
    mode: int = RESIDUAL
    low: int = 0
    bounds: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    shapes: list[Shape] = field(default_factory=list)


# ---- syntax


def _model_syntax(io: SymbolIo, g: Grid, model: Model) -> Model:
    weights = _weights_syntax(io, g, [w for turns in model.weights for w in turns])
    start = ints(io, [model.mode, model.low, len(model.bounds)], 3)
    mode, low, count = (int(v) for v in start)
    known = mode in (RESIDUAL, DIRECT, ROOT) and 0 <= low <= MAX_SHIFT * (mode != RESIDUAL)
    if not known or not 0 <= count < MAX_TABLES:
        raise _damaged("has an unknown way of coding")
    steps = ints(io, np.diff(model.bounds, prepend=0), count)
    bounds = np.cumsum(steps)
    if (steps[1:] <= 0).any():
        raise _damaged("has contexts out of order")
    pairs = [weights[i : i + PASSES] for i in range(0, len(weights), PASSES)]
    return Model(pairs, mode, low, bounds, _shapes_syntax(io, model.shapes, count + 1))


def _weights_syntax(io: SymbolIo, g: Grid, weights: list[Weights]) -> list[Weights]:
    """All channels' taps, then their distances, places, weights, biases and spreads."""
    size = g.channels * PASSES
    counts = ints(io, [len(w.rows) for w in weights], size)
    if ((counts < 0) | (counts > context.MAX_TAPS)).any():
        raise _damaged("has too many taps")
    total = int(counts.sum())
    rows = np.concatenate([w.rows for w in weights]) if weights else np.zeros((0, 3), np.int32)
    distances = ints(io, rows[:, 0], total)
    places = ints(io, rows[:, 1] - context.CENTRE, total) + context.CENTRE
    values = ints(io, rows[:, 2], total)
    biases = ints(io, [w.bias for w in weights], size).tolist()
    spreads = np.stack([ints(io, [w.spread[i] for w in weights], size) for i in range(3)], 1)
    large = (np.abs(values) > context.MAX_WEIGHT).any()
    if large or (spreads < 0).any() or (spreads[:, 1:] > context.MAX_WEIGHT).any():
        raise _damaged("has a weight outside its range")
    if not context.all_allowed(g, np.repeat(np.arange(size), counts), distances, places):
        raise _damaged("predicts from what is not there yet")
    taps = np.stack([distances, places, values], 1).astype(np.int32)
    ends = np.cumsum(counts).tolist()
    return [
        Weights(taps[end - n : end], bias, tuple(spread))
        for end, n, bias, spread in zip(
            ends, counts.tolist(), biases, spreads.tolist(), strict=True
        )
    ]


def _shapes_syntax(io: SymbolIo, shapes: list[Shape], count: int) -> list[Shape]:
    """Entries, offsets and shifts of all tables, then each table's logarithms as differences."""
    sizes = ints(io, [len(s.logs) - 1 for s in shapes], count)
    offsets = ints(io, [s.offset for s in shapes], count).tolist()
    shifts = ints(io, [s.shift for s in shapes], count)
    if ((sizes < 1) | (sizes > ENTRIES)).any() or ((shifts < 0) | (shifts > MAX_SHIFT)).any():
        raise _damaged("has a table of a size that there is not")
    escapes = ints(io, [s.logs[-1] for s in shapes], count)
    firsts = ints(io, [s.logs[0] for s in shapes], count).tolist()
    steps = [b - a for s in shapes for a, b in pairwise(s.logs[:-1])]
    flat = ints(io, steps, int(sizes.sum()) - count).tolist()
    found, start = [], 0
    for i, size in enumerate(sizes.tolist()):
        own = list(accumulate(flat[start : start + size - 1], initial=firsts[i]))
        start += size - 1
        if min(own) < 0 or max(own) > MAX_LOG or not -1 <= escapes[i] <= MAX_LOG:
            raise _damaged("has a frequency that there is not")
        found.append(Shape(offsets[i], int(shifts[i]), [*own, int(escapes[i])]))
    return found


# ---- coding


def encode(q: AnyInt, g: Grid, quick: bool = False) -> bytes:
    """The stream of a tensor.

    Args:
        q: integers (channels, plane), within MAX_SYMBOL.
        g: how the tensor is cut.
        quick: choose weights from less; integers of int16 and int32 are written over.

    Raises Uncodable.
    """
    return _encode(q, g, quick)[1]


def sizes(q: AnyInt, g: Grid, quick: bool = False) -> tuple[int, int]:
    """Bytes of what the stream says before its symbols, about, and of all of it."""
    model, data = _encode(q, g, quick)
    encoder = Encoder(checksum=False)
    _model_syntax(Push(encoder), g, model)
    return len(encoder.finish()), len(data)


def _encode(q: AnyInt, g: Grid, quick: bool) -> tuple[Model, bytes]:
    if q.size and max(int(q.max()), -int(q.min())) > MAX_SYMBOL:
        raise Uncodable("a level of the tensor is out of range")
    found = analysis.choose(q, g, quick)
    if quick:
        fields.trim(q.size)
    model = Model(found.weights, found.mode, found.low, found.bounds, found.shapes)
    encoder = Encoder(checksum=False)
    io = Push(encoder)
    _model_syntax(io, g, model)
    tables = fitted.tables(model.shapes)
    if model.mode == RESIDUAL:
        for start in range(0, found.symbols.size, _PUSHED):
            part = slice(start, start + _PUSHED)
            symbols = found.symbols[part].astype(np.int32, copy=False)
            io.code(symbols, found.contexts[part], tables)
        del found
        return model, encoder.finish()
    start = 0
    for size in (g.sizes[turn] for _ in range(g.channels) for turn in range(PASSES)):
        part = slice(start, start + size)
        _push_split(io, found.symbols[part], found.contexts[part], tables, model.low)
        start += size
    del found
    return model, encoder.finish()


@lru_cache(maxsize=MAX_SHIFT)
def _raw(low: int) -> Tables:
    """A table of no information, whose symbols are `low` bits as they are."""
    return Tables.from_frequencies([[fitted.TOTAL, 0]], 0, low)


def _push_split(
    io: Push, values: AnyInt, index: npt.NDArray[np.uint8], tables: Tables, low: int
) -> None:
    """Values in two parts: what has a table, then the low bits."""
    high, rest = direct.split(values, low)
    io.code(high, index, tables)
    if low:
        io.code(rest, np.zeros(rest.size, np.uint8), _raw(low))


def _pull_split(
    io: Pull, index: npt.NDArray[np.uint8], tables: Tables, low: int
) -> npt.NDArray[np.int32] | None:
    """Likewise; None where a value is out of range."""
    high = io.code(None, index, tables)
    count = int(np.count_nonzero(high)) if low else 0
    rest = io.code(None, np.zeros(count, np.uint8), _raw(low)) if count else high[:0]
    return direct.join(high, rest, low)


def decode(data: Bytes, g: Grid) -> AnyInt:
    """The tensor of a stream (channels, plane), int32, or int16 if these do. Raises CorruptFile."""
    try:
        return _decode(data, g)
    except CorruptStream as e:
        raise _damaged(f"does not decode ({e})") from e


def _decode(data: Bytes, g: Grid) -> AnyInt:
    decoder = Decoder(data, checksum=False)
    io = Pull(decoder)
    model = _model_syntax(io, g, Model([]))
    try:
        tables = fitted.tables(model.shapes)
    except ValueError as e:
        raise _damaged(f"has a table that is none ({e})") from e
    field = fields.of(g)
    contexts = np.searchsorted(model.bounds, np.arange(LEVELS), side="right").astype(np.uint8)
    for c in range(g.channels):
        for turn in range(PASSES):
            if not g.sizes[turn]:
                continue
            w = model.weights[c][turn]
            if model.mode == RESIDUAL:
                rounded, index = field.expect(c, turn, w, contexts)
                good = field.restore(c, turn, rounded, io.code(None, index, tables))
            else:
                index = field.contexts(c, turn, w, model.bounds)
                values = _pull_split(io, index, tables, model.low)
                good = values is not None
                if values is not None:
                    field.store(c, turn, values, model.mode == ROOT)
            if not good:
                raise _damaged("has a value outside its range")
    decoder.close()
    return field.values
