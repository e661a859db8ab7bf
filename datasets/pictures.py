"""Random crops of pictures from folders and tar shards, for training.

Pictures are decoded once and kept in memory as uint8. Crop number i is a function of (seed, i)
alone: training that resumes at crop i sees what it would have seen.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})


@dataclass(frozen=True)
class Source:
    """A folder (searched recursively) or a tar of pictures, shrunk by a random factor per crop.

    shrink: factors low…high. Pictures that were JPEGs want 0.6…0.9, so that a model does not learn
    the blocks of another codec.
    """

    path: Path
    shrink: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def parse(cls, text: str) -> Source:
        """PATH or PATH:LOW:HIGH. Raises ValueError."""
        path, *shrink = text.split(":")
        if not shrink:
            return cls(Path(path))
        if len(shrink) != 2 or not 0 < float(shrink[0]) <= float(shrink[1]) <= 1:
            raise ValueError(
                f"data {text!r}: write PATH or PATH:LOW:HIGH with 0 < LOW <= HIGH <= 1"
            )
        return cls(Path(path), (float(shrink[0]), float(shrink[1])))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every picture file below a folder or in a tar, in sorted order."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield str(file), file.read_bytes()
        return
    with tarfile.open(path) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                content = tar.extractfile(member)
                assert content is not None  # isfile() holds
                yield f"{path}:{member.name}", content.read()


def load_pictures(source: Source, at_least: int) -> list[np.ndarray]:
    """The pictures of a source as uint8 (H, W, 3); unreadable and too small ones are named."""
    pictures = []
    for name, data in _files(source.path):
        try:
            picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            print(f"{name}: skipped, cannot be read ({error})", file=sys.stderr)
            continue
        if min(picture.shape[:2]) * source.shrink[1] < at_least:
            print(f"{name}: skipped, smaller than a crop of {at_least}", file=sys.stderr)
            continue
        pictures.append(picture)
    return pictures


class Crops(Dataset):
    """Crop number i: uint8 (3, size, size), pictures drawn in proportion to the root of their area.

    The root lies between drawing pictures alike, which wears small ones out, and drawing pixels
    alike, which lets a few large photos take over.
    """

    def __init__(self, sources: list[Source], size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.pictures: list[tuple[np.ndarray, tuple[float, float]]] = []
        for source in sources:
            found = load_pictures(source, size)
            if not found:
                raise FileNotFoundError(f"{source.path}: holds no picture that can be used")
            self.pictures += [(picture, source.shrink) for picture in found]
        weight = np.sqrt([picture.size for picture, _ in self.pictures])
        self.cumulative = np.cumsum(weight / weight.sum())

    def __getitem__(self, i: int) -> np.ndarray:
        random = np.random.default_rng((self.seed, i))
        pick = int(np.searchsorted(self.cumulative[:-1], random.random(), side="right"))
        picture, (low, high) = self.pictures[pick]
        least = self.size / min(picture.shape[:2])
        factor = random.uniform(max(low, least), high) if high > least else high
        crop = _cut(picture, self.size, factor, random)
        if random.random() < 0.5:
            crop = crop[:, ::-1]
        return np.ascontiguousarray(crop.transpose(2, 0, 1))


def _cut(picture: np.ndarray, size: int, factor: float, random: np.random.Generator) -> np.ndarray:
    """A (size, size, 3) crop of the picture shrunk by factor."""
    side = min(round(size / factor), *picture.shape[:2])
    top, left = (random.integers(0, n - side + 1) for n in picture.shape[:2])
    crop = picture[top : top + side, left : left + side]
    if side == size:
        return crop
    return np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC))
