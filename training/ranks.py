"""Ranks that are trained: each matrix is a product, whose parts beyond those it needs die out.

A matrix begins as its singular vectors, largest first. In each step one matrix has only its first b
parts, b drawn from all it has, so that first parts learn to do without later ones; and a penalty on
norms of all parts from b on, for each b, draws the last ones to zero. Parts that became small
against the largest are taken away for good, now and then. So each matrix finds its own rank.

Source: S. Horváth et al., "Maestro: Uncovering low-rank structures via trainable decomposition",
ICML 2024 (arXiv:2308.14929). Here the penalty counts as a share of what it was at the start, a
matrix by its values, so that it has no unit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lictor.codec.weights import lossy
from lictor.training.weights_config import Weights

_THIN = 16
"""Rows or columns with fewer of which a matrix stays whole: a product is hardly smaller."""
_FLAT = 1e-12
"""Squared norms below are none, so that their root has a gradient."""


class Ranked(nn.Module):
    """The weights of a network, matrices among them as products.

    names: of weights; matrices: of those that are products. The network itself is not a part of it.
    """

    ranks: Tensor
    at_start: Tensor

    def __init__(self, of: nn.Module, config: Weights) -> None:
        super().__init__()
        named = {k: p for k, p in of.named_parameters() if p.is_floating_point()}
        self.shapes = {k: p.shape for k, p in named.items() if _is_product(p)}
        self.matrices = list(self.shapes)
        self.names = [k for k in named if k not in self.shapes]
        self.weights = nn.ParameterList(named[k].detach().clone() for k in self.names)
        pairs = [_singular(named[k].detach().flatten(1)) for k in self.matrices]
        self.left = nn.ParameterList(left for left, _ in pairs)
        self.right = nn.ParameterList(right for _, right in pairs)
        # Floats, as all that averaged weights follow.
        self.register_buffer("ranks", torch.tensor([float(len(r)) for r in self.right]))
        at_start = [_tails(*pair) for pair in zip(self.left, self.right, strict=True)]
        self.register_buffer("at_start", torch.tensor([float(t.detach().sum()) for t in at_start]))
        self.least = config.least

    def parts(self) -> list[int]:
        """The rank of each matrix."""
        return [int(rank) for rank in self.ranks]

    def given(self, way: str) -> dict[str, Tensor]:
        """Weights by their names: of one matrix, in "ranks", only some parts; or all of them."""
        found = dict(zip(self.names, self.weights, strict=True))
        chosen = int(torch.randint(len(self.matrices), ())) if way == "ranks" else -1
        parts = self.parts()
        for at, name in enumerate(self.matrices):
            rank = parts[at]
            if at == chosen:
                rank = int(torch.randint(rank, ())) + 1
            whole = self.left[at][:, :rank] @ self.right[at][:rank]
            found[name] = whole.reshape(self.shapes[name])
        return found

    def price(self) -> Tensor:
        """Norms of all parts from each on, a share of those at the start."""
        total, count = torch.zeros(()), 0
        for at, rank in enumerate(self.parts()):
            own = self.left[at].shape[0] * self.right[at].shape[1]
            left, right = self.left[at][:, :rank], self.right[at][:rank]
            total = total + own * _tails(left, right).sum() / self.at_start[at]
            count += own
        return total / max(count, 1)

    @torch.no_grad()
    def shrink(self, by: Ranked | None = None) -> None:
        """Take away small parts at the end of each matrix. by: whose ranks are taken instead."""
        if by is not None:
            self.ranks.copy_(by.ranks)
            return
        for at, rank in enumerate(self.parts()):
            sizes = self.left[at].norm(dim=0)[:rank] * self.right[at].norm(dim=1)[:rank]
            kept = (sizes > self.least * sizes.max()).nonzero()
            self.ranks[at] = int(kept.max()) + 1 if len(kept) else 1

    def told(self) -> float:
        """Values that products have, or matrices where these have fewer, of those all have."""
        own = [
            (len(left) * right.shape[1], rank * (len(left) + right.shape[1]))
            for left, right, rank in zip(self.left, self.right, self.parts(), strict=True)
        ]
        return sum(map(min, own)) / max(sum(whole for whole, _ in own), 1)


def _is_product(p: Tensor) -> bool:
    large = p.ndim > 1 and p.numel() >= lossy.FEWEST
    return large and min(p.shape[0], p.numel() // p.shape[0]) >= _THIN


def _singular(matrix: Tensor) -> tuple[Tensor, Tensor]:
    u, s, v = torch.linalg.svd(matrix.float(), full_matrices=False)
    root = s.sqrt()
    return (u * root).contiguous(), (root[:, None] * v).contiguous()


def _tails(left: Tensor, right: Tensor) -> Tensor:
    """Norms of both factors' parts from each on, (rank,)."""
    squares = left.square().sum(0), right.square().sum(1)
    sums = [own.flip(0).cumsum(0) + _FLAT for own in squares]
    found: Tensor = sums[0].sqrt() + sums[1].sqrt()
    return found
