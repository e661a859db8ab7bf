"""How many bytes a picture needs until a classifier still knows what is on it.

    pip install 'lictor[task]'
    python examples/bytes_to_classify.py val.tar --students student-lite0.ce
    python examples/bytes_to_classify.py val.tar --codecs avif-444,webp --sides 224,160

Pictures are labelled by names that begin with their WordNet id. The teacher, EfficientNet-Lite0,
looks at the middle of each as it was trained to, at 224x224. A picture codec gets this very square,
or a smaller one that is enlarged again once decoded; what it gives is shown to the teacher. A
student's file goes to its own tail. All bytes are those of whole files; dB are of what is shown
against the square, of a student its preview.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from lictor import codec, models
from lictor.codec.bench import catalogue, pictures
from lictor.codec.bench.classify import wordnet_ids
from lictor.codec.distortion import psnr
from lictor.codec.image.pillow import middle
from lictor.codec.picture import classifier_view

SIDE = 224
QUALITIES = {
    "student": (0, 12.5, 25, 37.5, 50, 62.5, 75, 100),
    "lictor": (0, 10, 20, 30, 40, 50, 60),
    "avif": (15, 25, 35, 45, 55, 65),
    "webp": (0, 10, 25, 45, 65, 80),
    "jpeg": (8, 15, 25, 40, 60, 80),
}
"""By the first part of a codec's name."""
FIELDS = ("codec", "side", "quality", "bytes", "top1", "agreement", "psnr")


def resized(square: np.ndarray, side: int) -> np.ndarray:
    """A square in another size."""
    if len(square) == side:
        return square
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))


class Teacher:
    """EfficientNet-Lite0; its answers are numbers of classes, int64 (N,)."""

    def __init__(self) -> None:
        self.network = classifier_view.network()

    @torch.inference_mode()
    def answers(self, squares: list[np.ndarray]) -> np.ndarray:
        """What it takes squares uint8 (224, 224, 3) for."""
        given = []
        for some in torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).split(10):
            features = self.network.extract_features((some.float() - 127) / 128).mean((2, 3))
            given.append(self.network._fc(features).argmax(1))
        return torch.cat(given).numpy()


def by_codec(
    name: str, sides: list[int], squares: Callable[[int], list[np.ndarray]], teacher: Teacher
):
    """Rows of a picture codec: side, quality, mean bytes, answers."""
    own = catalogue.find(name)
    for side in sides:
        for quality in QUALITIES[name.split("-")[0]]:
            files = [own.encode(square, quality) for square in squares(side)]
            shown = [resized(classifier_view.rgb(own.decode(data)), SIDE) for data in files]
            yield side, quality, files, teacher.answers(shown), shown


def by_student(name: str, squares: Callable[[int], list[np.ndarray]]):
    """Rows of a student."""
    for quality in QUALITIES["student"]:
        files = [codec.encode(square, quality=quality, model=name) for square in squares(SIDE)]
        answers = np.array([codec.classify(f).scores.argmax() for f in files])
        yield SIDE, quality, files, answers, [np.asarray(codec.decode(f)) for f in files]


def size_of(name: str) -> str:
    """What it takes to encode with a student: weights, and work."""
    model: Any = models.load(name)
    own = {id(p) for part in model.sender() for p in part.parameters()}
    names = {n for n, p in model.named_parameters() if id(p) in own}
    stored = model.export()
    size = sum(stored[n].numel() * stored[n].element_size() for n in names)
    count = sum(p.numel() for n, p in model.named_parameters() if n in names)
    with torch.inference_mode(), FlopCounterMode(display=False) as work:
        model.squeeze(model.front(torch.zeros(1, 3, SIDE, SIDE)), torch.zeros(1))
    return (
        f"{name}: an encoder has {count} weights, {size} bytes, and does"
        f" {work.get_total_flops() / 2e6:.0f} million multiplications a picture"
    )


def bytes_at(rows: list[dict], least: float) -> float | None:
    """Bytes at which the accuracy is reached, linear between the points of one side."""
    found = []
    for side in {row["side"] for row in rows}:
        curve = sorted((row["bytes"], row["top1"]) for row in rows if row["side"] == side)
        # A point that a smaller file beats is no point of the curve.
        best = np.maximum.accumulate([top1 for _, top1 in curve])
        if best[-1] < least:
            continue
        k = int(np.argmax(best >= least))
        if k == 0:
            found.append(curve[0][0])
            continue
        (low, high), part = (
            (curve[k - 1][0], curve[k][0]),
            (least - best[k - 1]) / (best[k] - best[k - 1]),
        )
        found.append(low + part * (high - low))
    return min(found, default=None)


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, p = 1.96, right / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (p * (1 - p) / count + z * z / (4 * count * count)) ** 0.5
    return centre - half, centre + half


def measured(arguments: argparse.Namespace) -> Iterator[dict]:
    """Every row, as it is there."""
    sources = [s for s in pictures.find([str(arguments.source)]) if s.label][: arguments.count]
    if not sources:
        sys.exit(f"{arguments.source}: no pictures whose names begin with a WordNet id")
    whole = [classifier_view.rgb(s.read().pixels) for s in sources]
    labels = np.array([wordnet_ids()[s.label] for s in sources])
    originals = [middle(pixels, SIDE) for pixels in whole]
    teacher = Teacher()
    for name in arguments.students:
        print(size_of(name))
    truth = teacher.answers(originals)
    right = int((truth == labels).sum())
    low, high = interval(right, len(labels))
    print(f"teacher: {right} of {len(labels)} right, 95 % interval {low:.1%} to {high:.1%}")

    def squares(side: int) -> list[np.ndarray]:
        return originals if side == SIDE else [middle(pixels, side) for pixels in whole]

    names = [(n, by_student(n, squares)) for n in arguments.students]
    names += [(n, by_codec(n, arguments.sides, squares, teacher)) for n in arguments.codecs]
    for name, rows in names:
        for side, quality, files, answers, shown in rows:
            size = float(np.mean([len(f) for f in files]))
            top1, same = float((answers == labels).mean()), float((answers == truth).mean())
            near = float(np.mean([psnr(*pair) for pair in zip(originals, shown, strict=True)]))
            yield dict(zip(FIELDS, (name, side, quality, size, top1, same, near), strict=True))


def line(row: dict) -> str:
    """A row for people."""
    return (
        f"{row['codec']:24} {row['side']:4} quality {row['quality']:5g}  {row['bytes']:7.0f} bytes"
        f"  top-1 {row['top1']:6.1%}  as the teacher {row['agreement']:6.1%}  {row['psnr']:.2f} dB"
    )


def main() -> None:
    """Measure, print, and write a CSV where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    listed = lambda text: [part for part in text.split(",") if part]  # noqa: E731
    parser.add_argument("source", type=Path, help="folder or tar file of labelled pictures")
    parser.add_argument("--students", type=listed, default=[], help="weights, commas between")
    parser.add_argument("--codecs", type=listed, default=[], help="as `lictor bench` names them")
    parser.add_argument("--sides", type=lambda t: [int(p) for p in t.split(",")], default=[SIDE])
    parser.add_argument("--count", type=int, help="pictures to take, else all")
    parser.add_argument("--at", type=float, default=0.85, help="accuracy to find the bytes of")
    parser.add_argument("--csv", type=Path, help="file to add the rows to")
    arguments = parser.parse_args()
    rows: list[dict] = []
    for row in measured(arguments):
        rows.append(row)
        print(line(row), flush=True)
        if arguments.csv:
            new = not arguments.csv.exists()
            with arguments.csv.open("a", newline="") as file:
                out = csv.DictWriter(file, FIELDS)
                if new:
                    out.writeheader()
                out.writerow(row)
    for name in (*arguments.students, *arguments.codecs):
        size = bytes_at([row for row in rows if row["codec"] == name], arguments.at)
        found = f"{size:.0f} bytes" if size else "none of these points"
        print(f"{name}: top-1 of {arguments.at:.0%} at {found}")


if __name__ == "__main__":
    main()
