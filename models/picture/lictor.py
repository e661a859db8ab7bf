"""The flagship: one checkpoint for every rate, decoding alike on every machine.

    x ─ g_a ─ v ─ * gain ─ y ─ quadtree: round(y - mu) ─▶ coder ─▶ y_hat ─ / gain ─ g_s ─ x_hat
                           │              ▲ mu, scale                │
                           │              └── p, and y_hat so far ──┘
                           └─ h_a ─ z ─ round ─▶ coder ─▶ z_hat ─ h_s ─ p

Everything from z_hat to (mu, scale) runs in exact integers (fixed_point.py); g_a, h_a and g_s are
ordinary float networks. models/coding/LATENTS.md is the specification.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lictor.entropy import Decoder, Encoder, Pull, Push
from lictor.models import facts
from lictor.models.base import LatentCodec, Network, Output, crop, padded
from lictor.models.box import Box
from lictor.models.coding.latents import PLACES, Latents
from lictor.models.coding.quadtree import from_cells
from lictor.models.coding.quality import all_steps, condition, steps
from lictor.models.coding.quality_ladder import on_nchw, on_nhwc, quality_to_lambda
from lictor.models.coding.several import Several
from lictor.models.picture.high_bit_depth import halvings, smooth_latents
from lictor.models.picture.klt import klt
from lictor.models.picture.latent_search import Picture, State, refine
from lictor.models.picture.quick_synthesis import QuickSynthesis, quick
from lictor.models.picture.transforms import Analysis, Synthesis
from lictor.models.picture.widen import grow
from lictor.models.progress import Progress
from lictor.models.quality import STEPS, Quality
from lictor.models.registry import register


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
class Lictor(Latents, LatentCodec):
    """Variable-rate transform codec with a hyperprior and a four-step quadtree context."""

    smooth: Tensor
    quick: QuickSynthesis | None = None
    """In place of g_s, while latents are searched for."""

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        self.sizes = s = Sizes(**sizes)
        (
            self.stride,
            self.cell,
            self.analysis_halo,
            self.synthesis_halo,
            self.takes_maps,
            self.on_ladder,
        ) = facts.lictor(s.depth)
        self.g_a = Analysis(s.channels, s.latent, s.depth)
        self.g_s = Synthesis(s.channels, s.latent, s.depth)
        self.code_latents(s.latent, s.channels, s.side, s.prior)
        # 1 for latents that smooth pictures consist of, else 0 (high_bit_depth.py).
        self.register_buffer("smooth", torch.zeros(s.latent))

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
        gain = (255**2 * quality_to_lambda(quality) / 26).sqrt()[:, None]
        self.start_from_gains(gain, deviation)
        self.smooth.copy_(smooth_latents(basis))
        # The network part of g_s starts with inputs of like size, too.
        self.g_s.enter.weight.div_(deviation.clamp(min=1e-3).sqrt()[None, :, None, None])

    def start_from_pictures(self, sample: Tensor) -> None:
        """As their KLT; sample: crops, float (N, 3, S, S) in 0…1."""
        self.start_from_klt(*(part[: self.sizes.latent] for part in klt(sample)))

    def start_from_weights(self, given: Network, sample: Tensor) -> None:
        """As a smaller model; sample: for what that lacks. Raises ModelError for any other."""
        grow(given, self, *klt(sample))

    def moves_slowly(self, parameter: str) -> bool:
        """Linear shortcuts and gains, which start as a KLT's."""
        return "shortcut" in parameter or "gain" in parameter

    # ---------------------------------------------------------------- training

    def forward(self, x: Tensor, quality: Tensor, deep: Tensor | None = None) -> Output:
        """As for every model; deep: bool (N,), the pictures of more than 8 bits; None: as self."""
        v = self._latent(x, quality)
        octaves = self.octaves(quality, deep)
        y = _finer(v, octaves).permute(0, 2, 3, 1)
        z = self.h_a(v).permute(0, 2, 3, 1)
        cells, bits = self._quantised(y, z, quality, octaves=octaves)
        x_hat = self.synthesise(from_cells(cells).permute(0, 3, 1, 2), quality, octaves)
        return Output(x_hat.float(), bits)

    def requantised(self, y: Tensor, z: Tensor, quality: Tensor, other: Tensor) -> Output:
        """Latents of one quality coded at another near it, where others would be much the same.

        y, z: (N, h, w, M) and (N, h/4, w/4, Z). quality, other: as for `forward`.
        """
        steps = self.gain(other) - self.gain(quality)
        octaves = self.octaves(other) - self.octaves(quality)
        cells, bits = self._quantised(y * on_nhwc(steps.exp() * octaves.exp2()), z, other)
        x_hat = self.synthesise(from_cells(cells).permute(0, 3, 1, 2), other)
        return Output(x_hat.float(), bits)

    def synthesise(self, y_hat: Tensor, quality: Tensor, octaves: Tensor | None = None) -> Tensor:
        """The picture of y_hat (N, M, h, w), about 0…1 (not clamped).

        octaves: of its steps, where they are not those of the quality.
        """
        octaves = self.octaves(quality) if octaves is None else octaves
        v = y_hat * on_nchw(self.inverse_gain(quality).exp() * torch.exp2(-octaves))
        return self.g_s(v, quality) + 0.5 if self.quick is None else self.quick(v, quality)

    def _latent(self, x: Tensor, quality: Tensor) -> Tensor:
        """Y (N, M, h, w), but in the steps of 8 bits."""
        return self.g_a(x - 0.5, quality) * on_nchw(self.gain(quality)).exp()

    def octaves(self, quality: Tensor, deep: Tensor | None = None) -> Tensor:
        """As for `Latents`; deep: bool (N,), the pictures of more than 8 bits; None: as self."""
        if deep is None:
            deep = torch.full(quality.shape[:1], self.is_deep, device=quality.device)
        return halvings(quality, deep)[..., None] * self.smooth

    @torch.inference_mode()
    def estimate(self, x: Tensor, quality: Quality, tile: Box | None = None) -> float:
        was_training = self.training
        if was_training:
            self.eval()
        y, z, own = self._latents(x, quality, tile)
        _, bits = self._quantised(y, z, condition(own, x))
        if was_training:
            self.train()
        return bits.item()

    # ---------------------------------------------------------------- coding

    def deep(self) -> Lictor:
        self._exact()  # both share the twins
        deep = copy.copy(self)
        deep.is_deep = True
        return deep

    @torch.inference_mode()
    def encode(
        self, x: Tensor, quality: Quality, encoder: Encoder, tile: Box | None = None
    ) -> Tensor:
        return self.push(*self._latents(x, quality, tile), encoder)

    @torch.inference_mode()
    def encode_several(
        self, x: Tensor, qualities: Sequence[Quality], encoders: Sequence[Encoder]
    ) -> Tensor:
        """As `encode` of each of several pictures, (N, 3, H, W), padded to the stride."""
        step = all_steps(qualities, x.device)
        quality = _of_steps(step, x)
        v = self._latent(x, quality)
        y, z = _finer(v, self.octaves(quality)), self.h_a(v)
        io = Several([Push(one) for one in encoders])
        return self._push(io, y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1), step)

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
                quality=quality.part(seen.in_cells(self.cell)),
                around=crop(around, seen.in_cells(self.cell)).permute(0, 2, 3, 1),
                place=place.seen_from(seen).in_cells(self.cell),
            )
        self._exact()  # both share the twins
        own = copy.copy(self)
        own.quick = quick(self.g_s)
        y, z, bits = refine(own, picture, plain, effort, progress)
        self.push(y, z, quality.part(place.in_cells(self.cell)), encoder)
        return bits

    def _latents(
        self, x: Tensor, quality: Quality, tile: Box | None
    ) -> tuple[Tensor, Tensor, Quality]:
        """What is rounded and coded, y (1, h, w, M) and z (1, h/4, w/4, Z), and their quality."""
        wide, place = padded(x, tile, self.stride)
        quality = self._fitted(quality, wide)
        y, z = self._cut(self._latent(wide, condition(quality, x)), place, quality)
        return y, z, quality.part(place.in_cells(self.cell))

    def _fitted(self, quality: Quality, x: Tensor) -> Quality:
        return quality.fitted(*(side // self.cell for side in x.shape[2:]))

    def _cut(self, v: Tensor, place: Box, quality: Quality) -> tuple[Tensor, Tensor]:
        """Y and z, NHWC, of a tile, from what `_latent` gave of all that is around it."""
        core = place.in_cells(self.cell)
        # The first place of z must be one of the tile's grid.
        z = self.h_a(v[:, :, core.top % PLACES :, core.left % PLACES :])
        z = crop(z, core.in_cells(PLACES))
        y = _finer(crop(v, core), self.octaves(condition(quality.part(core), v)))
        return y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1)

    @torch.inference_mode()
    def pull(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        rows, columns = self._places(shape)
        step = steps(quality.fitted(PLACES * rows, PLACES * columns), self.device)
        return self._code(Pull(decoder), step, (1, rows, columns, self.sizes.side))

    @torch.inference_mode()
    def pull_several(
        self, shape: tuple[int, int], qualities: Sequence[Quality], decoders: Sequence[Decoder]
    ) -> Tensor:
        """As `pull` of each of several pictures that are alike in shape, once padded."""
        io = Several([Pull(one) for one in decoders])
        z_shape = (len(decoders), *self._places(shape), self.sizes.side)
        return self._code(io, all_steps(qualities, self.device), z_shape)

    def _places(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of z."""
        side = self.cell * PLACES
        return -(-shape[0] // side), -(-shape[1] // side)

    @torch.inference_mode()
    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        return self.synthesise(latents, condition(quality, latents)).float().clamp(0, 1)

    @torch.inference_mode()
    def reconstruct_several(self, latents: Tensor, qualities: Sequence[Quality]) -> Tensor:
        """As `reconstruct` of each of several pictures, whose latents are (N, C, h, w)."""
        quality = _of_steps(all_steps(qualities, latents.device), latents)
        return self.synthesise(latents, quality).float().clamp(0, 1)


def _of_steps(steps: Tensor, like: Tensor) -> Tensor:
    """Quality in 0…100."""
    return steps.to(like) * (100 / STEPS)


def _finer(y: Tensor, octaves: Tensor) -> Tensor:
    """Y (N, M, h, w) in steps that many times halved."""
    return y * on_nchw(octaves).exp2()
