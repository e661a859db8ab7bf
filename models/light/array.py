"""plane-hyper: the twin of models/array/plane_hyper.py."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import Decoder, Encoder, Price, Pull, Push, SymbolIo
from lictor.models.capabilities import Usual
from lictor.models.coding.units import PLACES
from lictor.models.light.latents import Latents, refuse_no_numbers, steps
from lictor.models.light.layers import Array, put_together, spread_out
from lictor.models.light.part import Part
from lictor.models.light.transforms import Bypassed, HyperAnalysis
from lictor.models.quality import Quality


class PlaneHyper:
    """Codes planes (N, channels, h, w), in arrays of numpy.

    Args:
        part: all tensors.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.channels = part("mean").size
        self.side = part["z_scale"]("rungs").shape[1]
        self.fold = math.isqrt(part["g_a"]["shortcut"]("weight").shape[1] // self.channels)
        # A plane's squares have the channel running slowest, those of `spread_out` fastest.
        order = np.arange(self.channels * self.fold**2).reshape(self.channels, -1)
        self.order = order.T.ravel()
        self.back = np.argsort(self.order)
        self.g_a, self.g_s = Bypassed(part["g_a"]), Bypassed(part["g_s"])
        self.h_a, self.latents = HyperAnalysis(part["h_a"]), Latents(part)
        self.gain, self.inverse_gain = part["gain"].ladder(), part["inverse_gain"].ladder()

    def usual(self) -> Usual:
        """As `lictor.models.capabilities.ArrayModel`."""
        mean, spread = (self.part(name).astype(np.float64) for name in ("mean", "spread"))
        return Usual(mean, spread, float(self.part("unit").reshape(-1)[0]))

    def encode(self, x: NDArray[np.float32], quality: Quality, encoder: Encoder) -> None:
        """As `lictor.models.capabilities.ArrayModel`, of arrays."""
        self._code(Push(encoder), x, quality)

    def estimate(self, x: NDArray[np.float32], quality: Quality) -> float:
        """Bits that the tables say, without what ends a stream."""
        price = Price()
        self._code(price, x, quality)
        return price.bits

    def _code(self, io: SymbolIo, x: NDArray[np.float32], quality: Quality) -> None:
        step, stride = steps(quality), self.fold * PLACES
        below, right = (-side % stride for side in x.shape[2:])
        wide = np.pad(x, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
        places = spread_out(wide.transpose(0, 2, 3, 1), self.fold)
        v = self.g_a(np.ascontiguousarray(places[..., self.back]), step)
        y = v * np.exp(self.gain(step))
        z = self.h_a(y)
        refuse_no_numbers(y, z)
        inside = self._inside((x.shape[2], x.shape[3]))
        self.latents.code(io, step, z.shape, z.astype("f8"), y.astype("f8"), inside)

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder, count: int = 1
    ) -> NDArray[np.float32]:
        """As `lictor.models.capabilities.ArrayModel`, arrays."""
        rows, columns = (-(-n // (self.fold * PLACES)) for n in shape)
        z_shape = (count, rows, columns, self.side)
        inside = self._inside(shape)
        y_hat = self.latents.code(Pull(decoder), steps(quality), z_shape, inside=inside)
        return y_hat.transpose(0, 3, 1, 2)

    def reconstruct(self, latents: NDArray[np.float32], quality: Quality) -> Array:
        """The planes of latents (N, M, h, w), padded: (N, C, h · fold, w · fold)."""
        step = steps(quality)
        gain = np.exp(self.inverse_gain(step))
        places = self.g_s(np.ascontiguousarray(latents.transpose(0, 2, 3, 1)) * gain, step)
        planes = put_together(np.ascontiguousarray(places[..., self.order]), self.fold)
        return np.ascontiguousarray(planes.transpose(0, 3, 1, 2))

    def _inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Bool (1, h, w, 1): the places of y that are coded; the rest is padding."""
        high, wide = (-(-n // self.fold) for n in shape)
        inside = np.ones((1, high, wide, 1), np.bool_)
        return np.pad(inside, ((0, 0), (0, -high % PLACES), (0, -wide % PLACES), (0, 0)))
