"""Make the golden files of tests/golden/models, one for each model that codes no pictures.

    python tests/golden/make_models.py             only those that are not there yet
    python tests/golden/make_models.py NAME ...    these, once their shipped weights are other ones

NAME.bin is a file of the model NAME; index.json has the SHA-256 of the weights and of the latents,
and of what the latents become: a student's first answers, or of features the values at some places.
tests/codec/test_golden_models.py decodes them. Between releases with the same weights they are
never replaced: later versions must decode what earlier ones wrote.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lictor.codec import classify, decode_features, encode, encode_features, latents
from lictor.codec.arrays import learned, methods
from lictor.models import checkpoint, zoo

FOLDER = Path(__file__).parent / "models"
INDEX = FOLDER / "index.json"
PLACES = 97
"""Of decoded features every so-manieth value is kept."""


def photo() -> np.ndarray:
    """A cat, of scikit-image (CC0)."""
    spec = importlib.util.find_spec("skimage")
    assert spec and spec.origin
    with Image.open(Path(spec.origin).parent / "data" / "chelsea.png") as picture:
        return np.array(picture)


def features(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Noise, smooth along the last axis, that looks to the model like what it knows; one NaN."""
    model: Any = checkpoint.load(name)
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    x = (x + np.roll(x, 1, -1)) / np.float32(1.4)
    along = [-1 if n == model.channels else 1 for n in shape]
    x = x * model.spread.numpy().reshape(along) + model.mean.numpy().reshape(along)
    x.flat[7] = np.nan
    return x


RECIPES: dict[str, Any] = {
    "student-lite0.ce": lambda name: encode(photo(), model=name, quality=40),
    "plane-hyper.lite0": lambda name: encode_features(
        features(name, (2, 112, 7, 5)), model=name, quality=45.25
    ),
    "plane-hyper.minilm": lambda name: encode_features(
        features(name, (30, 384)), model=name, quality=20
    ),
}


def describe(name: str, data: bytes) -> dict[str, Any]:
    """What a file must decode to."""
    told: dict[str, Any] = {"weights": zoo.index()[name].sha256}
    if name.startswith("student"):
        answer = classify(data)
        told["latents"] = latents(data).sha256
        told["answers"] = answer.scores.argsort()[::-1][:3].tolist()
        return told
    array = methods.read(data).arrays[0]
    parts = [part.astype("<f4") for _, part in learned.latents(array).pieces]
    told["latents"] = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    told["values"] = [float(v) for v in decode_features(data).ravel()[::PLACES]]
    return told


def main(replaced: list[str]) -> None:
    index = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    FOLDER.mkdir(exist_ok=True)
    for name, make in RECIPES.items():
        if name in index and name not in replaced:
            continue
        data = make(name)
        (FOLDER / f"{name}.bin").write_bytes(data)
        index[name] = describe(name, data)
        print(f"{name}: {len(data)} bytes")
    INDEX.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
