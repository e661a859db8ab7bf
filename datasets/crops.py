"""Random crops of pictures, for training.

Crop number i, and the quality it is trained at, are a function of (seed, i) alone: a run that
resumes at crop i, or shares its crops among processes, sees what one run would have seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lictor.datasets.pictures import Picture, Unusable
from lictor.datasets.screens import screen

_SCREENS = 2**20
"""Beyond all attempts at a crop: draws whether its number is one of a made-up screen, and that."""


class Cut(NamedTuple):
    """Where to cut: a square of a picture, mirrored or not; quality 0…100 to train it at."""

    pick: int
    top: int
    left: int
    side: int
    mirrored: bool
    quality: float


class Crops(Dataset):
    """Item i: uint8 (3, size, size) and a quality; pictures are drawn by the root of their area.

    The root lies between drawing pictures alike, which wears small ones out, and drawing pixels
    alike, which lets a few large photos take over. A share `screens` of the items are made-up
    screens and scans in place of a photo, or with the photo in them.
    """

    def __init__(
        self, pictures: Sequence[Picture], size: int, seed: int, screens: float = 0.0
    ) -> None:
        self.size, self.seed, self.screens = size, seed, screens
        self.pictures = [picture for picture in pictures if picture.holds(size)]
        if not self.pictures:
            raise ValueError(f"no picture holds a crop of {size}; make it smaller")
        weight = np.sqrt([float(p.height * p.width) for p in self.pictures])
        self.cumulative = np.cumsum(weight / weight.sum())

    def cut(self, i: int, attempt: int = 0) -> Cut:
        """Crop number i; another attempt gives another crop, where a picture was unreadable."""
        random = np.random.default_rng((self.seed, i, attempt))
        pick = int(np.searchsorted(self.cumulative[:-1], random.random(), side="right"))
        picture = self.pictures[pick]
        sides, (low, high) = (picture.height, picture.width), picture.shrink
        least = self.size / min(sides)
        factor = random.uniform(max(low, least), high) if high > least else high
        side = min(round(self.size / factor), *sides)
        top, left = (int(random.integers(0, n - side + 1)) for n in sides)
        return Cut(pick, top, left, side, random.random() < 0.5, random.uniform(0, 100))

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.float32]:
        for attempt in range(100):
            cut = self.cut(i, attempt)
            picture = self.pictures[cut.pick]
            try:
                pixels = picture.array()
            except Unusable as error:
                print(f"{picture}: skipped, {error}", file=sys.stderr)
                continue
            crop = _crop(pixels, cut, self.size)
            random = self._screen_random(i)
            if random.random() < self.screens:
                crop = screen(random, self.size, crop)
            return crop, np.float32(cut.quality)
        raise OSError("100 pictures in a row cannot be read")

    def is_screen(self, i: int) -> bool:
        """Whether item i is a made-up screen."""
        return bool(self._screen_random(i).random() < self.screens)

    def _screen_random(self, i: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, i, _SCREENS))


def _crop(pixels: np.ndarray, cut: Cut, size: int) -> np.ndarray:
    crop = pixels[cut.top : cut.top + cut.side, cut.left : cut.left + cut.side]
    if cut.side != size:
        shrunk = Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC)
        crop = np.asarray(shrunk)
    if cut.mirrored:
        crop = crop[:, ::-1]
    return np.ascontiguousarray(crop.transpose(2, 0, 1))


class ResidentCrops:
    """The same crops, cut on the device that the pictures live on, uint8.

    Raises ValueError if some picture was not kept in memory.
    """

    def __init__(self, crops: Crops, device: torch.device) -> None:
        self.crops = crops
        self.pictures = []
        for picture in crops.pictures:
            if picture.pixels is None:
                raise ValueError(f"{picture}: not in memory")
            self.pictures.append(torch.from_numpy(picture.pixels.copy()).to(device))

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Crops of these numbers, uint8 (N, 3, size, size), and their qualities."""
        cuts = [self.crops.cut(i) for i in numbers]
        crops = torch.stack([self._crop(cut) for cut in cuts])
        return crops, torch.tensor([cut.quality for cut in cuts], device=crops.device)

    def _crop(self, cut: Cut) -> Tensor:
        picture, size = self.pictures[cut.pick], self.crops.size
        crop = picture[cut.top : cut.top + cut.side, cut.left : cut.left + cut.side]
        crop = crop.permute(2, 0, 1)
        if cut.side != size:
            exact = F.interpolate(crop[None].float(), (size, size), mode="bicubic", antialias=True)
            crop = exact[0].round_().clamp_(0, 255).to(torch.uint8)
        return crop.flip(-1) if cut.mirrored else crop
