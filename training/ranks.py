"""Ranks that are trained: each matrix is a product, whose parts beyond those it needs die out.

A matrix begins as its singular vectors, largest first. In each step one matrix has only its first b
parts, so that first parts learn to do without later ones; and a penalty on norms of all parts from
b on, for each b, draws the last ones to zero. Parts that became small against the largest are taken
away for good, now and then. So each matrix finds its own rank.

Two things are otherwise than in the paper, for a network that is good already and little time. b is
drawn from the upper half of a matrix' rank: with less a good network answers nothing of which there
is anything to learn. And the penalty is no part of the loss, whose gradients Adam divides by their
size, but an operator after each of its steps, which makes norms less.

Source: S. Horváth et al., "Maestro: Uncovering low-rank structures via trainable decomposition",
ICML 2024 (arXiv:2308.14929). The operator: R. Jenatton et al., "Proximal methods for hierarchical
sparse coding", JMLR 12, 2011.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lictor.codec.weights import lossy
from lictor.training.weights_config import Weights

_THIN = 16
"""Rows or columns with fewer of which a matrix stays whole: a product is hardly smaller."""


class Ranked(nn.Module):
    """The weights of a network, matrices among them as products.

    names: of weights; matrices: of those that are products. The network itself is not a part of it.
    """

    ranks: Tensor

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
                rank -= int(torch.randint(rank // 2 + 1, ()))
            whole = self.left[at][:, :rank] @ self.right[at][:rank]
            found[name] = whole.reshape(self.shapes[name])
        return found

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


class Proximal(torch.optim.Adam):
    """Adam, after whose steps the norms of last parts are made less.

    What a matrix loses goes with how little its gradients say to it, as those of the loss and of
    a penalty would be held against each other without Adam.

    groups: as of Adam, one for each tensor of `model`. penalty: of what a step moves a part by,
    what the last parts' norm loses, a share of the rank for each, in the matrix in the middle.
    """

    def __init__(self, groups: list[dict[str, Any]], model: Ranked, penalty: float) -> None:
        super().__init__(groups)
        self._model, self._penalty = model, penalty

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """As of Adam."""
        found, model = super().step(closure), self._model
        rates = {group["params"][0]: group["lr"] for group in self.param_groups}
        pairs = list(zip(model.left, model.right, strict=True))
        pulls = torch.tensor([max(self._pull(f) * rates[f] for f in pair) for pair in pairs])
        shares = (pulls.median() / pulls).clamp(1 / _APART, _APART).nan_to_num(1)
        for (left, right), rank, share in zip(pairs, model.parts(), shares.tolist(), strict=True):
            for factor, own in ((left, left.T[:rank]), (right, right[:rank])):
                most = self._penalty * share * rates[factor] * (own.shape[1] / rank) ** 0.5
                kept = nested(own.norm(dim=1).tolist(), most)
                own.mul_(torch.tensor(kept)[:, None])
        return found

    def _pull(self, factor: Tensor) -> float:
        """The size of its gradients."""
        own = self.state.get(factor)
        return float(own["exp_avg_sq"].mean().sqrt()) if own else 0.0


_APART = 16
"""By how much what matrices lose differs from the middle at most."""


def nested(norms: list[float], most: float) -> list[float]:
    """What the operator of `most` · Σ_b |parts from b on| leaves of each part, 0 to 1.

    Groups that hold one another: from the smallest on, each loses `most` of its norm.
    """
    left, kept = 0.0, []
    for norm in reversed(norms):
        whole = (norm**2 + left**2) ** 0.5
        left = max(whole - most, 0.0)
        kept.append(left / whole if whole else 0.0)
    shares, share = [], 1.0
    for own in reversed(kept):
        share *= own
        shares.append(share)
    return shares
