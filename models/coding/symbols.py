"""What becomes of a value that a network predicts: a symbol in a stream, or bits in training.

`Coded` and `Trained` are given to `Quadtree.walk`: the one on integers, for both directions of a
stream, the other on floats, with gradients.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lictor.entropy import SymbolIo
from lictor.models.coding import gaussian, several
from lictor.models.coding.fixed_point import FRACTION, round_half_up
from lictor.models.coding.quadtree import Quarter
from lictor.models.coding.several import Several
from lictor.models.coding.units import SYMBOL_LIMIT as SYMBOL_LIMIT


def held(symbols: Tensor) -> Tensor:
    """Symbols within ±SYMBOL_LIMIT, in place."""
    return symbols.clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT)


def through(
    io: SymbolIo | Several, symbols: Tensor | None, index: np.ndarray, like: Tensor
) -> Tensor:
    """Symbols, float64, None of a decoder, coded: as the decoder has them, of like's shape.

    index: uint8, of as many values.
    """
    own, shape = None, tuple(like.shape)
    if symbols is not None:
        own = held(symbols).cpu().numpy().astype(np.int32).reshape(shape)
    coded = torch.from_numpy(several.code(io, own, index.reshape(shape)).astype(np.float64))
    return held(coded).to(like.device)


def exactly(
    io: SymbolIo | Several,
    target: Tensor | None,
    mean: Tensor,
    scale: Tensor,
    inside: Tensor | None = None,
) -> Tensor:
    """Code round(target - mean).

    Args:
        io: the direction.
        target: float64, what is coded; None of a decoder.
        mean: of its shape, in integers of fixed_point.py.
        scale: likewise.
        inside: bool, of its shape, which values are coded; None: all. Not of several pictures.

    Returns:
        All symbols, float64; 0 where none is coded.
    """
    symbols = None if target is None else round_half_up(target - mean * 2.0**-FRACTION)
    if inside is None:
        return through(io, symbols, _index(scale), mean)
    assert not isinstance(io, Several)
    some, own = None if symbols is None else symbols[inside], scale[inside]
    coded = through(io, some, _index(own), own)
    return torch.zeros_like(mean).masked_scatter_(inside, coded)


def _index(scale: Tensor) -> np.ndarray:
    """Fixed-point scales to indexes of the coder's table: nearest, held inside."""
    return gaussian.table_index(scale * 2.0**-FRACTION).flatten().cpu().numpy().astype(np.uint8)


class Coded:
    """Codes the steps of a quadtree, one way or the other.

    Args:
        io: the direction.
        cells: y as cells, float64; None of a decoder.
        inside: bool, as cells, which values are coded; None: all.
    """

    def __init__(
        self, io: SymbolIo | Several, cells: Tensor | None, inside: Tensor | None = None
    ) -> None:
        self.io, self.cells, self.inside = io, cells, inside

    def __call__(self, here: Quarter, mean: Tensor, scale: Tensor) -> Tensor:
        """Y_hat of a quarter, in fixed point."""
        target = None if self.cells is None else self.cells[here]
        own = None if self.inside is None else self.inside[here]
        return exactly(self.io, target, mean, scale, own) * 2.0**FRACTION + mean


class Trained:
    """The steps of a quadtree as training has them; bits: what each picture cost so far, (N,).

    cells, inside: as for Coded.
    """

    def __init__(self, cells: Tensor, inside: Tensor | None = None) -> None:
        self.cells, self.inside = cells, inside
        self.bits = cells.new_zeros(cells.shape[2])

    def __call__(self, here: Quarter, mean: Tensor, scale: Tensor) -> Tensor:
        """Y_hat of a quarter."""
        residual = self.cells[here] - mean
        if self.inside is not None:
            residual = residual * self.inside[here]
        bits = gaussian.symbol_bits(residual, scale)
        if self.inside is not None:
            bits = bits * self.inside[here]
        self.bits = self.bits + bits.sum(dim=(0, 2, 3, 4))
        return round_through(residual) + mean


def round_through(x: Tensor) -> Tensor:
    """Rounds; the gradient passes as if it did not (Theis et al. 2017)."""
    return x + (x.round() - x).detach()
