"""Makes starts.npz: fits networks to a mosaic of photos, from one lambda to the next.

Usage: python -m lictor.models.overfit.make_starts FOLDER OUT SIZE=BITS …, as in m=6e-4,1.2e-3.
BITS are what a bit per pixel weighs against an error of 0…1: 1 / lambda / 255². It takes photos of
FOLDER, spread over their names, and adds networks to those that are shipped: older ones keep their
numbers, so that files that name them can be read. Those that are shipped came of earlier forms of
this program; numbers 5 and 6 of size m took its mosaic and iterations, at bits 3e-4 and 1.2e-3, of
photos without six that were kept to judge by.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lictor.models.overfit import starts
from lictor.models.overfit.sizes import SIZES, Size
from lictor.models.overfit.training import LEVELS_OF_255, Training

ACROSS, CROP, SHRUNK = 4, 256, 0.8
FIRST = 1.2e-3
"""What a bit per pixel weighs against an error of 0…1 with the first networks, which start from
nothing; the others start from those of the nearest weight before them."""
FIRST_ITERATIONS, ITERATIONS = 2000, 700


def mosaic(photos: list[Path]) -> NDArray[np.float32]:
    """(3, H, W), 0…1: the middles of photos, shrunk against what their JPEGs left."""
    side, many = ACROSS * CROP, ACROSS**2
    whole = np.zeros((side, side, 3), np.float32)
    for number in range(many):
        path = photos[len(photos) // (2 * many) + number * (len(photos) // many)]
        photo = Image.open(path).convert("RGB")
        edges = [max(CROP, round(edge * SHRUNK)) for edge in photo.size]
        photo = photo.resize(edges, Image.Resampling.LANCZOS)
        left, top = (photo.width - CROP) // 2, (photo.height - CROP) // 2
        part = photo.crop((left, top, left + CROP, top + CROP))
        y, x = (CROP * place for place in divmod(number, ACROSS))
        whole[y : y + CROP, x : x + CROP] = part
    return np.ascontiguousarray(whole.transpose(2, 0, 1)) / 255


def fitted(
    x: NDArray[np.float32], size: Size, bits: list[float]
) -> dict[float, NDArray[np.float32]]:
    """Networks by what a bit weighs, of all `bits`, outwards from FIRST."""
    found: dict[float, NDArray[np.float32]] = {}
    for bit in sorted(bits, key=lambda bit: abs(np.log(bit / FIRST))):
        near = min(found, key=lambda other: abs(np.log(other / bit)), default=None)
        start = None if near is None else found[near]
        iterations = FIRST_ITERATIONS if start is None else ITERATIONS
        weight = 1 / (bit * LEVELS_OF_255)
        training = Training(x, weight, size, iterations, start=start, shared=False)
        training.run()
        assert training.best
        found[bit] = training.best[1]
        print(size.name, bit, training.best_loss, flush=True)
    return found


def added(
    held: dict[str, NDArray[np.float32]], name: str, found: dict[float, NDArray[np.float32]]
) -> None:
    """Put networks of a size behind those that there are."""
    ordered = sorted(found)
    values = np.stack([found[bit] for bit in ordered])
    weights = np.array([1 / (bit * LEVELS_OF_255) for bit in ordered], np.float32)
    if name in held:
        values = np.concatenate([held[name], values])
        weights = np.concatenate([held[f"{name}_weights"], weights])
    held[name], held[f"{name}_weights"] = values, weights


def main() -> None:
    """As the module's docstring says."""
    folder, out = map(Path, sys.argv[1:3])
    x = mosaic(sorted(folder.iterdir()))
    with np.load(starts.PATH, allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    for asked in sys.argv[3:]:
        name, _, bits = asked.partition("=")
        added(held, name, fitted(x, SIZES[name], [float(bit) for bit in bits.split(",")]))
    for name in SIZES:
        held[name] = held[name].astype(np.float16)
    np.savez_compressed(out, **held)


if __name__ == "__main__":
    main()
