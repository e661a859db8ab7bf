"""The flagship: one checkpoint for every rate, decoding alike on every machine.

    x ─ g_a ─ v ─ * gain ─ y ─ quadtree: round(y - mu) ─▶ coder ─▶ y_hat ─ / gain ─ g_s ─ x_hat
                           │              ▲ mu, scale                │
                           │              └── p, and y_hat so far ──┘
                           └─ h_a ─ z ─ round ─▶ coder ─▶ z_hat ─ h_s ─ p

Everything from z_hat to (mu, scale) runs in exact integers (integer.py); g_a, h_a and g_s are
ordinary float networks. models/LATENTS.md is the specification.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lictor.models import gaussian
from lictor.models.base import LatentCodec, Output, crop, padded
from lictor.models.context import (
    STEPS,
    Quadtree,
    from_cells,
    group_of_phase,
    to_cells,
)
from lictor.models.fineness import halvings, smooth_latents
from lictor.models.hyperprior import HyperAnalysis, HyperSynthesis
from lictor.models.integer import FRACTION, LIMIT, exact, power_of_two, round_half_up
from lictor.models.quality import (
    Quality,
    coarser,
    condition,
    fitted,
    part,
    steps,
)
from lictor.models.rate import QUALITY_STEPS, Ladder, on_nchw, on_nhwc, quality_to_lambda
from lictor.models.refine import Picture, Progress, State, refine
from lictor.models.registry import register
from lictor.models.transforms import Analysis, Synthesis
from lictor.models.window import Box

if TYPE_CHECKING:
    from lictor.entropy import Decoder, Encoder

PLACES = 4
"""Places of y a side to one of z."""

_SYMBOL_LIMIT = 2.0**20
"""No picture comes near; keeps a hostile stream's values inside exact arithmetic."""


Code = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""What `Lictor.walk` asks in each step: target, mean, scale (4, N, h, w, C), and the group of each
phase, to y_hat of that quarter and the bits of each picture."""


@dataclass(frozen=True)
class Sizes:
    """Channels: of the transforms at 1/8, of y, of z, of the prior; blocks at each resolution."""

    channels: int
    latent: int
    side: int
    prior: int
    depth: int


@register("lictor-s", channels=192, latent=256, side=128, prior=256, depth=2)
@register("lictor-m", channels=320, latent=320, side=128, prior=384, depth=4)
class Lictor(LatentCodec):
    """Variable-rate transform codec with a hyperprior and a four-step quadtree context."""

    # Two 3x3 convolutions at 1/16 and two at 1/8 reach 48 pixels; z sees two places of y further.
    analysis_halo = 80
    synthesis_halo = 48
    takes_maps = True

    octave: Tensor
    smooth: Tensor

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        self.sizes = s = Sizes(**sizes)
        self.g_a = Analysis(s.channels, s.latent, s.depth)
        self.g_s = Synthesis(s.channels, s.latent, s.depth)
        self.h_a = HyperAnalysis(s.latent, s.channels, s.side)
        self.h_s = HyperSynthesis(s.side, s.prior)
        self.context = Quadtree(s.prior, s.latent, s.prior)
        self.gain = Ladder(s.latent)
        self.inverse_gain = Ladder(s.latent)
        self.z_scale = Ladder(s.side, 3.0)
        # log2 of each channel's usual size: the context sees y / 2**octave and predicts likewise.
        self.register_buffer("octave", torch.zeros(s.latent))
        # 1 for latents that smooth pictures consist of, else 0 (fineness.py).
        self.register_buffer("smooth", torch.zeros(s.latent))
        self._twins: dict[str, Any] | None = None

    # ---------------------------------------------------------------- starting point

    @torch.no_grad()
    def start_from_klt(self, basis: Tensor, deviation: Tensor) -> None:
        """Make the linear shortcuts a KLT, so that training starts from a working codec.

        basis: (M, 768), orthonormal rows on flattened 16x16 pixel-unshuffled blocks.
        deviation: (M,), standard deviation of each coefficient on pictures in 0…1.
        The quantisation step that is right at high rate is sqrt(26 / lambda) on 0…255: where the
        slopes of 6 dB a bit and three samples a pixel meet lambda.
        """
        self.g_a.shortcut.weight.copy_(basis[:, :, None, None])
        self.g_s.shortcut.weight.copy_(basis.T[:, :, None, None])
        quality = torch.linspace(0, 100, self.gain.rungs.shape[0])
        step = (255**2 * quality_to_lambda(quality) / 26).sqrt()[:, None]
        self.gain.rungs.copy_(step.log().expand_as(self.gain.rungs))
        self.inverse_gain.rungs.copy_(-self.gain.rungs)
        sigma = deviation * step
        self.context.scale.rungs.copy_(gaussian.sigma_to_scale(sigma.clamp(min=0.05)))
        self.octave.copy_((1 + sigma[len(sigma) // 2]).log2().round())
        self.smooth.copy_(smooth_latents(basis))
        # The network part of g_s starts with inputs of like size, too.
        self.g_s.enter.weight.div_(deviation.clamp(min=1e-3).sqrt()[None, :, None, None])

    # ---------------------------------------------------------------- training

    def forward(self, x: Tensor, quality: Tensor, deep: Tensor | None = None) -> Output:
        v = self._latent(x, quality)
        octaves = self.octaves(quality, deep)
        y = _finer(v, octaves).permute(0, 2, 3, 1)
        cells, bits = self._quantised(y, self.h_a(v).permute(0, 2, 3, 1), quality, octaves)
        x_hat = self.synthesise(from_cells(cells).permute(0, 3, 1, 2), quality, octaves)
        return Output(x_hat.float(), bits)

    def _quantised(
        self, y: Tensor, z: Tensor, quality: Tensor, octaves: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Y and z, NHWC, as training has them coded: y_hat as cells, and the bits."""
        side_bits = gaussian.symbol_bits(z, self.side_scale(z, quality))
        p = self.h_s(_round_through(z), quality)
        cells, y_bits = self._code_floats(y.float(), p, quality, octaves)
        return cells, side_bits.flatten(1).sum(1) + y_bits

    def side_scale(self, z: Tensor, quality: Tensor) -> Tensor:
        """The scale of each value of z, NHWC."""
        return on_nhwc(self.z_scale(coarser(quality, PLACES))).expand_as(z)

    def synthesise(self, y_hat: Tensor, quality: Tensor, octaves: Tensor | None = None) -> Tensor:
        """The picture of y_hat (N, M, h, w), about 0…1 (not clamped).

        octaves: as `octaves` gives them; of a picture like this model's if None.
        """
        octaves = self.octaves(quality) if octaves is None else octaves
        coarse = _finer(y_hat, -octaves) * on_nchw(self.inverse_gain(quality)).exp()
        return self.g_s(coarse, quality) + 0.5

    def _latent(self, x: Tensor, quality: Tensor) -> Tensor:
        """Y (N, M, h, w), but with the steps of 8 bits."""
        return self.g_a(x - 0.5, quality) * on_nchw(self.gain(quality)).exp()

    def octaves(self, quality: Tensor, deep: Tensor | None = None) -> Tensor:
        """How often the step of each latent is halved (fineness.py), as a ladder gives it.

        quality: 0…100. deep: bool (N,), which pictures have more than 8 bits a sample; all as this
        model is if None.
        """
        if deep is None:
            deep = torch.full(quality.shape[:1], self.is_deep, device=quality.device)
        return halvings(quality, deep)[..., None] * self.smooth

    def _code_floats(
        self, y: Tensor, p: Tensor, quality: Tensor, octaves: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The quadtree on floats: y_hat as cells, and the bits of each picture."""

        def code(target: Tensor, mean: Tensor, scale: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            residual = target - mean
            bits = gaussian.symbol_bits(residual, scale).sum(dim=(0, 2, 3, 4))
            return _round_through(residual) + mean, bits

        return self.walk(y, p, quality, code, octaves)

    def walk(
        self, y: Tensor, p: Tensor, quality: Tensor, code: Code, octaves: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The quadtree on floats, quantised and priced by `code`: y_hat as cells, and the bits.

        octaves: as for `synthesise`.
        """
        cells = to_cells(y)
        octaves = on_nhwc(self.octaves(quality) if octaves is None else octaves)
        octave = to_cells(torch.exp2(self.octave + octaves).expand_as(y))
        base = to_cells((on_nhwc(self.context.scale(quality)) + octaves).expand_as(y))
        known = torch.zeros_like(cells)
        total = y.new_zeros(y.shape[0])
        phases = torch.arange(4, device=y.device)
        for k, step in enumerate(self.context.steps):
            groups = group_of_phase(k, y.device)
            seen = None if k == 0 else from_cells(known / octave)
            mean, scale = step(p, seen).float().chunk(2, dim=-1)
            mean = mean * octave[phases, groups]
            scale = scale + base[phases, groups]
            y_hat, bits = code(cells[phases, groups], mean, scale, groups)
            total = total + bits
            known = known.index_put((phases, groups), y_hat)
        return known, total

    @torch.inference_mode()
    def estimate(self, x: Tensor, quality: Quality, tile: Box | None = None) -> float:
        was_training = self.training
        if was_training:
            self.eval()
        y, z, own = self._latents(x, quality, tile)
        own = condition(own, x)
        _, bits = self._quantised(y, z, own, self.octaves(own))
        if was_training:
            self.train()
        return bits.item()

    # ---------------------------------------------------------------- coding

    def deep(self) -> Lictor:
        self._exact()  # both share the twins
        deep = copy.copy(self)
        deep.is_deep = True
        return deep

    def train(self, mode: bool = True) -> Lictor:
        self._twins = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Lictor:
        self._twins = None  # they follow the weights to another device
        return super()._apply(*args, **kwargs)

    def _exact(self) -> dict[str, Any]:
        """The integer twins, made once from the weights as they are."""
        if self._twins is None:
            self._twins = {n: exact(getattr(self, n)) for n in ("h_s", "context", "z_scale")}
        return self._twins

    @torch.inference_mode()
    def encode(
        self, x: Tensor, quality: Quality, encoder: Encoder, tile: Box | None = None
    ) -> None:
        self.push(*self._latents(x, quality, tile), encoder)

    def search(
        self,
        x: Tensor,
        quality: Quality,
        encoder: Encoder,
        effort: int,
        progress: Progress | None,
        tile: Box | None = None,
    ) -> float:
        with torch.inference_mode():
            wide, place = padded(x, tile, self.stride)
            quality = self._fitted(quality, wide)
            v = self._latent(wide, condition(quality, x))
            around = _finer(v, self.octaves(condition(quality, x)))
            plain = State(*self._cut(v, place, quality))
            seen = place.grown(self.synthesis_halo).within(Box(0, 0, *wide.shape[2:]))
            picture = Picture(
                padded=crop(wide, seen),
                shape=seen.within(Box(0, 0, *x.shape[2:]))[2:],
                quality=part(quality, seen.in_cells(self.cell)),
                around=crop(around, seen.in_cells(self.cell)).permute(0, 2, 3, 1),
                place=place.seen_from(seen).in_cells(self.cell),
            )
        y, z, bits = refine(self, picture, plain, effort, progress)
        self.push(y, z, part(quality, place.in_cells(self.cell)), encoder)
        return bits

    def _latents(
        self, x: Tensor, quality: Quality, tile: Box | None
    ) -> tuple[Tensor, Tensor, Quality]:
        """What is rounded and coded, y (1, h, w, M) and z (1, h/4, w/4, Z), and their quality."""
        wide, place = padded(x, tile, self.stride)
        quality = self._fitted(quality, wide)
        y, z = self._cut(self._latent(wide, condition(quality, x)), place, quality)
        return y, z, part(quality, place.in_cells(self.cell))

    def _fitted(self, quality: Quality, x: Tensor) -> Quality:
        return fitted(quality, *(side // self.cell for side in x.shape[2:]))

    def _cut(self, v: Tensor, place: Box, quality: Quality) -> tuple[Tensor, Tensor]:
        """Y and z, NHWC, of a tile, from what `_latent` gave of all that is around it."""
        core = place.in_cells(self.cell)
        # The first place of z must be one of the tile's grid.
        z = self.h_a(v[:, :, core.top % PLACES :, core.left % PLACES :])
        z = crop(z, core.in_cells(PLACES))
        y = _finer(crop(v, core), self.octaves(condition(part(quality, core), v)))
        return y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1)

    @torch.inference_mode()
    def push(self, y: Tensor, z: Tensor, quality: Quality, encoder: Encoder) -> Tensor:
        """Code y and z, as `_latents` gives them; returns y_hat as the decoder will have it."""
        cells = to_cells(y.double())

        def push(target: Tensor, mean: Tensor, index: np.ndarray) -> Tensor:
            symbols = round_half_up(target - mean * 2.0**-FRACTION)
            symbols.clamp_(-_SYMBOL_LIMIT, _SYMBOL_LIMIT)
            encoder.push(symbols.flatten().cpu().numpy().astype(np.int32), index)
            return symbols

        return self._code(
            steps(quality, y.device),
            z.shape,
            lambda index: push(z.double(), torch.zeros_like(z), index),
            lambda phases, groups, mean, index: push(cells[phases, groups], mean, index),
            y.device,
        )

    @torch.inference_mode()
    def pull(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        device = self.octave.device
        side = self.cell * PLACES
        z_shape = (1, -(-shape[0] // side), -(-shape[1] // side), self.sizes.side)

        def pull(index: np.ndarray, shape: tuple[int, ...]) -> Tensor:
            symbols = torch.from_numpy(decoder.pull(index).astype(np.float64))
            return symbols.clamp_(-_SYMBOL_LIMIT, _SYMBOL_LIMIT).reshape(shape).to(device)

        return self._code(
            steps(fitted(quality, *(PLACES * n for n in z_shape[1:3])), device),
            z_shape,
            lambda index: pull(index, z_shape),
            lambda phases, groups, mean, index: pull(index, tuple(mean.shape)),
            device,
        )

    @torch.inference_mode()
    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        return self.synthesise(latents, condition(quality, latents)).float().clamp(0, 1)

    def _code(
        self,
        step: Tensor,
        z_shape: tuple[int, ...],
        code_z: Callable[[np.ndarray], Tensor],
        code_y: Callable[[Tensor, Tensor, Tensor, np.ndarray], Tensor],
        device: torch.device,
    ) -> Tensor:
        """The order of symbols, written once for both directions; returns y_hat, NCHW float32.

        code_z and code_y push or pull the symbols of one call and return them as float64.
        """
        twins = self._exact()
        unit = 2.0**FRACTION
        scale = on_nhwc(twins["z_scale"](coarser(step, PLACES))).expand(z_shape)
        p = twins["h_s"]((code_z(_index(scale)) * unit).clamp_(-LIMIT, LIMIT), step)
        n, h, w, _ = p.shape
        octaves = on_nhwc(self.octaves(step * (100 / QUALITY_STEPS))).double()
        octave = to_cells(power_of_two(self.octave + octaves).expand(n, h, w, -1))
        base = on_nhwc(twins["context"].scale(step)) + octaves * unit
        base = to_cells(base.expand(n, h, w, -1))
        known = torch.zeros_like(octave)
        phases = torch.arange(4, device=device)
        for k in range(STEPS):
            groups = group_of_phase(k, device)
            seen = None
            if k:
                seen = from_cells(round_half_up(known / octave).clamp_(-LIMIT, LIMIT))
            mean, scale = twins["context"].steps[k](p, seen).chunk(2, dim=-1)
            mean = round_half_up(mean * octave[phases, groups])
            index = _index(scale + base[phases, groups])
            known[phases, groups] = code_y(phases, groups, mean, index) * unit + mean
        return (from_cells(known).permute(0, 3, 1, 2) * 2.0**-FRACTION).float()


def _index(scale: Tensor) -> np.ndarray:
    """Fixed-point scales to indexes of the coder's table: nearest, held inside."""
    return gaussian.table_index(scale * 2.0**-FRACTION).flatten().cpu().numpy().astype(np.uint8)


def _finer(y: Tensor, octaves: Tensor) -> Tensor:
    """Y (N, M, h, w) in steps that many times halved."""
    return y * on_nchw(octaves).exp2()


def _round_through(x: Tensor) -> Tensor:
    """Rounds; the gradient passes as if it did not (Theis et al. 2017)."""
    return x + (x.round() - x).detach()
