"""Layers on arrays (N, h, w, channels): matrix products, depthwise convolutions, blocks, ladders.

Those of the transforms are float32. The exact ones are twins of models/coding/fixed_point.py:
integers in float64, which come out alike to the last bit.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lictor.models.coding.units import (
    ANCHORS,
    FRACTION,
    LIMIT,
    MOST_SUM,
    TOO_LARGE,
    WEIGHT,
)
from lictor.models.errors import InexactWeights
from lictor.models.light import reference, threads
from lictor.models.light.reference import ADD as ADD
from lictor.models.light.reference import LEAKY as LEAKY
from lictor.models.light.reference import RELU6 as RELU6
from lictor.models.quality import STEPS

kernels: Any
try:
    from lictor.models.light import _kernels

    kernels = _kernels
except ImportError:  # there was no C compiler
    kernels = reference

Array: TypeAlias = "NDArray[Any]"
"""Float32 or, of exact layers, float64."""

_LEAST_ROWS = 192
"""Of a part of a product that another thread gets."""


def round_half_up(x: Array) -> Array:
    """floor(x + 1/2)."""
    return np.floor(x + 0.5)


def spread_out(x: Array, size: int) -> Array:
    """Squares of size x size places as one place of as many channels, the places running slowest.

    (N, h, w, C) to (N, h / size, w / size, size · size · C).
    """
    n, h, w, c = x.shape
    x = x.reshape(n, h // size, size, w // size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // size, w // size, size * size * c)


def put_together(x: Array, size: int) -> Array:
    """The inverse of `spread_out`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, size, size, c // size**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * size, w * size, c // size**2)


class Dense:
    """x · weight' + bias at each place.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,); None: 0.
        exact: whether it is a twin; then numbers are rounded as there.

    Raises:
        InexactWeights: sums of a twin could leave what doubles hold.
    """

    bias: Array

    def __init__(self, weight: Array, bias: Array | None = None, exact: bool = False) -> None:
        self.outputs, self.inputs = weight.shape
        self.exact = exact
        own: Array = np.zeros(self.outputs, np.float32) if bias is None else bias
        if exact:
            weight, own = fixed(weight, own)
        else:
            weight, own = np.asarray(weight, np.float32), np.asarray(own, np.float32)
        self.weight = reference.packed(weight.T)
        self.bias = reference.packed(own[None]).ravel()

    def __call__(
        self,
        x: Array,
        finish: int = 0,
        out: Array | None = None,
        phase: tuple[int, int] | None = None,
    ) -> Array:
        """The product, and what comes after it.

        Args:
            x: (N, h, w, inputs), contiguous.
            finish: of ADD (to `out`; without the bias unless exact), LEAKY, RELU6.
            out: where it goes; None: a new array.
            phase: of each 2x2 places, only that in this row and column.

        Returns:
            (N, h, w, outputs), or (N, h / 2, w / 2, outputs) of a phase.
        """
        n, h, w, c = x.shape
        assert c == self.inputs and x.flags.c_contiguous
        offset, lines, line, rows, row = 0, 1, 0, n * h * w, c
        shape = (n, h, w, self.outputs)
        if phase is not None:
            offset, lines, line = (phase[0] * w + phase[1]) * c, n * h // 2, 2 * w * c
            rows, row, shape = w // 2, 2 * c, (n, h // 2, w // 2, self.outputs)
        made = np.empty(shape, x.dtype) if out is None else out
        assert made.shape == shape and made.flags.c_contiguous and made.dtype == x.dtype

        def work(first: int, last: int) -> None:
            if phase is None:
                place = (offset + first * row, 1, 0, last - first, row)
                into = first
            else:
                place = (offset + first * line, last - first, line, rows, row)
                into = first * rows
            kernels.dense(
                x, *place, c, self.weight, self.bias, self.outputs, made, into, finish,
                kernels.BEST, self.exact,
            )  # fmt: skip

        if phase is None:
            threads.spread(rows, _LEAST_ROWS, work)
        else:
            threads.spread(lines, max(1, _LEAST_ROWS // rows), work)
        return made


class Depthwise:
    """A convolution of each channel by itself.

    Args:
        weight: (channels, 1, kernel, kernel).
        bias: (channels,).
        exact: as for Dense.
        stride: places of the input for one of the output.
        before: zeros above and to the left; below and to the right as many as are needed.
    """

    bias: Array

    def __init__(
        self, weight: Array, bias: Array, exact: bool = False, stride: int = 1, before: int = 1
    ) -> None:
        self.kernel, self.stride, self.before, self.exact = weight.shape[-1], stride, before, exact
        flat, self.bias = weight.reshape(len(weight), -1), np.asarray(bias, np.float32)
        if exact:
            flat, self.bias = fixed(flat, bias)
        self.taps = np.ascontiguousarray(flat.T, np.float64 if exact else np.float32)

    def __call__(self, x: Array, finish: int = 0) -> Array:
        """Of (N, h, w, channels), contiguous: (N, h / stride, w / stride, channels)."""
        n, h, w, c = x.shape
        high, wide = h // self.stride, w // self.stride
        made = np.empty((n, high, wide, c), x.dtype)
        for one, into in zip(x, made, strict=True):

            def work(first: int, last: int, one: Array = one, into: Array = into) -> None:
                kernels.depthwise(
                    one, h, w, c, self.kernel, self.stride, self.before, self.taps, self.bias,
                    into, high, wide, first, last, finish, kernels.BEST, self.exact,
                )  # fmt: skip

            threads.spread(high, max(1, _LEAST_ROWS // max(wide, 1)), work)
        return made


def fixed(weight: Array, bias: Array) -> tuple[Array, Array]:
    """Weight (outputs, inputs) and bias in the integers of exact layers. Raises InexactWeights."""
    w = round_half_up(np.asarray(weight, np.float64) * 2.0**WEIGHT)
    b = round_half_up(np.asarray(bias, np.float64) * 2.0 ** (WEIGHT + FRACTION))
    if not (np.abs(w).sum(1) * (2 * LIMIT) + np.abs(b)).max() < MOST_SUM:
        raise InexactWeights(TOO_LARGE)
    return w, b


class Block:
    """Twin of the residual block of models/coding/layers.py, on one array (1, h, w, channels).

    Args:
        part: gives its tensors by name.
    """

    def __init__(self, part: Any) -> None:
        self.enter, self.leave, self.expand, self.project = (
            part[name].dense() for name in ("enter", "leave", "expand", "project")
        )
        self.spatial = Depthwise(part("spatial.weight"), part("spatial.bias"))
        self.cap = np.asarray(part("cap"), np.float32)

    def __call__(self, x: Array, kept: list[tuple[Array, Array]] | None = None) -> Array:
        """Of the same shape. kept: gets what the way back needs (gradients.py)."""
        n, h, w, c = x.shape
        entered, out = self.enter(x, LEAKY), np.empty_like(x)
        wide = np.empty((n, h, w, 2 * c) if kept is not None else (n, 0), x.dtype)
        if kept is not None:
            kept.append((entered, wide))
        parts = [self.spatial.taps, self.spatial.bias]
        for layer in (self.leave, self.expand, self.project):
            parts += [layer.weight, layer.bias]
        for i in range(n):

            def work(first: int, last: int, i: int = i) -> None:
                kernels.block(
                    x[i], entered[i], h, w, c, *parts, self.cap, out[i], wide[i], first, last,
                    kernels.BEST,
                )  # fmt: skip

            threads.spread(h * w, _LEAST_ROWS // 2, work)
        return out


class Ladder:
    """A value per channel that changes with quality; rungs (ANCHORS, channels)."""

    def __init__(self, rungs: Array) -> None:
        self.rungs = _rungs(rungs, np.float32)

    def __call__(self, steps: Array) -> Array:
        """Of quality in steps, int64 (1,) or (1, h, w): float32 (1, 1, 1, C) or (1, h, w, C)."""
        place = (steps * np.float32(100 / STEPS)) * np.float32((ANCHORS - 1) / 100)
        low = place.astype(np.int64).clip(0, ANCHORS - 2)
        share = (place - low).astype(np.float32)[..., None]
        return on_places(self.rungs[low] + share * (self.rungs[low + 1] - self.rungs[low]))


class ExactLadder:
    """Its twin, in float64."""

    def __init__(self, rungs: Array) -> None:
        values = round_half_up(_rungs(rungs, np.float64) * 2.0**FRACTION)
        self.rungs = values.astype(np.int64)

    def __call__(self, steps: Array) -> Array:
        """As of Ladder."""
        rung = STEPS // (ANCHORS - 1)
        low = (steps // rung).clip(max=ANCHORS - 2)
        t = (steps - low * rung)[..., None]
        mixed = self.rungs[low] * (rung - t) + self.rungs[low + 1] * t
        return on_places(((2 * mixed + rung) // (2 * rung)).astype(np.float64))


def _rungs(rungs: Array, dtype: Any) -> Array:
    if rungs.ndim != 2 or len(rungs) != ANCHORS:
        raise ValueError(f"a ladder of {rungs.shape} has not {ANCHORS} rungs")
    return np.asarray(rungs, dtype)


def on_places(values: Array) -> Array:
    """(1, C) or (1, h, w, C) as it goes with an array (N, h, w, C)."""
    return values[:, None, None, :] if values.ndim == 2 else values
