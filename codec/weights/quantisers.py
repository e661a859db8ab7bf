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
axes or more that have only finite values; all others are coded exactly. It may return None: that
tensor is coded exactly, too. Rows are the first axis, columns all others together.
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
from lictor.codec.weights import grid_tables, trellis
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import MOST, Mapped, Quantised

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """What a quantiser is told of a tensor.

    name, shape: of the tensor. step: what the quality asks for, the same for all tensors of a
    network, in units of its values.
    """

    name: str
    shape: tuple[int, ...]
    step: float


class Coded(Protocol):
    """What a quantiser gives: `Quantised`, or levels that are coded in another way."""

    def decoded(self, tensor: Tensor) -> Floats:
        """The values that a decoder gives, as float32 (rows, columns)."""

    def encode(self, tensor: Tensor, mapped: Mapped[Any, Any]) -> tuple[Record, list[bytes]]:
        """The record of a tensor, and its chunks."""


Quantiser = Callable[[Floats, Known], Coded | None]
QUANTISERS: dict[str, Quantiser] = {}
DEFAULT = "trellis"
PLUGINS = {"deepcabac": "cabac", "nested": "layered"}
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
    # Points lie twice as close as levels say: the error is that of a plain grid of 1.7 of these.
    step = known.step / 1.7
    scaled = values / np.float32(step)
    if np.abs(scaled).max() > MOST:
        return None
    return Quantised(trellised(scaled), step, trellis=True)


def trellised(scaled: Floats, rate: float = 0.4, rounds: int = 2) -> npt.NDArray[np.int32]:
    """Levels of values in steps. rate: squared steps that a bit is worth."""
    rows, columns = scaled.shape
    strands, size = trellis.layout(rows, columns)
    flat = np.ascontiguousarray(scaled, np.float32).reshape(-1)
    levels = np.rint(flat / 2).astype(np.int32)
    for again in range(rounds):
        odd = _odd(levels, strands, size) if again else None
        tables, _ = grid_tables.choose(levels.reshape(scaled.shape), odd)
        costs = grid_tables.bits(tables) * np.float32(rate)
        for at in range(0, flat.size, size):
            part = slice(at, at + size)
            contexts = tables.contexts(at, levels[part].size)
            levels[part] = trellis.levels(flat[part], contexts, costs, strands)
    return levels.reshape(scaled.shape)


def _odd(levels: npt.NDArray[np.int32], strands: int, size: int) -> npt.NDArray[np.uint8]:
    parts = [levels[at : at + size] for at in range(0, levels.size, size)]
    return np.concatenate([trellis.odd(part, strands) for part in parts])
