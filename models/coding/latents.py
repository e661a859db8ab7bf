"""How latents are coded: side information, the quadtree context, and the order of symbols.

    y ─ quadtree: round(y - mu) ─▶ coder ─▶ y_hat
    │              ▲ mu, scale       │
    │              └── p, and y_hat so far
    └─ h_a ─ z ─ round ─▶ coder ─▶ z_hat ─ h_s ─ p

Everything from z_hat to (mu, scale) runs in exact integers (fixed_point.py). LATENTS.md is the
specification. What makes y, and what becomes of y_hat, is for the models built on this.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lictor.entropy import Encoder, Push, SymbolIo
from lictor.models.base import refuse_no_numbers
from lictor.models.coding import gaussian
from lictor.models.coding.fixed_point import FRACTION, LIMIT, power_of_two
from lictor.models.coding.fixed_point_model import Twinned
from lictor.models.coding.hyperprior import HyperAnalysis, HyperSynthesis
from lictor.models.coding.quadtree import Code, Quadtree, from_cells, to_cells
from lictor.models.coding.quality import coarser, steps
from lictor.models.coding.quality_ladder import Ladder, on_nhwc
from lictor.models.coding.several import Several
from lictor.models.coding.symbols import Coded, Trained, exactly, round_through
from lictor.models.coding.units import PLACES as PLACES
from lictor.models.quality import STEPS, Quality


class Latents(Twinned):
    """What models with a hyperprior and a four-step quadtree context have in common."""

    twinned = ("h_s", "context", "z_scale")
    octave: Tensor

    def code_latents(self, latent: int, hidden: int, side: int, prior: int) -> None:
        """Make the parts, once the transforms are made.

        Args:
            latent: channels of y.
            hidden: of h_a.
            side: of z.
            prior: of p.
        """
        self.h_a = HyperAnalysis(latent, hidden, side)
        self.h_s = HyperSynthesis(side, prior)
        self.context = Quadtree(prior, latent, prior)
        self.gain = Ladder(latent)
        self.inverse_gain = Ladder(latent)
        self.z_scale = Ladder(side, 3.0)
        # log2 of each channel's usual size: the context sees y / 2**octave and predicts likewise.
        self.register_buffer("octave", torch.zeros(latent))

    # ---------------------------------------------------------------- starting point

    @torch.no_grad()
    def start_from_gains(self, gain: Tensor, deviation: Tensor) -> None:
        """Gains (rungs of a ladder, 1) of a linear transform, and the scales that go with them.

        gain: 1 / quantisation step. deviation: of each coefficient (M,), the largest first.
        """
        self.gain.rungs.copy_(gain.log().expand_as(self.gain.rungs))
        self.inverse_gain.rungs.copy_(-self.gain.rungs)
        sigma = deviation * gain
        self.context.scale.rungs.copy_(gaussian.sigma_to_scale(sigma.clamp(min=0.05)))
        self.octave.copy_((1 + sigma[len(sigma) // 2]).log2().round())

    # ---------------------------------------------------------------- training

    def octaves(self, quality: Tensor) -> Tensor:
        """How often the step of each channel of y is halved beyond its gain, as a ladder gives it.

        quality: 0…100, (N,) or (N, h, w).
        """
        return quality.new_zeros(*quality.shape, 1)

    def _quantised(
        self,
        y: Tensor,
        z: Tensor,
        quality: Tensor,
        inside: Tensor | None = None,
        octaves: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Y and z, NHWC, as training has them coded: y_hat as cells, and the bits.

        inside: bool (1, h, w, 1), the places of y that are coded; None: all. octaves: of y's steps,
        where they are not those of the quality.
        """
        side_bits = gaussian.symbol_bits(z, self.side_scale(z, quality))
        p = self.h_s(round_through(z), quality)
        y = y.float()
        coded = None if inside is None else to_cells(inside.expand(1, *y.shape[1:]))
        code = Trained(to_cells(y), coded)
        cells = self.walk(y.shape, p, quality, code, octaves)
        return cells, side_bits.flatten(1).sum(1) + code.bits

    def side_scale(self, z: Tensor, quality: Tensor) -> Tensor:
        """The scale of each value of z, NHWC."""
        return on_nhwc(self.z_scale(coarser(quality, PLACES))).expand_as(z)

    def walk(
        self,
        shape: tuple[int, ...],
        p: Tensor,
        quality: Tensor,
        code: Code,
        octaves: Tensor | None = None,
    ) -> Tensor:
        """The quadtree on floats for y of a shape (N, h, w, M); returns y_hat as cells.

        octaves: as for `_quantised`.
        """
        octaves = on_nhwc(self.octaves(quality) if octaves is None else octaves)
        octave = to_cells(torch.exp2(self.octave + octaves).expand(shape))
        base = to_cells((on_nhwc(self.context.scale(quality)) + octaves).expand(shape))
        return self.context.walk(p, base, code, octave)

    # ---------------------------------------------------------------- coding

    @torch.inference_mode()
    def push(
        self,
        y: Tensor,
        z: Tensor,
        quality: Quality,
        encoder: Encoder,
        inside: Tensor | None = None,
    ) -> Tensor:
        """Code y and z, NHWC; returns y_hat, NCHW, as the decoder will have it.

        inside: bool (1, h, w, 1), the places of y that are coded; None: all.
        """
        return self._push(Push(encoder), y, z, steps(quality, y.device), inside)

    def _push(
        self,
        io: SymbolIo | Several,
        y: Tensor,
        z: Tensor,
        step: Tensor,
        inside: Tensor | None = None,
    ) -> Tensor:
        """As `push`, of one picture or of several."""
        refuse_no_numbers(y, z)
        return self._code(io, step, z.shape, z.double(), to_cells(y.double()), inside)

    def _code(
        self,
        io: SymbolIo | Several,
        step: Tensor,
        z_shape: tuple[int, ...],
        z: Tensor | None = None,
        cells: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> Tensor:
        """The order of symbols, written once for both directions; returns y_hat, NCHW float32.

        z, cells: what is coded, float64; None of a decoder. inside: as for push.
        """
        twins, unit = self._exact(), 2.0**FRACTION
        scale = on_nhwc(twins["z_scale"](coarser(step, PLACES))).expand(z_shape)
        side = exactly(io, z, torch.zeros_like(scale), scale)
        p = twins["h_s"]((side * unit).clamp_(-LIMIT, LIMIT), step)
        n, h, w, _ = p.shape
        octaves = on_nhwc(self.octaves(step * (100 / STEPS))).double()
        octave = to_cells(power_of_two(self.octave + octaves).expand(n, h, w, -1))
        base = on_nhwc(twins["context"].scale(step)) + octaves * unit
        base = to_cells(base.expand(n, h, w, -1))
        coded = None if inside is None else to_cells(inside.expand(n, h, w, self.octave.numel()))
        known = twins["context"].walk(p, base, Coded(io, cells, coded), octave)
        return (from_cells(known).permute(0, 3, 1, 2) * 2.0**-FRACTION).float()
