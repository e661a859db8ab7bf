"""The factorised prior in integers: one table a channel, made once and stored with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lictor.entropy import SymbolIo, Tables
from lictor.entropy.tables import ESCAPE_BITS, MAX_ENTRIES, MAX_TABLES

Float64Array = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]

_REACH = 2**12
"""Symbols further than this from the median are always escaped."""

_TAIL = 2.0**-20
_WORTH = 2.0**-17
"""A rarer symbol costs less in escapes than an entry of the least frequency, 2^-14, takes away."""

_SHIFTS = range(6)

_ARRAYS = {
    "frequencies": torch.int16,
    "lengths": torch.int16,
    "offsets": torch.int32,
    "shifts": torch.uint8,
}
"""What `Tables` is made of, and how a weights file holds it."""


class Prior:
    """Codes latents (C, n) that are rounded relative to a median for each channel.

    Args:
        arrays: as the arguments of `lictor.entropy.Tables`, for any number of channels.
        medians: float64 (C,).
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], medians: Tensor) -> None:
        if len(arrays["lengths"]) != len(medians):
            raise ValueError(f"{len(arrays['lengths'])} tables for {len(medians)} channels")
        self.medians = medians
        self._arrays = dict(arrays)
        self._groups = _split(self._arrays)

    @classmethod
    def from_bottleneck(cls, bottleneck: Any, medians: Tensor) -> Prior:
        """The tables that fit an EntropyBottleneck of CompressAI, given in float64.

        Its own ranges (`quantiles`) play no part, so these need no auxiliary training.
        """
        rows, offsets, shifts = [], [], []
        for mass in _masses(bottleneck, medians):
            pmf, offset, shift = _design(mass)
            rows.append(Tables.from_pmf([pmf], offset).frequencies)
            offsets.append(offset)
            shifts.append(shift)
        arrays = {
            "frequencies": np.concatenate(rows),
            "lengths": np.array([row.size for row in rows]),
            "offsets": np.array(offsets),
            "shifts": np.array(shifts),
        }
        return cls(arrays, medians)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], medians: Tensor) -> Prior:
        """The inverse of `tensors`. Raises RuntimeError for what are no tables."""
        try:
            return cls({name: tensors[name].numpy() for name in _ARRAYS}, medians)
        except KeyError as error:
            raise RuntimeError(f"the coding table's {error} are missing") from error
        except (TypeError, ValueError) as error:
            raise RuntimeError(f"the coding tables are damaged: {error}") from error

    def tensors(self) -> dict[str, Tensor]:
        """The tables as integer tensors to store."""
        return {n: torch.tensor(self._arrays[n].tolist(), dtype=t) for n, t in _ARRAYS.items()}

    def code(self, io: SymbolIo, symbols: Int32Array | None, n: int) -> Int32Array:
        """Code n symbols of each channel, int32 (C, n), None of a decoder; returns them."""
        parts, first = [], 0
        for tables in self._groups:
            part = None if symbols is None else symbols[first : first + len(tables)].ravel()
            parts.append(io.code(part, _index(tables, n), tables))
            first += len(tables)
        return np.concatenate(parts).reshape(-1, n)


def _index(tables: Tables, n: int) -> npt.NDArray[np.uint8]:
    return np.repeat(np.arange(len(tables), dtype=np.uint8), n)


def _split(arrays: Mapping[str, npt.NDArray[Any]]) -> list[Tables]:
    """`Tables` of at most MAX_TABLES tables each."""
    lengths = arrays["lengths"].astype(np.int64)
    ends = np.concatenate(([0], np.cumsum(lengths)))
    if (lengths < 0).any() or ends[-1] != arrays["frequencies"].size:
        raise ValueError("the lengths do not add up to the number of frequencies")
    groups = []
    for first in range(0, len(lengths), MAX_TABLES):
        last = min(first + MAX_TABLES, len(lengths))
        frequencies = arrays["frequencies"][ends[first] : ends[last]]
        rest = [arrays[n][first:last] for n in ("lengths", "offsets", "shifts")]
        groups.append(Tables(frequencies, *rest))
    return groups


# -------------------------------------------------------------------- from floats to tables


@torch.no_grad()
def _masses(bottleneck: Any, medians: Tensor) -> Float64Array:
    """Probabilities of the symbols -R … R, float64 (C, 2R + 1); R covers all but the tails."""
    reach = 64
    while True:
        edges = medians[:, None, None] + torch.arange(-reach, reach + 2, dtype=torch.float64) - 0.5
        logits = bottleneck._logits_cumulative(edges, stop_gradient=True)[:, 0]
        outside = logits[:, 0].sigmoid() + (-logits[:, -1]).sigmoid()
        if reach >= _REACH or outside.max() < _TAIL:
            break
        reach *= 2
    lower, upper = logits[:, :-1], logits[:, 1:]
    # Differences are taken on the side of the small values, where they keep their precision.
    side = torch.where(lower + upper > 0, -1.0, 1.0)
    return ((side * upper).sigmoid() - (side * lower).sigmoid()).abs().numpy()


def _design(mass: Float64Array) -> tuple[Float64Array, int, int]:
    """The cheapest table for the masses of symbols -R … R: probabilities, first entry, shift."""
    reach = len(mass) // 2
    symbols = np.arange(-reach, reach + 1)
    designs = []
    for shift in _SHIFTS:
        bins = (symbols + (1 << shift >> 1)) >> shift
        pmf: Float64Array = np.bincount(bins - bins[0], mass).astype(np.float64)
        first, last = _window(pmf)
        cost = _cost(pmf[first:last], shift)
        designs.append((cost, shift, pmf[first:last], int(bins[0]) + first))
    _, shift, pmf, offset = min(designs, key=lambda design: design[:2])
    return pmf, offset, shift


def _window(pmf: Float64Array) -> tuple[int, int]:
    """The heaviest run of at most MAX_ENTRIES - 1 symbols, without rare symbols at its ends."""
    total = np.concatenate(([0.0], np.cumsum(pmf)))
    width = min(MAX_ENTRIES - 1, len(pmf))
    first = int(np.argmax(total[width:] - total[:-width]))
    worthy = np.flatnonzero(pmf[first : first + width] >= _WORTH)
    if not len(worthy):
        return first, first + width
    return first + int(worthy[0]), first + int(worthy[-1]) + 1


def _cost(pmf: Float64Array, shift: int) -> float:
    """Expected bits a symbol of a table with these probabilities, the rest escaped."""
    inside = float(pmf.sum())
    escape = max(0.0, 1 - inside)
    least = 2.0**-14
    bits = -(pmf * np.log2(np.maximum(pmf, least))).sum() + shift * inside
    return float(bits + escape * (ESCAPE_BITS - np.log2(max(escape, least))))
