"""The KLT that a student starts from: of the front's output, measured by what the tail makes of it.

An error e of the front's output changes the scores by J e; its mean square is e' G e with
G = E[J' J]. Where the transform makes G the identity, equal steps for all coefficients are right.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.models.task.efficientnet import Tail
from lictor.models.task.student import FOLD, Klt

FLOOR = 0.03
"""Part of its mean that is added to the diagonal of G: what no score saw is not free."""


def klt(f: Tensor, tail: Tail, batch: int = 8) -> Klt:
    """Of outputs of the front, float (N, 40, 2h, 2w)."""
    flat = _flat(f)
    mean = flat.mean(0)
    covariance = (flat - mean).T @ (flat - mean) / len(flat)
    root = _root(_metric(f, tail, batch))
    variance, basis = torch.linalg.eigh(root @ covariance @ root)
    order = variance.argsort(descending=True)
    deviation = variance[order].clamp(min=0).sqrt()
    forward = basis[:, order].T @ root / deviation[0]
    backward = torch.linalg.inv(root) @ basis[:, order] * deviation[0]
    parts = (forward, backward, mean, deviation / deviation[0])
    return Klt(*(part.float() for part in parts))


def _metric(f: Tensor, tail: Tail, batch: int) -> Tensor:
    total = torch.zeros(_flat(f[:1]).shape[1]).double().diag()
    generator = torch.Generator().manual_seed(0)
    for part in f.split(batch):
        part = part.clone().requires_grad_(True)
        scores = tail(part).scores
        direction = torch.randn(scores.shape, generator=generator)
        (gradient,) = torch.autograd.grad((scores * direction).sum(), part)
        flat = _flat(gradient)
        total += flat.T @ flat
    return total + torch.eye(len(total)) * total.trace() / len(total) * FLOOR


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ values.sqrt().diag() @ vectors.T


def _flat(f: Tensor) -> Tensor:
    return F.pixel_unshuffle(f, FOLD).permute(0, 2, 3, 1).flatten(0, 2).double()
