"""How latents are coded: side information, the quadtree context, and the order of symbols.

    y ─ quadtree: round(y - mu) ─▶ coder ─▶ y_hat
    │              ▲ mu, scale       │
    │              └── p, and y_hat so far
    └─ h_a ─ z ─ round ─▶ coder ─▶ z_hat ─ h_s ─ p

Everything from z_hat to (mu, scale) runs in exact integers (fixed_point.py). LATENTS.md is the
specification. What makes y, and what becomes of y_hat, is for the models built on this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lictor.models.base import refuse_no_numbers
from lictor.models.coding import gaussian
from lictor.models.coding.fixed_point import FRACTION, LIMIT, power_of_two, round_half_up
from lictor.models.coding.fixed_point_model import Twinned
from lictor.models.coding.hyperprior import HyperAnalysis, HyperSynthesis
from lictor.models.coding.quadtree import STEPS, Quadtree, from_cells, group_of_phase, to_cells
from lictor.models.coding.quality import Quality, coarser, steps
from lictor.models.coding.quality_ladder import QUALITY_STEPS, Ladder, on_nhwc

if TYPE_CHECKING:
    from lictor.entropy import Decoder, Encoder

PLACES = 4
"""Places of y a side to one of z."""

_SYMBOL_LIMIT = 2.0**20
"""No input comes near; keeps a hostile stream's values inside exact arithmetic."""


Code = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""What `Latents.walk` asks in each step: target, mean, scale (4, N, h, w, C), and the group of each
phase, to y_hat of that quarter and the bits of each picture."""

Symbols = Callable[[Tensor | None, Tensor, np.ndarray, Tensor | None], Tensor]
"""Pushes or pulls the symbols of one call: target (None of a decoder), mean, table indexes, and
which values are coded (None: all) to all symbols, float64, of the shape of mean; 0 where none is
coded."""


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
        p = self.h_s(_round_through(z), quality)
        cells, y_bits = self._code_floats(y.float(), p, quality, inside, octaves)
        return cells, side_bits.flatten(1).sum(1) + y_bits

    def side_scale(self, z: Tensor, quality: Tensor) -> Tensor:
        """The scale of each value of z, NHWC."""
        return on_nhwc(self.z_scale(coarser(quality, PLACES))).expand_as(z)

    def _code_floats(
        self,
        y: Tensor,
        p: Tensor,
        quality: Tensor,
        inside: Tensor | None,
        octaves: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The quadtree on floats: y_hat as cells, and the bits of each picture."""
        coded = None if inside is None else to_cells(inside.expand(1, *y.shape[1:]))

        def code(
            target: Tensor, mean: Tensor, scale: Tensor, groups: Tensor
        ) -> tuple[Tensor, Tensor]:
            residual = target - mean
            if coded is not None:
                residual = residual * coded[torch.arange(4, device=y.device), groups]
            bits = gaussian.symbol_bits(residual, scale)
            if coded is not None:
                bits = bits * coded[torch.arange(4, device=y.device), groups]
            return _round_through(residual) + mean, bits.sum(dim=(0, 2, 3, 4))

        return self.walk(y, p, quality, code, octaves)

    def walk(
        self, y: Tensor, p: Tensor, quality: Tensor, code: Code, octaves: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The quadtree on floats, quantised and priced by `code`: y_hat as cells, and the bits.

        octaves: as for `_quantised`.
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

        def push(
            target: Tensor | None, mean: Tensor, index: np.ndarray, coded: Tensor | None
        ) -> Tensor:
            assert target is not None  # an encoder has it
            symbols = round_half_up(target - mean * 2.0**-FRACTION)
            symbols.clamp_(-_SYMBOL_LIMIT, _SYMBOL_LIMIT)
            if coded is not None:
                symbols.mul_(coded)
            some = symbols.flatten() if coded is None else symbols[coded]
            encoder.push(some.cpu().numpy().astype(np.int32), index)
            return symbols

        refuse_no_numbers(y, z)
        step = steps(quality, y.device)
        return self._code(step, z.double(), to_cells(y.double()), z.shape, push, inside)

    def _pull(
        self,
        step: Tensor,
        z_shape: tuple[int, ...],
        decoder: Decoder,
        inside: Tensor | None = None,
    ) -> Tensor:
        """Pull z and y; returns y_hat, NCHW. inside: as for push."""

        def pull(
            target: Tensor | None, mean: Tensor, index: np.ndarray, coded: Tensor | None
        ) -> Tensor:
            some = torch.from_numpy(decoder.pull(index).astype(np.float64))
            some = some.clamp_(-_SYMBOL_LIMIT, _SYMBOL_LIMIT).to(mean.device)
            if coded is None:
                return some.reshape(mean.shape)
            return torch.zeros_like(mean).masked_scatter_(coded, some)

        return self._code(step, None, None, z_shape, pull, inside)

    def _code(
        self,
        step: Tensor,
        z: Tensor | None,
        cells: Tensor | None,
        z_shape: tuple[int, ...],
        symbols: Symbols,
        inside: Tensor | None,
    ) -> Tensor:
        """The order of symbols, written once for both directions; returns y_hat, NCHW float32.

        z, cells: what is coded, float64; None of a decoder.
        """
        twins, device = self._exact(), self.octave.device
        unit = 2.0**FRACTION
        scale = on_nhwc(twins["z_scale"](coarser(step, PLACES))).expand(z_shape)
        side = symbols(z, torch.zeros_like(scale), _index(scale), None)
        p = twins["h_s"]((side * unit).clamp_(-LIMIT, LIMIT), step)
        n, h, w, _ = p.shape
        octaves = on_nhwc(self.octaves(step * (100 / QUALITY_STEPS))).double()
        octave = to_cells(power_of_two(self.octave + octaves).expand(n, h, w, -1))
        base = on_nhwc(twins["context"].scale(step)) + octaves * unit
        base = to_cells(base.expand(n, h, w, -1))
        coded = None if inside is None else to_cells(inside.expand(n, h, w, self.octave.numel()))
        known = torch.zeros_like(octave)
        phases = torch.arange(4, device=device)
        for k in range(STEPS):
            groups = group_of_phase(k, device)
            seen = None
            if k:
                seen = from_cells(round_half_up(known / octave).clamp_(-LIMIT, LIMIT))
            mean, scale = twins["context"].steps[k](p, seen).chunk(2, dim=-1)
            mean = round_half_up(mean * octave[phases, groups])
            scale = scale + base[phases, groups]
            own = None if coded is None else coded[phases, groups]
            index = _index(scale if own is None else scale[own])
            target = None if cells is None else cells[phases, groups]
            known[phases, groups] = symbols(target, mean, index, own) * unit + mean
        return (from_cells(known).permute(0, 3, 1, 2) * 2.0**-FRACTION).float()


def _index(scale: Tensor) -> np.ndarray:
    """Fixed-point scales to indexes of the coder's table: nearest, held inside."""
    return gaussian.table_index(scale * 2.0**-FRACTION).flatten().cpu().numpy().astype(np.uint8)


def _round_through(x: Tensor) -> Tensor:
    """Rounds; the gradient passes as if it did not (Theis et al. 2017)."""
    return x + (x.round() - x).detach()
