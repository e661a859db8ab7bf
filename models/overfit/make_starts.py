"""Makes starts.npz: fits networks to a mosaic of photos, from one lambda to the next.

Usage: python -m lictor.models.overfit.make_starts FOLDER OUT. It takes the first photos of FOLDER,
by name. Those that are shipped took several runs of this kind, of 700 to 1,800 iterations each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lictor.models.overfit.sizes import SIZES
from lictor.models.overfit.training import LEVELS_OF_255, train

ACROSS, CROP, SHRUNK = 3, 192, 0.8
BITS = {"s": (6e-4,), "m": (6e-4, 2.4e-3, 1e-2, 1.5e-4), "l": (6e-4,)}
"""What a bit per pixel weighs against an error of 0…1. The first starts from nothing; each of the
others from the nearest one before it."""
ITERATIONS = 1000


def mosaic(photos: list[Path]) -> NDArray[np.float32]:
    """(3, H, W), 0…1: the middles of photos, shrunk against what their JPEGs left."""
    side = ACROSS * CROP
    whole = np.zeros((side, side, 3), np.float32)
    for number, path in enumerate(photos[: ACROSS**2]):
        photo = Image.open(path).convert("RGB")
        photo = photo.resize(
            [round(edge * SHRUNK) for edge in photo.size], Image.Resampling.LANCZOS
        )
        left, top = (photo.width - CROP) // 2, (photo.height - CROP) // 2
        part = photo.crop((left, top, left + CROP, top + CROP))
        y, x = (CROP * place for place in divmod(number, ACROSS))
        whole[y : y + CROP, x : x + CROP] = part
    return np.ascontiguousarray(whole.transpose(2, 0, 1)) / 255


def main() -> None:
    """As the module's docstring says."""
    folder, out = map(Path, sys.argv[1:])
    x = mosaic(sorted(folder.iterdir()))
    held = {}
    for name, bits in BITS.items():
        found: dict[float, NDArray[np.float32]] = {}
        for bit in bits:
            near = min(found, key=lambda other: abs(np.log(other / bit)), default=None)
            start = None if near is None else found[near]
            weight = 1 / (bit * LEVELS_OF_255)
            fitted = train(x, weight, SIZES[name], ITERATIONS, start=start, shared=False)
            found[bit] = fitted.parameters
            print(name, bit, fitted.bits, fitted.psnr, flush=True)
        held[name] = np.stack([found[bit] for bit in bits]).astype(np.float16)
        held[f"{name}_weights"] = np.array([1 / (bit * LEVELS_OF_255) for bit in bits], np.float32)
    np.savez_compressed(out, **held)


if __name__ == "__main__":
    main()
