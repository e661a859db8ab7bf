"""The way back through g_s: what a change of each latent does to a sum of what it gives.

As automatic differentiation has it, by hand, in C, in less than half of the time that PyTorch takes
on one core. Layers are those of transforms.py with their matrices transposed.
"""

from __future__ import annotations

import numpy as np

from lictor.models.light import threads
from lictor.models.light.layers import _LEAST_ROWS, ADD, Array, Dense, kernels, spread_out
from lictor.models.light.part import Part, shuffled
from lictor.models.light.transforms import _flat, finer, gained, of_squares

Kept = list[tuple[Array, Array]]
"""Of each block, in turn: what its first layer gave, and both factors of its gate."""


class SynthesisBack:
    """The gradient by v, from one by the squares that Synthesis gives."""

    def __init__(self, part: Part) -> None:
        up, leave, shortcut = (_flat(part[name]("weight")) for name in ("up", "leave", "shortcut"))
        self.enter = _back(_flat(part["enter"]("weight")))
        self.gain8, self.gain16 = part["gain8"]["log"].ladder(), part["gain16"]["log"].ladder()
        self.blocks = [BlockBack(one) for one in part["blocks16"].children]
        self.blocks8 = [BlockBack(one) for one in part["blocks8"].children]
        self.up, self.leave = _back(shuffled(up, 2)), _back(shuffled(leave, 8))
        self.shortcut = _back(of_squares(shortcut))

    def __call__(self, squares: Array, steps: Array, kept: Kept) -> Array:
        """squares: the gradient by them. steps, kept: of the way there."""
        squares = np.ascontiguousarray(squares)
        h, kept = self.leave(squares), [*kept]
        for block in reversed(self.blocks8):
            h = block(h, *kept.pop())
        h = self.up(spread_out(gained(h, self.gain8, finer(steps, 2)), 2))
        for block in reversed(self.blocks):
            h = block(h, *kept.pop())
        return self.enter(gained(h, self.gain16, steps), ADD, self.shortcut(spread_out(squares, 2)))


class BlockBack:
    """The gradient by what goes into a block.

    Args:
        part: as of layers.Block.
    """

    def __init__(self, part: Part) -> None:
        self.enter, self.leave, self.expand, self.project = (
            _back(_flat(part[name]("weight"))).weight
            for name in ("enter", "leave", "expand", "project")
        )
        taps = part("spatial.weight")
        flat = taps.reshape(len(taps), -1)[:, ::-1]
        self.taps = np.ascontiguousarray(flat.T, np.float32)
        self.cap = np.asarray(part("cap"), np.float32)

    def __call__(self, grad: Array, entered: Array, wide: Array) -> Array:
        """grad: by what the block gave, (N, h, w, channels). entered, wide: as in `Kept`."""
        n, h, w, c = grad.shape
        past, mixed, nothing = np.empty_like(grad), np.empty_like(grad), np.zeros(c, np.float32)
        for i in range(n):

            def there(first: int, last: int, i: int = i) -> None:
                kernels.back_to_spatial(
                    wide[i], grad[i], h, w, c, self.leave, self.expand, self.project, self.cap,
                    past[i], mixed[i], first, last, kernels.BEST,
                )  # fmt: skip

            def rest(first: int, last: int, i: int = i) -> None:
                kernels.back_to_input(
                    entered[i], mixed[i], h, w, c, self.taps, nothing, self.enter, past[i], first,
                    last, kernels.BEST,
                )  # fmt: skip

            threads.spread(h * w, _LEAST_ROWS // 2, there)
            threads.spread(h * w, _LEAST_ROWS // 2, rest)
        return past


def _back(weight: Array) -> Dense:
    """Of a matrix (outputs, inputs), that of gradients."""
    return Dense(np.asarray(weight, np.float32).T)
