"""Learn from compressed files: is there an animal on the photo, or a thing?

    pip install scikit-learn timm
    python examples/latents_classifier.py train.tar test.tar --quality 50
    python examples/latents_classifier.py train.tar test.tar --model student-lite0.ce

Pictures are labelled by names that begin with their WordNet id: of ImageNet's 1000 classes the
first 398 are animals. Each is shrunk and coded; its latents are decoded, and no picture is made
of them. A linear classifier (ridge regression) learns from one number of each channel, the mean
size of its latents; beside it, the same from thumbnails of the pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lictor import codec
from lictor.codec.bench import pictures
from lictor.codec.bench.classify import wordnet_ids
from lictor.codec.picture.classifier_view import rgb

ANIMALS = 398
LONGEST = 256
THUMBNAIL = 16


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """At most LONGEST pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.BICUBIC)
    return np.asarray(image)


def of_latents(data: bytes) -> np.ndarray:
    """A number of each channel, float32 (C,)."""
    return np.abs(np.arcsinh(codec.latents(data).values)).mean((1, 2))


def of_pixels(pixels: np.ndarray) -> np.ndarray:
    """A thumbnail, float32 (16 x 16 x 3,)."""
    small = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel() / 255


def read(
    source: Path, model: str, quality: float, count: int | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What each way sees of the pictures, (N, F), and whether they show animals, bool (N,)."""
    seen: dict[str, list[np.ndarray]] = {"latents": [], "thumbnails": []}
    labels, sizes = [], []
    labelled = [s for s in pictures.find([str(source)]) if s.label]
    for found in labelled[:: max(1, len(labelled) // count)] if count else labelled:
        pixels = shrunk(rgb(found.read().pixels))
        data = codec.encode(pixels, quality=quality, model=model)
        seen["latents"].append(of_latents(data))
        seen["thumbnails"].append(of_pixels(pixels))
        labels.append(wordnet_ids()[found.label] < ANIMALS)
        sizes.append(len(data))
    print(f"{source.name}: {len(labels)} pictures, {np.mean(sizes):.0f} bytes each")
    return {name: np.stack(values) for name, values in seen.items()}, np.array(labels)


def main() -> None:
    """Read, learn, and say how often it is right on pictures that it never saw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("train", type=Path, help="folder or tar file of labelled pictures")
    parser.add_argument("test", type=Path, help="others")
    parser.add_argument("--model", default="lictor-s.mse", help="weights to code with")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--count", type=int, help="about so many of each, else all")
    arguments = parser.parse_args()
    how = (arguments.model, arguments.quality, arguments.count)
    train, truth = read(arguments.train, *how)
    test, wanted = read(arguments.test, *how)
    common = truth.mean() > 0.5
    print(f"always the same answer: {(wanted == common).mean():.1%}")
    for name in train:
        probe = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(1, 6, 11)))
        probe.fit(train[name], truth)
        right = (probe.predict(test[name]) == wanted).mean()
        print(f"{name}, {train[name].shape[1]} numbers a picture: {right:.1%}")


if __name__ == "__main__":
    main()
