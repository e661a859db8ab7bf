"""A filter of what the synthesis gives, fitted to the picture by least squares and sent.

Weights are made for pictures in general; what is left over in one picture is partly linear. This is
the adaptive loop filter of video codecs (Tsai et al., IEEE J. STSP 7(6), 2013), with symmetric taps
over 3x3 samples of all colours, and classes by how much happens around a sample. All of it is in
integers, the same on every machine for the same samples. FORMAT.md is the specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format import wiener as form
from lictor.codec.format.wiener import Wiener

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALO = 3
"""How many pixels away a sample depends on others."""
_PLACES = ((0, 1), (1, 0), (1, 1), (1, -1))
_UNIT = 16
"""What the constant tap is of, of 8 bits a sample."""
_CLASSES = (1, 4)
_SECTION_BITS = 8 * 6
_SEEN = 1 << 16
"""Pixels, about, that tell of how many there are of an activity."""
_ROWS = 1 << 17
"""Samples of a colour that are at work at a time, about, for features take memory."""


def filtered(samples: NDArray[Any], wiener: Wiener) -> NDArray[Any]:
    """Samples uint8 or uint16 (H, W, 1 or 3), filtered; beyond the edges are the outermost ones."""
    out = np.empty_like(samples)
    depth, colours = 8 * samples.itemsize, samples.shape[2]
    taps = np.array(wiener.taps).reshape(-1, form.taps_of(colours)).astype(_exact(depth))
    classes = len(wiener.thresholds) + 1
    for rows, part in _bands(samples):
        made = (taps @ _features(part, depth)).reshape(classes, colours, -1)
        which = _classes(part, wiener.thresholds, depth)
        chosen = made[0] if classes == 1 else np.take_along_axis(made, which[None, None], 0)[0]
        change = np.floor(chosen * 0.5**wiener.precision + 0.5).T.reshape(out[rows].shape)
        out[rows] = (samples[rows] + change).clip(0, 2**depth - 1)
    return out


def fitted(
    samples: NDArray[Any], wanted: NDArray[Any], worth: NDArray[np.floating[Any]]
) -> tuple[Wiener, bytes, float] | None:
    """The filter that pays most, its payload, and the bits that it saves; None: none pays.

    Args:
        samples: what the synthesis gives, uint8 or uint16 (H, W, 1 or 3).
        wanted: the picture, likewise.
        worth: of a squared error of a pixel on 0…255, the mean of its colours, in bits, (H, W).
    """
    depth = 8 * samples.itemsize
    every = 1 + samples.size // (_SEEN * samples.shape[2])
    activity = np.concatenate([_activity(part, depth)[::every] for _, part in _bands(samples)])
    best, most, plain = None, 0.0, _worth(samples, wanted, worth)
    for count in _CLASSES:
        shares = np.quantile(activity, np.arange(1, count) / count)
        thresholds = sorted({int(share) for share in shares if share >= 1})
        squares = _squares(samples, wanted, worth, thresholds)
        tried = [_taps(*squares, thresholds, precision) for precision in form.PRECISIONS]
        found = max(tried, key=lambda one: one[1])[0]
        payload = form.write(found)
        saved = plain - _worth(filtered(samples, found), wanted, worth)
        saved -= 8 * len(payload) + _SECTION_BITS
        if saved > most:
            best, most = (found, payload, saved), saved
    return best


def _worth(samples: NDArray[Any], wanted: NDArray[Any], worth: NDArray[np.floating[Any]]) -> float:
    """Of the errors, in bits."""
    total = 0.0
    for rows in _rows(samples):
        error = samples[rows].astype(np.float64) - wanted[rows]
        total += float(((error * error).mean(axis=2) * worth[rows]).sum())
    return total * float(_scale(samples)) ** 2


def _scale(samples: NDArray[Any]) -> float:
    return 255 / (2 ** (8 * samples.itemsize) - 1)


def _squares(
    samples: NDArray[Any],
    wanted: NDArray[Any],
    worth: NDArray[np.floating[Any]],
    thresholds: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each class, what w'Gw − 2 p'w adds to the worth of errors: G, and p of each colour."""
    depth, colours = 8 * samples.itemsize, samples.shape[2]
    size, classes = form.taps_of(colours), len(thresholds) + 1
    gram, pull = np.zeros((classes, size, size)), np.zeros((classes, size, colours))
    unit = _scale(samples) ** 2 / colours
    for rows, part in _bands(samples):
        features = _features(part, depth).astype(np.float64)
        error = (wanted[rows].astype(np.float64) - samples[rows]).reshape(-1, colours)
        weights, which = worth[rows].ravel(), _classes(part, thresholds, depth)
        for k in range(classes):
            here = which == k
            own = features[:, here] * (unit * weights[here])
            gram[k] += own @ features[:, here].T
            pull[k] += own @ error[here]
    return gram, pull


def _taps(
    gram: NDArray[np.float64], pull: NDArray[np.float64], thresholds: list[int], precision: int
) -> tuple[Wiener, float]:
    """Taps of so many bits, those that do not pay 0; the bits they save, less those they take."""
    wiener, saved = Wiener(precision, thresholds), 0.0
    for own, pulls in zip(gram, pull, strict=True):
        for p in pulls.T:
            # A tap takes its sign, its place in the order, and most of its precision.
            exact = _sparse(own, p, float(precision - 1)) * 2**precision
            whole = np.rint(exact).clip(-form.MAX_TAP, form.MAX_TAP)
            wiener.taps += [int(tap) for tap in whole]
            w = whole * 0.5**precision
            saved += float(2 * p @ w - w @ own @ w)
    return wiener, saved - 8 * len(form.write(wiener))


def _sparse(
    gram: NDArray[np.float64], pull: NDArray[np.float64], price: float
) -> NDArray[np.float64]:
    """The w of the least w'Gw − 2 p'w, of numbers that each save more than the price; others 0."""
    kept, w = list(range(len(pull))), np.zeros(len(pull))
    little = 1e-9 * float(np.trace(gram)) / len(pull) + 1e-12
    while kept:
        inverse = np.linalg.inv(gram[np.ix_(kept, kept)] + little * np.eye(len(kept)))
        found = inverse @ pull[kept]
        gains = found * found / np.diag(inverse)
        least = int(gains.argmin())
        if gains[least] >= price:
            w[kept] = found
            break
        del kept[least]
    return w


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
        for dy, dx in _PLACES
    ]
    constant = np.full_like(middle[:1], _UNIT << depth - 8)
    parts += [middle - 2 ** (depth - 1), constant]
    return np.concatenate(parts).reshape(form.taps_of(len(wide)), -1)


def _classes(band: _Band, thresholds: list[int], depth: int) -> NDArray[np.int64]:
    if not thresholds:
        return np.zeros(band.count, np.int64)
    return np.searchsorted(np.array(thresholds), _activity(band, depth), side="right")


def _activity(band: _Band, depth: int) -> NDArray[np.int32]:
    """Of each pixel: second differences, across and down, in the 5x5 pixels around it."""
    luma = band.wide().sum(axis=2, dtype=np.int32)[None]
    middle = 2 * _shifted(luma, 0, 0, 1)
    bends = sum(
        np.abs(_shifted(luma, dy, dx, 1) + _shifted(luma, -dy, -dx, 1) - middle)
        for dy, dx in _PLACES[:2]
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
