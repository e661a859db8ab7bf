"""What _kernels.c computes, in numpy: for where there was no C compiler, and for tests.

The exact layers give the same numbers, those in floats nearly so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.models.coding.units import LIMIT, WEIGHT

PANEL = 16
"""Columns of a matrix that lie side by side in memory; see product.h."""
ADD, LEAKY, RELU6 = 1, 2, 4
"""What comes after a layer."""
BEST = 0


def packed(matrix: NDArray[Any]) -> NDArray[Any]:
    """A matrix (inputs, outputs) in panels, as `dense` takes it: (panels, inputs, PANEL)."""
    inputs, outputs = matrix.shape
    wide = np.zeros((inputs, -(-outputs // (2 * PANEL)) * 2 * PANEL), matrix.dtype)
    wide[:, :outputs] = matrix
    return np.ascontiguousarray(wide.reshape(inputs, -1, PANEL).transpose(1, 0, 2))


def _finished(value: NDArray[Any], onto: NDArray[Any], finish: int, exact: int) -> NDArray[Any]:
    if exact:
        value = np.floor(value * 2.0**-WEIGHT + 0.5).clip(-LIMIT, LIMIT)
    if finish & ADD:
        value = value + onto
    if finish & LEAKY:
        low = value * value.dtype.type(0.125)
        value = np.maximum(value, np.floor(low + 0.5) if exact else low)
    return value.clip(0, 6) if finish & RELU6 else value


def dense(
    x: NDArray[Any], offset: int, lines: int, line: int, rows: int, row: int, inputs: int,
    weight: NDArray[Any], bias: NDArray[Any], outputs: int, out: NDArray[Any], first: int,
    finish: int, path: int, exact: int, /,
) -> None:  # fmt: skip
    """Rows of x times a matrix, to rows of `out` from `first` on; layers.Dense says more."""
    size = x.itemsize
    strides = (line * size, row * size, size)
    given = np.lib.stride_tricks.as_strided(
        x.reshape(-1)[offset:], (lines, rows, inputs), strides, writeable=False
    )
    matrix = weight.reshape(-1, inputs, PANEL).transpose(1, 0, 2).reshape(inputs, -1)[:, :outputs]
    value = given.reshape(-1, inputs) @ matrix
    if exact or not finish & ADD:
        value += bias[:outputs]
    to = out.reshape(-1, outputs)[first : first + len(value)]
    to[:] = _finished(value, to, finish, exact)


def depthwise(
    x: NDArray[Any], height: int, width: int, channels: int, kernel: int, stride: int, before: int,
    taps: NDArray[Any], bias: NDArray[Any], out: NDArray[Any], high: int, wide: int, first: int,
    last: int, finish: int, path: int, exact: int, /,
) -> None:  # fmt: skip
    """Rows first…last - 1 of a depthwise convolution; layers.Depthwise says more."""
    below, right = ((n - 1) * stride + kernel for n in (high, wide))
    around = np.zeros((max(below, height + before), max(right, width + before), channels), x.dtype)
    around[before : before + height, before : before + width] = x.reshape(height, width, channels)
    value = np.broadcast_to(bias[:channels], (last - first, wide, channels)).copy()
    for i in range(kernel):
        down = slice(first * stride + i, (last - 1) * stride + i + 1, stride)
        for j in range(kernel):
            across = slice(j, (wide - 1) * stride + j + 1, stride)
            value += around[down, across] * taps[i * kernel + j]
    to = out.reshape(high, wide, channels)[first:last]
    to[:] = _finished(value, to, finish, exact)


def block(
    x: NDArray[Any], entered: NDArray[Any], height: int, width: int, channels: int,
    taps: NDArray[Any], taps_bias: NDArray[Any], leave: NDArray[Any], leave_bias: NDArray[Any],
    expand: NDArray[Any], expand_bias: NDArray[Any], project: NDArray[Any],
    project_bias: NDArray[Any], cap: NDArray[Any], out: NDArray[Any], kept: NDArray[Any],
    first: int, last: int, path: int, /,
) -> None:  # fmt: skip
    """Places first…last - 1 of what a residual block gives; layers.Block says more."""
    mixed = np.empty((height, width, channels), x.dtype)
    depthwise(
        entered, height, width, channels, 3, 1, 1, taps, taps_bias, mixed, height, width, 0,
        height, 0, 0, 0,
    )  # fmt: skip
    places = slice(first, last)
    h = x.reshape(-1, channels)[places]
    h = h + _product(mixed.reshape(-1, channels)[places], leave, leave_bias, channels)
    wide = _product(h, expand, expand_bias, 2 * channels)
    if kept.size:
        kept.reshape(-1, 2 * channels)[places] = wide
    value, gate = np.split(wide, 2, axis=1)
    gated = value * np.minimum(np.maximum(gate, 0), cap)
    out.reshape(-1, channels)[places] = h + _product(gated, project, project_bias, channels)


def back_to_spatial(
    wide: NDArray[Any], grad: NDArray[Any], height: int, width: int, channels: int,
    leave: NDArray[Any], expand: NDArray[Any], project: NDArray[Any], cap: NDArray[Any],
    past: NDArray[Any], mixed: NDArray[Any], first: int, last: int, path: int, /,
) -> None:  # fmt: skip
    """Places first…last - 1 of the way back; gradients.BlockBack says more."""
    places, nothing = slice(first, last), np.zeros(channels, grad.dtype)
    value, gate = np.split(wide.reshape(-1, 2 * channels)[places], 2, axis=1)
    held = np.minimum(np.maximum(gate, 0), cap)
    by = grad.reshape(-1, channels)[places]
    gated = _product(by, project, nothing, channels)
    factors = [gated * held, np.where((held > 0) & (held < cap), gated * value, 0)]
    by = by + _product(np.concatenate(factors, axis=1), expand, nothing, channels)
    past.reshape(-1, channels)[places] = by
    mixed.reshape(-1, channels)[places] = _product(by, leave, nothing, channels)


def back_to_input(
    entered: NDArray[Any], mixed: NDArray[Any], height: int, width: int, channels: int,
    taps: NDArray[Any], nothing: NDArray[Any], enter: NDArray[Any], past: NDArray[Any],
    first: int, last: int, path: int, /,
) -> None:  # fmt: skip
    """Places first…last - 1 of the rest of it."""
    spread = np.empty((height, width, channels), mixed.dtype)
    depthwise(
        mixed, height, width, channels, 3, 1, 1, taps, nothing, spread, height, width, 0, height,
        0, 0, 0,
    )  # fmt: skip
    places = slice(first, last)
    were = entered.reshape(-1, channels)[places] > 0
    by = spread.reshape(-1, channels)[places] * np.where(were, 1, 0.125).astype(mixed.dtype)
    past.reshape(-1, channels)[places] += _product(by, enter, nothing, channels)


def _product(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], outputs: int) -> Any:
    made = np.empty((len(x), outputs), x.dtype)
    row = x.shape[1]
    dense(x, 0, 1, 0, len(x), row, row, weight, bias, outputs, made, 0, 0, 0, 0)
    return made
