"""cabac.h in Python, for where there is no C compiler; cabac.py says what is what."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.entropy import CorruptStream
from lictor.models.lossless.intervals import IntervalDecoder, encode_intervals

Ints = npt.NDArray[np.int32]
_FLAGS, _PREFIX = 10, 24
_SIGN, _LARGER = 3, 6
_LOG = _LARGER + 2 * _FLAGS
_CONTEXTS = _LOG + _PREFIX
_FAST, _SLOW, _SURE, _TOTAL = 4, 7, 32, 1 << 16
_RAW = 12
"""Raw bits that go together."""


class _Contexts:
    """How likely a 1 is, by two memories."""

    def __init__(self) -> None:
        self._fast, self._slow = [1 << 15] * _CONTEXTS, [1 << 15] * _CONTEXTS

    def one(self, context: int) -> int:
        """The interval of a 1, from 0 on."""
        mean = (self._fast[context] + self._slow[context]) >> 1
        return min(max(mean, _SURE), _TOTAL - _SURE)

    def adapt(self, context: int, bit: int) -> None:
        """Remember what came."""
        for memory, shift in ((self._fast, _FAST), (self._slow, _SLOW)):
            p = memory[context]
            memory[context] = p + ((65535 - p) >> shift) if bit else p - (p >> shift)


def _kind(level: int) -> int:
    return 1 if level > 0 else 2 if level < 0 else 0


def _decisions(before: int, level: int) -> tuple[list[tuple[int, int]], int]:
    """Contexts and bits of a level, and how many raw bits follow."""
    if not level:
        return [(before, 0)], 0
    size, negative = abs(level), int(level < 0)
    made = [(before, 1), (_SIGN + before, negative)]
    for i in range(_FLAGS):
        made.append((_LARGER + 2 * i + negative, int(size > i + 1)))
        if size <= i + 1:
            return made, 0
    raw = (size - _FLAGS).bit_length() - 1
    return made + [(_LOG + i, int(i < raw)) for i in range(min(raw + 1, _PREFIX))], raw


def encode(levels: Ints, columns: int, at: int) -> bytes:
    """Levels to a stream."""
    contexts, before = _Contexts(), 0
    starts, freqs = list[int](), list[int]()
    for i, level in enumerate(levels.tolist(), at):
        made, raw = _decisions(before if i % columns else 0, level)
        for context, bit in made:
            one = contexts.one(context)
            starts.append(0 if bit else one)
            freqs.append(one if bit else _TOTAL - one)
            contexts.adapt(context, bit)
        rest = abs(level) - _FLAGS - (1 << raw)
        for done in range(0, raw, _RAW):
            some = min(_RAW, raw - done)
            starts.append((rest >> done & ((1 << some) - 1)) << (16 - some))
            freqs.append(_TOTAL >> some)
        before = _kind(level)
    return encode_intervals(starts, freqs)


def decode(stream: Any, columns: int, at: int, levels: Ints) -> bool:
    """A stream to levels; whether it is whole."""
    contexts, before = _Contexts(), 0
    try:
        decoder = IntervalDecoder(bytes(stream))
        for i in range(levels.size):
            found = _level(decoder, contexts, before if (at + i) % columns else 0)
            levels[i], before = found, _kind(found)
        decoder.end()
    except CorruptStream:
        return False
    return True


def _level(decoder: IntervalDecoder, contexts: _Contexts, before: int) -> int:
    def take(context: int) -> int:
        one = contexts.one(context)
        bit = int(decoder.slot() < one)
        decoder.take(0 if bit else one, one if bit else _TOTAL - one)
        contexts.adapt(context, bit)
        return bit

    if not take(before):
        return 0
    negative, size, raw = take(_SIGN + before), 1, 0
    while size <= _FLAGS and take(_LARGER + 2 * (size - 1) + negative):
        size += 1
    if size > _FLAGS:
        while raw < _PREFIX and take(_LOG + raw):
            raw += 1
        size = _FLAGS + (1 << raw)
        for done in range(0, raw, _RAW):
            some = min(_RAW, raw - done)
            value = decoder.slot() >> (16 - some)
            decoder.take(value << (16 - some), _TOTAL >> some)
            size += value << done
    return -size if negative else size


def choose(x: npt.NDArray[np.float32], columns: int, slope: float, levels: Ints) -> None:
    """Levels for values, by error and bits."""
    contexts, before = _Contexts(), 0
    for i, value in enumerate(x.tolist()):
        before = before if i % columns else 0
        size = min(abs(value), float(1 << _PREFIX) / 2)
        near = math.floor(size + 0.5)
        tried = dict.fromkeys(n for n in (near, near - 1, near - 2, 0) if n >= 0)
        signed = [-n if value < 0 else n for n in tried]
        best = min(signed, key=lambda n: _spent(contexts, before, n, size, slope))
        for context, bit in _decisions(before, best)[0]:
            contexts.adapt(context, bit)
        levels[i], before = best, _kind(best)


def _spent(contexts: _Contexts, before: int, level: int, size: float, slope: float) -> float:
    made, raw = _decisions(before, level)
    bits = float(raw)
    for context, bit in made:
        one = contexts.one(context)
        bits -= math.log2(((one if bit else _TOTAL - one) // 16 + 0.5) / 4096)
    return (2 * (size - abs(level))) ** 2 + slope * bits
