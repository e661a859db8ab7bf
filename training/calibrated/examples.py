"""Examples that a network is shown: some to calibrate with, others to measure by.

Pictures of a folder or a tar, each the square in its middle, as classifiers are tested; or what a
function gives. What measures never calibrates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lictor.codec.errors import InvalidOption
from lictor.codec.image.pillow import middle
from lictor.datasets.pictures import Picture, load, sources
from lictor.training import networks

FEWEST = 8
MOST = 768
"""Examples: at least, and those of a folder at most."""
_MEMORY = 1e9
_CALIBRATING = 1 / 2


@dataclass(frozen=True)
class Shown:
    """How pictures become what a network is shown: (x / 255 - mean) / spread.

    side: of the square. mean, spread: one number, or one a channel.
    """

    side: int = 224
    mean: tuple[float, ...] = (0.5,)
    spread: tuple[float, ...] = (0.5,)

    @classmethod
    def of(cls, text: str) -> Shown:
        """SIDE[:MEAN:SPREAD]. Raises InvalidOption."""
        try:
            side, *others = text.split(":")
            mean, spread = others or ("0.5", "0.5")
            found = cls(int(side), _numbers(mean), _numbers(spread))
            if not (1 <= found.side <= 4096 and min(found.spread) > 0):
                raise ValueError
        except ValueError as error:
            raise InvalidOption(
                f"{text} does not say what a network is shown; give SIDE or SIDE:MEAN:SPREAD"
            ) from error
        return found

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Of uint8 (H, W, 3), float32 (1, 3, side, side)."""
        x = middle(pixels, self.side).astype(np.float32) / 255
        x = (x - np.array(self.mean, np.float32)) / np.array(self.spread, np.float32)
        return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None]


def _numbers(text: str) -> tuple[float, ...]:
    found = tuple(float(part) for part in text.split(","))
    if len(found) not in (1, 3) or not np.isfinite(found).all():
        raise ValueError
    return found


@dataclass(frozen=True)
class Examples:
    """Batches, each as a network takes them.

    labels: of the measuring ones' examples, the number of the subfolder, of so many; empty where
    there are no subfolders.
    """

    calibrating: Sequence[Any]
    measuring: Sequence[Any]
    labels: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    classes: int = 0


def split(batches: Iterable[Any], seed: int = 0) -> Examples:
    """Half of what there is to calibrate with, the others to measure by, drawn at random.

    Raises InvalidOption for fewer than FEWEST.
    """
    found = list(batches)
    calibrating, measuring = _parted(len(found), seed)
    return Examples([found[i] for i in calibrating], [found[i] for i in measuring])


def pictures(data: str, shown: Shown, seed: int = 0) -> Examples:
    """Of folders and tars as `lictor train` takes them; at most MOST are taken.

    Raises InvalidOption, FileNotFoundError.
    """
    places = sources(data)
    found = load(places, 1, 0)
    chosen = np.random.default_rng(seed).permutation(len(found))[:MOST]
    found = [found[i] for i in sorted(chosen)]
    calibrating, measuring = _parted(len(found), seed)
    x = [shown(picture.array()) for picture in found]
    names = [_folder(picture, places[0].path) for picture in found]
    known = _folders(places[0].path) if len(places) == 1 else []
    named = len(known) > 1 and all(name in known for name in names)
    labels = [known.index(names[i]) for i in measuring] if named else []
    return Examples(
        [x[i] for i in calibrating],
        [x[i] for i in measuring],
        torch.tensor(labels, dtype=torch.long),
        len(known) if named else 0,
    )


def of(data: str, shown: Shown) -> Examples:
    """What --data names: pictures, or MODULE:NAME of what gives batches. Raises InvalidOption."""
    first = data.partition(":")[0]
    if ":" in data and not Path(first).exists():
        return split(networks.called(data, "data"))
    return pictures(data, shown)


def _folders(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def _folder(picture: Picture, root: Path) -> str:
    """The subfolder that a picture is in; "" for none."""
    path = picture.file.path
    inside = path.relative_to(root).parts if path.is_relative_to(root) else ()
    return inside[0] if len(inside) > 1 and not picture.file.member else ""


def _parted(count: int, seed: int) -> tuple[list[int], list[int]]:
    if count < FEWEST:
        raise InvalidOption(
            f"{count} examples are too few to calibrate with and to measure by; give {FEWEST}, "
            "better hundreds"
        )
    order = np.random.default_rng(seed).permutation(count).tolist()
    first = max(round(count * _CALIBRATING), 1)
    return order[:first], order[first:]
