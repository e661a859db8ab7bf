"""What entropy coders are timed on: symbols, the table of each, and what they should cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.picture.classifier_view import rgb
from lictor.entropy import GAUSSIAN_SCALE_MIN, gaussian_sigmas, gaussian_tables

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Workload:
    """Symbols int32 (n,), their tables uint8 (n,), and the ideal bits of each, float64 (n,)."""

    name: str
    symbols: Array
    index: Array
    bits: Array

    def first(self, count: int) -> Workload:
        """The same with at most so many symbols."""
        return Workload(self.name, self.symbols[:count], self.index[:count], self.bits[:count])


@dataclass(frozen=True)
class Coder:
    """A contestant on a workload: `decode(encode())` are the symbols again."""

    work: Workload
    encode: Callable[[], Any]
    decode: Callable[[Any], Array]
    size: Callable[[Any], int]
    counted: str
    package: str


def ideal_bits(symbols: Array, index: Array) -> Array:
    """-log2 of the probability of each symbol under its true Gaussian."""
    from scipy.special import log_ndtr

    sigma = gaussian_sigmas()[index]
    near = (0.5 - np.abs(symbols)) / sigma
    far = (-0.5 - np.abs(symbols)) / sigma
    upper, lower = log_ndtr(near), log_ndtr(far)
    bits: Array = -(upper + np.log1p(-np.exp(lower - upper))) / np.log(2)
    return bits


def synthetic(name: str, count: int) -> Workload:
    """Workload A or B of so many symbols; always the same."""
    decay, smallest = {"A": (0.9502, 0.0), "B": (0.915, 0.485)}[name]
    rng = np.random.default_rng(ord(name))
    octaves = np.log2(256 / GAUSSIAN_SCALE_MIN)
    rate = -8 * np.log(decay)  # the decay is that of an eighth of an octave
    share = 1 - np.exp(-rate * octaves)
    octave = -np.log1p(-share * rng.random(count)) / rate
    octave[rng.random(count) < smallest] = 0
    scales = np.log2(gaussian_sigmas() / GAUSSIAN_SCALE_MIN)
    index = np.searchsorted((scales[1:] + scales[:-1]) / 2, octave).astype(np.uint8)
    symbols = np.round(rng.normal(size=count) * gaussian_sigmas()[index]).astype(np.int32)
    return Workload(name, symbols, index, ideal_bits(symbols, index))


class _Recorder:
    """In place of an Encoder: keeps what a model pushes with Gaussian tables."""

    def __init__(self) -> None:
        self.pushed: list[tuple[Array, Array]] = []

    def push(self, symbols: Array, index: Array, tables: Any = None) -> None:
        if tables is None or tables is gaussian_tables():
            self.pushed.append((symbols.copy(), index.copy()))


def latents(picture: Array | None, model: str, quality: float) -> Workload:
    """The latents of a picture, with their cost under our tables as the ideal.

    Args:
        picture: uint8 (H, W, 1 or 3), or None for scikit-image's coffee, 600x400.
        model: see lictor.models.load.
        quality: 0 to 100.

    Raises:
        OSError, ImportError: there is no coffee.
        lictor.models.ModelError: there is no such model.
    """
    import torch

    from lictor import models

    x = torch.from_numpy(_rgb(picture)).permute(2, 0, 1)[None].float() / 255
    recorder = _Recorder()
    codec: Any = models.load(model)
    if isinstance(codec, models.ArrayModel):
        raise models.UnknownModel(f"{codec.name} codes no pictures; give another")
    codec.encode(x, models.Quality.of(quality), recorder)
    symbols = np.concatenate([s for s, _ in recorder.pushed])
    index = np.concatenate([i for _, i in recorder.pushed])
    return Workload("kodak", symbols, index, gaussian_tables().cost(symbols, index))


def _rgb(picture: Array | None) -> Array:
    if picture is not None:
        return rgb(picture)
    from skimage import data

    coffee: Array = data.coffee()
    return coffee
