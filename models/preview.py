"""Small pictures of latents, without a synthesis: a linear map, fitted to what that gives.

A place of the latents is 16x16 pixels of the picture; its values say, to first order, what they
look like at half the size, and so at each lower one. The map is a small file beside the weights,
which it names by their hash: weights are the same with it and without. It sees one place at a time,
so that tiles and regions need nothing of what is around them. training/preview.py fits it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lictor.models import weights, zoo
from lictor.models.errors import BadCheckpoint
from lictor.models.light.latents import steps
from lictor.models.light.layers import Array, Dense, Ladder, put_together
from lictor.models.light.picture import halvings
from lictor.models.quality import Quality

SUFFIX, FORMAT = ".preview", "lictor-preview-1"
HALF = 8
"""Pixels a side that a place of the latents is at half the size of the picture."""
COLOURS = 3


class Preview:
    """Latents to the picture at half its size.

    Args:
        tensors: by name: "weight" (8 · 8 · 3, M), the colours running fastest, then columns;
            "bias" (8 · 8 · 3,); "inverse_gain" (ANCHORS, M) and "smooth" (M,), as the weights have
            them.

    Raises:
        KeyError, ValueError: they are not these.
    """

    def __init__(self, tensors: dict[str, Array]) -> None:
        self.map = Dense(tensors["weight"], tensors["bias"])
        self.inverse_gain = Ladder(tensors["inverse_gain"])
        self.smooth = tensors["smooth"].astype(np.float64)
        fitting = self.inverse_gain.rungs.shape[1] == self.smooth.size == self.map.inputs
        if not fitting or self.map.outputs != HALF * HALF * COLOURS:
            raise ValueError("its tensors do not fit one another")
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ValueError("it holds numbers that are none")

    def __call__(self, latents: Array, quality: Quality, deep: bool) -> NDArray[np.float32]:
        """The picture, about 0…1, float32 (8h, 8w, 3).

        Args:
            latents: float32 (M, h, w), as they are decoded.
            quality: of their places.
            deep: whether the picture has more than 8 bits a sample.
        """
        v = scaled(latents, quality, self.inverse_gain, self.smooth if deep else None)
        half: NDArray[np.float32] = put_together(self.map(v), HALF)[0]
        return half


def scaled(latents: Array, quality: Quality, gain: Ladder, smooth: Array | None) -> Array:
    """Latents (M, h, w) in units that do not depend on quality: float32 (1, h, w, M).

    gain: the inverse one. smooth: of the channels, for pictures of more than 8 bits.
    """
    step = steps(quality)
    factor = np.exp(gain(step))
    if smooth is not None:
        factor = factor * np.exp2(-halvings(step, smooth)).astype(np.float32)
    return np.ascontiguousarray(latents.transpose(1, 2, 0))[None] * factor


def find(name: str, digest: bytes, places: zoo.Places | None = None) -> Preview | None:
    """The map that goes with weights; None if there is no file of it.

    Args:
        name: "architecture.tag" of the weights.
        digest: SHA-256 of their file.
        places: where weights are looked for beside what is shipped; None: where `zoo.named_places`
            says. A map lies beside its weights, and is called as they are but for the suffix.

    Raises:
        BadCheckpoint: it is damaged.
    """
    paths = [path.with_suffix(SUFFIX) for path in zoo.own_files(places)]
    if name in zoo.index():
        paths.insert(0, zoo.shipped_folder() / (name + SUFFIX))
    for path in paths:
        if path.is_file():
            file = path.stat()
            found = _read(path, digest, (file.st_ino, file.st_size, file.st_mtime_ns))
            if found:
                return found
    return None


@lru_cache(maxsize=4)
def _read(path: Path, digest: bytes, state: tuple[int, int, int]) -> Preview | None:
    """None if it belongs to other weights. state: of the file, so that one that changed is read."""
    data = path.read_bytes()
    header, start = weights.header_of(data)
    metadata = header.pop("__metadata__", None) or {}
    if metadata.get("format") != FORMAT:
        raise BadCheckpoint(f"{path}: is damaged, or no preview of weights; get it again")
    if metadata.get("weights") != digest.hex():
        return None
    with weights.damaged(path):
        return Preview({name: weights.array(data, start, told) for name, told in header.items()})
