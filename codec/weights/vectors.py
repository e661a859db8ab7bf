"""Tensors of one axis with loss: biases, and the statistics of normalisations.

They are few, but networks of small layers feel each. A float32 that stands alone keeps 7 bits of
its mantissa, as bfloat16 has. A batch normalisation is y = weight (x - mean) / sqrt(var) + bias, of
which two vectors may be coarse if the other two make up for it: mean and variance keep 2 bits, and
weight and bias, once they suit these, are whole numbers of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lictor.codec.weights.container import Tensor

Floats = npt.NDArray[np.float32]
_ALONE, _COARSE = 7, 2
"""Bits of a mantissa that are kept."""
_EPSILON = 1e-5
_PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Vector:
    """Values of a tensor of one axis; step: of which they are whole numbers, 0 for none."""

    values: Floats
    step: float = 0.0


def rounded(
    tensors: Iterable[Tensor], values: Callable[[Tensor], Floats], fine: float
) -> dict[str, Vector]:
    """What takes the place of tensors of one axis, by their names.

    values: those of a tensor, as float32. fine: steps to the root mean square of a normalisation's
    weights.
    """
    known = {t.name: t for t in tensors if t.dtype == "F32" and len(t.shape) == 1 and t.values}
    found: dict[str, Vector] = {}
    for name in known:
        stem, _, last = name.rpartition(".")
        group = [known.get(f"{stem}.{part}") for part in _PARTS]
        if last != "running_var" or not all(t and t.shape == known[name].shape for t in group):
            continue
        weight, bias, mean, var = (values(t) for t in group if t)
        if all(np.isfinite(v).all() for v in (weight, bias, mean, var)) and (var >= 0).all():
            made = _normalisation(weight, bias, mean, var, fine)
            found |= {f"{stem}.{part}": v for part, v in zip(_PARTS, made, strict=True)}
    for name in known.keys() - found.keys():
        own = values(known[name])
        if np.isfinite(own).all():
            found[name] = Vector(shortened(own, _ALONE))
    return found


def _normalisation(
    weight: Floats, bias: Floats, mean: Floats, var: Floats, fine: float
) -> tuple[Vector, Vector, Vector, Vector]:
    near, wide = shortened(mean, _COARSE), shortened(var, _COARSE)
    ratio = np.sqrt((wide + _EPSILON) / (var + _EPSILON))
    own = weight * ratio
    moved = bias + (near - mean) * own / np.sqrt(wide + _EPSILON)
    step = _typical(own) / fine
    return Vector(own, step), Vector(moved, step), Vector(near), Vector(wide)


def _typical(values: Floats) -> float:
    """The root mean square, but of a few that are far larger than the others."""
    sizes = np.abs(values.astype(np.float64))
    middle = float(np.median(sizes[sizes > 0])) if sizes.any() else 0.0
    return min(float(np.sqrt(np.mean(sizes**2))), _FARTHEST * middle)


_FARTHEST = 16
"""Times the median of a normalisation's weights, what their root mean square is at most."""


def shortened(values: Floats, bits: int) -> Floats:
    """Float32 of which the mantissa has so many bits, rounded to nearest."""
    less = 23 - bits
    words = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    kept = (words + (1 << (less - 1))) >> less << less
    found = kept.astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(found), found, values).astype(np.float32)
