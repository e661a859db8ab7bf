"""How tensors become whole numbers of steps: a table of quantisers, and how to add one.

A quantiser is a function of a tensor's values and of what is known of it. What it gives is coded
by grid.py, whatever made it: real bytes, random access and checks come with that.

    from lictor.codec.weights.grid import Quantised
    from lictor.codec.weights.quantisers import Known, quantiser

    @quantiser("halves")
    def halves(values, known):
        '''values: float32 (rows, columns), finite.'''
        step = known.step * 2
        return Quantised(np.rint(values / step).astype(np.int32), step)

    encode_weights("model.safetensors", quality=40, quantiser="halves")

`encode_weights` takes the name, or the function itself. It is asked for tensors of floats with two
axes or more that have only finite values; of others, vectors.py has those of one axis. It may
return None: that tensor is coded exactly. Rows are the first axis, columns all others together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import InvalidOption
from lictor.codec.format.weights import Record
from lictor.codec.weights import feedback, trellis
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.curvature import Curvature
from lictor.codec.weights.grid import MOST, Mapped, Quantised

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """What a quantiser is told of a tensor.

    name, shape: of the tensor. step: what the quality asks for, the same for all tensors of a
    network, in units of its values.
    curvature: what errors cost, of a network that was calibrated; level: the mean of log2 of that,
    of all its values.
    unknown: what the step is to be multiplied by where nothing but the size of the tensor is known.
    """

    name: str
    shape: tuple[int, ...]
    step: float
    curvature: Curvature | None = None
    level: float = 0.0
    unknown: float = 1.0


class Coded(Protocol):
    """What a quantiser gives: `Quantised`, or levels that are coded in another way."""

    def decoded(self, tensor: Tensor) -> Floats:
        """The values that a decoder gives, as float32 (rows, columns)."""

    def encode(self, tensor: Tensor, mapped: Mapped[Any, Any]) -> tuple[Record, list[bytes]]:
        """The record of a tensor, and its chunks."""


Quantiser = Callable[[Floats, Known], Coded | None]
QUANTISERS: dict[str, Quantiser] = {}
DEFAULT, CALIBRATED = "trellis", "feedback"
NEEDING = frozenset(("diagonal", "feedback", "lord"))
"""Those that are for networks that were calibrated."""
RATE = 0.4
"""Squared steps of a trellis' grid that a bit is worth: what one more would save."""
POINTS = 1.7
"""A trellis' grid is so much finer than a plain one of the same error."""
PLUGINS = {
    "deepcabac": "cabac",
    "nested": "layered",
    "factors": "factors",
    "lord": "lord",
    "qswd": "qswd",
}
"""Quantisers in modules of their own, which are imported when they are asked for."""


def quantiser(name: str) -> Callable[[Quantiser], Quantiser]:
    """A decorator: puts a function into the table. name: not there yet, else ValueError."""

    def put(function: Quantiser) -> Quantiser:
        if name in QUANTISERS:
            raise ValueError(f"there is a quantiser {name!r} already")
        QUANTISERS[name] = function
        return function

    return put


def named(given: str | Quantiser) -> Quantiser:
    """A quantiser of the table, or a function as it is. Raises InvalidOption."""
    if callable(given):
        return given
    if given in PLUGINS:
        import_module(f"lictor.codec.weights.{PLUGINS[given]}")
    if given not in QUANTISERS:
        names = ", ".join(sorted({*QUANTISERS, *PLUGINS}))
        raise InvalidOption(f"there is no quantiser {given!r}; give one of {names}, or a function")
    return QUANTISERS[given]


@quantiser("plain")
def plain(values: Floats, known: Known) -> Quantised | None:
    """Each value to the nearest whole number of steps."""
    levels = np.rint(values / np.float32(known.step))
    return None if np.abs(levels).max() > MOST else Quantised(levels.astype(np.int32), known.step)


@quantiser("trellis")
def in_trellis(values: Floats, known: Known) -> Quantised | None:
    """All values of a strand together, for the least of squared error and bits."""
    step = known.step * known.unknown / POINTS
    scaled = values / np.float32(step)
    if np.abs(scaled).max() > MOST:
        return None
    return Quantised(trellis.of_matrix(scaled, RATE), step, trellis=True)


@quantiser("diagonal")
def by_diagonal(values: Floats, known: Known) -> Coded | None:
    """Steps by what errors cost, each value's alone; as "trellis" without a calibration."""
    return _calibrated(values, known, False)


@quantiser("feedback")
def with_feedback(values: Floats, known: Known) -> Coded | None:
    """Steps by what errors cost that columns make up for; as "trellis" without a calibration."""
    return _calibrated(values, known, True)


def _calibrated(values: Floats, known: Known, again: bool) -> Coded | None:
    if known.curvature is None:
        return in_trellis(values, known)
    step = known.step / POINTS
    return feedback.quantise(values, step, known.curvature, known.level, again, RATE)
