"""How well grids and networks make a picture, with gradients, by C: what twin.py says, fast.

A picture of 768x512 takes a few hundredths of a second of one core, forward and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lictor.models.overfit import _fit, sizes
from lictor.models.overfit.sizes import Size

LANES = 16
"""Floats that the kernels take at once, at most."""
_MEAN_KEEPS, _SQUARE_KEEPS = 0.9, 0.99
"""Of Adam's moments, as in fit_symbols.h. With the usual 0.999 the first gradients, by far the
largest, would slow symbols for most of a short training."""
_LEAST_SQUARE = 0.3
"""Adam's epsilon, of what a bit weighs: gradients of symbols are about that large, whatever the
picture's size. A number that knows nothing of it keeps symbols of large pictures where they are."""


@dataclass(frozen=True)
class Noise:
    """What stands for rounding.

    temperature: of soft rounding; 0 is rounding proper, which has no gradient. deviation: of the
    noise in between, in symbols. seed: of that noise.
    """

    temperature: float = 0.0
    deviation: float = 0.0
    seed: int = 0


ROUNDED = Noise()


@dataclass(frozen=True)
class Weights:
    """How much of the loss a bit is, and the square of an error of 1 in one sample."""

    bit: float
    error: float


@dataclass(frozen=True)
class Loss:
    """bits: of all symbols. mse: mean squared error, of samples 0…1 held within."""

    bits: float
    mse: float


class Fit:
    """Planes and threads for one picture.

    Args:
        x: (3, H, W) float32, 0…1.
        size: of `sizes.SIZES`.
        threads: how many. Results do not depend on it.
        lanes: floats that kernels take at once, at most. Sums differ in rounding.
    """

    def __init__(
        self, x: NDArray[np.float32], size: Size, threads: int = 1, lanes: int = LANES
    ) -> None:
        height, width = x.shape[1:]
        self.shapes = sizes.grid_shapes(height, width)
        self.symbols = sum(rows * columns for rows, columns in self.shapes)
        self.pixels = height * width
        networks = (size.neighbours, size.features, size.hidden, size.filters)
        tile = sizes.tile_sides(height, width)
        self.x = x = np.ascontiguousarray(x, np.float32)
        self._fit = _fit.create(x, (height, width), tile, networks, threads, lanes)
        self._gradient = np.zeros(size.parameters, np.float32)

    def loss(
        self,
        latents: NDArray[np.float32],
        parameters: NDArray[np.float32],
        x_hat: NDArray[np.float32] | None = None,
    ) -> Loss:
        """Of rounded grids.

        Args:
            latents: of all grids, one after another, in symbols, -64…63.
            parameters: of `size.shapes`, likewise.
            x_hat: (3, H, W), where the picture goes, not held within 0…1.
        """
        return self._run(latents, parameters, ROUNDED, Weights(0, 0), x_hat=x_hat)

    def gradient(
        self,
        latents: NDArray[np.float32],
        parameters: NDArray[np.float32],
        noise: Noise,
        weights: Weights,
    ) -> tuple[Loss, NDArray[np.float32]]:
        """The loss, and the weighted loss's gradient by parameters (valid until the next call).

        That by the grids is kept for `step`, unless the temperature is 0: then there is none.
        """
        found = self._run(latents, parameters, noise, weights, True, noise.temperature > 0)
        return found, self._gradient

    def told(
        self, symbols: NDArray[np.float32], parameters: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """What contexts tell of each symbol, means and the network's s; and x_hat as of `loss`."""
        told = np.empty((2, self.symbols), np.float32)
        x_hat = np.empty((3, *self.shapes[0]), np.float32)
        self._run(symbols, parameters, ROUNDED, Weights(0, 0), x_hat=x_hat, told=told)
        return told[0], told[1], x_hat

    def slopes(
        self, symbols: NDArray[np.float32], parameters: NDArray[np.float32], weights: Weights
    ) -> NDArray[np.float32]:
        """Of the weighted loss, by whole symbols."""
        self._run(symbols, parameters, ROUNDED, weights, True, True)
        return self.inside()[1]

    def step(
        self,
        latents: NDArray[np.float32],
        mean: NDArray[np.float32],
        square: NDArray[np.float32],
        rate: float,
        count: int,
        weights: Weights,
    ) -> None:
        """Move grids, in place, by the gradients of the last `gradient`.

        Args:
            latents: of all grids, one after another.
            mean: Adam's first moment of each, in place.
            square: the second.
            rate: how far a symbol moves, about.
            count: the number of this step, from 1.
            weights: that `gradient` was given.
        """
        first, second = 1 - _MEAN_KEEPS**count, 1 - _SQUARE_KEEPS**count
        least = _LEAST_SQUARE * weights.bit
        _fit.step(self._fit, latents, mean, square, rate / first, second**-0.5, least)

    def inside(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the last `gradient` took for symbols, and the gradient by these."""
        values, gradients = np.empty((2, self.symbols), np.float32)
        _fit.inside(self._fit, values, gradients)
        return values, gradients

    def grids(self, latents: NDArray[np.float32]) -> list[NDArray[np.int8]]:
        """Rounded, each of its shape."""
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])
        parts = np.split(np.rint(latents).astype(np.int8), ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _run(
        self,
        latents: NDArray[np.float32],
        parameters: NDArray[np.float32],
        noise: Noise,
        weights: Weights,
        learn: bool = False,
        move: bool = False,
        x_hat: NDArray[np.float32] | None = None,
        told: NDArray[np.float32] | None = None,
    ) -> Loss:
        bits, error = _fit.loss(
            self._fit,
            latents,
            parameters,
            self._gradient,
            x_hat,
            told,
            noise.temperature,
            noise.deviation,
            noise.seed,
            weights.bit,
            weights.error,
            learn,
            move,
        )
        return Loss(sum(bits), error / (3 * self.pixels))
