"""A codec that needs no training: differences of pixels, coded with Gaussian tables.

At quality 100 it is lossless. `python fake.py …` is the `lictor` command with only this model, for
tests of whole processes. There, PAUSE stops whoever is about to give a finished output the name
PAUSE (1: any), and STALL whoever encodes a picture of that width; both say so, with their process.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time

import numpy as np
import torch

from lictor import models
from lictor.entropy import Tables, gaussian_tables
from lictor.models.base import LatentCodec, crop
from lictor.models.box import Box
from lictor.models.quality import Quality


class Fake(LatentCodec):
    """Quantises to the quality's step, then codes each pixel's difference to its left neighbour."""

    stride = cell = 1
    takes_maps = True

    def __init__(self, name: str = "fake.pixels", id: int = 7) -> None:
        super().__init__()
        self.name, self.id = name, id
        self.digest = hashlib.sha256(name.encode()).digest()

    def encode(self, x, quality, encoder, tile=None):
        if os.environ.get("STALL") == str(x.shape[3]):
            _stop("stalled")
        for plane in _quantised(x, quality, tile):
            symbols = np.diff(plane, axis=1, prepend=np.int32(0))
            encoder.push(symbols.ravel(), _index(symbols.shape, quality))

    def pull(self, shape, quality, decoder):
        height, width = shape
        index = _index((height, width), quality)
        planes = [decoder.pull(index).reshape(shape).cumsum(axis=1) for _ in range(3)]
        return torch.from_numpy(np.stack(planes).astype(np.float32))[None]

    def reconstruct(self, latents, quality):
        steps = torch.from_numpy(_pixel_steps(latents.shape[2:], quality).astype(np.float32))
        return (latents * (steps / 255)).clamp(0, 1)

    def estimate(self, x, quality, tile=None):
        tables: Tables = gaussian_tables()
        bits = 0.0
        for plane in _quantised(x, quality, tile):
            symbols = np.diff(plane, axis=1, prepend=np.int32(0))
            bits += tables.cost(symbols.ravel(), _index(symbols.shape, quality)).sum()
        return float(bits)


def _pixel_steps(shape: tuple[int, int], quality: Quality) -> np.ndarray:
    """The quantiser's step at each pixel."""
    number = np.asarray(float(quality))
    if quality.map is not None:
        height, width = shape
        number = (quality.map / 4).repeat(16, 0).repeat(16, 1)[:height, :width]
        assert number.shape == tuple(shape)
    return np.broadcast_to(1 + (100 - number) / 4, shape)


def _index(shape: tuple[int, int], quality: Quality) -> np.ndarray:
    return np.rint(56 - 8 * np.log2(_pixel_steps(shape, quality))).astype(np.uint8).ravel()


def _quantised(x: torch.Tensor, quality: Quality, tile: Box | None) -> np.ndarray:
    if tile is not None:
        x = crop(x, tile)
    return np.rint(x[0].numpy() * 255 / _pixel_steps(x.shape[2:], quality)).astype(np.int32)


SHIPPED = Fake()
OWN = Fake("fake.own", id=0)


def network(model: LatentCodec = SHIPPED) -> object:
    """As the codec is given it."""
    from lictor.codec.runtime import torch as runtime

    return runtime.network(model)


def load(name: str, places: object = None) -> LatentCodec:
    for model in (SHIPPED, OWN):
        if name == model.name:
            return model
    raise models.UnknownModel(f"unknown model {name!r}; give fake.pixels or fake.own")


def find(id: int, name: str, digest: bytes, places: object = None) -> LatentCodec:
    model = {SHIPPED.id: SHIPPED}.get(id) if id else load(name)
    if model is None:
        raise models.UnknownModel(f"written with shipped model number {id}; upgrade lictor")
    if not model.digest.startswith(digest):
        raise models.WrongWeights(f"written with other weights of {model.name}; look for those")
    return model


def index() -> dict[str, models.Entry]:
    digest = SHIPPED.digest.hex()
    entry = models.Entry("fake.pixels", SHIPPED.id, "none.safetensors", digest, "CC0-1.0", "a fake")
    return {"fake.pixels": entry}


def _stop(why: str) -> None:
    os.write(1, f"{why} {os.getpid()}\n".encode())
    time.sleep(60)


def _pause_before_replacing(name: str) -> None:
    replace = os.replace

    def slow(source, target):
        if name in ("1", os.path.basename(target)):
            _stop("paused")
        replace(source, target)

    os.replace = slow


if __name__ in ("__main__", "__mp_main__"):  # the second in worker processes
    models.load, models.find, models.index = load, find, index
    os.environ["LICTOR_RUNTIME"] = "torch"
    if os.environ.get("PAUSE"):
        _pause_before_replacing(os.environ["PAUSE"])

if __name__ == "__main__":
    from lictor.codec.cli.main import main

    sys.argv[0] = "lictor"
    main()
