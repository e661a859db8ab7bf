"""words.h and trellis.h in numpy, for where there is no C compiler; words.py says what is what."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]


def split(
    words: Any, item: int, raw: int, sign: int, low: int, symbols: IntArray, planes: IntArray
) -> None:
    """Words to symbols and planes."""
    v = np.frombuffer(words, f"<u{item}").astype(np.uint64)
    own, last = np.uint64(raw - sign), np.uint64(8 * item - 1)
    signs = v >> last if sign else np.zeros_like(v)
    tops = ((v & ~(signs << last)) >> own).astype(np.int64)
    shifted = tops - low
    symbols[:] = np.where(tops, shifted + (shifted >= 0), 0)
    rest = v & ((np.uint64(1) << own) - np.uint64(1)) | signs << own
    for row, plane in enumerate(planes):
        plane[:] = (rest >> np.uint64(8 * row) & np.uint64(255)).astype(np.uint8)


def join(
    symbols: IntArray, planes: IntArray, item: int, raw: int, sign: int, low: int, words: IntArray
) -> None:
    """Symbols and planes to words."""
    wide = symbols.astype(np.int64)
    tops = np.where(wide, wide + low - (wide > 0), 0) & (1 << (8 * item - raw)) - 1
    own = np.uint64(raw - sign)
    rest = np.zeros(symbols.size, np.uint64)
    for row, plane in enumerate(planes):
        rest |= plane.astype(np.uint64) << np.uint64(8 * row)
    v = tops.astype(np.uint64) << own | rest & ((np.uint64(1) << own) - np.uint64(1))
    if sign:
        v |= (rest >> own & np.uint64(1)) << np.uint64(8 * item - 1)
    words[:] = np.frombuffer(v.astype(f"<u{item}").tobytes(), np.uint8)


def pack(values: IntArray, width: int, packed: IntArray) -> None:
    """The low bits of bytes, close together."""
    bits = np.unpackbits(values[:, None], axis=1, bitorder="little")[:, :width].ravel()
    whole = np.packbits(bits, bitorder="little")
    packed[:] = 0
    packed[: whole.size] = whole


def unpack(packed: Any, width: int, values: IntArray) -> None:
    """What pack made, as bytes."""
    given = np.frombuffer(packed, np.uint8)
    bits = np.unpackbits(given, bitorder="little").reshape(-1, width)[: values.size]
    values[:] = np.packbits(bits, axis=1, bitorder="little")[:, 0]


def contexts(
    rows: IntArray, columns: IntArray, start: int, least: int, most: int, out: IntArray
) -> None:
    """Levels of rows and columns together."""
    places = np.arange(start, start + out.size)
    sums = rows[places // columns.size] + columns[places % columns.size]
    out[:] = np.minimum(np.maximum(sums, np.uint8(least)), np.uint8(most)) - np.uint8(least)


def tally(symbols: IntArray, contexts: IntArray, width: int, counts: IntArray) -> None:
    """Count symbols by their contexts."""
    last = width - 1
    inside = np.where((symbols >= 0) & (symbols < last), symbols, last)
    flat = np.bincount(contexts.astype(np.int64) * width + inside, minlength=counts.size)
    counts += flat.reshape(counts.shape)


def sums(symbols: IntArray, mask: int, start: int, rows: IntArray, columns: IntArray) -> None:
    """Sums of symbols by rows and columns."""
    places = np.arange(start, start + symbols.size)
    values = np.where(symbols < 0, 0, symbols & mask)
    np.add.at(rows, places // columns.size, values)
    np.add.at(columns, places % columns.size, values)


# ---- trellis.h

_NEXT = np.array([[0, 2], [5, 7], [1, 3], [6, 4], [2, 0], [4, 6], [3, 1], [7, 5]])
_FAR = np.float32(1e6)
_INTO = [[(s, p) for s in range(8) for p in (0, 1) if _NEXT[s, p] == to] for to in range(8)]


def viterbi(
    values: IntArray,
    contexts: IntArray,
    rates: IntArray,
    count: int,
    strands: int,
    levels: IntArray,
) -> None:
    """Levels of a trellis: all strands step by step."""
    steps = range(0, values.size, strands)
    own = rates.reshape(2, count, -1)
    total = np.full((8, min(strands, values.size)), np.inf, np.float32)
    total[0] = 0
    came, best = [], []
    for at in steps:
        part = slice(at, at + strands)
        costs, found = _candidates(values[part], contexts[part], own)
        size = costs.shape[1]
        ended = total[:, size:]
        total, source = _step(total[:, :size], costs)
        total = np.concatenate([total, ended], 1)
        came.append(source)
        best.append(found)
    state = total.argmin(0)
    for at, source, found in zip(reversed(steps), reversed(came), reversed(best), strict=True):
        size = source.shape[1]
        strand = np.arange(size)
        before = source[state[:size], strand]
        parity = (_NEXT[before, 1] == state[:size]).astype(int)
        levels[at : at + size] = found[2 * (before & 1) + parity, strand]
        state[:size] = before


def advance(
    symbols: IntArray, states: IntArray, following: IntArray, zero: int, quantiser: int
) -> None:
    """From levels to points, and to what follows."""
    symbols -= np.int32(zero)
    parity, signs = symbols & 1, np.sign(symbols)
    symbols *= 2
    symbols -= signs * (states & 1)
    states[:] = _NEXT[states, parity]
    following += (states[: following.size] & 1) * np.uint8(quantiser)


def _step(total: IntArray, costs: IntArray) -> tuple[IntArray, IntArray]:
    """Costs of the states after a step, and the states before them."""
    after, source = np.empty_like(total), np.empty(total.shape, np.int64)
    for to, ((a, p), (b, q)) in enumerate(_INTO):
        one, other = total[a] + costs[2 * (a & 1) + p], total[b] + costs[2 * (b & 1) + q]
        after[to] = np.where(other < one, other, one)
        source[to] = np.where(other < one, b, a)
    return after, source


def _candidates(x: IntArray, contexts: IntArray, rates: IntArray) -> tuple[IntArray, IntArray]:
    """Costs and levels for each quantiser and parity."""
    size = np.where(np.abs(x) < _FAR, np.abs(x), _FAR)
    costs, levels = np.empty((4, x.size), np.float32), np.empty((4, x.size), np.int64)
    for way in range(4):
        odd, parity = way >> 1, way & 1
        near = np.floor((size + np.float32(odd - 2 * parity)) / np.float32(4) + np.float32(0.5))
        near = np.maximum(parity + 2 * near.astype(np.int64), parity)
        less = np.maximum(near - 2, parity)
        tried = []
        for k in (near, less):
            off = size - (2 * k - odd * (k > 0)).astype(np.float32)
            signed = np.where(x < 0, -k, k)
            tried.append(off * off + _rate(rates[odd], contexts, signed))
        first = ~(tried[1] < tried[0])
        costs[way] = np.where(first, *tried)
        levels[way] = np.where(x < 0, -1, 1) * np.where(first, near, less)
    return costs, levels


def _rate(rates: IntArray, contexts: IntArray, levels: IntArray) -> IntArray:
    reach = rates.shape[1] // 2
    inside = np.clip(levels, -reach, reach)
    found = rates[contexts, inside + reach]
    edge = np.where(levels > 0, 2 * reach, 0)
    slope = rates[contexts, edge] - rates[contexts, np.where(levels > 0, 2 * reach - 1, 1)]
    return found + np.abs(levels - inside).astype(np.float32) * slope
