"""plane-hyper: features of a network as planes, one for each channel, with one model for all rates.

    x ─ fold ─ g_a ─ v ─ * gain ─ y ─ latents.py ─▶ coder ─▶ y_hat ─ / gain ─ g_s ─ unfold ─ x_hat

Places of a plane come in squares of fold x fold, each of which, with all channels, is a place of y:
what is gained here is that channels and neighbouring places depend on one another, which g_a, a
linear map that starts as a KLT with a network beside it, was taught of one layer of one network.
The codec brings arrays to planes (codec/arrays/planes.py); models/coding/LATENTS.md is the
specification.

Baseline: the hyperprior of "Feature Coding in the Era of Large Models" (Gao et al., 2024,
arXiv 2412.04307), which tiles the channels of a tensor as one picture, with a network for each
rate. There a network cannot tell which channel it sees; here each has its own inputs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.entropy import Decoder, Encoder, Pull
from lictor.models.base import Output, padded
from lictor.models.capabilities import Usual
from lictor.models.coding.latents import PLACES, Latents
from lictor.models.coding.quadtree import from_cells
from lictor.models.coding.quality import condition, steps
from lictor.models.coding.quality_ladder import ANCHORS
from lictor.models.picture.transforms import Bypassed
from lictor.models.quality import Quality
from lictor.models.registry import register

LAMBDA_MIN, LAMBDA_OCTAVES = 1.0, 10


def quality_to_lambda(quality: Tensor) -> Tensor:
    """Weight of the mean squared error, as a part of the variance, against bits a value."""
    return LAMBDA_MIN * 2.0 ** (LAMBDA_OCTAVES * quality / 100)


@register("plane-hyper", channels=64, fold=1, hidden=128, side=32, prior=128, depth=2)
class PlaneHyper(Latents):
    """Codes float tensors (N, channels, h, w), each channel of which has its mean taken away.

    Weights say how many channels there are and what they look like: mean and spread (C,), of the
    channels in the units of the array; unit (), the root of the mean of all spreads' squares, which
    is 1 in what the model is given.
    """

    trained_by = "by `lictor train-features`"
    channels: int
    mean: Tensor
    spread: Tensor
    unit: Tensor

    def __init__(
        self, channels: int, fold: int, hidden: int, side: int, prior: int, depth: int
    ) -> None:
        super().__init__()
        self._sizes = {"hidden": hidden, "side": side, "prior": prior, "depth": depth}
        self._build(channels, fold)

    def _build(self, channels: int, fold: int) -> None:
        self.channels, self.fold = channels, fold
        self.cell, self.stride = fold, fold * PLACES
        inputs = channels * fold**2
        latent = -(-inputs // 4) * 4
        hidden, depth = self._sizes["hidden"], self._sizes["depth"]
        self.g_a = Bypassed(inputs, latent, hidden, depth)
        self.g_s = Bypassed(latent, inputs, hidden, depth)
        self.code_latents(latent, hidden, self._sizes["side"], self._sizes["prior"])
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))
        self.register_buffer("unit", torch.ones(()))

    def resized(self, channels: int, fold: int) -> PlaneHyper:
        """The same architecture for other features, with random weights."""
        return PlaneHyper(channels, fold, **self._sizes)

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        """Weights have the channels and the fold that they have."""
        channels = tensors["mean"].numel() if "mean" in tensors else 0
        inputs = tensors["g_a.shortcut.weight"].shape[1] if channels else 0
        fold = math.isqrt(inputs // max(channels, 1))
        if not channels or channels * fold**2 != inputs:
            raise RuntimeError("they lack the channels' means, or have other channels")
        self._build(channels, fold)
        super().adopt(tensors)

    def usual(self) -> Usual:
        """What its channels look like."""
        mean, spread = (part.double().cpu().numpy() for part in (self.mean, self.spread))
        return Usual(mean, spread, float(self.unit))

    # ---------------------------------------------------------------- starting point

    @torch.no_grad()
    def start_from_klt(self, covariance: Tensor) -> None:
        """Make the linear maps a KLT. covariance: float64 (C·fold², C·fold²) of folded places.

        The quantisation step that is right at high rate is sqrt(12 / (2 ln 2 · lambda)): where the
        slopes of 6 dB a bit and lambda meet, with D = step² / 12.
        """
        variance, basis = torch.linalg.eigh(covariance)
        size = len(variance)
        basis, variance = basis.flip(1).float(), variance.flip(0).clamp(min=1e-12).float()
        latent = self.gain.rungs.shape[1]
        forward = F.pad(basis.T, (0, 0, 0, latent - size))
        self.g_a.start_linear(forward, torch.zeros(latent))
        self.g_s.start_linear(forward.T, torch.zeros(size))
        quality = torch.linspace(0, 100, ANCHORS)
        gain = (2 * math.log(2) * quality_to_lambda(quality) / 12).sqrt()[:, None]
        self.start_from_gains(gain, F.pad(variance.sqrt(), (0, latent - size)))

    # ---------------------------------------------------------------- training

    def forward(self, x: Tensor, quality: Tensor) -> Output:
        """X float (N, C, h, w) of any h and w; quality (N,)."""
        y_hat, bits = self._through(x, quality)
        wide = self.synthesise(y_hat, quality)
        return Output(wide[:, :, : x.shape[2], : x.shape[3]], bits)

    def _through(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        y, z, inside = self._latents(x, quality)
        cells, bits = self._quantised(y, z, quality, inside)
        return from_cells(cells).permute(0, 3, 1, 2), bits

    def synthesise(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """The planes of y_hat (N, M, h, w), padded."""
        v_hat = y_hat * self.inverse_gain(quality).exp()[:, :, None, None]
        return F.pixel_shuffle(self.g_s(v_hat, quality), self.fold)

    def _latents(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Y (N, h, w, M), z (N, h/4, w/4, Z), and which places of y have a value of x in them."""
        wide, _ = padded(x, None, self.stride)
        v = self.g_a(F.pixel_unshuffle(wide, self.fold), quality)
        y = v * self.gain(quality).exp()[:, :, None, None]
        inside = self._inside((x.shape[2], x.shape[3]))
        return y.permute(0, 2, 3, 1), self.h_a(y).permute(0, 2, 3, 1), inside

    def _inside(self, shape: tuple[int, int]) -> Tensor:
        """Bool (1, h, w, 1): the places of y that are coded; the rest is padding."""
        high, wide = (-(-n // self.fold) for n in shape)
        inside = torch.ones(1, high, wide, 1, dtype=torch.bool, device=self.device)
        return F.pad(inside, (0, 0, 0, -wide % PLACES, 0, -high % PLACES))

    @torch.inference_mode()
    def estimate(self, x: Tensor, quality: Quality) -> float:
        return self._through(x, condition(quality, x).expand(len(x)))[1].sum().item()

    # ---------------------------------------------------------------- coding

    @torch.inference_mode()
    def encode(self, x: Tensor, quality: Quality, encoder: Encoder) -> None:
        y, z, inside = self._latents(x, condition(quality, x).expand(len(x)))
        self.push(y, z, quality, encoder, inside)

    @torch.inference_mode()
    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder, count: int = 1
    ) -> Tensor:
        rows, columns = (-(-n // self.stride) for n in shape)
        z_shape = (count, rows, columns, self._sizes["side"])
        step, inside = steps(quality, self.device), self._inside(shape)
        return self._code(Pull(decoder), step, z_shape, inside=inside)

    @torch.inference_mode()
    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        """The planes of latents (N, M, h, w), padded: (N, C, h · fold, w · fold)."""
        return self.synthesise(latents, condition(quality, latents).expand(len(latents))).float()
