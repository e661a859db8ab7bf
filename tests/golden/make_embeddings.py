"""Makes the files of embeddings in embeddings/, and what they decode to.

    python tests/golden/make_embeddings.py

Files that are there stay as they are: delete one to make it anew, which is a new format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lictor.codec.embeddings import decode, encode

FOLDER = Path(__file__).with_name("embeddings")
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "axes": ("float32", {"bits": 4}),
    "grid": ("float32", {"bits": 24}),
    "bound": ("float16", {"max_error": 0.002}),
    "exact": ("float16", {"lossless": True}),
}


def main() -> None:
    """Write all."""
    rng = np.random.default_rng(0)
    FOLDER.mkdir(exist_ok=True)
    turned = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    for name, (dtype, options) in FILES.items():
        rows = 20 if name == "grid" else 300
        x = rng.normal(size=(rows, 12)) * np.geomspace(1, 0.02, 12) @ turned + 0.1
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype)
        if (FOLDER / f"{name}.bin").exists():
            continue
        data = encode(x, chunk=128, **options)
        (FOLDER / f"{name}.bin").write_bytes(data)
        np.save(FOLDER / f"{name}.npy", decode(data))


if __name__ == "__main__":
    main()
