"""How near previews are to the whole picture, reduced, and what of its time they take.

    python examples/previews.py kodak/ --model lictor-s.mse
    python examples/previews.py large.png --qualities 35 --repeats 3

PSNR of `decode(…, reduce=…)` against the means of squares of `decode(…)`, over pictures, mean and
worst; and the processor time of both, one after the other, as a ratio: the median of all. The light
runtime decodes, unless LICTOR_RUNTIME says otherwise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from PIL import Image

from lictor.codec import decode_picture, encode
from lictor.codec.picture.reduced import of_picture

REDUCTIONS = (2, 4, 8, 16)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the processor time that it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def psnr(a: Any, b: Any) -> float:
    """In dB, of uint8."""
    error = np.square(a.astype(np.float32) - b).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def main() -> None:
    """Measure, and print a row for each quality."""
    parser = argparse.ArgumentParser(description="Previews against whole pictures.")
    parser.add_argument("pictures", type=Path, help="a picture, or a folder of PNG files")
    parser.add_argument("--model", default="lictor-s.mse")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--qualities", default="15,35,55,75")
    parser.add_argument("--repeats", type=int, default=1)
    given = parser.parse_args()
    paths = sorted(given.pictures.glob("*.png")) if given.pictures.is_dir() else [given.pictures]
    for quality in map(float, given.qualities.split(",")):
        near: dict[int, list[float]] = {by: [] for by in REDUCTIONS}
        shares: dict[int, list[float]] = {by: [] for by in REDUCTIONS}
        seconds = []
        for path in paths:
            pixels = np.asarray(Image.open(path).convert("RGB"))
            data = encode(pixels, quality=quality, model=given.model, method=given.method)
            decode_picture(data, reduce=16)  # weights are loaded now
            decode_picture(data)
            for _ in range(given.repeats):
                for by in REDUCTIONS:
                    whole, all_of_it = timed(lambda data=data: decode_picture(data).pixels)
                    _, part = timed(lambda data=data, by=by: decode_picture(data, reduce=by))
                    seconds.append(all_of_it)
                    shares[by].append(part / all_of_it)
            for by in REDUCTIONS:
                found = decode_picture(data, reduce=by).pixels
                near[by].append(psnr(found, of_picture(whole, by)))
        row = ", ".join(
            f"1/{by}: {mean(near[by]):.1f} dB (worst {min(near[by]):.1f}), "
            f"{median(shares[by]):.2f} of the time"
            for by in REDUCTIONS
        )
        print(
            f"{given.model} quality {quality:g}: whole {median(seconds):.3f} s; {row}", flush=True
        )


if __name__ == "__main__":
    main()
