"""SOAP for the small networks: Adam in the eigenbasis of Shampoo's preconditioner.

Source: Vyas et al., 2024, arXiv 2409.11321.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BETAS = 0.95, 0.95
REFRESH = 10
"""Steps from one correction of the eigenbases to the next."""
_EPSILON = 1e-8


class Soap:
    """Steps of one flat vector of parameters.

    Args:
        shapes: of its parts: matrices have bases, all others take steps of Adam.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self._parts: list[tuple[slice, tuple[int, ...]]] = []
        at = 0
        for shape in shapes:
            count = int(np.prod(shape))
            if len(shape) > 1:
                self._parts.append((slice(at, at + count), (shape[0], count // shape[0])))
            at += count
        self.count = 0
        self.mean = np.zeros(at)
        self.square = np.zeros(at)
        sides = [side for _, matrix in self._parts for side in matrix]
        self.correlations = [np.zeros((side, side)) for side in sides]
        self.bases = [np.eye(side) for side in sides]

    def step(
        self, parameters: NDArray[np.float32], gradient: NDArray[np.float32], rate: float
    ) -> None:
        """Move parameters, in place."""
        grad = gradient.astype(np.float64)
        if not self.count:
            self._follow(grad, 0.0)
            self.bases = [np.linalg.eigh(c)[1][:, ::-1] for c in self.correlations]
        self.count += 1
        first, second = BETAS
        self.mean += (1 - first) * (grad - self.mean)
        turned, move = self._turned(grad, False), self._turned(self.mean, False)
        self.square += (1 - second) * (turned * turned - self.square)
        scale = np.sqrt(self.square / (1 - second**self.count)) + _EPSILON
        move /= scale * (1 - first**self.count)
        parameters -= (rate * self._turned(move, True)).astype(np.float32)
        self._follow(grad, second)
        if self.count % REFRESH == 0:
            pairs = zip(self.correlations, self.bases, strict=True)
            self.bases = [np.linalg.qr(c @ basis)[0] for c, basis in pairs]

    def _turned(self, values: NDArray[np.float64], back: bool) -> NDArray[np.float64]:
        """Into the bases, or out of them."""
        out = values.copy()
        for number, (part, shape) in enumerate(self._parts):
            left, right = self.bases[2 * number : 2 * number + 2]
            matrix = values[part].reshape(shape)
            turned = left @ matrix @ right.T if back else left.T @ matrix @ right
            out[part] = turned.ravel()
        return out

    def _follow(self, grad: NDArray[np.float64], keep: float) -> None:
        """The correlations of rows and of columns."""
        for number, (part, shape) in enumerate(self._parts):
            matrix = grad[part].reshape(shape)
            for side, product in enumerate((matrix @ matrix.T, matrix.T @ matrix)):
                correlation = self.correlations[2 * number + side]
                correlation *= keep
                correlation += (1 - keep) * product
