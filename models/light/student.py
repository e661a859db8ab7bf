"""The student: the twin of models/task/student.py and efficientnet.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import Decoder, Encoder, Price, Pull, Push, SymbolIo
from lictor.models.box import Box
from lictor.models.coding.units import LIMIT
from lictor.models.facts import STUDENT, STUDENT_VIEW
from lictor.models.light.latents import (
    UNIT,
    Quadtree,
    Quarter,
    exactly,
    refuse_no_numbers,
    steps,
    taken,
)
from lictor.models.light.layers import (
    RELU6,
    Array,
    Block,
    Dense,
    Depthwise,
    put_together,
    spread_out,
)
from lictor.models.light.part import Part, shuffled
from lictor.models.light.picture import samples
from lictor.models.light.transforms import Bypassed
from lictor.models.quality import Quality

_FOLD = 2
_CUT = 5
"""Blocks of the front."""
_ADDING = frozenset({2, 4, 6, 7, 9, 10, 12, 13, 14})
"""Blocks whose input is added to what they give."""
_HALVING = frozenset({1, 3, 5, 11})
"""Blocks with a stride of 2."""
_PREVIEW = 4
SCALE8 = ".scale8"
"""Ends the names of the scales of weights in bytes."""


class Student:
    """Looks at a picture as EfficientNet-Lite0 does, through a stream; in arrays of numpy.

    Args:
        part: all tensors.
    """

    facts, view = STUDENT, STUDENT_VIEW

    def __init__(self, part: Part) -> None:
        self.part = Part(_whole(part.tensors))
        self.context = Quadtree(part["context"])
        self.prior = part["prior"].exact_ladder()
        self.latent = part["gain"]("rungs").shape[1]
        self.gain, self.inverse_gain = part["gain"].ladder(), part["inverse_gain"].ladder()
        self.made: dict[str, Any] = {}

    def deep(self) -> Student:
        """Pictures of more than 8 bits are coded alike."""
        return self

    def _of(self, name: str, make: Any) -> Any:
        if name not in self.made:
            self.made[name] = make(self.part[name])
        return self.made[name]

    # ---------------------------------------------------------------- coding

    def encode(
        self, colours: NDArray[Any], quality: Quality, encoder: Encoder, tile: Box
    ) -> NDArray[np.float32]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        y = self._analysed(colours, quality, tile)
        return self._code(Push(encoder), y.shape[1:3], quality, y.astype("f8"))

    def estimate(self, colours: NDArray[Any], quality: Quality, tile: Box) -> float:
        """Bits that the tables say, without what ends a stream."""
        price, y = Price(), self._analysed(colours, quality, tile)
        self._code(price, y.shape[1:3], quality, y.astype("f8"))
        return price.bits

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder
    ) -> NDArray[np.float32]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        stride, cell = self.facts.stride, self.facts.cell
        height, width = (-(-side // stride) * stride // cell for side in shape)
        return self._code(Pull(decoder), (height, width), quality)

    def _analysed(self, colours: NDArray[Any], quality: Quality, tile: Box) -> Array:
        """What is rounded and coded, y (1, h, w, M)."""
        stride = self.facts.stride
        height, width, channels = colours.shape
        below, right = -(height - tile.top) % stride, -(width - tile.left) % stride
        wide = np.pad(colours, ((0, below), (0, right), (0, 0)), mode="edge")[None]
        x = wide.repeat(3, axis=3) if channels == 1 else wide
        values = x.astype(np.float32) / np.float32(np.iinfo(colours.dtype).max)
        f = spread_out(self._of("front", _Front)((values * 255 - 127) / 128), _FOLD)
        v = self._of("g_a", _Squeeze)(f, steps(quality))
        v *= np.exp(self.gain(steps(quality)))
        rows, columns = tile.padded(stride).in_cells(self.facts.cell).place
        y = v[:, rows, columns]
        refuse_no_numbers(y)
        return y

    def _code(
        self, io: SymbolIo, places: tuple[int, ...], quality: Quality, y: Array | None = None
    ) -> NDArray[np.float32]:
        """The order of symbols, for both directions; y: what is coded, None of a decoder."""
        step, shape = steps(quality), (1, *places)
        prior = self.prior(step)
        p = np.ascontiguousarray(np.broadcast_to(prior, (*shape, prior.shape[-1])))
        base = np.broadcast_to(self.context.scale(step), (*shape, self.latent))

        def one(here: Quarter, mean: Array, scale: Array) -> Array:
            target = None if y is None else taken(y, here)
            return (exactly(io, target, mean, scale, None) * UNIT + mean).clip(-LIMIT, LIMIT)

        y_hat = self.context.walk(p, base, one)
        return (y_hat * (1 / UNIT)).astype(np.float32)[0].transpose(2, 0, 1)

    # ---------------------------------------------------------------- what is seen

    def _unscaled(self, latents: NDArray[np.float32], quality: Quality) -> Array:
        gain = np.exp(self.inverse_gain(steps(quality)))
        return np.ascontiguousarray(latents.transpose(1, 2, 0))[None] * gain

    def show(
        self, latents: NDArray[np.float32], quality: Quality, part: Box, like: NDArray[Any]
    ) -> NDArray[Any]:
        """As `lictor.codec.runtime.runtime.PictureNetwork`."""
        small = self._of("preview", _Preview)(self._unscaled(latents, quality))
        refuse_no_numbers(small.sum())
        wide = _enlarged(_enlarged(small[0], 0), 1)
        return samples(wide, like)[part.place]

    def answer(
        self, latents: NDArray[np.float32], quality: Quality
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores (1000,) and features (1280,)."""
        f = self._of("g_s", _Restore)(self._unscaled(latents, quality), steps(quality))
        scores, features = self._of("tail", _Tail)(f)
        return scores, features


def _whole(tensors: Any) -> dict[str, Array]:
    """Tensors with weights in bytes multiplied by their scales."""
    if not any(name.endswith(SCALE8) for name in tensors):
        return tensors
    whole = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE8)}
    for name, scale in tensors.items():
        if name.endswith(SCALE8):
            levels = whole[name.removesuffix(SCALE8)]
            by_output = scale.reshape(-1, *(1,) * (levels.ndim - 1))
            whole[name.removesuffix(SCALE8)] = levels.astype(np.float32) * by_output
    return whole


def _enlarged(x: Array, axis: int) -> Array:
    """Bilinear, by `_PREVIEW`, along an axis; the middles of pixels are where they were."""
    count = x.shape[axis]
    place = ((np.arange(count * _PREVIEW) + 0.5) / _PREVIEW - 0.5).clip(0).astype(np.float32)
    low = place.astype(np.int64)
    shape = [1] * x.ndim
    shape[axis] = -1
    share = (place - low).reshape(shape)
    first, second = x.take(low, axis), x.take((low + 1).clip(max=count - 1), axis)
    return first * (1 - share) + second * share


class _Squeeze(Bypassed):
    """g_a, whose input comes as `spread_out`."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        order = np.arange(self.enter.inputs).reshape(-1, _FOLD**2).T.ravel()
        self.back = np.argsort(order)

    def __call__(self, x: Array, steps: Array) -> Array:
        """(1, h, w, 160) to (1, h, w, M)."""
        return super().__call__(np.ascontiguousarray(x[..., self.back]), steps)


class _Restore(Bypassed):
    """g_s, to what the tail takes."""

    def __call__(self, x: Array, steps: Array) -> Array:
        """(1, h, w, M) to (1, 2h, 2w, 40)."""
        wide = super().__call__(x, steps)
        order = np.arange(wide.shape[-1]).reshape(-1, _FOLD**2).T.ravel()
        return np.ascontiguousarray(put_together(wide[..., order], _FOLD))


class _Preview:
    """The second head: v to a small picture (1, 4h, 4w, 3), about 0…1."""

    def __init__(self, part: Part) -> None:
        self.enter, self.block = part["enter"].dense(), Block(part["block"])
        weight, bias = part["leave"]("weight"), part["leave"]("bias")
        self.leave = Dense(shuffled(weight.reshape(len(weight), -1), _PREVIEW),
                           shuffled(bias, _PREVIEW))  # fmt: skip

    def __call__(self, v: Array) -> Array:
        return put_together(self.leave(self.block(self.enter(v))), _PREVIEW) + np.float32(0.5)


class _Bottleneck:
    """1x1 to more channels, depthwise, 1x1 to few; added to its input where the shapes allow."""

    def __init__(self, part: Part, number: int) -> None:
        self.expand = part["expand"].dense() if part["expand"] else None
        weight = part["depthwise"]("weight")
        stride = 2 if number in _HALVING else 1
        before = (weight.shape[-1] - stride) // 2
        self.depthwise = Depthwise(weight, part["depthwise"]("bias"), False, stride, before)
        self.project, self.adds = part["project"].dense(), number in _ADDING

    def __call__(self, x: Array) -> Array:
        h = x if self.expand is None else self.expand(x, RELU6)
        h = self.project(self.depthwise(h, RELU6))
        return x + h if self.adds else h


class _Front:
    """Picture (1, H, W, 3), as classifiers have it, to (1, H/8, W/8, 40)."""

    def __init__(self, part: Part) -> None:
        weight = part["stem"]("weight")
        self.stem = Dense(weight.transpose(0, 2, 3, 1).reshape(len(weight), -1),
                          part["stem"]("bias"))  # fmt: skip
        self.blocks = [_Bottleneck(part["blocks"][i], i) for i in range(_CUT)]

    def __call__(self, x: Array) -> Array:
        _, h, w, _ = x.shape
        around = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        taps = [around[:, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)]
        x = self.stem(np.concatenate(taps, axis=3), RELU6)
        for block in self.blocks:
            x = block(x)
        return x


class _Tail:
    """What the front gave to the scores of ImageNet's 1000 classes, and features."""

    def __init__(self, part: Part) -> None:
        blocks = part["blocks"]
        self.blocks: list[_Bottleneck] = []
        while blocks[len(self.blocks)]:
            self.blocks.append(_Bottleneck(blocks[len(self.blocks)], _CUT + len(self.blocks)))
        self.head, self.classes = part["head"].dense(), part["classes"].dense()

    def __call__(self, x: Array) -> tuple[Array, Array]:
        for block in self.blocks:
            x = block(x)
        features = self.head(x, RELU6).mean(axis=(1, 2), keepdims=True)
        scores = self.classes(features)
        return scores.reshape(-1), features.reshape(-1)
