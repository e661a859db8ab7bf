"""Where a classifier is sensitive: how much a small error of each place changes what it sees.

A small error in a pixel changes a network's features in proportion to their gradient there. So the
squared error of each place is weighed by its squared gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.models.coding.quality_ladder import LAMBDA_OCTAVES
from lictor.models.quality import PLACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DRAWS = 8
"""Random combinations of the features, whose gradients are squared and averaged."""
_CELL = 16
"""Pixels of the network's view that are taken together."""
_LOUD = 0.95
"""The share of cells whose gradients are no more than full quality stands for."""


def wanted(
    network: Any,
    view: NDArray[np.float32],
    square: tuple[float, float, float],
    places: tuple[int, int],
    drop: float,
) -> NDArray[np.floating[Any]]:
    """How much each place of a picture is wanted, 0…1, (rows, columns).

    What a place's error weighs is just what quality says: quality is the logarithm of lambda.

    Args:
        network: a classifier with `extract_features`, of lictor.models.task.efficientnet.
        view: what it sees of the picture, (1, 3, S, S).
        square: left, top and side of that in the picture, in pixels.
        places: rows and columns of the picture, of PLACE x PLACE pixels.
        drop: by how much quality is lower where nothing is wanted.
    """
    below = _below(_sensitivity(network, torch.from_numpy(view)))
    return _on_places(below, square, places, drop)


def _sensitivity(network: Any, view: Tensor) -> Tensor:
    """Mean squared gradients of the features in each cell of a view (1, 3, S, S): (1, 1, s, s).

    For random signs v, the square of J'v is in expectation the diagonal of J'J (Hutchinson).
    """
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.enable_grad():
        view = view.clone().requires_grad_()
        features = network.extract_features(view).mean(dim=(2, 3))
        total = torch.zeros_like(view[:, :1])
        for i in range(_DRAWS):
            signs = torch.randint(0, 2, features.shape, generator=generator) * 2.0 - 1
            (seen,) = torch.autograd.grad(features, view, signs, retain_graph=i < _DRAWS - 1)
            total += seen.square().sum(dim=1, keepdim=True)
    cells = F.avg_pool2d(total, _CELL)
    kernel = torch.outer(*2 * [torch.tensor([0.25, 0.5, 0.25])])[None, None]
    return F.conv2d(F.pad(cells, (1, 1, 1, 1), mode="replicate"), kernel)


def _below(sensitivity: Tensor) -> Tensor:
    """By how much quality is below the best, in points of 100."""
    loud = sensitivity.quantile(_LOUD)
    octaves = (loud / sensitivity.clamp(min=1e-30)).log2().clamp(min=0)
    return octaves * (100 / LAMBDA_OCTAVES)


def _on_places(
    below: Tensor, square: tuple[float, float, float], places: tuple[int, int], drop: float
) -> NDArray[np.floating[Any]]:
    """Wishes 0…1 of all places, from what is known of the square; 0 elsewhere."""
    left, top, side = square
    rows, columns = places
    # Where the middle of each place is in the square, -1…1.
    y, x = (
        ((torch.arange(n) + 0.5) * PLACE - start) * (2 / side) - 1
        for n, start in ((rows, top), (columns, left))
    )
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    found = F.grid_sample(below, grid.float(), padding_mode="border", align_corners=False)[0, 0]
    reach = 1 + PLACE / side  # a place of which the square has a part
    inside = (y.abs() < reach)[:, None] & (x.abs() < reach)
    near = (1 - (found - found[inside].min()) / drop).clamp(min=0)
    return np.asarray((near * inside).numpy())
