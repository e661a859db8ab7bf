"""Smooth pictures, made up: gradients and slow waves, as skies, studio walls and scans have them.

Photos have 8 bits and noise. What a decoder makes of a gradient that is finer than that, they
cannot teach it.
"""

from __future__ import annotations

import numpy as np

FloatArray = np.ndarray

_LONG, _SHORT = 1500.0, 100.0
"""Pixels between which waves are long."""
_COUPLING, _COUPLED = (0.0, 0.3, 1.0), (0.3, 0.4, 0.3)
"""How much of its own each colour has beside what all share, and how often. 0: gray."""


def smooth(random: np.random.Generator, size: int) -> FloatArray:
    """A smooth picture, float32 (3, size, size) in 0…1; each colour spans a part of that."""
    own = random.choice(_COUPLING, p=_COUPLED)
    common = _field(random, size)
    if not own:
        return np.broadcast_to(_spanned(random, common), (3, size, size)).astype(np.float32)
    colours = [_spanned(random, common + own * _field(random, size)) for _ in range(3)]
    return np.stack(colours).astype(np.float32)


class SmoothCrops:
    """Smooth pictures by their keys, which are whole numbers, each with a quality from a range."""

    def __init__(self, size: int, seed: int, qualities: tuple[float, float]) -> None:
        self.size, self.seed, self.qualities = size, seed, qualities

    def __getitem__(self, key: tuple[int, ...]) -> tuple[FloatArray, np.float32]:
        random = np.random.default_rng((self.seed, *key))
        return smooth(random, self.size), np.float32(random.uniform(*self.qualities))


def _field(random: np.random.Generator, size: int) -> FloatArray:
    """A slope, and up to two waves upon it."""
    field = _along(random, size) / random.uniform(200, _LONG)
    for _ in range(random.integers(0, 3)):
        length = np.exp(random.uniform(np.log(_SHORT), np.log(_LONG)))
        phase = 2 * np.pi * (_along(random, size) / length + random.random())
        field = field + random.random() * length / 600 * np.sin(phase)
    return field


def _along(random: np.random.Generator, size: int) -> FloatArray:
    """Distance in pixels along some direction, (size, size)."""
    angle = random.uniform(0, 2 * np.pi)
    place = np.arange(size)
    return np.cos(angle) * place + np.sin(angle) * place[:, None]


def _spanned(random: np.random.Generator, field: FloatArray) -> FloatArray:
    """The field brought to some part of 0…1."""
    low, high = np.sort(random.random(2))
    return low + (high - low) * (field - field.min()) / max(np.ptp(field), 1e-9)
