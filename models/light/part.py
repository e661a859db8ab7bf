"""Parts of a network, by the names that weights files have; layers are made when needed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lictor.models.light.layers import Array, Block, Dense, Depthwise, ExactLadder, Ladder


class Part:
    """Some of the tensors of a weights file.

    Args:
        tensors: all of them.
        prefix: what the names of these begin with.
    """

    def __init__(self, tensors: Mapping[str, Array], prefix: str = "") -> None:
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name: str | int) -> Part:
        return Part(self.tensors, f"{self.prefix}{name}.")

    def __call__(self, name: str) -> Array:
        """A tensor. Raises KeyError."""
        return self.tensors[self.prefix + name]

    def __bool__(self) -> bool:
        return any(name.startswith(self.prefix) for name in self.tensors)

    def dense(self, exact: bool = False) -> Dense:
        """A product; of convolutions whose kernel is their stride, with inputs as `spread_out`."""
        weight = self("weight")
        if weight.ndim == 4:
            weight = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
        return Dense(weight, self("bias"), exact)

    def depthwise(self, exact: bool = False) -> Depthwise:
        """A convolution of 3x3."""
        return Depthwise(self("weight"), self("bias"), exact)

    @property
    def children(self) -> list[Part]:
        """The parts of a sequence."""
        found: list[Part] = []
        while part := self[len(found)]:
            found.append(part)
        return found

    def blocks(self) -> list[Block]:
        """A sequence of blocks."""
        return [Block(part) for part in self.children]

    def ladder(self) -> Ladder:
        """In floats."""
        return Ladder(self("rungs"))

    def exact_ladder(self) -> ExactLadder:
        """In integers."""
        return ExactLadder(self("rungs"))


def shuffled(weight: Array, size: int) -> Array:
    """Rows of what becomes of a pixel shuffle's input, in the order of `put_together`.

    (C · size², …), the channel running slowest, to the channel running fastest.
    """
    shape = weight.shape
    weight = weight.reshape(-1, size * size, *shape[1:])
    return np.ascontiguousarray(weight.swapaxes(0, 1)).reshape(shape)


def columns(weight: Array, size: int) -> Array:
    """Columns for what a pixel unshuffle gives, in the order of `spread_out`: likewise."""
    return np.ascontiguousarray(shuffled(weight.reshape(len(weight), -1).T, size).T)
