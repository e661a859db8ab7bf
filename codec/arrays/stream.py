"""Quantised feature tensors to an entropy-coded stream and back: FEATURES.md, "The stream".

Syntax functions are written once: `io` is one direction of entropy coding (`SymbolIo`), and gives
back what is coded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import context, predictor_fit
from lictor.codec.arrays import field as fields
from lictor.codec.arrays.context import LEVELS, MAX_SYMBOL, PASSES, Grid, IntArray, Weights
from lictor.codec.arrays.field import Field
from lictor.codec.errors import CodecError, CorruptFile
from lictor.codec.format.picture import Bytes
from lictor.entropy import (
    CorruptStream,
    Decoder,
    Encoder,
    Price,
    Pull,
    Push,
    SymbolIo,
    Tables,
    fitted,
    gaussian_sigmas,
    gaussian_tables,
)
from lictor.entropy.fitted import ENTRIES, MAX_LOG, MAX_SHIFT, Shape

RESIDUAL, DIRECT, ROOT = 0, 1, 2
"""What a symbol is: the value less its prediction, or the value itself, with its prediction as its
context. ROOT is DIRECT with square roots predicted in place of values: for what is mostly 0."""
MAX_TABLES = 128
_CHOICE = 104
"""The Gaussian table (sigma 56) that tells which one codes the integers that follow."""
_MIDDLE = 64
_SOME = 2**16
"""Values by which the way of coding is chosen in a hurry."""
AnyInt = npt.NDArray[Any]


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
    sigmas = gaussian_sigmas()
    sizes = np.abs(symbols.astype(np.float64))
    guesses = np.sqrt((sizes**2).mean()), 1.25 * sizes.mean(), 1.5 * np.median(sizes)
    near = {int(np.abs(np.log(sigmas / max(s, 0.11))).argmin()) for s in guesses}

    def bits(table: int) -> float:
        price = Price()
        price.code(symbols, np.full(symbols.size, table, np.uint8))
        return price.bits

    return min(sorted(near), key=bits)


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
    counts = ints(io, [len(w.taps) for w in weights], size)
    if ((counts < 0) | (counts > context.MAX_TAPS)).any():
        raise _damaged("has too many taps")
    total = int(counts.sum())
    distances = ints(io, [d for w in weights for d, _ in w.taps], total).tolist()
    places = ints(io, [p - context.CENTRE for w in weights for _, p in w.taps], total).tolist()
    values = ints(io, [v for w in weights for v in w.values], total).tolist()
    biases = ints(io, [w.bias for w in weights], size).tolist()
    spreads = [ints(io, [w.spread[i] for w in weights], size).tolist() for i in range(3)]
    if any(abs(v) > context.MAX_WEIGHT for v in values) or any(
        min(s, default=0) < 0 for s in spreads
    ):
        raise _damaged("has a weight outside its range")
    if any(max(s, default=0) > context.MAX_WEIGHT for s in spreads[1:]):
        raise _damaged("has a weight outside its range")
    found, start = [], 0
    for i, count in enumerate(counts.tolist()):
        taps = [(distances[j], places[j] + context.CENTRE) for j in range(start, start + count)]
        if not all(context.allowed(g, i // PASSES, i % PASSES, tap) for tap in taps):
            raise _damaged("predicts from what is not there yet")
        spread = (spreads[0][i], spreads[1][i], spreads[2][i])
        found.append(Weights(taps, values[start : start + count], biases[i], spread))
        start += count
    return found


def _shapes_syntax(io: SymbolIo, shapes: list[Shape], count: int) -> list[Shape]:
    """Entries, offsets and shifts of all tables, then each table's logarithms as differences."""
    sizes = ints(io, [len(s.logs) - 1 for s in shapes], count)
    offsets = ints(io, [s.offset for s in shapes], count).tolist()
    shifts = ints(io, [s.shift for s in shapes], count)
    if ((sizes < 1) | (sizes > ENTRIES)).any() or ((shifts < 0) | (shifts > MAX_SHIFT)).any():
        raise _damaged("has a table of a size that there is not")
    escapes = ints(io, [s.logs[-1] for s in shapes], count)
    firsts = ints(io, [s.logs[0] for s in shapes], count)
    steps = [np.diff(s.logs[:-1]) for s in shapes]
    flat = ints(io, np.concatenate(steps) if steps else [], int(sizes.sum()) - count)
    found, start = [], 0
    for i, size in enumerate(sizes.tolist()):
        own = np.cumsum([firsts[i], *flat[start : start + size - 1]])
        start += size - 1
        if ((own < 0) | (own > MAX_LOG)).any() or not -1 <= escapes[i] <= MAX_LOG:
            raise _damaged("has a frequency that there is not")
        found.append(Shape(offsets[i], int(shifts[i]), [*own.tolist(), int(escapes[i])]))
    return found


# ---- coding


def encode(q: AnyInt, g: Grid, quick: bool = False) -> bytes:
    """The stream of a tensor.

    Args:
        q: integers (channels, plane), within MAX_SYMBOL.
        g: how the tensor is cut.
        quick: choose weights from less.

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
    sparse = bool(np.count_nonzero(q) * 2 < q.size and _low_bits(q) <= MAX_SHIFT)
    analyse = _analyse_quickly if quick and fields.available() else _analyse
    analysis = analyse(q, g, sparse)
    model, contexts = _choose(analysis, quick)
    encoder = Encoder(checksum=False)
    io = Push(encoder)
    _model_syntax(io, g, model)
    tables, index = fitted.tables(model.shapes), contexts.astype(np.uint8, copy=False)
    if model.mode == RESIDUAL:
        io.code(analysis.residuals.astype(np.int32, copy=False), index, tables)
        return model, encoder.finish()
    start = 0
    for size in (g.places[turn].size for _ in range(g.channels) for turn in range(PASSES)):
        part = slice(start, start + size)
        _code_split(io, analysis.values[part], index[part], tables, model.low)
        start += size
    return model, encoder.finish()


def _split(values: IntArray, low: int) -> IntArray:
    """What DIRECT codes with a table of a value: sign(q) · ceil(|q| / 2^low). 0 stays alone."""
    return np.sign(values) * ((np.abs(values) + (1 << low) - 1) >> low)


def _raw(low: int) -> Tables:
    """A table of no information, whose symbols are `low` bits as they are."""
    return Tables.from_frequencies([[fitted.TOTAL, 0]], 0, low)


def _code_split(
    io: SymbolIo,
    values: IntArray | None,
    index: npt.NDArray[np.uint8],
    tables: Tables,
    low: int,
) -> IntArray:
    """Values, None of a decoder, in two parts: what has a table, then the low bits."""
    first = None if values is None else _split(values, low).astype(np.int32)
    high = io.code(first, index, tables).astype(np.int64)
    if not low:
        return high
    some, rest = high != 0, None
    if values is not None:
        rest = np.abs(values[some]) - 1 & (1 << low) - 1
        rest = (rest - (1 << (low - 1))).astype(np.int32)
    raw = io.code(rest, np.zeros(int(some.sum()), np.uint8), _raw(low)) + (1 << (low - 1))
    high[some] = np.sign(high[some]) * (((np.abs(high[some]) - 1) << low) + raw + 1)
    return high


@dataclass
class _Analysis:
    """All values in the order of coding, with what is predicted of each."""

    sparse: bool
    weights: list[list[Weights]]
    values: AnyInt
    predictions: IntArray
    residuals: AnyInt
    levels: AnyInt

    def some(self) -> _Analysis:
        """Of some of the values; an odd distance meets no period of a power of 2."""
        part = slice(None, None, (self.values.size // _SOME) | 1)
        rest = (self.values, self.predictions, self.residuals, self.levels)
        return _Analysis(self.sparse, self.weights, *(v[part] for v in rest))


def _roots(values: AnyInt) -> IntArray:
    """What ROOT predicts: sign(q) · floor(√(64 |q|)); IEEE's square root makes it exact."""
    return np.sign(values) * np.floor(np.sqrt(64.0 * np.abs(values))).astype(np.int64)


def _analyse_quickly(q: AnyInt, g: Grid, sparse: bool) -> _Analysis:
    """In C."""
    q = np.ascontiguousarray(q, np.int32)
    f = fields.Fitted(g, _roots(q).astype(np.int32) if sparse else q)
    return _Analysis(sparse, f.weights, f.ordered(q), f.predictions, f.residuals, f.levels)


def _analyse(q: AnyInt, g: Grid, sparse: bool) -> _Analysis:
    seen = _roots(q) if sparse else q
    coded, errors = seen.astype(np.float64), np.zeros(q.shape)
    weights, predictions, residuals, levels, values = [], [], [], [], []
    for c in range(g.channels):
        own = []
        for turn in range(PASSES):
            w = predictor_fit.fit(g, coded, c, turn)
            prediction = context.predict(g, coded, c, turn, w)
            here = q[c][g.places[turn]]
            left = seen[c][g.places[turn]] - context.rounded(prediction)
            errors[c][g.places[turn]] = np.abs(left)
            predictor_fit.fit_spread(g, errors, c, turn, w)
            own.append(w)
            values.append(here)
            predictions.append(prediction)
            residuals.append(left)
            levels.append(context.levels(g, errors, c, turn, w))
        weights.append(own)
    return _Analysis(
        sparse, weights, *(np.concatenate(v) for v in (values, predictions, residuals, levels))
    )


def _choose(a: _Analysis, quick: bool = False) -> tuple[Model, npt.NDArray[Any]]:
    """The way of coding that takes fewer bits, and each value's context in it.

    quick: that is seen from some of the values.
    """
    low = _low_bits(a.values)
    modes = [] if a.sparse else [RESIDUAL]
    if low <= MAX_SHIFT:  # what is sparse was seen to have few enough low bits
        modes.append(ROOT if a.sparse else DIRECT)
    if quick and len(modes) > 1:
        part = a.some()
        modes = [min(modes, key=lambda mode: _way(part, low, mode)[0])]
    found = {mode: _way(a, low, mode) for mode in modes}
    mode = min(modes, key=lambda mode: found[mode][0])
    bounds, shapes, contexts = found[mode][1]
    if mode == RESIDUAL:
        return Model(a.weights, mode, 0, bounds, shapes), contexts
    for w in (w for turns in a.weights for w in turns):
        w.spread = (0, 0, 0)
    return Model(a.weights, mode, low, bounds, shapes), contexts


_Contexts = tuple[IntArray, list[Shape], npt.NDArray[Any]]
"""Bounds, tables, and each value's context."""


def _way(a: _Analysis, low: int, mode: int) -> tuple[float, _Contexts]:
    """Bits, and contexts, of a way of coding."""
    if mode == RESIDUAL:
        return _contexts(a.residuals, a.levels, np.arange(1, LEVELS))
    wanted = np.linspace(0, 1, min(MAX_TABLES, 2 + a.values.size // 1000) + 1)[1:-1]
    cuts = np.unique(np.quantile(a.predictions, wanted, method="nearest").astype(np.int64))
    high = _split(a.values, low)
    cost, found = _contexts(high, a.predictions, cuts[np.abs(cuts) < 2**30])
    return cost + low * np.count_nonzero(high), found


def _low_bits(values: IntArray) -> int:
    """The fewest low bits to split off so that what is left has a table entry each."""
    low = 0
    while (
        low <= MAX_SHIFT
        and np.ptp(_split(np.array([values.min(), values.max()]), low)) >= ENTRIES - 1
    ):
        low += 1
    return low


def _contexts(symbols: AnyInt, key: AnyInt, bounds: IntArray) -> tuple[float, _Contexts]:
    """Bits; bounds, tables and contexts, after those that are not worth a table were merged."""
    # A level is the number of bounds at or below itself.
    leveled = key.dtype == np.uint8
    fine = key if leveled else np.searchsorted(bounds, key, side="right")
    found = fitted.histograms(symbols, fine, bounds.size + 1)
    starts = fitted.merge(found, MAX_TABLES)
    kept = bounds[np.array(starts[1:], int) - 1]
    run = np.searchsorted(starts, np.arange(bounds.size + 1), side="right") - 1
    contexts = run.astype(np.uint8)[fine]
    joined = fitted.joined(found, starts)
    if joined is None:
        joined = fitted.histograms(symbols, contexts, kept.size + 1)
    cost = sum(fitted.bits(h) for h in joined)
    return cost, (kept, [fitted.shape(h) for h in joined], contexts)


def decode(data: Bytes, g: Grid) -> npt.NDArray[np.int32]:
    """The tensor of a stream, int32 (channels, plane). Raises CorruptFile."""
    try:
        return _decode(data, g)
    except CorruptStream as e:
        raise _damaged(f"does not decode ({e})") from e


def _decode(data: Bytes, g: Grid) -> npt.NDArray[np.int32]:
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
                predictions, index = field.expect(c, turn, w, contexts)
                good = field.restore(c, turn, predictions, io.code(None, index, tables))
            else:
                predictions, _ = field.expect(c, turn, w, None)
                good = _decode_direct(io, tables, model, field, predictions, c, turn)
            if not good:
                raise _damaged("has a value outside its range")
    decoder.close()
    return field.values


def _decode_direct(
    io: SymbolIo,
    tables: Tables,
    model: Model,
    field: Field,
    predictions: IntArray,
    c: int,
    turn: int,
) -> bool:
    """A pass whose symbols are the values themselves; whether all are in range."""
    index = np.searchsorted(model.bounds, predictions, side="right").astype(np.uint8)
    values = _code_split(io, None, index, tables, model.low)
    if int(np.abs(values).max()) > MAX_SYMBOL:
        return False
    seen = values if model.mode != ROOT else _roots(values)
    field.store(c, turn, seen.astype(np.int32), values.astype(np.int32))
    return True
