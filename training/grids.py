"""Matrices on grids, so that what a model loses is least for the bytes they take.

What rounding costs is taken as a quadratic form of a matrix' errors, that of a row weighed by how
much the outputs of a layer matter, that of a column by its inputs: Kronecker factors of the loss'
curvature, estimated over samples (J. Martens, R. Grosse, ICML 2015). All numbers then get the same
share of the loss, which is best at the entropies of fine steps. Columns are rounded one by one, and
what is still to come makes up for each error as far as it can (E. Frantar et al., "GPTQ", ICLR
2023); a column's step follows from what is then left of its error, as in WaterSIC (arXiv
2603.04956).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lictor.models.packed import MIDDLE, Grid, codes, step

_DAMPING = 1e-3
_LEAST_ROW = 1e-4
"""Of the mean: rows that matter less are rounded as if they mattered so much."""


@dataclass
class Curvature:
    """Of one matrix. inputs: (columns, columns); outputs: (rows,), of any size.

    places: where it was seen. Where these are few, columns are taken to be more independent, and
    rows more alike, than they look.
    """

    inputs: Tensor
    outputs: Tensor
    places: int

    def __iadd__(self, other: Curvature) -> Curvature:
        self.inputs += other.inputs
        self.outputs += other.outputs
        self.places += other.places
        return self

    @property
    def rows(self) -> Tensor:
        """How much rows matter, 1 on average."""
        own = (self.outputs / self.outputs.mean().clamp(min=1e-30)).double()
        return own.lerp(torch.ones_like(own), self._doubt(own)).clamp(min=_LEAST_ROW)

    @property
    def columns(self) -> Tensor:
        """That of the inputs, which a Cholesky factor can be had of."""
        own = self.inputs.double()
        least = _DAMPING * own.diagonal().mean() + 1e-30
        some = own.lerp(own.diagonal().diag(), self._doubt(own))
        return some + least * torch.eye(len(own), dtype=torch.float64)

    def _doubt(self, of: Tensor) -> float:
        return (len(of) / (len(of) + self.places)) ** 2


@dataclass(frozen=True)
class Rounded:
    """A matrix on a grid. loss: that its errors cost."""

    levels: Tensor
    rows: np.ndarray
    columns: np.ndarray
    loss: float


def rounded(weight: Tensor, curvature: Curvature, share: float) -> Rounded:
    """A matrix, each of its numbers with the same share of the loss.

    Args:
        weight: (rows, columns).
        curvature: of the loss in it.
        share: of a number.
    """
    importance, given = curvature.rows, weight.double()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(curvature.columns))
    # Column j's error e costs e² / back[j, j]², once those after it have taken what they can.
    back = torch.linalg.cholesky(inverse, upper=True)
    row_codes = codes(importance.rsqrt().numpy())
    row_steps = torch.from_numpy(step(row_codes)).double()
    wanted = back.diagonal() * (12 * share) ** 0.5
    # Steps so wide that no level goes beyond what it may.
    least = (given.abs() / row_steps[:, None]).amax(0) / (MIDDLE / 2)
    column_codes = codes(torch.maximum(wanted, least).numpy())
    column_steps = torch.from_numpy(step(column_codes)).double()
    # Row by row of what is transposed, so that a column lies together; in units of steps.
    left = (given / row_steps[:, None]).T.float().contiguous()
    levels, ahead = torch.empty_like(left), (back / back.diagonal()[:, None]).float()
    for j, unit in enumerate(column_steps.tolist()):
        levels[j] = (left[j] / unit).round().clamp(1 - MIDDLE, MIDDLE - 1)
        left[j + 1 :].addr_(ahead[j, j + 1 :], left[j] - levels[j] * unit, alpha=-1)
    levels = levels.T.double()
    errors = levels * row_steps[:, None] * column_steps - given
    lost = (((errors @ curvature.inputs.double()) * errors).sum(1) * importance).sum().item()
    return Rounded(levels.int(), row_codes, column_codes, lost)


def grid(weight: Tensor, curvatures: list[Curvature], share: float) -> tuple[Grid, float]:
    """All matrices of a tensor on grids, and their loss.

    weight: (count, rows, columns), of `count` matrices.
    """
    found = [rounded(w, c, share) for w, c in zip(weight, curvatures, strict=True)]
    levels = torch.stack([one.levels for one in found]).numpy()
    rows, columns = (np.stack([getattr(one, s) for one in found]) for s in ("rows", "columns"))
    return Grid(levels, rows, columns), sum(one.loss for one in found)
