"""wiener.h in numpy, for where there is no C compiler, and for tests; wiener.py says what is what.

The same samples and activities; sums that differ by rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HALO = 3
"""How many pixels away a sample depends on others."""
_PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))
_UNIT = 16
"""What the constant tap is of, of 8 bits a sample."""
_ROWS = 1 << 17
"""Samples of a colour that are at work at a time, about, for features take memory."""


def filter(
    samples: NDArray[Any], height: int, width: int, colours: int, size: int,
    thresholds: NDArray[np.int32], taps: NDArray[np.int32], precision: int, out: NDArray[Any], /,
) -> None:  # fmt: skip
    """Samples filtered."""
    depth, classes = 8 * size, len(thresholds) + 1
    own = taps.reshape(classes * colours, -1)[:, : 5 * colours + 1].astype(_exact(depth))
    for rows, part in _bands(samples):
        made = (own @ _features(part, depth)).reshape(classes, colours, -1)
        which = _classes(part, thresholds, depth)
        chosen = made[0] if classes == 1 else np.take_along_axis(made, which[None, None], 0)[0]
        change = np.floor(chosen * 0.5**precision + 0.5).T.reshape(out[rows].shape)
        out[rows] = (samples[rows] + change).clip(0, 2**depth - 1)


def squares(
    samples: NDArray[Any], height: int, width: int, colours: int, size: int,
    thresholds: NDArray[np.int32], wanted: NDArray[Any], weights: NDArray[np.float32],
    sums: NDArray[np.float64], /,
) -> None:  # fmt: skip
    """What a fit by least squares needs."""
    depth, count = 8 * size, 5 * colours + 1
    places = sums.shape[2]
    for rows, part in _bands(samples):
        features = _features(part, depth).astype(np.float64)
        error = (wanted[rows].astype(np.float64) - samples[rows]).reshape(-1, colours)
        worth, which = weights[rows].ravel(), _classes(part, thresholds, depth)
        for k in range(len(thresholds) + 1):
            here = which == k
            own = features[:, here] * worth[here]
            sums[k, :count, :count] += own @ features[:, here].T
            sums[k, places:, :count] += (own @ error[here]).T


def activity(
    samples: NDArray[Any], height: int, width: int, colours: int, size: int,
    thresholds: NDArray[np.int32], out: NDArray[np.int32], /,
) -> None:  # fmt: skip
    """How much happens around each pixel."""
    for rows, part in _bands(samples):
        out[rows] = _activity(part, 8 * size).reshape(out[rows].shape)


def _exact(depth: int) -> type[np.floating[Any]]:
    """A type in which all sums of a filter are exact: of 8 bits they are below 2^24."""
    return np.float32 if depth == 8 else np.float64


def _rows(samples: NDArray[Any]) -> list[slice]:
    step = max(1, _ROWS // samples.shape[1])
    return [slice(top, top + step) for top in range(0, len(samples), step)]


def _bands(samples: NDArray[Any]) -> list[tuple[slice, _Band]]:
    return [(rows, _Band(samples, rows)) for rows in _rows(samples)]


class _Band:
    """Rows of samples with HALO more around them."""

    def __init__(self, samples: NDArray[Any], rows: slice) -> None:
        self.samples, self.rows = samples, rows

    @property
    def count(self) -> int:
        """Of pixels."""
        return self.samples[self.rows, :, 0].size

    def wide(self) -> NDArray[Any]:
        """(rows + 2 HALO, W + 2 HALO, colours)."""
        height, width, _ = self.samples.shape
        stop = min(self.rows.stop, height)
        down = np.arange(self.rows.start - HALO, stop + HALO).clip(0, height - 1)
        across = np.arange(-HALO, width + HALO).clip(0, width - 1)
        return self.samples[down][:, across]


def _features(band: _Band, depth: int) -> NDArray[np.floating[Any]]:
    """What taps are of, (taps, samples of a colour): pairs less the middle, the middle, 1."""
    wide = np.moveaxis(band.wide(), 2, 0).astype(_exact(depth))
    middle = _shifted(wide, 0, 0, HALO)
    parts = [
        _shifted(wide, dy, dx, HALO) + _shifted(wide, -dy, -dx, HALO) - 2 * middle
        for dy, dx in _PAIRS
    ]
    constant = np.full_like(middle[:1], _UNIT << depth - 8)
    parts += [middle - 2 ** (depth - 1), constant]
    return np.concatenate(parts).reshape(5 * len(wide) + 1, -1)


def _classes(band: _Band, thresholds: NDArray[np.int32], depth: int) -> NDArray[np.int64]:
    if not len(thresholds):
        return np.zeros(band.count, np.int64)
    return np.searchsorted(thresholds, _activity(band, depth), side="right")


def _activity(band: _Band, depth: int) -> NDArray[np.int32]:
    """Of each pixel: second differences, across and down, in the 5x5 pixels around it."""
    luma = band.wide().sum(axis=2, dtype=np.int32)[None]
    middle = 2 * _shifted(luma, 0, 0, 1)
    bends = sum(
        np.abs(_shifted(luma, dy, dx, 1) + _shifted(luma, -dy, -dx, 1) - middle)
        for dy, dx in _PAIRS[:2]
    )
    for axis in (1, 2):
        total = np.cumsum(bends, axis=axis, dtype=np.int64)
        first = np.zeros_like(total.take([0], axis))
        total = np.concatenate([first, total], axis)
        count = total.shape[axis]
        bends = total.take(range(5, count), axis) - total.take(range(count - 5), axis)
    return (bends >> (depth - 8)).ravel()


def _shifted(wide: NDArray[Any], dy: int, dx: int, margin: int) -> NDArray[Any]:
    """(C, H, W) less a margin, seen so much further down and right."""
    _, height, width = wide.shape
    return wide[:, margin + dy : height - margin + dy, margin + dx : width - margin + dx]
