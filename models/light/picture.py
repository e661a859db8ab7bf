"""lictor-*: the twin of models/picture/lictor.py, of which all but training and search is here."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import Decoder, Encoder, Price, Pull, Push, SymbolIo
from lictor.models import facts
from lictor.models.box import Box
from lictor.models.coding.several import Several
from lictor.models.coding.units import HALVED_FROM, PLACES
from lictor.models.light.latents import Latents, all_steps, refuse_no_numbers, steps
from lictor.models.light.layers import Array, put_together
from lictor.models.light.part import Part
from lictor.models.light.transforms import Analysis, HyperAnalysis, Synthesis
from lictor.models.quality import STEPS, Quality

_SQUARE = 8


class Lictor:
    """Codes pictures, in arrays of numpy; parts are made when they are first needed.

    Args:
        part: all tensors.
    """

    def __init__(self, part: Part) -> None:
        self.part, self.is_deep = part, False
        self.facts = facts.lictor(len(part["g_s"]["blocks16"].children))
        self.smooth = part("smooth").astype(np.float64)
        self.side = part["z_scale"]("rungs").shape[1]
        self.made: dict[str, Any] = {}

    def deep(self) -> Lictor:
        """For pictures of more than 8 bits a sample."""
        deep = copy.copy(self)
        deep.is_deep = True
        return deep

    def _of(self, name: str, make: Any) -> Any:
        """A part; copies for other depths share them."""
        if name not in self.made:
            self.made[name] = make(self.part[name] if name else self.part)
        return self.made[name]

    @property
    def latents(self) -> Latents:
        """The exact networks."""
        found: Latents = self._of("", Latents)
        return found

    # ---------------------------------------------------------------- encoding

    def encode(
        self, colours: NDArray[Any], quality: Quality, encoder: Encoder, tile: Box
    ) -> NDArray[np.float32]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        return self._code(Push(encoder), colours, quality, tile)

    def estimate(self, colours: NDArray[Any], quality: Quality, tile: Box) -> float:
        """Bits that the tables say, without what ends a stream."""
        price = Price()
        self._code(price, colours, quality, tile)
        return price.bits

    def encode_several(
        self,
        colours: Sequence[NDArray[Any]],
        qualities: Sequence[Quality],
        encoders: Sequence[Encoder],
    ) -> list[NDArray[np.float32]]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        wholes = [Box(0, 0, *one.shape[:2]) for one in colours]
        pairs = zip(colours, wholes, strict=True)
        squares = np.concatenate([pixel_squares(*one, self.facts.stride) for one in pairs])
        y, z, step = self._analysed(squares, all_steps(qualities), wholes[0])
        return self._pushed(Several([Push(one) for one in encoders]), y, z, step)

    def _code(
        self, io: SymbolIo, colours: NDArray[Any], quality: Quality, tile: Box
    ) -> NDArray[np.float32]:
        squares = pixel_squares(colours, tile, self.facts.stride)
        high, wide = (n * _SQUARE // self.facts.cell for n in squares.shape[1:3])
        y, z, step = self._analysed(squares, steps(quality.fitted(high, wide)), tile)
        return self._pushed(io, y, z, step)[0]

    def _pushed(
        self, io: SymbolIo | Several, y: Array, z: Array, step: Array
    ) -> list[NDArray[np.float32]]:
        refuse_no_numbers(y, z)
        y_hat = self.latents.code(
            io, step, z.shape, z.astype("f8"), y.astype("f8"), octaves=self._octaves(step)
        )
        return [one.transpose(2, 0, 1) for one in y_hat]

    def _analysed(self, squares: Array, step: Array, tile: Box) -> tuple[Array, Array, Array]:
        """What is rounded and coded, y (N, h, w, M) and z (N, h/4, w/4, Z), and their quality."""
        v = self._of("g_a", Analysis)(squares, step)
        v *= np.exp(self._of("gain", Part.ladder)(step))
        core = tile.padded(self.facts.stride).in_cells(self.facts.cell)
        # The first place of z must be one of the tile's grid.
        around = v[:, core.top % PLACES :, core.left % PLACES :]
        h, w = (n // PLACES * PLACES for n in around.shape[1:3])
        z = self._of("h_a", HyperAnalysis)(around[:, :h, :w])
        rows, columns = core.in_cells(PLACES).place
        z = z[:, rows, columns]
        rows, columns = core.place
        own = step if step.ndim == 1 else step[:, rows, columns]
        y = v[:, rows, columns] * np.exp2(self._octaves(own)).astype(np.float32)
        return y, z, own

    # ---------------------------------------------------------------- decoding

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder
    ) -> NDArray[np.float32]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        rows, columns = self._places(shape)
        step = steps(quality.fitted(PLACES * rows, PLACES * columns))
        return self._pulled(Pull(decoder), step, (1, rows, columns, self.side))[0]

    def pull_several(
        self, shape: tuple[int, int], qualities: Sequence[Quality], decoders: Sequence[Decoder]
    ) -> list[NDArray[np.float32]]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        io = Several([Pull(one) for one in decoders])
        z_shape = (len(decoders), *self._places(shape), self.side)
        return self._pulled(io, all_steps(qualities), z_shape)

    def _places(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of z."""
        side = self.facts.cell * PLACES
        return -(-shape[0] // side), -(-shape[1] // side)

    def _pulled(
        self, io: SymbolIo | Several, step: Array, z_shape: tuple[int, ...]
    ) -> list[NDArray[np.float32]]:
        y_hat = self.latents.code(io, step, z_shape, octaves=self._octaves(step))
        return [one.transpose(2, 0, 1) for one in y_hat]

    def reconstruct(self, latents: NDArray[np.float32], quality: Quality) -> Array:
        """The picture of latents (C, h, w), as squares of pixels (1, 2h, 2w, 8 · 8 · 3)."""
        return self._squares([latents], steps(quality))

    def _squares(self, latents: Sequence[NDArray[np.float32]], step: Array) -> Array:
        """The pictures of latents (C, h, w), as squares of pixels (N, 2h, 2w, 8 · 8 · 3)."""
        gain = np.exp(self._of("inverse_gain", Part.ladder)(step))
        gain = gain * np.exp2(-self._octaves(step)).astype(np.float32)
        # Of arrays in another order, `stack` keeps the order.
        v = np.ascontiguousarray(np.stack([one.transpose(1, 2, 0) for one in latents])) * gain
        squares: Array = self._of("g_s", Synthesis)(v, step)
        return squares

    def show(
        self, latents: NDArray[np.float32], quality: Quality, part: Box, like: NDArray[Any]
    ) -> NDArray[Any]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        return self._shown([latents], steps(quality), [part], like)[0]

    def show_several(
        self,
        latents: Sequence[NDArray[np.float32]],
        qualities: Sequence[Quality],
        parts: Sequence[Box],
        like: NDArray[Any],
    ) -> list[NDArray[Any]]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        return self._shown(latents, all_steps(qualities), parts, like)

    def _shown(
        self,
        latents: Sequence[NDArray[np.float32]],
        step: Array,
        parts: Sequence[Box],
        like: NDArray[Any],
    ) -> list[NDArray[Any]]:
        squares = self._squares(latents, step)
        refuse_no_numbers(squares.sum())
        n, h, w, c = squares.shape
        pixels = samples(squares.reshape(n, h, w, c // 3, 3), like)
        whole = put_together(pixels.reshape(n, h, w, -1), _SQUARE)
        return [one[part.place] for one, part in zip(whole, parts, strict=True)]

    def _octaves(self, step: Array) -> Array:
        """How often steps are halved, (N, 1, 1, M) or (1, h, w, M)."""
        return halvings(step, self.smooth) if self.is_deep else np.zeros((1, 1, 1, 1))


def halvings(step: Array, smooth: Array) -> Array:
    """How often steps are halved of pictures of more than 8 bits, (N, 1, 1, M) or (1, h, w, M)."""
    passed = sum((step * (100 / STEPS) >= q).astype(np.float64) for q in HALVED_FROM)
    return np.reshape(passed, (-1, 1, 1, 1) if step.ndim == 1 else (*step.shape, 1)) * smooth


def samples(values: Array, like: NDArray[Any]) -> NDArray[Any]:
    """Numbers about 0…1 of three colours (…, 3) as samples, in place; gray is their mean."""
    most = np.iinfo(like.dtype).max
    np.clip(values, 0, 1, out=values)
    if like.shape[-1] == 1:
        values = values.mean(axis=-1, keepdims=True)
    values *= np.float32(most)
    return np.rint(values, out=values).astype(like.dtype)


def pixel_squares(colours: NDArray[Any], tile: Box, stride: int) -> Array:
    """Pixels (H, W, 1 or 3), centred on 0, as squares of 8 x 8: float32 (1, h, w, 8 · 8 · 3).

    The last row and column are repeated, so that downwards and to the right of the tile's first
    pixel there are multiples of the stride.
    """
    height, width, channels = colours.shape
    below, right = -(height - tile.top) % stride, -(width - tile.left) % stride
    wide = np.pad(colours, ((0, below), (0, right), (0, 0)), mode="edge")
    if channels == 1:
        wide = wide.repeat(3, axis=2)
    h, w = wide.shape[0] // _SQUARE, wide.shape[1] // _SQUARE
    # Moved as bytes, which are fewer.
    parts = wide.reshape(h, _SQUARE, w, _SQUARE * 3).transpose(0, 2, 1, 3)
    squares = parts.astype(np.float32).reshape(1, h, w, -1)
    squares *= np.float32(1 / np.iinfo(colours.dtype).max)
    squares -= np.float32(0.5)
    return squares
