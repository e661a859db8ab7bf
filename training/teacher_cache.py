"""What the teacher sees of many crops, computed once: a student learns from that alone.

The front of a student is frozen, so its output for a crop never changes, nor does what the teacher
makes of it. Kept as float16, a crop takes 120 kB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from lictor.codec.image.pillow import middle
from lictor.datasets.pictures import Picture, Unusable
from lictor.models.task.efficientnet import Front, Tail

VIEW = 224
PREVIEW = 56
"""Sides of the square that the teacher looks at, and of the picture that the second head learns."""
LEAST_AREA, MOST_STRETCHED = 0.3, 4 / 3
"""Of a random crop: its share of the picture, and the longer side by the shorter."""


@dataclass
class Pool:
    """N crops as the teacher sees them.

    front: its front's output, float16 (N, 40, 28, 28). middle: after block 10, float16
    (N, 112, 14, 14). features: float16 (N, 1280). small: the crops, uint8 (N, 3, 56, 56).
    """

    front: Tensor
    middle: Tensor
    features: Tensor
    small: Tensor

    def __len__(self) -> int:
        return len(self.front)

    def __getitem__(self, picked: Tensor | slice) -> Pool:
        return Pool(*(getattr(self, f.name)[picked] for f in fields(self)))

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        temporary = path.with_suffix(".tmp")
        save_file({f.name: getattr(self, f.name) for f in fields(self)}, temporary)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Pool:
        """What `save` wrote."""
        return cls(**load_file(path))


def random_crops(pictures: Sequence[Picture], count: int, seed: int) -> Iterator[np.ndarray]:
    """Crops resized to uint8 (224, 224, 3), half of them mirrored; all pictures come as often."""
    random = np.random.default_rng(seed)
    order = np.concatenate(
        [random.permutation(len(pictures)) for _ in range(-(-count // len(pictures)))]
    )
    for pick in order[:count]:
        try:
            pixels = pictures[pick].array()
        except Unusable as error:
            print(f"{pictures[pick]}: skipped, {error}", file=sys.stderr)
            continue
        yield _random_crop(pixels, random)


def middles(pictures: Sequence[Picture]) -> Iterator[np.ndarray]:
    """What the teacher is tested with, uint8 (224, 224, 3)."""
    for picture in pictures:
        yield middle(picture.array(), VIEW)


def _random_crop(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    area = height * width * random.uniform(LEAST_AREA, 1)
    ratio = MOST_STRETCHED ** random.uniform(-1, 1)
    w, h = min((area * ratio) ** 0.5, width), min((area / ratio) ** 0.5, height)
    left, top = random.uniform(0, width - w), random.uniform(0, height - h)
    image = Image.fromarray(pixels).resize(
        (VIEW, VIEW), Image.Resampling.BICUBIC, box=(left, top, left + w, top + h)
    )
    crop = np.asarray(image)
    return crop[:, ::-1] if random.random() < 0.5 else crop


@torch.inference_mode()
def fill(crops: Iterator[np.ndarray], count: int, teacher: tuple[Front, Tail]) -> Pool:
    """Show crops to the teacher."""
    front, tail = teacher
    parts = []
    for crop in tqdm(crops, total=count, unit="crop", disable=not sys.stderr.isatty()):
        x = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None]
        f = front(x.float() / 255)
        seen = tail(f)
        small = torch.nn.functional.avg_pool2d(x.float(), VIEW // PREVIEW).round().to(torch.uint8)
        parts.append((f.half(), seen.middle.half(), seen.features.half(), small))
    return Pool(*(torch.cat(part).clone() for part in zip(*parts, strict=True)))
