"""The four-step quadtree context: each step codes a quarter of y, knowing the steps before it.

Source: the quadtree partition of DCVC-DC (Li, Li, Lu, CVPR 2023). Channels form four groups, the
places of every 2x2 cell four phases. In step k, group g is coded at phase ORDER[k] ^ g: in each
step every place gives one group, and every group one place of each cell.

Everything here is twinned (fixed_point.py), NHWC, and runs the same way in encoder and decoder.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lictor.models.coding.layers import Depthwise, Leaky, Octaves, Pointwise, full_precision
from lictor.models.coding.quality_ladder import Ladder
from lictor.models.coding.units import ORDER as ORDER

STEPS = 4

Quarter = tuple[Tensor, Tensor]
"""Where the values of a step are among cells: the phases, and the group of each, int64 (4,)."""

Code = Callable[[Quarter, Tensor, Tensor], Tensor]
"""Codes a step: its quarter, and its values' means and scales (4, N, h, w, C), to y_hat there."""


def to_cells(y: Tensor) -> Tensor:
    """(N, h, w, 4C) to (phase 4, group 4, N, h/2, w/2, C)."""
    n, h, w, c = y.shape
    return y.reshape(n, h // 2, 2, w // 2, 2, 4, c // 4).permute(2, 4, 5, 0, 1, 3, 6).flatten(0, 1)


def from_cells(cells: Tensor) -> Tensor:
    """The inverse of to_cells."""
    _, _, n, h, w, c = cells.shape
    y = cells.reshape(2, 2, 4, n, h, w, c).permute(3, 4, 0, 5, 1, 2, 6)
    return y.reshape(n, 2 * h, 2 * w, 4 * c)


def group_of_phase(step: int, device: torch.device | None = None) -> Tensor:
    """The group that each of the four phases gives in this step, int64 (4,)."""
    return torch.arange(4, device=device) ^ ORDER[step]


class Heads(nn.Module):
    """One linear head per phase (twinned): (4, L, inputs) to (4, L, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(4, outputs))

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            return torch.baddbmm(self.bias[:, None, :], x.float(), self.weight.transpose(1, 2))


class Step(nn.Module):
    """Prior p and the latents known so far to mean and scale of the quarter that comes next.

    p (N, h, w, P); known (N, h, w, M) or None in the first step, already normalised.
    Returns (4, N, h/2, w/2, M/2): for each phase, mean then scale of its group's M/4 channels.
    """

    def __init__(self, prior: int, latent: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.from_prior = Pointwise(prior, hidden)
        self.from_known = None if first else Pointwise(latent, hidden)
        self.leaky = Leaky()
        self.spatial = Depthwise(hidden)
        self.heads = Heads(hidden, latent // 2)

    def forward(self, p: Tensor, known: Tensor | None) -> Tensor:
        f = self.from_prior(p)
        if self.from_known is not None and known is not None:
            f = f + self.from_known(known)
        f = self.leaky(self.spatial(self.leaky(f)))
        n, h, w, c = f.shape
        phases = f.reshape(n, h // 2, 2, w // 2, 2, c).permute(2, 4, 0, 1, 3, 5)
        out = self.heads(phases.reshape(4, -1, c))
        return out.reshape(4, n, h // 2, w // 2, -1)


class Quadtree(nn.Module):
    """The four steps, and the starting scale of every channel at every quality."""

    def __init__(self, prior: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Step(prior, latent, hidden, k == 0) for k in range(STEPS))
        self.scale = Ladder(latent)
        self.octaves = Octaves()

    def walk(self, p: Tensor, base: Tensor, code: Code, octave: Tensor | None = None) -> Tensor:
        """The four steps, of a twin on integers; returns y_hat as cells.

        Args:
            p: the prior, (N, h, w, P).
            base: the starting scale of every value, as cells.
            code: what becomes of each step.
            octave: the unit in which the steps see each value of y, as cells; None: 1.
        """
        known = base.new_zeros(base.shape)
        phases = torch.arange(len(ORDER), device=base.device)
        for k, step in enumerate(self.steps):
            here = phases, group_of_phase(k, base.device)
            seen = known if octave is None or not k else self.octaves.normalised(known, octave)
            mean, scale = step(p, from_cells(seen) if k else None).chunk(2, dim=-1)
            if octave is not None:
                mean = self.octaves.restored(mean, octave[here])
            y_hat = code(here, mean, scale + base[here])
            # Where gradients pass, what earlier steps saw must stay.
            put = known.index_put if torch.is_grad_enabled() else known.index_put_
            known = put(here, y_hat)
        return known
