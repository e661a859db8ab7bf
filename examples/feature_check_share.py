"""How much of the time that arrays take to encode goes into decoding them again, to check.

    python examples/feature_check_share.py

Arrays are made up; times are of this process on the CPU, the best of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lictor.codec import encode_features
from lictor.codec.arrays import api, methods

TARGETS: tuple[dict[str, float], ...] = ({}, {"max_error": 0.01}, {"mse": 1e-3}, {"bits": 4.0})


def maps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Smooth channels that depend on one another, after a ReLU."""
    x = rng.normal(size=shape).cumsum(-1).cumsum(-2) / 4
    x[:, 1:] += 0.8 * x[:, :-1]
    return np.maximum(x, 0).astype(np.float32)


CHECKS = ((api, "_check_exact"), (api, "_kept"), (methods, "read"))
"""What an encoder runs but to check."""


@contextmanager
def timed() -> Iterator[list[float]]:
    """Seconds of each check, as they come."""
    spent: list[float] = []

    def timing(check: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.process_time()
            found = check(*arguments)
            spent.append(time.process_time() - start)
            return found

        return run

    checks = [getattr(module, name) for module, name in CHECKS]
    for (module, name), check in zip(CHECKS, checks, strict=True):
        setattr(module, name, timing(check))
    try:
        yield spent
    finally:
        for (module, name), check in zip(CHECKS, checks, strict=True):
            setattr(module, name, check)


def shares(x: np.ndarray, target: dict[str, float]) -> tuple[float, float]:
    """Seconds of encoding in all, and of those spent in checks."""
    with timed() as spent:
        start = time.process_time()
        encode_features(x, **target)
        return time.process_time() - start, sum(spent)


def main() -> None:
    """Print a line for each array and target."""
    rng = np.random.default_rng(0)
    made = {
        "normal, 100": rng.normal(size=100),
        "normal, 64x64": rng.normal(size=(64, 64)).astype(np.float32),
        "normal, 1e6": rng.normal(size=10**6).astype(np.float32),
        "tokens, 512x384": rng.normal(size=(512, 384)).astype(np.float32),
        "maps, 2x8x32x32": maps(rng, (2, 8, 32, 32)),
        "maps, 2x32x48x48": maps(rng, (2, 32, 48, 48)),
        "integers, 1e6": rng.integers(0, 1000, 10**6),
    }
    for name, x in made.items():
        for target in TARGETS:
            whole, check = min(shares(x, target) for _ in range(3))
            print(f"{name:18} {target!s:20} {whole:8.3f} s {check:8.4f} s {check / whole:6.1%}")


if __name__ == "__main__":
    main()
