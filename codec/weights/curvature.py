"""What data say of a network's weights: how much its answers change where each is rounded.

Of a layer y = W x, an error E of W costs about g_r E_r M E_r' for row r: M is the mean of x x' over
inputs, g the mean square of the answers' gradient at y, times the places of a layer that has many
(a diagonal Fisher of outputs, a full one of inputs). Samples are few: M and g are damped.

Source: J. Martens, R. Grosse, "Optimizing neural networks with Kronecker-factored approximate
curvature", ICML 2015; E. Frantar et al., "GPTQ", ICLR 2023 (arXiv:2210.17323).
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import InvalidOption

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_OWN, _ALL = 0.02, 0.01
"""Of the mean of the diagonal of a group's moments, and of all groups', what is added to it."""
_LEAST = 0.1
"""Of the mean of all rows, what a row's gradient is at least."""


@dataclass(frozen=True)
class Curvature:
    """Of one matrix of weights.

    moments: (groups, columns, columns): one group, or one for each row, of so many samples.
    gradients: (rows,), or (1,) for all.
    """

    moments: Floats
    gradients: Floats
    samples: int

    @cached_property
    def damped(self) -> Doubles:
        """Moments that can be inverted: what few samples say of pairs of columns counts less."""
        own = self.moments.astype(np.float64)
        columns = own.shape[1]
        diagonal = np.diagonal(own, axis1=1, axis2=2)
        found: Doubles = own * (self.samples / (self.samples + columns))
        mean = diagonal.mean(1, keepdims=True)
        here = np.arange(columns)
        found[:, here, here] = diagonal + _OWN * mean + _ALL * mean.mean() + 1e-20
        return found

    @cached_property
    def factors(self) -> Doubles:
        """Upper triangles U with U'U the inverse of the damped moments."""
        lower = np.linalg.cholesky(np.linalg.inv(self.damped))
        found: Doubles = lower.transpose(0, 2, 1)
        return found

    def logs(self, feedback: bool) -> tuple[Doubles, Doubles]:
        """log2 of what an error of one value costs: of rows, and of (groups, columns).

        feedback: errors are made up for by the columns that follow.
        """
        g = np.maximum(self.gradients.astype(np.float64), _LEAST * self.gradients.mean() + 1e-30)
        if feedback:
            of = -2 * np.log2(np.diagonal(self.factors, axis1=1, axis2=2))
        else:
            of = np.log2(np.diagonal(self.damped, axis1=1, axis2=2))
        return np.asarray(np.log2(g), np.float64), np.asarray(of, np.float64)


@dataclass
class Calibration:
    """What data say of a network, by the names of its weights.

    replaced: what takes the place of tensors of one axis: statistics of normalisations, and biases,
    that suit the rounded weights.
    """

    layers: dict[str, Curvature] = field(default_factory=dict)
    replaced: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Calibration | str | os.PathLike[str] | None) -> Calibration:
        """A calibration, or the file of one; of None an empty one. Raises InvalidOption."""
        if isinstance(given, Calibration):
            return given
        return cls() if given is None else cls.load(given)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, .npz."""
        parts: dict[str, npt.NDArray[Any]] = {}
        for name, layer in self.layers.items():
            parts[f"moments/{name}"] = layer.moments
            parts[f"gradients/{name}"] = layer.gradients
            parts[f"samples/{name}"] = np.array(layer.samples)
        parts |= {f"replaced/{name}": values for name, values in self.replaced.items()}
        with open(path, "wb") as file:
            np.savez(file, **parts)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """What `save` wrote. Raises InvalidOption, OSError."""
        try:
            with np.load(path, allow_pickle=False) as parts:
                held = {name: parts[name] for name in parts.files}
            layers = {
                name: Curvature(
                    _floats(held[f"moments/{name}"], 3),
                    _floats(held[f"gradients/{name}"], 1),
                    int(held[f"samples/{name}"]),
                )
                for key in held
                if (name := key.removeprefix("moments/")) != key
            }
            replaced = {
                name: _floats(values, 1)
                for key, values in held.items()
                if (name := key.removeprefix("replaced/")) != key
            }
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as e:
            raise InvalidOption(
                f"{os.fspath(path)} is no calibration of weights; give what Calibration.save wrote"
            ) from e
        return cls(layers, replaced)

    def level(self, sizes: dict[str, tuple[int, int]], feedback: bool) -> float:
        """The mean of log2 of all values' costs. sizes: rows and columns of each matrix."""
        total, count = 0.0, 0
        for name, (rows, columns) in sizes.items():
            if name in self.layers:
                of_rows, of_columns = self.layers[name].logs(feedback)
                total += rows * columns * float(of_rows.mean() + of_columns.mean())
                count += rows * columns
        return total / max(count, 1)


def _floats(values: npt.NDArray[Any], axes: int) -> Floats:
    """Finite values of so many axes. Raises ValueError."""
    if values.ndim != axes or values.dtype != np.float32 or not np.isfinite(values).all():
        raise ValueError
    return values
