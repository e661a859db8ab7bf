"""A filter of what the synthesis gives, fitted to the picture by least squares and sent.

Weights are made for pictures in general; what is left over in one picture is partly linear. This is
the adaptive loop filter of video codecs (Tsai et al., IEEE J. STSP 7(6), 2013), with symmetric taps
over 3x3 samples of all colours, and classes by how much happens around a sample. All of it is in
integers, the same on every machine for the same samples: in C (wiener.h) or, without a compiler,
numpy (slow_wiener.py). FORMAT.md is the specification.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format import wiener as form
from lictor.codec.format.wiener import Wiener
from lictor.codec.picture import slow_wiener
from lictor.codec.picture.slow_wiener import HALO as HALO

_quick: ModuleType = slow_wiener
with suppress(ImportError):  # built without a C compiler
    from lictor.codec.picture import _wiener as _quick

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLASSES = (1, 4)
_SECTION_BITS = 8 * 6
_SEEN = 1 << 16
"""Pixels, about, that tell of how many there are of an activity."""
_ROWS = 1 << 17
"""Samples that are floats at a time, about."""


@dataclass(frozen=True)
class Fitted:
    """A filter, its payload, the bits that it saves, and what it makes of the samples."""

    wiener: Wiener
    payload: bytes
    saved: float
    samples: NDArray[Any]


def filtered(samples: NDArray[Any], wiener: Wiener) -> NDArray[Any]:
    """Samples uint8 or uint16 (H, W, 1 or 3), filtered; beyond the edges are the outermost ones."""
    colours, (samples, *given) = samples.shape[2], _given(samples, wiener.thresholds)
    taps = np.array(wiener.taps, np.int32).reshape(-1, form.taps_of(colours))
    taps = np.pad(taps, ((0, 0), (0, _places(colours) - taps.shape[1])))
    out = np.empty_like(samples)
    _quick.filter(samples, *given, taps, wiener.precision, out)
    return out


def fitted(
    samples: NDArray[Any], wanted: NDArray[Any], worth: NDArray[np.floating[Any]]
) -> Fitted | None:
    """The filter that pays most; None: none pays.

    Args:
        samples: what the synthesis gives, uint8 or uint16 (H, W, 1 or 3).
        wanted: the picture, likewise.
        worth: of a squared error of a pixel on 0…255, the mean of its colours, in bits, (H, W).
    """
    activity = np.empty(samples.shape[:2], np.int32)
    _quick.activity(*_given(samples, []), activity)
    every = 1 + activity.size // _SEEN
    best, most, plain = None, 0.0, _worth(samples, wanted, worth)
    for count in _CLASSES:
        shares = np.quantile(activity.ravel()[::every], np.arange(1, count) / count)
        thresholds = sorted({int(share) for share in shares if share >= 1})
        squares = _squares(samples, wanted, worth, thresholds)
        tried = [_taps(*squares, thresholds, precision) for precision in form.PRECISIONS]
        found = max(tried, key=lambda one: one[1])[0]
        payload, after = form.write(found), filtered(samples, found)
        saved = plain - _worth(after, wanted, worth) - 8 * len(payload) - _SECTION_BITS
        if saved > most:
            best, most = Fitted(found, payload, saved, after), saved
    return best


def _worth(samples: NDArray[Any], wanted: NDArray[Any], worth: NDArray[np.floating[Any]]) -> float:
    """Of the errors, in bits."""
    total, step = 0.0, max(1, _ROWS // samples.shape[1])
    for top in range(0, len(samples), step):
        rows = slice(top, top + step)
        error = samples[rows].astype(np.float32) - wanted[rows]
        total += float(np.einsum("yxc,yxc,yx->", error, error, worth[rows], dtype=np.float64))
    return total * _unit(samples)


def _unit(samples: NDArray[Any]) -> float:
    """Of squared errors of one colour, on 0…255, that of a pixel."""
    return float((255 / (2 ** (8 * samples.itemsize) - 1)) ** 2 / samples.shape[2])


def _squares(
    samples: NDArray[Any],
    wanted: NDArray[Any],
    worth: NDArray[np.floating[Any]],
    thresholds: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each class, what w'Gw − 2 p'w adds to the worth of errors: G, and p of each colour."""
    colours = samples.shape[2]
    size, places = form.taps_of(colours), _places(colours)
    weights = np.ascontiguousarray(worth * _unit(samples), np.float32)
    sums = np.zeros((len(thresholds) + 1, places + colours, places))
    samples, *given = _given(samples, thresholds)
    _quick.squares(samples, *given, np.ascontiguousarray(wanted), weights, sums)
    upper = np.triu(sums[:, :size, :size])
    gram = upper + np.triu(upper, 1).swapaxes(1, 2)
    return gram, sums[:, places:, :size].swapaxes(1, 2)


def _given(samples: NDArray[Any], thresholds: list[int]) -> tuple[Any, ...]:
    """The first arguments of the C functions."""
    samples = np.ascontiguousarray(samples)
    return samples, *samples.shape, samples.itemsize, np.array(thresholds, np.int32)


def _places(colours: int) -> int:
    """As many as the C functions have for the taps of a colour."""
    return 8 if colours == 1 else 16


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
