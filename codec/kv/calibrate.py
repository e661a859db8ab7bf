"""Calibrations made: means, bases and tables of caches that a model filled.

With gradients, errors are weighted by what they do to the model's answers. With g the gradients of
log p(next token), tokens drawn from the model itself, E[g gᵀ] is the Fisher information of a row of
the cache: a small error e there moves the answers by ½ eᵀ E[g gᵀ] e nats. Bases of the root of it
make one step right for all layers, keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.dtypes import to_float64
from lictor.codec.errors import UnsupportedArray
from lictor.codec.kv import cache as caches
from lictor.codec.kv.cache import Cache
from lictor.codec.kv.calibration import Calibration, Matrix
from lictor.codec.kv.rope import Rope
from lictor.codec.rows import basis, bits

METHODS = ("principal", "shrunk")
_DAMPING = 2.0
"""Of the mean of the Fisher information's axes, added to all: gradients of a few texts."""
_VALUES_STEP = 2.0
"""Times the step of keys that of values is, without gradients."""
F64 = npt.NDArray[np.float64]


def calibrate(
    seen: Sequence[Any],
    gradients: Sequence[Sequence[Any]] | None = None,
    *,
    rope: Rope | None = None,
    method: str = "principal",
    rank: int | None = None,
    sinks: int = 4,
    following: int = 256,
    damping: float = _DAMPING,
) -> Calibration:
    """A calibration from caches that a model filled on some texts; a thousand tokens each do.

    Args:
        seen: caches as `lictor.kv.encode` takes them, of positions from 0 on, float.
        gradients: for each cache some samples of gradients, as such caches: of the sum of
            log p(token) over tokens after the cache, drawn by the model's own probabilities.
        rope: how the model turns keys; they are turned back before a basis is sought.
        method: "principal" for orthogonal directions (with gradients, those of the weighted rows),
            nested by rank: any number of the first is the best of that number. "shrunk" for factors
            of the rows as they are, with no mean taken off, of `rank`.
        rank: components that are kept; None for all.
        sinks: first tokens that are left out, since they are kept as they are.
        following: tokens after the cache that gradients were summed over.
        damping: how much of the mean information is added to each direction's.

    Returns:
        The calibration; `save` writes it.

    Raises:
        UnsupportedArray: these are no caches, or of several models, or of too few tokens.
        ValueError: an unknown method.

    Source: MatryoshkaKV (B. Lin et al., 2024, arXiv:2410.14731) nests orthogonal projections, CSKV
    (L. Wang et al., 2024, arXiv:2409.10593) shrinks channels; both train what is solved here.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; take one of {', '.join(METHODS)}")
    found = [caches.of(cache) for cache in seen]
    if not found or len({(c.dtype, *c.sizes) for c in found}) != 1:
        raise UnsupportedArray("calibrations take caches of one model and type; give one or more")
    if min(c.tokens for c in found) <= sinks + 1:
        raise UnsupportedArray(f"a cache has no more than {sinks + 1} tokens; give longer texts")
    drawn = [[caches.of(g) for g in samples] for samples in gradients or []]
    fit = _Fit(found, drawn, rope, method, rank, sinks, following, damping)
    layers = [(fit.matrix(i, 0), fit.matrix(i, 1)) for i in range(len(found[0].layers))]
    return Calibration(found[0].dtype, layers, rope, bool(drawn))


class _Fit:
    """One matrix after another."""

    def __init__(
        self,
        seen: list[Cache],
        drawn: list[list[Cache]],
        rope: Rope | None,
        method: str,
        rank: int | None,
        sinks: int,
        following: int,
        damping: float,
    ) -> None:
        self._seen, self._drawn, self._rope = seen, drawn, rope
        self._method, self._rank, self._sinks = method, rank, sinks
        self._following, self._damping = following, damping

    def matrix(self, layer: int, side: int) -> Matrix:
        """side: 0 for keys, 1 for values."""
        rows = np.concatenate([self._rows(c, layer, side) for c in self._seen])
        shrunk = self._method == "shrunk"
        mean = np.zeros(rows.shape[1]) if shrunk else rows.mean(0)
        rows -= mean
        covariance = rows.T @ rows / len(rows)
        forward, back = basis.principal(mean, covariance, self._weight(layer, side), self._rank)
        if not self._drawn:  # a step for a deviation: then layers matter alike
            scale = np.sqrt(np.trace(covariance) / len(covariance)) or 1.0
            scale *= _VALUES_STEP if side else 1.0
            forward, back = forward / scale, back * scale
        kept = np.concatenate([c.layers[layer][side][self._sinks :] for c in self._seen])
        heads, dim = kept.shape[1:]
        exact = bits.fit(self._seen[0].dtype, kept.reshape(len(kept), -1), groups=bits.MOST_GROUPS)
        return Matrix(heads, dim, basis.made(mean, back, rows @ forward), exact)

    def _rows(self, cache: Cache, layer: int, side: int) -> F64:
        """Those of a matrix but the sinks, keys turned back."""
        raw = cache.layers[layer][side]
        rows = to_float64(cache.dtype, raw.reshape(len(raw), -1))
        if side == 0 and self._rope:
            back = self._rope.turned(rows.astype(np.float32), raw.shape[2], 0, back=True)
            rows = back.astype(np.float64)
        return rows[self._sinks :]

    def _weight(self, layer: int, side: int) -> F64 | None:
        """The information of rows, of all tokens together, for one of the tokens that follow."""
        if not self._drawn:
            return None
        total: Any = 0.0
        count = 0
        for samples in self._drawn:
            for sample in samples:
                g = self._rows(sample, layer, side)
                total = total + g.T @ g
                count += 1
        information = np.asarray(total) / (count * self._following)
        own = np.trace(information) / len(information)
        damped: F64 = information + (self._damping * own or 1.0) * np.eye(len(information))
        return damped
