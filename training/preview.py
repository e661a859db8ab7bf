"""The preview of weights for pictures: the linear map of latents that comes nearest to g_s.

    python -m lictor.training.preview NAME data=photos/ NAME.preview

By least squares over crops of photos, at all qualities (models/preview.py says what it is for).
`data` is as for `lictor train`. Needs no GPU, and some minutes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from lictor.datasets.crops import Crops
from lictor.datasets.pictures import load, sources
from lictor.entropy import Encoder
from lictor.models import ModelError
from lictor.models import preview as previews
from lictor.models.box import Box
from lictor.models.errors import UnknownModel
from lictor.models.light import load as light
from lictor.models.light.layers import Array, Ladder, put_together, spread_out
from lictor.models.light.picture import Lictor
from lictor.models.quality import Quality

CROPS, SIDE, SEED = 800, 256, 91
_RIDGE = 1e-5
"""Of the mean variance of the latents: channels that are always 0 get no weight."""


def pairs(model: Lictor, crops: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Array, Array]]:
    """What the map is given (n, M), and what it is to give (n, 8 · 8 · 3), of one crop each."""
    gain = Ladder(model.part("inverse_gain.rungs"))
    for pixels, number in crops:
        colours, quality = np.ascontiguousarray(pixels.transpose(1, 2, 0)), Quality.of(number)
        box = Box(0, 0, *colours.shape[:2])
        latents = model.encode(colours, quality, Encoder(), box)
        v = previews.scaled(latents, quality, gain, None)
        squares = model.reconstruct(latents, quality).clip(0, 1)
        whole = put_together(squares, previews.HALF)
        half = spread_out(whole, 2).reshape(*(side // 2 for side in whole.shape[1:3]), 4, -1)
        wanted = spread_out(half.mean(axis=2)[None], previews.HALF)
        yield v.reshape(-1, v.shape[-1]), wanted.reshape(-1, wanted.shape[-1])


def fitted(found: Iterable[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Weight (outputs, inputs) and bias of the map with the least squared error."""
    products: Any = 0.0
    targets: Any = 0.0
    for given, wanted in found:
        x = np.concatenate([given, np.ones((len(given), 1))], axis=1, dtype=np.float64)
        products, targets = products + x.T @ x, targets + x.T @ wanted
    ridge = np.full(len(products), _RIDGE * np.trace(products) / len(products))
    ridge[-1] = 0
    solved = np.linalg.solve(products + np.diag(ridge), targets)
    return solved[:-1].T, solved[-1]


def make(name: str, data: str, path: Path) -> None:
    """Fit the preview of weights, and write it. Raises ValueError, OSError, ModelError."""
    found = light.load(name)
    if not isinstance(found.model, Lictor):
        raise UnknownModel(f"{name}: has no preview; give weights of lictor-s or lictor-m")
    crops = Crops(load(sources(data), SIDE, 0), SIDE, SEED)
    weight, bias = fitted(pairs(found.model, (crops[i] for i in range(CROPS))))
    part = found.model.part
    tensors = {
        "weight": weight.astype(np.float16),
        "bias": bias.astype(np.float32),
        "inverse_gain": part("inverse_gain.rungs"),
        "smooth": part("smooth").astype(np.float32),
    }
    told = json.dumps({"data": data, "crops": CROPS, "side": SIDE, "seed": SEED})
    metadata = {"format": previews.FORMAT, "weights": found.digest.hex(), "training": told}
    path.write_bytes(save({n: np.ascontiguousarray(t) for n, t in tensors.items()}, metadata))


def main(arguments: list[str]) -> int:
    """The command above; returns the exit status."""
    if len(arguments) != 3 or not arguments[1].startswith("data="):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        make(arguments[0], arguments[1].removeprefix("data="), Path(arguments[2]))
    except (ValueError, OSError, ModelError) as error:
        print(f"preview: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
