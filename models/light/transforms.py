"""g_a, g_s and h_a in float32: twins of models/picture/transforms.py and of coding/hyperprior.py.

Arrays are (N, h, w, channels). Where those shuffle pixels, here weights are in another order, so
that what is moved moves in long pieces.
"""

from __future__ import annotations

import numpy as np

from lictor.models.light.layers import (
    ADD,
    LEAKY,
    Array,
    Dense,
    Ladder,
    put_together,
    spread_out,
)
from lictor.models.light.part import Part, columns, shuffled


def gained(x: Array, ladder: Ladder, steps: Array) -> Array:
    """X, in place, times a positive factor for each channel that depends on quality."""
    x *= np.exp(ladder(steps))
    return x


def finer(steps: Array, by: int) -> Array:
    """Each place as by x by of them."""
    return steps if steps.ndim == 1 else steps.repeat(by, 1).repeat(by, 2)


class Bypassed:
    """A linear map of channels and a network beside it."""

    def __init__(self, part: Part) -> None:
        shortcut, leave = part["shortcut"], part["leave"]
        self.shortcut = Dense(
            _flat(shortcut("weight")), shortcut("bias").astype("f4") + leave("bias")
        )
        self.enter, self.leave = part["enter"].dense(), leave.dense()
        self.gain, self.blocks = part["gain"]["log"].ladder(), part["blocks"].blocks()

    def __call__(self, x: Array, steps: Array) -> Array:
        """(N, h, w, inputs) to (N, h, w, outputs)."""
        h = gained(self.enter(x), self.gain, steps)
        for block in self.blocks:
            h = block(h)
        return self.leave(h, ADD, self.shortcut(x))


class Analysis:
    """g_a: the squares of 8 x 8 pixels of a picture, as `spread_out`, to (1, H/16, W/16, M)."""

    def __init__(self, part: Part) -> None:
        enter, leave = part["enter"], part["leave"]
        self.enter = Dense(columns(enter("weight"), 8), enter("bias"))
        self.gain8, self.gain16 = part["gain8"]["log"].ladder(), part["gain16"]["log"].ladder()
        self.blocks8, self.blocks16 = part["blocks8"].blocks(), part["blocks16"].blocks()
        self.down, self.leave = part["down"].dense(), leave.dense()
        self.shortcut = Dense(of_squares(_flat(part["shortcut"]("weight")).T).T, leave("bias"))

    def __call__(self, squares: Array, steps: Array) -> Array:
        """Quality of the places of the output."""
        h = gained(self.enter(squares), self.gain8, finer(steps, 2))
        for block in self.blocks8:
            h = block(h)
        h = gained(self.down(spread_out(h, 2)), self.gain16, steps)
        for block in self.blocks16:
            h = block(h)
        return self.leave(h, ADD, self.shortcut(spread_out(squares, 2)))


class Synthesis:
    """g_s: v (1, h, w, M) to squares of 8 x 8 pixels, as `spread_out`, about 0…1."""

    def __init__(self, part: Part) -> None:
        leave, up = part["leave"], part["up"]
        self.enter = part["enter"].dense()
        self.gain8, self.gain16 = part["gain8"]["log"].ladder(), part["gain16"]["log"].ladder()
        self.blocks8, self.blocks16 = part["blocks8"].blocks(), part["blocks16"].blocks()
        self.up = Dense(shuffled(_flat(up("weight")), 2), shuffled(up("bias"), 2))
        self.leave = Dense(shuffled(_flat(leave("weight")), 8))
        middle = shuffled(leave("bias").astype("f4"), 8) + np.float32(0.5)
        self.shortcut = Dense(of_squares(_flat(part["shortcut"]("weight"))), np.tile(middle, 4))

    def __call__(
        self, v: Array, steps: Array, kept: list[tuple[Array, Array]] | None = None
    ) -> Array:
        """Quality of the places of v. kept: as of each Block, in turn."""
        h = gained(self.enter(v), self.gain16, steps)
        for block in self.blocks16:
            h = block(h, kept)
        h = gained(put_together(self.up(h), 2), self.gain8, finer(steps, 2))
        for block in self.blocks8:
            h = block(h, kept)
        return self.leave(h, ADD, put_together(self.shortcut(v), 2))


class HyperAnalysis:
    """h_a: y (N, h, w, M) to z (N, h/4, w/4, Z)."""

    def __init__(self, part: Part) -> None:
        body = part["body"]
        self.first, self.down = body[0].dense(), body[2].dense()
        self.spatial, self.last = body[4].depthwise(), body[5].dense()

    def __call__(self, y: Array) -> Array:
        """Places that make no whole one of z must not be there."""
        h = self.first(np.arcsinh(y), LEAKY)
        h = self.down(spread_out(h, 2), LEAKY)
        return self.last(spread_out(self.spatial(h), 2))


def of_squares(weight: Array) -> Array:
    """Rows of a pixel shuffle by 16, as 2 x 2 squares of 8 x 8 pixels, each as `shuffled` does."""
    parts = weight.reshape(-1, 2, 8, 2, 8, weight.shape[1]).transpose(1, 3, 2, 4, 0, 5)
    return np.ascontiguousarray(parts).reshape(weight.shape)


def _flat(weight: Array) -> Array:
    """Of a 1x1 convolution, as a matrix."""
    return weight.reshape(weight.shape[:2]) if weight.ndim == 4 else weight
