"""A file of tensors with loss: which of them become grids, and how fine these are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import InvalidOption
from lictor.codec.format.weights import Record
from lictor.codec.weights import grid
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.quantisers import Known, Quantiser
from lictor.codec.weights.source import Source

Array = npt.NDArray[np.uint8]
FEWEST = 256
"""Values of a tensor that is worth a grid."""


@dataclass(frozen=True)
class Lossy:
    """How tensors are quantised. step: of all; quantiser: what makes levels."""

    step: float
    quantiser: Quantiser

    def encode(
        self, tensor: Tensor, raw: Array, mapped: Callable[..., Iterator[Any]]
    ) -> tuple[Record, list[bytes]] | None:
        """The record of a tensor, and its chunks; None where it is to be exact."""
        if not is_matrix(tensor):
            return None
        values = grid.floats(raw, tensor.dtype).reshape(grid.matrix(tensor))
        if not np.isfinite(values).all():
            return None
        found = self.quantiser(values, Known(tensor.name, tensor.shape, self.step))
        if found is None or not np.isfinite(found.decoded(tensor)).all():
            return None
        return found.encode(tensor, mapped)


def is_matrix(tensor: Tensor) -> bool:
    """Whether a tensor has two axes, and enough values, of a type that a grid can have."""
    known = tensor.dtype in grid.TYPES and len(tensor.shape) > 1
    return known and tensor.values >= FEWEST


def step_of(source: Source, quality: float) -> float:
    """The step that a quality asks for: relative to the root mean square of all matrices.

    Raises InvalidOption for a quality outside 0 to 100.
    """
    if not 0 <= quality <= 100:
        raise InvalidOption(f"quality is {quality:g}; give 0 to 100")
    total, count = 0.0, 0
    for tensor in filter(is_matrix, source.header.stored):
        values = grid.floats(source.raw(tensor), tensor.dtype)
        square = float(np.vdot(values, values)) if np.isfinite(values).all() else 0.0
        if 0 < square < np.inf:
            total, count = total + square, count + values.size
    rms = np.sqrt(total / count) if count else 1.0
    return float(np.float32(rms * _STEP_AT_0 * 2 ** (-quality / _QUALITIES_A_BIT)))


_STEP_AT_0, _QUALITIES_A_BIT = 3.4, 12.5
