"""What a GPU makes of pictures, beside the CPU: the same latents, and how long it takes.

    python examples/on_a_gpu.py [--model lictor-s.mse] [--quality 50] [PICTURE…]

Without pictures it takes photos of scikit-image. Exit status 1 if a file decodes to other latents.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from lictor.codec import decode, encode, latents

REPEATS = 5


def pictures(names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and pixels."""
    if names:
        for name in names:
            yield name, np.asarray(Image.open(name).convert("RGB"))
        return
    from skimage import data

    for name in ("astronaut", "coffee", "chelsea"):
        yield name, getattr(data, name)()


def seconds(work: Callable[[], Any]) -> float:
    """Median of some runs, after one that warms up; results are on the host, so all is done."""
    work()
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> int:
    """Compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("--model", default="lictor-s.mse")
    parser.add_argument("--quality", type=float, default=50)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device here", file=sys.stderr)
        return 2
    print(torch.cuda.get_device_name())
    apart = 0
    for name, pixels in pictures(given.pictures):
        files = {}
        for device in ("cpu", "cuda"):

            def code(device: str = device, pixels: np.ndarray = pixels) -> bytes:
                how = dict(quality=given.quality, model=given.model, device=device)
                return encode(pixels, method="network", **how)

            files[device] = data = code()
            coding = seconds(code)
            decoding = seconds(lambda device=device, data=data: decode(data, device=device))
            print(
                f"{name}: {device} {len(data)} bytes,"
                f" {coding:.3f} s to encode, {decoding:.3f} to decode"
            )
        for maker, data in files.items():
            hashes = {device: latents(data, device=device).sha256 for device in ("cpu", "cuda")}
            if len(set(hashes.values())) != 1:
                apart += 1
                print(
                    f"{name}: the file of {maker} decodes to other latents on the GPU",
                    file=sys.stderr,
                )
    print(f"{apart} files decode to other latents" if apart else "all decode to the same latents")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
