"""The step that a stream is coded with: given, found by a bound, or by what the stream becomes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lictor.codec.errors import InvalidTarget
from lictor.codec.kv import form, ways
from lictor.codec.kv.cache import Cache
from lictor.codec.kv.form import Chunk
from lictor.codec.kv.layer import Layers

EXPECTED = 0.005
"""The divergence that calibrations with gradients aim at unless told, in nats."""
USUAL = 24
"""The quality without a target and gradients: an eighth of a deviation."""
PER_BIT = 8
_GUESSES = 6
Make = Callable[[Layers, bool], list[Chunk]]


def reached(
    layers: Layers, cache: Cache, given: dict[str, float], make: Make
) -> tuple[Layers, list[Chunk]]:
    """What codes a cache so that a target is reached, and its chunks.

    given: at most one of max_error, bits and divergence, by name. make: encodes all chunks, and may
    decode them for their fidelity.
    """
    h = layers.header
    if h.way == form.EXACT:
        return layers, make(layers, True)
    if "max_error" in given:
        bound = given["max_error"]
        own = replace(layers, header=replace(h, step=2 * bound * (1 - 2.0**-40), bound=bound))
        return own, make(own, True)
    check = "bits" not in given
    found = _Search(layers, cache, lambda tried: make(tried, check))
    if "bits" in given:
        own, _ = found.run(given["bits"], _bits, USUAL, PER_BIT)
        return own, make(own, True)
    known = layers.calibration
    if known is not None and known.weighted and h.way == form.BASIS:
        wanted = given.get("divergence", EXPECTED)
        components = sum(min(m.basis.rank, h.rank) for pair in known.layers for m in pair)
        start = round(-PER_BIT / 2 * math.log2(24 * wanted / components))
        return found.run(wanted, _expected, start, None)
    return found.tried(USUAL)


def _bits(made: list[Chunk], values: int) -> float:
    return 8 * sum(c.bytes for c in made) / values


def _expected(made: list[Chunk], _: int) -> float:
    return sum(c.expected for c in made) / sum(c.tokens for c in made)


class _Search:
    """Qualities that were tried, each a step of 2^(-quality/8)."""

    def __init__(self, layers: Layers, cache: Cache, make: Callable[[Layers], list[Chunk]]) -> None:
        self._layers, self._make, self._values = layers, make, cache.values
        self._unit = _deviation(cache) if layers.header.way != form.BASIS else 1.0
        self._done: dict[int, tuple[Layers, list[Chunk]]] = {}

    def tried(self, quality: int) -> tuple[Layers, list[Chunk]]:
        """What a quality gives."""
        if quality not in self._done:
            h, step = self._layers.header, self._unit * 2 ** (-quality / PER_BIT)
            own = replace(self._layers, header=replace(h, quality=quality, step=step))
            made = self._make(own)
            for c in made:
                form.written_chunk(own.header, c)  # which counts its bytes
            self._done[quality] = own, made
        return self._done[quality]

    def run(
        self,
        wanted: float,
        measure: Callable[[list[Chunk], int], float],
        start: int,
        slope: int | None,
    ) -> tuple[Layers, list[Chunk]]:
        """The quality nearest to a target that keeps it.

        slope: steps of quality for one more of what is measured, which is to be at most `wanted`;
        None: it is halved by as many as halve a square, and the lowest quality is sought.
        """
        low, high = -form.MOST_QUALITY, form.MOST_QUALITY
        quality, up = start, int(slope is not None)
        # Guesses first, which are good, then halves: low ends at the answer.
        for tries in itertools.count():
            quality = max(low, min(high, quality if tries < _GUESSES else (low + high + up) // 2))
            got = measure(self.tried(quality)[1], self._values)
            if slope is None:  # the lowest that keeps it
                low, high = (low, quality) if got <= wanted else (quality + 1, high)
                move = math.ceil(math.log2(max(got, 1e-12) / wanted) * PER_BIT / 2) or -1
            else:  # the highest
                low, high = (quality, high) if got <= wanted else (low, quality - 1)
                move = math.floor((wanted - got) * slope) or 1
            if low >= high:
                break
            quality += move
            # What is known to keep it says nothing new.
            quality = min(quality, high - 1) if slope is None else max(quality, low + 1)
        quality = max(-form.MOST_QUALITY, min(form.MOST_QUALITY, low))
        found = self.tried(quality)
        got = measure(found[1], self._values)
        if got > wanted:
            raise InvalidTarget(f"{got:.3g} is the least that can be had, not {wanted:.3g}")
        return found


def _deviation(cache: Cache) -> float:
    """Of all values that are finite; 1 if there is none."""
    total = count = 0.0
    for pair in cache.layers:
        for matrix in pair:
            values = ways.to_float32(cache.dtype, matrix)
            values = values[np.isfinite(values)]
            total += float(np.square(values, dtype=np.float64).sum())
            count += values.size
    return math.sqrt(total / count) if total > 0 else 1.0
