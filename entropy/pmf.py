"""From probabilities to integer frequencies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PRECISION = 14
TOTAL = 1 << PRECISION


def quantise(p: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """The frequencies, at least 1 each and 2^14 in all, that code p in the fewest bits.

    The expected cost -Σ p log2(f / 2^14) is convex in f, so moving single units from where they
    are missed least to where they help most, until no move helps, ends at the optimum.

    Args:
        p: (n,) weights, n in 1..2^14, at least 0 and not all 0; scaled to add up to 1.

    Returns:
        uint16 (n,).
    """
    weights = np.asarray(p, dtype=np.float64)
    if weights.ndim != 1 or not 1 <= weights.size <= TOTAL:
        raise ValueError(f"{weights.size} probabilities given, allowed are 1 to {TOTAL}")
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError("probabilities must be at least 0, finite, and not all 0")
    weights = weights / weights.sum()
    freqs = np.maximum(1, np.round(weights * TOTAL)).astype(np.int64)
    while True:
        gain = weights * np.log2((freqs + 1) / freqs)
        loss = weights * np.log2(freqs / np.maximum(freqs - 1, 1))
        loss[freqs == 1] = np.inf
        give, take = np.argmax(gain), np.argmin(loss)
        excess = freqs.sum() - TOTAL
        if excess == 0 and gain[give] <= loss[take]:
            return freqs.astype(np.uint16)
        if excess <= 0:
            freqs[give] += 1
        if excess >= 0:
            freqs[take] -= 1
