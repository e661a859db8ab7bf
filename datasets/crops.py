"""Random crops of pictures, for training.

Crop number i, and the quality it is trained at, are a function of (seed, i) alone: a run that
resumes at crop i, or shares its crops among processes, sees what one run would have seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lictor.datasets.pictures import Picture, Unusable
from lictor.datasets.screens import screen

_SCREENS = 2**20
"""Beyond all attempts at a crop: draws the screen of its number."""


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
            if self.is_screen(i):
                crop = screen(np.random.default_rng((self.seed, i, _SCREENS)), self.size, crop)
            return crop, np.float32(cut.quality)
        raise OSError("100 pictures in a row cannot be read")

    def is_screen(self, i: int) -> bool:
        """Whether item i is a made-up screen."""
        # A hash takes a twentieth of a generator's time, and here each crop of a GPU is asked.
        drawn = blake2b(b"%d %d" % (self.seed, i), digest_size=4).digest()
        return int.from_bytes(drawn) < self.screens * 2**32


def _crop(pixels: np.ndarray, cut: Cut, size: int) -> np.ndarray:
    crop = pixels[cut.top : cut.top + cut.side, cut.left : cut.left + cut.side]
    if cut.side != size:
        shrunk = Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC)
        crop = np.asarray(shrunk)
    if cut.mirrored:
        crop = crop[:, ::-1]
    return np.ascontiguousarray(crop.transpose(2, 0, 1))


class ResidentCrops:
    """The same crops, all of a batch cut at once on the device that the pictures live on, uint8.

    Screens are photos here: who wants them puts them in their places.
    Raises ValueError if some picture was not kept in memory.
    """

    def __init__(self, crops: Crops, device: torch.device) -> None:
        self.crops, self.device = crops, device
        flat, self.starts, start = [], [], 0
        for picture in crops.pictures:
            if picture.pixels is None:
                raise ValueError(f"{picture}: not in memory")
            flat.append(picture.pixels.reshape(-1, 3))
            self.starts.append(start)
            start += len(flat[-1])
        self.pixels = torch.from_numpy(np.concatenate(flat)).to(device)
        """Of all pictures, row by row, (P, 3)."""

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Crops of these numbers, uint8 (N, 3, size, size), channels last; and their qualities."""
        cuts = [self.crops.cut(i) for i in numbers]
        pictures = [self.crops.pictures[cut.pick] for cut in cuts]
        places = torch.tensor(
            [
                (self.starts[c.pick] + c.top * p.width + c.left, p.width, c.side, c.mirrored)
                for c, p in zip(cuts, pictures, strict=True)
            ]
        )
        qualities = torch.tensor([cut.quality for cut in cuts])
        start, width, side, mirrored = self._send(places).unbind(1)
        x = self._cut(start, width, side, mirrored, max(cut.side for cut in cuts))
        return x.permute(0, 3, 1, 2), self._send(qualities)

    def _send(self, values: Tensor) -> Tensor:
        # From pinned memory, so that the host need not wait for what the device has still to do.
        pinned = values.pin_memory() if self.device.type == "cuda" else values
        return pinned.to(self.device, non_blocking=True)

    def _cut(
        self, start: Tensor, width: Tensor, side: Tensor, mirrored: Tensor, widest: int
    ) -> Tensor:
        """Squares (N, size, size, 3): their first pixel, their pictures' width, side, mirrored."""
        size = self.crops.size
        along = torch.arange(widest, device=self.device)
        # What lies beyond a square weighs nothing, and may be any pixel.
        inside = torch.minimum(along, side[:, None] - 1)
        rows = start[:, None] + inside * width[:, None]
        x = self.pixels[rows[:, :, None] + inside[:, None, :]].float()
        down = _resampling(side, size, widest)
        across = torch.where(mirrored[:, None, None] > 0, down.flip(1), down)
        n = len(start)
        x = torch.bmm(down, x.reshape(n, widest, -1)).reshape(n, size, widest, 3)
        x = torch.matmul(across[:, None], x)
        return x.round_().clamp_(0, 255).to(torch.uint8)


def _resampling(side: Tensor, size: int, widest: int) -> Tensor:
    """Matrices (N, size, widest) that shrink so many samples to `size`, by Pillow's bicubic filter.

    Keys' cubic (1981) with a = -1/2, widened by the factor; what is no smaller stays as it is.
    """
    factor = (side / size)[:, None, None]
    to = (torch.arange(size, device=side.device)[:, None] + 0.5) * factor
    at = torch.arange(widest, device=side.device) + 0.5
    x = ((at - to) / factor).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weight = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    weight = weight * (at < side[:, None, None])
    return weight / weight.sum(2, keepdim=True)
