"""What a region of interest gains inside a box, and costs outside, at equal file size.

    python examples/roi_boxes.py kodak/ --quality 50 --drop 40

Each picture is encoded as a whole at a quality, and with a box at the highest quality whose file is
no larger. PSNR in dB, of all samples inside and outside of the box.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from lictor.codec import decode, encode, info

BOXES = {
    "kodim04": (128, 272, 240, 272),
    "kodim07": (336, 144, 176, 192),
    "kodim12": (208, 48, 192, 352),
    "kodim15": (368, 96, 272, 272),
    "kodim18": (192, 144, 176, 224),
    "kodim20": (80, 192, 416, 144),
    "kodim21": (304, 48, 112, 288),
    "kodim23": (80, 160, 208, 192),
}
"""Faces and other things to look at: x, y, width, height."""


def psnrs(pixels: np.ndarray, data: bytes, inside: np.ndarray) -> list[float]:
    """Inside and outside."""
    error = np.square(pixels.astype(float) - np.asarray(decode(data))).mean(axis=2)
    return [float(10 * np.log10(255**2 / error[part].mean())) for part in (inside, ~inside)]


def largest(pixels: np.ndarray, size: int, **options: object) -> bytes:
    """The file of the highest quality that is no larger than `size`."""
    low, high, best = 0, 400, b""
    while low <= high:
        middle = (low + high) // 2
        data = encode(pixels, quality=middle / 4, **options)  # type: ignore[arg-type]
        if len(data) <= size:
            low, best = middle + 1, data
        else:
            high = middle - 1
    return best


def main() -> None:
    """Read the arguments, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the Kodak pictures")
    parser.add_argument("--quality", type=float, default=50, help="of the plain files")
    parser.add_argument("--drop", type=float, default=40, help="as --roi-drop")
    a = parser.parse_args()
    print("| picture | area | plain | with box | qualities | map | inside | outside |")
    print("|---|---|---|---|---|---|---|---|")
    gains = []
    for name, box in BOXES.items():
        pixels = np.asarray(Image.open(a.folder / f"{name}.png").convert("RGB"))
        x, y, width, height = box
        inside = np.zeros(pixels.shape[:2], bool)
        inside[y : y + height, x : x + width] = True
        plain = encode(pixels, quality=a.quality)
        data = largest(pixels, len(plain), roi=[box], roi_drop=a.drop)
        before, after = (psnrs(pixels, each, inside) for each in (plain, data))
        gains.append([new - old for old, new in zip(before, after, strict=True)])
        i = info(data)
        print(
            f"| {name} | {inside.mean():.1%} | {len(plain)} B | {len(data)} B | "
            f"{i.quality_low:g}, {i.quality:g} | {i.map_bytes} B | "
            f"{before[0]:.2f} → {after[0]:.2f} ({gains[-1][0]:+.2f}) | "
            f"{before[1]:.2f} → {after[1]:.2f} ({gains[-1][1]:+.2f}) |",
            flush=True,
        )
    inner, outer = zip(*gains, strict=True)
    print(
        f"inside {fmean(inner):+.2f} dB ({min(inner):+.2f} at least), outside {fmean(outer):+.2f}"
    )


if __name__ == "__main__":
    main()
