"""Networks of weights files, for the architectures that there are twins of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lictor.entropy import Decoder, Encoder
from lictor.models import weights, zoo
from lictor.models.box import Box
from lictor.models.errors import BadCheckpoint
from lictor.models.light.array import PlaneHyper
from lictor.models.light.part import Part
from lictor.models.light.picture import Lictor
from lictor.models.light.student import Student
from lictor.models.quality import Quality
from lictor.models.weights import Weights

ARCHITECTURES: dict[str, Callable[[Part], Any]] = {
    "lictor-s": Lictor,
    "lictor-m": Lictor,
    "student-lite0": Student,
    "plane-hyper": PlaneHyper,
}


@dataclass(frozen=True)
class Light:
    """A network, and where it is from.

    model: Lictor, Student or PlaneHyper; None of an architecture that only PyTorch has.
    capped: whether its gates have caps; without, it is only good to decode.
    loss: what it was trained for, as in `lictor.models.weights.Weights`.
    """

    name: str
    id: int
    digest: bytes
    model: Any
    capped: bool
    loss: str = ""


def load(name: str, places: zoo.Places | None = None) -> Light:
    """As `lictor.models.load`. Args and errors: as there."""
    found = read(weights.key(name, places))
    if found.model is not None and not found.capped:
        raise weights.uncapped(name)
    return found


def find(id: int, name: str, digest: bytes, places: zoo.Places | None = None) -> Light:
    """As `lictor.models.find`. Args and errors: as there."""
    return weights.find(id, name, digest, places, read)


@weights.kept
def read(name: str) -> Light:
    """As `load`, also of weights that are too old to encode."""
    file = weights.read(name)
    make = ARCHITECTURES.get(file.architecture)
    if make is None:
        return Light(file.name, file.id, file.digest, None, True)
    tensors = file.arrays()
    bare = [name for name in _blocks(tensors) if f"{name}cap" not in tensors]
    capped = not bare
    if bare:
        shapes = {f"{name}cap": tensors[f"{name}leave.bias"].shape for name in bare}
        tensors = {**tensors} | {n: np.full(s, np.inf, np.float32) for n, s in shapes.items()}
    if file.id:  # shipped weights are known to be whole
        model = make(Part(tensors))
    else:
        model = _tried(file, make, tensors)
        capped = capped and all(
            np.isfinite(tensor).all() for name, tensor in tensors.items() if name.endswith(".cap")
        )
    return Light(file.name, file.id, file.digest, model, capped, file.loss)


def _blocks(tensors: Mapping[str, Any]) -> list[str]:
    """What the names of each residual block's tensors begin with."""
    end = "project.weight"
    found = [name.removesuffix(end) for name in tensors if name.endswith(f".{end}")]
    return [name for name in found if f"{name}spatial.weight" in tensors]


def _tried(file: Weights, make: Callable[[Part], Any], tensors: Mapping[str, Any]) -> Any:
    """The model of weights of others, after it has coded a little. Raises BadCheckpoint."""
    with weights.damaged(file.path):
        whole = all(np.isfinite(t).all() for n, t in tensors.items() if not n.endswith(".cap"))
    if not whole:
        raise BadCheckpoint(f"{file.path}: holds weights that are not numbers; train it again")
    try:
        model = make(Part(tensors))
        _try(model)
    except (LookupError, ValueError, TypeError, AssertionError, AttributeError) as error:
        reason = str(error) or type(error).__name__
        raise BadCheckpoint(
            f"{file.path}: does not hold the weights of {file.architecture} ({reason})"
        ) from error
    return model


def _try(model: Any) -> None:
    """Code a little there and back, so that all parts have been made and fit together."""
    quality, encoder = Quality(0), Encoder()
    if isinstance(model, PlaneHyper):
        planes = np.zeros((1, model.channels, 1, 1), np.float32)
        model.encode(planes, quality, encoder)
        model.reconstruct(model.pull((1, 1), quality, Decoder(encoder.finish())), quality)
        return
    pixel = np.full((1, 1, 3), 128, np.uint8)
    box = Box(0, 0, 1, 1)
    model.encode(pixel, quality, encoder, box)
    latents = model.pull((1, 1), quality, Decoder(encoder.finish()))
    if model.show(latents, quality, box, pixel).shape != pixel.shape:
        raise ValueError("the picture has another size")
    if isinstance(model, Student):
        model.answer(latents, quality)
