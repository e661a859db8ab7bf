"""How latents are coded, in exact integers: the twin of coding/latents.py, quadtree.py, symbols.py.

models/coding/LATENTS.md is the specification. Arrays are float64 (N, h, w, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from lictor.entropy import FINE_OCTAVES, SCALES, SCALES_PER_OCTAVE, SymbolIo
from lictor.models.coding import several
from lictor.models.coding.several import Several
from lictor.models.coding.units import FRACTION, LIMIT, ORDER, PLACES, SYMBOL_LIMIT
from lictor.models.errors import NoNumbers
from lictor.models.light.layers import ADD, LEAKY, Array, put_together, round_half_up
from lictor.models.light.part import Part
from lictor.models.quality import Quality

UNIT = 2.0**FRACTION

Quarter: TypeAlias = "list[tuple[int, slice, slice, slice]]"
"""Where a step's values are in an array (N, h, w, M): an index for each of the four phases."""

Code: TypeAlias = Callable[[Quarter, Array, Array], Array]
"""Codes a step: its quarter, and its values' means and scales (4, N, h/2, w/2, M/4), to y_hat."""


def steps(quality: Quality) -> Array:
    """Quality as networks take it: int64 (1,) or (1, h, w)."""
    if quality.map is None:
        return np.array([quality.highest])
    return quality.map.astype(np.int64)[None]


def all_steps(qualities: Sequence[Quality]) -> Array:
    """Of several pictures, none of which has a map: int64 (N,)."""
    return np.array([one.highest for one in qualities])


def coarser(steps: Array, by: int) -> Array:
    """The mean over by x by places, halves up."""
    if steps.ndim == 1:
        return steps
    n, h, w = steps.shape
    total = steps.reshape(n, h // by, by, w // by, by).sum(axis=(2, 4))
    return (total + by * by // 2) // (by * by)


def refuse_no_numbers(*values: Array) -> None:
    """Raise NoNumbers unless all are finite: what is not has neither symbol nor colour."""
    if not all(np.isfinite(part).all() for part in values):
        raise NoNumbers(
            "the networks make something that is not a number of this picture; their weights must"
            " have gone wrong in training: use others"
        )


def quarter(step: int, channels: int) -> Quarter:
    """Where the values of a step are."""
    group = channels // 4
    found = []
    for phase in range(4):
        first = (phase ^ ORDER[step]) * group
        down, across = slice(phase // 2, None, 2), slice(phase % 2, None, 2)
        found.append((..., down, across, slice(first, first + group)))
    return found  # type: ignore[return-value]


def taken(values: Array, here: Quarter) -> Array:
    """The values of a quarter (4, N, h/2, w/2, M/4) of an array of all places."""
    return np.stack([values[place] for place in here])


def exactly(
    io: SymbolIo | Several,
    target: Array | None,
    mean: Array | float,
    scale: Array,
    inside: Array | None,
) -> Array:
    """Code round(target - mean).

    Args:
        io: the direction.
        target: what is coded; None of a decoder.
        mean: in integers, of the shape of `scale` or one for all.
        scale: likewise.
        inside: bool, of that shape, which values are coded; None: all. Not of several pictures.

    Returns:
        All symbols, float64; 0 where none is coded.
    """
    s = scale * (1 / UNIT)
    index = np.minimum(s, FINE_OCTAVES)
    index += s
    index *= SCALES_PER_OCTAVE
    index += 0.5
    table = np.floor(index, out=index).clip(0, SCALES - 1, out=index).astype(np.uint8)
    symbols = None
    if target is not None:
        values = round_half_up(target - np.multiply(mean, 1 / UNIT))
        symbols = values.clip(-SYMBOL_LIMIT, SYMBOL_LIMIT).astype(np.int32)
    if inside is None:
        coded = several.code(io, symbols, table).astype(np.float64)
        return coded.clip(-SYMBOL_LIMIT, SYMBOL_LIMIT, out=coded)
    assert not isinstance(io, Several)
    own = None if symbols is None else symbols[inside]
    found = np.zeros(scale.shape)
    found[inside] = io.code(own, table[inside]).clip(-int(SYMBOL_LIMIT), int(SYMBOL_LIMIT))
    return found


class HyperSynthesis:
    """h_s: rounded z (N, h/4, w/4, Z) to the prior p (N, h, w, P)."""

    def __init__(self, part: Part) -> None:
        body = part["body"]
        self.first, self.spatial = body[0].dense(exact=True), body[3].depthwise(exact=True)
        self.wider, self.wide = body[4].dense(exact=True), body[7].depthwise(exact=True)
        self.last, self.bias = body[9].dense(exact=True), part["bias"].exact_ladder()

    def __call__(self, z_hat: Array, steps: Array) -> Array:
        """Quality of the places of p."""
        h = self.spatial(put_together(self.first(z_hat, LEAKY), 2))
        h = self.wide(put_together(self.wider(h, LEAKY), 2), LEAKY)
        bias = np.broadcast_to(self.bias(steps), (*h.shape[:3], self.last.outputs)).copy()
        return self.last(h, ADD | LEAKY, bias)


class _Step:
    """Prior and the latents known so far to mean and scale of the next quarter."""

    def __init__(self, part: Part) -> None:
        self.from_prior = part["from_prior"].dense(exact=True)
        known = part["from_known"]
        self.from_known = known.dense(exact=True) if known else None
        self.spatial = part["spatial"].depthwise(exact=True)
        self.heads = [
            Part({"weight": weight, "bias": bias}).dense(exact=True)
            for weight, bias in zip(part["heads"]("weight"), part["heads"]("bias"), strict=True)
        ]

    def __call__(self, p: Array, seen: Array) -> Array:
        """(4, N, h/2, w/2, M/2): for each phase, means, then scales."""
        if self.from_known is None:
            f = self.from_prior(p, LEAKY)
        else:
            f = self.from_known(seen, ADD | LEAKY, self.from_prior(p))
        f = self.spatial(f, LEAKY)
        n, h, w, _ = f.shape
        out = np.empty((4, n, h // 2, w // 2, self.heads[0].outputs))
        for phase, head in enumerate(self.heads):
            head(f, out=out[phase], phase=(phase // 2, phase % 2))
        return out


class Quadtree:
    """The four steps, and the starting scale of every channel at every quality."""

    def __init__(self, part: Part) -> None:
        self.steps = [_Step(part["steps"][k]) for k in range(len(ORDER))]
        self.scale = part["scale"].exact_ladder()

    def walk(self, p: Array, base: Array, code: Code, octave: Array | None = None) -> Array:
        """The four steps; returns y_hat (N, h, w, M).

        Args:
            p: the prior (N, h, w, P).
            base: the starting scale of every value, (N, h, w, M).
            code: what becomes of each step.
            octave: the unit in which the steps see each value of y, likewise; None: 1.
        """
        known, seen = np.zeros(base.shape), np.zeros(base.shape)
        for k, step in enumerate(self.steps):
            here = quarter(k, base.shape[-1])
            mean, scale = np.split(step(p, seen), 2, axis=-1)
            unit = None if octave is None else taken(octave, here)
            mean = mean if unit is None else round_half_up(mean * unit)
            y_hat = code(here, mean, scale + taken(base, here))
            normal = y_hat
            if unit is not None:
                normal = round_half_up(y_hat / unit).clip(-LIMIT, LIMIT)
            for phase, place in enumerate(here):
                known[place] = y_hat[phase]
                seen[place] = normal[phase]
        return known


class Latents:
    """What models with a hyperprior and a four-step quadtree context have in common."""

    def __init__(self, part: Part) -> None:
        self.h_s, self.context = HyperSynthesis(part["h_s"]), Quadtree(part["context"])
        self.z_scale = part["z_scale"].exact_ladder()
        self.octave = part("octave").astype(np.float64)

    def code(
        self,
        io: SymbolIo | Several,
        step: Array,
        z_shape: tuple[int, ...],
        z: Array | None = None,
        y: Array | None = None,
        inside: Array | None = None,
        octaves: Array | None = None,
    ) -> Array:
        """The order of symbols, written once for both directions.

        Args:
            io: the direction.
            step: quality of the places of y, int64 (1,), (N,) or (1, h, w).
            z_shape: (N, h/4, w/4, Z).
            z: what is coded; None of a decoder.
            y: likewise.
            inside: bool (1, h, w, 1), the places of y that are coded; None: all.
            octaves: how often steps are halved beyond the gain, as a ladder gives it; None: 0.

        Returns:
            y_hat, float32 (N, h, w, M).
        """
        scale = np.broadcast_to(self.z_scale(coarser(step, PLACES)), z_shape)
        side = exactly(io, z, 0.0, scale, None)
        side *= UNIT
        p = self.h_s(side.clip(-LIMIT, LIMIT, out=side), step)
        shape = (*p.shape[:3], self.octave.size)
        more = np.zeros(1) if octaves is None else octaves
        octave = np.broadcast_to(np.ldexp(1.0, (self.octave + more).astype(np.int32)), shape)
        base = np.broadcast_to(self.context.scale(step) + more * UNIT, shape)
        coded = None if inside is None else np.broadcast_to(inside, shape)

        def one(here: Quarter, mean: Array, scale: Array) -> Array:
            target = None if y is None else taken(y, here)
            own = None if coded is None else taken(coded, here)
            return exactly(io, target, mean, scale, own) * UNIT + mean

        y_hat = self.context.walk(p, base, one, octave)
        return (y_hat * (1 / UNIT)).astype(np.float32)
