"""How good the model is meanwhile: rate and distortion on a few pictures, as curve and to see."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lictor.datasets.pictures import Picture, Unusable
from lictor.models.base import Network
from lictor.training.losses import Criterion

QUALITIES = (0.0, 25.0, 50.0, 75.0, 100.0)
SIDE = 384
"""Pictures are cut to this in the middle, and to multiples of 64."""
MOST = 12
"""So many pictures at most: validation must not cost more than it tells."""
FOLDER = "validation"


@dataclass(frozen=True)
class Point:
    """Means over the validation pictures; bpp is the model's estimate."""

    quality: float
    loss: float
    bpp: float
    psnr: float


def split(
    pictures: Sequence[Picture], share: float, most: int = MOST
) -> tuple[list[Picture], list[Picture]]:
    """Pictures to train on and pictures held out: some at least, the same each time."""
    count = min(round(share * len(pictures)) or 1, most, len(pictures) - 1)
    if share == 0 or count < 1:
        return list(pictures), []
    held = set(random.Random(0).sample(range(len(pictures)), count))
    return (
        [p for i, p in enumerate(pictures) if i not in held],
        [p for i, p in enumerate(pictures) if i in held],
    )


def keep(pictures: Sequence[Picture], run: Path, least: int) -> None:
    """Write the middles of some pictures to run/validation/, where export finds them too.

    least: side that pictures are not shrunk below, as some losses want.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    chosen = random.Random(0).sample(pictures, min(MOST, len(pictures)))
    for i, picture in enumerate(chosen):
        try:
            middle = _middle(picture, least)
        except Unusable as error:
            print(f"{picture}: skipped, {error}", file=sys.stderr)
            continue
        Image.fromarray(middle).save(folder / f"{i:02}.png")


def kept(run: Path) -> list[np.ndarray]:
    """The pictures of run/validation/, uint8 (H, W, 3)."""
    return [np.array(Image.open(path)) for path in sorted((run / FOLDER).glob("*.png"))]


def _middle(picture: Picture, least: int) -> np.ndarray:
    """The middle of a picture, shrunk by the mean of its factors."""
    image = Image.fromarray(picture.array())
    factor = max(sum(picture.shrink) / 2, least / min(image.size))
    if factor < 1:
        size = (round(image.width * factor), round(image.height * factor))
        image = image.resize(size, Image.Resampling.BICUBIC)
    width, height = (min(side, SIDE) // 64 * 64 for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)))


@torch.no_grad()
def curve(
    model: Network, pictures: Sequence[np.ndarray], criterion: Criterion, device: torch.device
) -> list[Point]:
    """The model in eval mode at each quality: what it expects to spend, and what it leaves."""
    points = []
    for quality in QUALITIES:
        rows = []
        for pixels in pictures:
            x = _tensor(pixels, device)
            q = x.new_tensor([quality])
            out = model(x, q)
            loss, bpp, _ = criterion(out, x, q)
            error = (_levels(out.x_hat) - _levels(x)).square().mean()
            rows.append(torch.stack([loss[0], bpp[0], 10 * torch.log10(255**2 / error)]))
        points.append(Point(quality, *torch.stack(rows).mean(0).tolist()))
    return points


@torch.no_grad()
def sheet(model: Network, pictures: Sequence[np.ndarray], device: torch.device) -> Image.Image:
    """Up to three pictures in rows: at quality 0, 25 and 50, and the original."""
    rows = []
    for pixels in pictures[:3]:
        x = _tensor(pixels, device)
        seen = [model(x, x.new_tensor([q])).x_hat for q in QUALITIES[:3]]
        row = torch.cat([_levels(t)[0] for t in (*seen, x)], dim=2)
        rows.append(row.permute(1, 2, 0).to(torch.uint8).cpu().numpy())
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return Image.fromarray(np.concatenate(padded))


def plot(curves: Sequence[Sequence[Point]]) -> Image.Image:
    """PSNR over bpp: the last curve in blue, those before in gray."""
    width, height, margin = 640, 480, 50
    every = [point for curve in curves for point in curve]
    right = max(p.bpp for p in every) * 1.05
    low, high = min(p.psnr for p in every) - 0.5, max(p.psnr for p in every) + 0.5

    def place(bpp: float, psnr: float) -> tuple[float, float]:
        x = margin + bpp / right * (width - 2 * margin)
        return x, height - margin - (psnr - low) / (high - low) * (height - 2 * margin)

    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle([place(0, high), place(right, low)], outline="black")
    for i in range(6):
        bpp, psnr = right * i / 5, low + (high - low) * i / 5
        draw.text((place(bpp, low)[0] - 10, height - margin + 6), f"{bpp:.2f}", "black")
        draw.text((8, place(0, psnr)[1] - 6), f"{psnr:.1f}", "black")
    draw.text((8, 8), "PSNR, dB", "black")
    draw.text((width - margin - 10, height - 20), "bpp", "black")
    for i, curve in enumerate(curves):
        colour = "blue" if i == len(curves) - 1 else "lightgray"
        spots = [place(p.bpp, p.psnr) for p in curve]
        draw.line(spots, colour, width=2)
        for x, y in spots:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
    return image


def _tensor(pixels: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255


def _levels(x: Tensor) -> Tensor:
    return x.clamp(0, 1).mul(255).round()
