"""How coarse may features be? A classifier cut in two, with the feature codec in between.

    python examples/feature_agreement.py photos/ --count 100
    python examples/feature_agreement.py photos/ --count 100 --model plane-hyper.lite0

The first eleven blocks of EfficientNet-Lite0 run on pictures; their output (112 channels at 1/16)
is coded, decoded, and goes through the rest. Shows bytes against int8+zstd (level 19), and for how
many pictures the first class is that of the network in one piece. With --model each picture has a
file of its own, by the model at some qualities and without it at no more error than that; where
files are named after their class, as n01440764_tench.JPEG, also how many answers are right.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from efficientnet_features import load, pictures, prepare

from lictor.codec import decode_features, encode_features
from lictor.codec.bench import pictures as labelled
from lictor.codec.bench.classify import wordnet_ids

CUT = 11


def head(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What comes before the cut."""
    x = network._swish(network._bn0(network._conv_stem(x)))
    for block in network._blocks[:CUT]:
        x = block(x)
    return x


def tail(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What comes after it: the class of each picture."""
    for block in network._blocks[CUT:]:
        x = block(x)
    x = network._swish(network._bn1(network._conv_head(x)))
    return network._fc(network._avg_pooling(x).flatten(1)).argmax(1)


def one_by_one(x: np.ndarray, **options: Any) -> tuple[np.ndarray, float]:
    """Each picture's features through a file of its own: what comes back, and bits a value."""
    files = [encode_features(picture[None], **options) for picture in x]
    back = np.concatenate([decode_features(data) for data in files])
    return back, 8 * sum(map(len, files)) / x.size


def with_model(
    network: torch.nn.Module, x: np.ndarray, model: str, wanted: torch.Tensor, right: list[int]
) -> None:
    """Print the model's rows, and those of the codec without training at no more error."""

    def tell(name: str, back: np.ndarray, bits: float) -> float:
        answers = tail(network, torch.from_numpy(back))
        same = int((answers == wanted).sum())
        known = sum(int(a) == r for a, r in zip(answers, right, strict=True)) if right else None
        error = float(np.square(back - x).mean())
        print(f"{name}: {bits:.3f} bits a value, MSE {error:.4g}, same class {same}, right {known}")
        return error

    tell("uncoded", x, 32)
    for quality in (0, 10, 25, 50, 75, 100):
        error = tell(f"{model} {quality}", *one_by_one(x, model=model, quality=quality))
        tell("  lictor", *one_by_one(x, mse=error, axis=1))


def classes(source: Path, count: int) -> list[int]:
    """The class of each picture, by its name; none if names do not say."""
    labels = [picture.label for picture in labelled.find([str(source)])][:count]
    return [wordnet_ids()[label] for label in labels if label] if all(labels) else []


def main() -> None:
    """Read the arguments, run both halves at several errors, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder or tar file of pictures")
    parser.add_argument("--count", type=int, default=100, help="pictures to take")
    parser.add_argument("--model", help="a model of features to measure")
    a = parser.parse_args()
    network = load()
    batch = torch.stack([prepare(p) for p in islice(pictures(a.source), a.count)])
    with torch.inference_mode():
        x = head(network, batch)
        wanted = tail(network, x)
        if a.model:
            with_model(network, x.numpy(), a.model, wanted, classes(a.source, a.count))
            return
        array, step = x.numpy(), float(x.abs().max()) / 127
        int8 = np.clip(np.rint(array / step), -127, 127)
        size = len(zstandard.ZstdCompressor(level=19).compress(int8.astype(np.int8).tobytes()))
        same = (tail(network, torch.from_numpy(int8 * np.float32(step))) == wanted).sum()
        error = float(np.square(int8 * step - array).mean())
        print(f"int8+zstd: {8 * size / x.numel():.3f} bits a value, same class {same}/{len(x)}")
        for times in (1, 4, 16, 64, 256):
            data = encode_features(array, mse=error * times, axis=1)
            same = (tail(network, torch.from_numpy(decode_features(data))) == wanted).sum()
            print(
                f"lictor, {times} x its MSE: {8 * len(data) / x.numel():.3f} bits a value, "
                f"{len(data) / size:.1%} of its bytes, same class {same}/{len(x)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
