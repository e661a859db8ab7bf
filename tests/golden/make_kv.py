"""Makes tests/golden/kv: small caches, coded in each way, and what they decode to.

    python tests/golden/make_kv.py

Files that are there stay as they are: delete one to make it anew, which is a new format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lictor.kv import Rope, calibrate, decode, encode

FOLDER = Path(__file__).with_name("kv")
WAYS = {
    "exact": {"lossless": True},
    "basis": {"calibration": True, "bits": 6.0},
    "exact-basis": {"calibration": True, "lossless": True},
    "grid": {"max_error": 0.02},
    "tensor": {"bits": 12.0, "transform": "tensor"},
}


def cache(seed: int) -> np.ndarray:
    """(layers, 2, tokens, channels), float16; exact arithmetic only."""
    steps = np.random.default_rng(seed).integers(-64, 65, (2, 2, 40, 16))
    return (steps * np.arange(1, 17) / 128 + steps.cumsum(2) / 64).astype(np.float16)


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "own.lkc"
    if not path.exists():
        calibrate([cache(1), cache(2)], rope=Rope((1.0, 0.1, 0.01))).save(path)
    for name, given in WAYS.items():
        options = dict(given)
        own = path if options.pop("calibration", False) else None
        target = FOLDER / f"{name}.bin"
        if not target.exists():
            target.write_bytes(encode(cache(3), calibration=own, recent=3, chunk=16, **options))
            np.save(FOLDER / f"{name}.npy", decode(target.read_bytes(), calibration=own).array())


if __name__ == "__main__":
    main()
