"""CompressAI's models behind `LatentCodec`: its networks and weights, our coder and files.

    x ── g_a ── y ──────── round(y - mu) ──▶ coder ──▶ y_hat ── g_s ── x_hat
                │                ▲ mu, sigma    │
                └ h_a ─ z ─ round ─▶ coder ─▶ z_hat ── h_s (and, in some, the neighbours of y_hat)

CompressAI itself (Bégaint et al., 2020) is imported when the first of these models is made. They
have one rate each: `quality` changes nothing.

Encoder and decoder must agree on every table index. What leads to one runs on the CPU in float64,
through the same code in both; means are rounded to 1/1024, so that errors in the last places do not
build up from symbol to symbol. Sums in another order then change nothing, save where a number
falls within about 1e-13 of a boundary. That is rare, not impossible: unlike the lictor models,
which are exact, these offer no proof across machines. The checksum of a file's latents tells.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import ModuleType
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lictor.entropy import GAUSSIAN_SCALE_MIN, Decoder, Encoder, Pull, Push, SymbolIo
from lictor.models.base import LatentCodec, Output, crop, padded
from lictor.models.box import Box
from lictor.models.coding.compressai_prior import Prior
from lictor.models.coding.gaussian import table_index
from lictor.models.coding.symbols import held, through
from lictor.models.errors import ModelError
from lictor.models.quality import Quality
from lictor.models.registry import register

ARCHITECTURES = (
    "bmshj2018-factorized",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "cheng2020-anchor",
)

_MEAN_STEPS = 1024.0
_PRIOR = "prior."
"""Prefix of the integer tables among the tensors of a weights file."""


class MissingPackage(ModelError):
    """A model needs a package that is not installed."""


class CompressAI(LatentCodec):
    """A model of CompressAI.

    Args:
        widths: what its class takes: N, and M where it has one. `adopt` finds them in the weights.
    """

    network: ClassVar[str]
    """Name of the class in compressai.models."""
    # Enough for all of them; cheng2020-anchor reaches furthest, 169 and 104 pixels.
    analysis_halo = 192
    synthesis_halo = 128
    trained_by = "with CompressAI, for `lictor import`"
    deciding: ClassVar[tuple[str, ...]] = ()
    """The networks that table indexes depend on."""

    _prior: Prior | None
    _exact: dict[str, nn.Module] | None

    def __init__(self, **widths: int) -> None:
        super().__init__()
        self._build(widths)

    def _build(self, widths: Mapping[str, int]) -> None:
        # Its constructors mix devices where the default is another one.
        with torch.device("cpu"):
            self.net: Any = getattr(_compressai_models(), self.network)(**widths)
        self._forget()

    # ---------------------------------------------------------------- weights

    @classmethod
    def widths(cls, parameters: Mapping[str, Tensor]) -> dict[str, int]:
        """The constructor's arguments, from the shapes of the weights."""
        return {
            "N": _rows(parameters, "g_a.0.weight"),
            "M": _rows(parameters, "g_a.6.weight"),
        }

    def take(self, parameters: Mapping[str, Tensor]) -> None:
        """Become the model of these parameters, float32, under their `canonical` names.

        The tables of the factorised prior follow from them. Raises RuntimeError for parameters
        that are not this architecture's.
        """
        self._build(self.widths(parameters))
        own = {canonical(name): (name, p) for name, p in self.net.named_parameters()}
        for name, (_, parameter) in own.items():
            if name not in parameters:
                raise RuntimeError(f"{name} is missing")
            if parameters[name].shape != parameter.shape:
                expected, found = (tuple(t.shape) for t in (parameter, parameters[name]))
                raise RuntimeError(f"{name} has shape {found}, not {expected}")
        for name in parameters:
            if name not in own:
                raise RuntimeError(f"{name} is not part of it")
        state = {own[name][0]: tensor for name, tensor in parameters.items()}
        # CompressAI's own version of this method has no `assign`.
        nn.Module.load_state_dict(self.net, state, strict=False, assign=True)

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        self.take({n: t for n, t in tensors.items() if not n.startswith(_PRIOR)})
        state = {n.removeprefix(_PRIOR): t for n, t in tensors.items() if n.startswith(_PRIOR)}
        self._prior = Prior.from_tensors(state, self.medians())

    def export(self) -> dict[str, Tensor]:
        """Parameters in full precision, and the integer tables that follow from them."""
        self._forget()  # The weights may have changed since the tables were made.
        tensors = {canonical(n): p.detach().contiguous() for n, p in self.net.named_parameters()}
        return tensors | {_PRIOR + n: t for n, t in self.prior().tensors().items()}

    # ---------------------------------------------------------------- what follows from weights

    def train(self, mode: bool = True) -> CompressAI:
        if mode:
            self._forget()
        return super().train(mode)

    def _forget(self) -> None:
        self._prior = None
        self._exact = None

    def medians(self) -> Tensor:
        """What CompressAI rounds relative to, one a channel of the factorised prior."""
        return self.net.entropy_bottleneck.quantiles.detach()[:, 0, 1].cpu().double()

    def prior(self) -> Prior:
        """The integer tables of the factorised prior: those of the file, else made on the spot."""
        if self._prior is None:
            bottleneck = deepcopy(self.net.entropy_bottleneck).cpu().double()
            self._prior = Prior.from_bottleneck(bottleneck, self.medians())
        return self._prior

    def exact(self, name: str) -> nn.Module:
        """The float64 copy of a network that table indexes depend on."""
        if self._exact is None:
            self._exact = {n: deepcopy(getattr(self.net, n)).cpu().double() for n in self.deciding}
        return self._exact[name]

    # ---------------------------------------------------------------- interface

    def forward(self, x: Tensor, quality: Tensor) -> Output:
        out = self.net(x)
        bits = [-p.log2().flatten(1).sum(1) for p in out["likelihoods"].values()]
        return Output(out["x_hat"], torch.stack(bits).sum(0))

    @torch.inference_mode()
    def encode(
        self, x: Tensor, quality: Quality, encoder: Encoder, tile: Box | None = None
    ) -> None:
        self._code(_Stream(self.prior(), Push(encoder)), *self._latents(x, tile))

    @torch.inference_mode()
    def pull(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        y_hat = self._code(_Stream(self.prior(), Pull(decoder)), *self._blanks(shape))
        return y_hat.to(next(self.net.g_s.parameters()))

    @torch.inference_mode()
    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        # A hostile stream can reach infinity; the caller must still get a picture.
        return self.net.g_s(latents).float().nan_to_num().clamp(0, 1)

    @torch.inference_mode()
    def estimate(self, x: Tensor, quality: Quality, tile: Box | None = None) -> float:
        meter = _Meter(self.net)
        self._code(meter, *self._latents(x, tile))
        return meter.bits

    # ---------------------------------------------------------------- for each architecture

    def _latents(self, x: Tensor, tile: Box | None) -> tuple[Tensor, ...]:
        """What `_code` codes: latents of the padded tile, float64 on the CPU."""
        wide, place = padded(x, tile, self.stride)
        sizes = self._latent_sizes()
        return tuple(
            crop(t, place.in_cells(factor)).cpu().double()
            for t, (_, factor) in zip(self._analyse(wide), sizes, strict=True)
        )

    def _blanks(self, shape: tuple[int, int]) -> tuple[Tensor, ...]:
        """Zeros in the shapes of `_latents`, for a picture of this shape."""
        h, w = (-(-side // self.stride) * self.stride for side in shape)
        sizes = self._latent_sizes()
        return tuple(torch.zeros(1, c, h // f, w // f, dtype=torch.float64) for c, f in sizes)

    def _analyse(self, x: Tensor) -> tuple[Tensor, ...]:
        """Latents of a padded picture: y, and z where there is one."""
        raise NotImplementedError

    def _latent_sizes(self) -> tuple[tuple[int, int], ...]:
        """Channels and downsampling factor of each of them."""
        raise NotImplementedError

    def _code(self, coder: _Coder, *latents: Tensor) -> Tensor:
        """Hand all symbols to the coder, in the order of the stream; returns y_hat.

        Written once for encoder, decoder and estimate: what the decoder passes as latents is blank,
        and only `coder` looks at their values.
        """
        raise NotImplementedError


@register("bmshj2018-factorized", N=128, M=192)
class FactorizedPrior(CompressAI):
    """Fixed distributions, one a channel (Ballé et al., ICLR 2018)."""

    network = "FactorizedPrior"
    stride = 16

    def _analyse(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.net.g_a(x),)

    def _latent_sizes(self) -> tuple[tuple[int, int], ...]:
        return ((self.net.M, 16),)

    def _code(self, coder: _Coder, *latents: Tensor) -> Tensor:
        (y,) = latents
        return coder.factorised(y)


@register("bmshj2018-hyperprior", N=128, M=192)
class ScaleHyperprior(CompressAI):
    """Zero-mean Gaussians whose scales come from z (Ballé et al., ICLR 2018)."""

    network = "ScaleHyperprior"
    deciding: ClassVar[tuple[str, ...]] = ("h_s",)

    def _analyse(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.net.g_a(x)
        return y, self.net.h_a(y.abs())

    def _latent_sizes(self) -> tuple[tuple[int, int], ...]:
        return (self.net.M, 16), (self.net.N, 64)

    def _code(self, coder: _Coder, *latents: Tensor) -> Tensor:
        y, z = latents
        sigma = self.exact("h_s")(coder.factorised(z))
        return coder.gaussian(y, torch.zeros_like(sigma), sigma)


@register("mbt2018-mean", N=128, M=192)
class MeanScaleHyperprior(ScaleHyperprior):
    """Gaussians whose scales and means come from z (Minnen et al., NeurIPS 2018)."""

    network = "MeanScaleHyperprior"

    def _analyse(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.net.g_a(x)
        return y, self.net.h_a(y)

    def _code(self, coder: _Coder, *latents: Tensor) -> Tensor:
        y, z = latents
        sigma, mean = self.exact("h_s")(coder.factorised(z)).chunk(2, 1)
        return coder.gaussian(y, _rounded(mean), sigma)


@register("cheng2020-anchor", N=128)
class Cheng2020Anchor(MeanScaleHyperprior):
    """Scales and means from z and from decoded neighbours (Cheng et al., CVPR 2020).

    Slow: the networks run once for each diagonal of y, some 140 times for 768 x 512 pixels.
    """

    network = "Cheng2020Anchor"
    deciding = ("h_s", "context_prediction", "entropy_parameters")

    @classmethod
    def widths(cls, parameters: Mapping[str, Tensor]) -> dict[str, int]:
        return {"N": _rows(parameters, "g_a.0.conv1.weight")}

    def _code(self, coder: _Coder, *latents: Tensor) -> Tensor:
        y, z = latents
        _, channels, h, w = y.shape
        hyper = self.exact("h_s")(coder.factorised(z))
        context: Any = self.exact("context_prediction")
        # Of the 5x5 neighbours, the two rows above and the two pixels to the left are known.
        taps = [(dy, dx) for dy in range(3) for dx in range(5 if dy < 2 else 2)]
        dy, dx = torch.tensor(taps).T
        weight = context.weight[:, :, dy, dx].flatten(1)
        known = y.new_zeros(channels, h + 2, w + 4)
        for rows, columns in _diagonals(h, w):
            seen = known[:, rows + dy[:, None], columns + dx[:, None]].flatten(0, 1)
            near = torch.addmm(context.bias[:, None], weight, seen)
            both = torch.cat((hyper[0, :, rows, columns], near))[None, :, None]
            sigma, mean = self.exact("entropy_parameters")(both)[0, :, 0].chunk(2)
            y_hat = coder.gaussian(y[0, :, rows, columns], _rounded(mean), sigma)
            known[:, rows + 2, columns + 2] = y_hat
        return known[None, :, 2:, 2:-2]


def _diagonals(h: int, w: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and columns of pixels that a 5x5 context allows to be coded at once, in raster order.

    A pixel waits for the one to its left and for the one two to the right in the row above, so it
    has its turn at column + 3 * row.
    """
    for turn in range(w + 3 * (h - 1)):
        first = max(0, -(-(turn - w + 1) // 3))
        rows = torch.arange(first, min(h - 1, turn // 3) + 1)
        yield rows, turn - 3 * rows


# -------------------------------------------------------------------- encoder, decoder, estimate


class _Coder(Protocol):
    """What `_code` does with the symbols."""

    def factorised(self, target: Tensor) -> Tensor:
        """Code (1, C, h, w) with the prior's tables; returns its rounded values."""
        ...

    def gaussian(self, target: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
        """Code elements of one shape, each with its mean and scale; returns the rounded values."""
        ...


class _Stream:
    """Codes the symbols, one way or the other; a decoder's targets are blank."""

    def __init__(self, prior: Prior, io: SymbolIo) -> None:
        self.prior, self.io = prior, io

    def factorised(self, target: Tensor) -> Tensor:
        medians = self.prior.medians[:, None, None]
        symbols = None
        if not self.io.decoding:
            symbols = _symbols(target - medians)[0].flatten(1).numpy().astype(np.int32)
        coded = self.prior.code(self.io, symbols, target[0, 0].numel())
        return held(torch.from_numpy(coded.astype(np.float64))).reshape(target.shape) + medians

    def gaussian(self, target: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
        symbols = None if self.io.decoding else _symbols(target - mean)
        return through(self.io, symbols, scale_index(sigma), target) + mean


class _Meter:
    """Adds up what CompressAI's own likelihoods say."""

    def __init__(self, net: nn.Module) -> None:
        names = ("entropy_bottleneck", "gaussian_conditional")
        self.models = {
            name: deepcopy(model).cpu().double().eval()
            for name, model in net.named_children()
            if name in names
        }
        self.bits = 0.0

    def factorised(self, target: Tensor) -> Tensor:
        return self._add(*self.models["entropy_bottleneck"](target))

    def gaussian(self, target: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
        return self._add(*self.models["gaussian_conditional"](target, sigma, mean))

    def _add(self, rounded: Tensor, likelihood: Tensor) -> Tensor:
        self.bits -= likelihood.log2().sum().item()
        return rounded


def _symbols(values: Tensor) -> Tensor:
    return held(values.round())


def _rounded(mean: Tensor) -> Tensor:
    return held((mean * _MEAN_STEPS).round().div_(_MEAN_STEPS))


def scale_index(sigma: Tensor) -> np.ndarray:
    """Index of the nearest scale in `lictor.entropy.gaussian_tables`, uint8 (n,); sigma float64."""
    octaves = (sigma.clamp(min=GAUSSIAN_SCALE_MIN) / GAUSSIAN_SCALE_MIN).log2()
    return table_index(octaves).flatten().numpy().astype(np.uint8)


# -------------------------------------------------------------------- CompressAI


def _compressai_models() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # Warnings about its own dependencies are not for our users to act on.
            warnings.simplefilter("ignore")
            return importlib.import_module("compressai.models")
    except ImportError as error:
        raise MissingPackage(
            f"this model needs CompressAI ({error}); pip install 'lictor[compressai]'"
        ) from error


def canonical(name: str) -> str:
    """The one name of a parameter that versions of CompressAI have called differently."""
    name = name.removeprefix("module.").replace(".downsample.", ".skip.")
    old = re.fullmatch(r"entropy_bottleneck\._?(matri|bias|factor)[a-z]*\.?(\d+)", name)
    if not old:
        return name
    plural = {"matri": "matrices", "bias": "biases", "factor": "factors"}[old[1]]
    return f"entropy_bottleneck.{plural}.{old[2]}"


def _rows(parameters: Mapping[str, Tensor], name: str) -> int:
    if name not in parameters:
        raise RuntimeError(f"{name} is missing")
    if parameters[name].ndim != 4 or not parameters[name].numel():
        raise RuntimeError(f"{name} is no convolution")
    return parameters[name].shape[0]
