"""How fast arrays are encoded and decoded, and what memory that takes beside them.

    python examples/array_speed.py features/*.npy      # at the error of int8, one thread
    python examples/array_speed.py --values 16777216   # a random array of so many values

CPU time, the best of some runs; --dtype converts first. The last columns are the growth of the
process while it encodes, and while it decodes, in sizes of the array (Linux only): after small
arrays, so that code and tables do not count.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lictor.codec import decode_features, encode_features

Array = np.ndarray[Any, Any]


def tokens(values: int) -> Array:
    """Of 1024 correlated channels, unequally loud."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((max(values // 1024, 1), 1024), np.float32)
    x[:, 1:] += 0.7 * x[:, :-1]
    return x * np.exp(rng.standard_normal(1024, np.float32))


def best(run: Callable[[], Any], seconds: float) -> float:
    """CPU seconds of the quickest of some runs."""
    least, end = np.inf, time.monotonic() + seconds
    while True:
        start = time.process_time()
        run()
        least = min(least, time.process_time() - start)
        if time.monotonic() >= end:
            return float(least)


def status(key: str) -> int:
    """Bytes of the process: VmRSS, what it has, or VmHWM, the most it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(s for s in lines if s.startswith(key)).split()[1])


def growth(run: Callable[[], Any], size: int) -> tuple[Any, float]:
    """What is made, and how far the process grew for it, in sizes."""
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before is used again unseen
    Path("/proc/self/clear_refs").write_text("5")  # the most is from now on
    before = status("VmRSS")
    made = run()
    return made, (status("VmHWM") - before) / size


def warm() -> None:
    """Whatever is loaded and made once."""
    small = tokens(70000)
    for x in (small, np.maximum(small, 0)):
        decode_features(encode_features(x))


def line(name: str, x: Array, seconds: float) -> str:
    """A row of the table."""
    data, encoded = growth(lambda: encode_features(x), x.nbytes)
    _, decoded = growth(lambda: decode_features(data), x.nbytes)
    speeds = [
        x.size / best(run, seconds) / 1e6
        for run in (lambda: encode_features(x), lambda: decode_features(data))
    ]
    bits = 8 * len(data) / x.size
    return (
        f"| {name} | {x.dtype} | {x.size} | {bits:.3f} | {speeds[0]:.1f} | {speeds[1]:.1f} | "
        f"{encoded:.1f} | {decoded:.1f} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("files", nargs="*", help=".npy files")
    parser.add_argument("--values", type=int, help="of a random array in their place")
    parser.add_argument("--dtype", help="such as float16")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each of the timings")
    args = parser.parse_args()
    print("| array | type | values | bits a value | M/s encoded | decoded | memory | decoded |")
    print("|---|---|---|---|---|---|---|---|")
    warm()
    given = [("random", tokens(args.values))] if args.values else []
    given += [(Path(f).stem, np.load(f)) for f in args.files]
    for name, x in given:
        print(line(name, x.astype(args.dtype or x.dtype), args.seconds), flush=True)


if __name__ == "__main__":
    main()
