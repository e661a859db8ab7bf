"""The student: a classifier whose first stages end in a bitstream (supervised compression).

    x ─ front ─ g_a ─ v ─ * gain ─ y ─ quadtree: round(y - mu) ─▶ coder ─▶ y_hat ─ / gain ─ v_hat
                                          ▲ mu, scale                │
                                          └── prior, y_hat so far ───┘

    v_hat ─┬─ g_s ─ tail ─ scores
           └─ preview ─ picture

`front` and `tail` are EfficientNet-Lite0 cut in two (efficientnet.py); g_a and g_s squeeze what
passes between them through few bytes. The stream is made for the tail; the preview, a second head,
shows what is left in it for eyes. There is no side information z: the first quarter of y has one
distribution for each channel and quality, the others see their neighbours. What decides a
probability runs in exact integers (fixed_point.py); models/coding/LATENTS.md is the specification.

Source: Entropic Student (Matsubara, Yang, Levorato, Mandt, WACV 2022); context and gains are those
of the flagship.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.entropy import Decoder, Encoder, Pull, Push, SymbolIo
from lictor.models.base import LatentCodec, Output, crop, padded, refuse_no_numbers
from lictor.models.box import Box
from lictor.models.coding import gaussian
from lictor.models.coding.fixed_point import FRACTION, LIMIT
from lictor.models.coding.fixed_point_model import Twinned
from lictor.models.coding.layers import Block
from lictor.models.coding.quadtree import Quadtree, Quarter, from_cells, to_cells
from lictor.models.coding.quality import condition, steps
from lictor.models.coding.quality_ladder import Ladder
from lictor.models.coding.symbols import Coded, Trained
from lictor.models.facts import STUDENT, STUDENT_VIEW
from lictor.models.picture.transforms import Bypassed
from lictor.models.quality import Quality
from lictor.models.registry import register
from lictor.models.task.efficientnet import CUT_CHANNELS, Front, Seen, Tail

FOLD = 2
"""Places of the front's output a side that become channels of one place of y."""


class Squeeze(Bypassed):
    """g_a: the front's output (N, 40, 2h, 2w) to v (N, M, h, w). A linear map, and what learns."""

    def __init__(self, latent: int, channels: int, depth: int) -> None:
        super().__init__(CUT_CHANNELS * FOLD**2, latent, channels, depth)

    def forward(self, f: Tensor, quality: Tensor) -> Tensor:
        return super().forward(F.pixel_unshuffle(f, FOLD), quality)


class Restore(Bypassed):
    """g_s: v (N, M, h, w) to what the tail takes (N, 40, 2h, 2w), the mirror of Squeeze."""

    def __init__(self, latent: int, channels: int, depth: int) -> None:
        super().__init__(latent, CUT_CHANNELS * FOLD**2, channels, depth)

    def forward(self, v: Tensor, quality: Tensor) -> Tensor:
        return F.pixel_shuffle(super().forward(v, quality), FOLD)


class Preview(nn.Module):
    """The second head: v (N, M, h, w) to a small picture (N, 3, 4h, 4w), about 0…1."""

    SCALE = 4

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(latent, channels, 1)
        self.block = Block(channels)
        self.leave = nn.Conv2d(channels, 3 * self.SCALE**2, 1)

    def forward(self, v: Tensor) -> Tensor:
        return F.pixel_shuffle(self.leave(self.block(self.enter(v))), self.SCALE) + 0.5


class Klt(NamedTuple):
    """A linear transform of what goes into g_a, sorted by deviation, the largest of which is 1.

    basis (K, 160), inverse (160, K), mean (160,), deviation (K,).
    """

    basis: Tensor
    inverse: Tensor
    mean: Tensor
    deviation: Tensor


class Decoded(NamedTuple):
    """What a training step has of a batch: v as decoded (N, M, h, w), and bits of each picture."""

    v_hat: Tensor
    bits: Tensor


@register("student-lite0", latent=64, prior=64, narrow=64, wide=160, depth=2)
class Student(Twinned, LatentCodec):
    """Looks at a picture as EfficientNet-Lite0 does, through a stream of some hundred bytes."""

    twinned = ("prior", "context")
    stride, cell, analysis_halo, synthesis_halo, takes_maps, on_ladder = STUDENT
    view = STUDENT_VIEW
    trained_by = "by `lictor distil`"

    def __init__(self, latent: int, prior: int, narrow: int, wide: int, depth: int) -> None:
        super().__init__()
        self.latent = latent
        self.front = Front()
        self.g_a = Squeeze(latent, narrow, depth)
        self.gain = Ladder(latent)
        self.prior = Ladder(prior)
        self.context = Quadtree(prior, latent, prior)
        self.inverse_gain = Ladder(latent)
        self.g_s = Restore(latent, wide, depth)
        self.tail = Tail()
        self.preview = Preview(latent, narrow)

    def sender(self) -> Iterable[nn.Module]:
        """The parts that an encoder needs."""
        return self.front, self.g_a, self.gain, self.prior, self.context

    # ---------------------------------------------------------------- starting point

    @torch.no_grad()
    def start_from_klt(self, klt: Klt, coarse: float, fine: float) -> None:
        """Make the linear shortcuts a KLT, so that training starts from a working codec.

        coarse, fine: quantisation steps at quality 0 and 100; the largest deviation is 1.
        """
        basis, inverse = klt.basis[: self.latent], klt.inverse[:, : self.latent]
        self.g_a.start_linear(basis, -basis @ klt.mean)
        self.g_s.start_linear(inverse, klt.mean)
        steps = torch.linspace(coarse, fine, 2).log()
        rungs = torch.lerp(steps[0], steps[1], torch.linspace(0, 1, self.gain.rungs.shape[0]))
        self.gain.rungs.copy_(-rungs[:, None].expand_as(self.gain.rungs))
        self.inverse_gain.rungs.copy_(-self.gain.rungs)
        sigma = klt.deviation[: self.latent] * self.gain.rungs.exp()
        self.context.scale.rungs.copy_(gaussian.sigma_to_scale(sigma.clamp(min=0.05)))

    # ---------------------------------------------------------------- training

    def forward(self, x: Tensor, quality: Tensor) -> Output:
        v_hat, bits = self.squeeze(self.front(x), quality)
        return Output(self._picture(v_hat), bits)

    def squeeze(self, f: Tensor, quality: Tensor) -> Decoded:
        """What the front gave (N, 40, 2h, 2w), through the stream as training has it."""
        return self._coded(self._scaled(f, quality), quality)

    def _coded(self, y: Tensor, quality: Tensor) -> Decoded:
        y = y.permute(0, 2, 3, 1)
        n, h, w, _ = y.shape
        p = self.prior(quality)[:, None, None, :].expand(n, h, w, -1)
        base = to_cells(self.context.scale(quality)[:, None, None, :].expand_as(y))
        code = Trained(to_cells(y))
        y_hat = from_cells(self.context.walk(p, base, code)).permute(0, 3, 1, 2)
        return Decoded(self._unscaled(y_hat, quality), code.bits)

    def look(self, v_hat: Tensor, quality: Tensor) -> Seen:
        """What the tail makes of v as decoded; quality (N,)."""
        return self.tail(self.g_s(v_hat, quality))

    def _scaled(self, f: Tensor, quality: Tensor) -> Tensor:
        return self.g_a(f, quality) * self.gain(quality).exp()[:, :, None, None]

    def _unscaled(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        return y_hat * self.inverse_gain(quality).exp()[:, :, None, None]

    def _picture(self, v_hat: Tensor) -> Tensor:
        small = self.preview(v_hat)
        factor = self.cell // Preview.SCALE
        return F.interpolate(small, scale_factor=factor, mode="bilinear", align_corners=False)

    @torch.inference_mode()
    def estimate(self, x: Tensor, quality: Quality, tile: Box | None = None) -> float:
        wide, place = padded(x, tile, self.stride)
        q = condition(quality, x)
        y = crop(self._scaled(self.front(wide), q), place.in_cells(self.cell))
        return self._coded(y, q).bits.item()

    # ---------------------------------------------------------------- coding

    @torch.inference_mode()
    def encode(
        self, x: Tensor, quality: Quality, encoder: Encoder, tile: Box | None = None
    ) -> None:
        wide, place = padded(x, tile, self.stride)
        y = self._scaled(self.front(wide), condition(quality, x))
        self.push(crop(y, place.in_cells(self.cell)), quality, encoder)

    @torch.inference_mode()
    def push(self, y: Tensor, quality: Quality, encoder: Encoder) -> Tensor:
        """Code y (1, M, h, w); returns y_hat as the decoder will have it."""
        refuse_no_numbers(y)
        cells = to_cells(y.permute(0, 2, 3, 1).double())
        return self._code(Push(encoder), (y.shape[2], y.shape[3]), quality, cells)

    @torch.inference_mode()
    def pull(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        height, width = (-(-side // self.stride) * self.stride // self.cell for side in shape)
        return self._code(Pull(decoder), (height, width), quality)

    def _code(
        self, io: SymbolIo, places: tuple[int, int], quality: Quality, cells: Tensor | None = None
    ) -> Tensor:
        """The order of symbols, written once for both directions; returns y_hat, NCHW float32.

        cells: what is coded, float64; None of a decoder.
        """
        twins, step = self._exact(), steps(quality, self.device)
        coded = Coded(io, cells)

        def code(here: Quarter, mean: Tensor, scale: Tensor) -> Tensor:
            return coded(here, mean, scale).clamp_(-LIMIT, LIMIT)

        p = twins["prior"](step)[:, None, None, :].expand(1, *places, -1)
        base = to_cells(twins["context"].scale(step)[:, None, None, :].expand(1, *places, -1))
        y_hat = from_cells(twins["context"].walk(p, base, code))
        return (y_hat.permute(0, 3, 1, 2) * 2.0**-FRACTION).float()

    @torch.inference_mode()
    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        v_hat = self._unscaled(latents, condition(quality, latents))
        return self._picture(v_hat).float().clamp(0, 1)

    @torch.inference_mode()
    def answer(self, latents: Tensor, quality: Quality) -> Seen:
        """What the classifier makes of decoded latents (1, M, h, w)."""
        q = condition(quality, latents)
        return self.look(self._unscaled(latents, q), q)

    # ---------------------------------------------------------------- weights

    def export(self) -> dict[str, Tensor]:
        """As for every model, but the tail's matrices in 8 bits, a scale for each output."""
        tensors = super().export()
        for name, weight in self.tail.state_dict(prefix="tail.").items():
            if weight.ndim > 1:
                scale = weight.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
                levels = (weight.flatten(1) / scale[:, None]).round().to(torch.int8)
                tensors[name] = levels.reshape(weight.shape)
                tensors[name + _SCALE] = scale
        return tensors

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        scales = {n: t for n, t in tensors.items() if n.endswith(_SCALE)}
        whole = {n: t for n, t in tensors.items() if n not in scales}
        for name, scale in scales.items():
            levels = whole.get(name.removesuffix(_SCALE))
            if levels is None or levels.ndim < 2 or scale.shape != levels.shape[:1]:
                raise RuntimeError(f"{name} goes with no weights")
            shape = (-1,) + (1,) * (levels.ndim - 1)
            whole[name.removesuffix(_SCALE)] = levels.float() * scale.reshape(shape)
        super().adopt(whole)


_SCALE = ".scale8"
"""Ends the names of the scales of weights in bytes."""
