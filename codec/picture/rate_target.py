"""A picture coded to a size, to bits per pixel, or to a quality that is measured.

Files are made and measured until one is near enough. The logarithm of the bytes is nearly linear in
quality, and so are PSNR and SSIM in dB: a typical curve guesses the first quality, what was
measured bends it for the next. The result is one of the files that were made.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lictor.codec import sizes
from lictor.codec.errors import InvalidTarget, MissingPackage
from lictor.models.quality import STEPS, Quality

MOST = 6
"""Files that are made for a target."""
TOLERANCE = 0.01
"""A target is met within this share of it; of SSIM, of what is missing to 1."""

_RUNG = 50
_BITS = (-4.39, -3.81, -3.16, -2.50, -1.84, -1.22, -0.66, -0.17, 0.24)
_PSNR = (26.2, 27.4, 28.7, 30.1, 31.6, 33.2, 34.8, 36.3, 37.4)
_SSIM = (5.65, 6.29, 7.12, 8.05, 9.13, 10.31, 11.57, 12.81, 13.97)
"""log2 of bits per pixel, PSNR and SSIM in dB at every 50th step of quality, by lictor-s.mse; means
of 32 training photos. Only where the search begins depends on them, and how long it takes."""


@dataclass(frozen=True)
class Target:
    """What a file is to reach.

    kind: "size", bytes that the file may have, all that it holds counted; "bpp", bits per pixel of
        it; "psnr", dB over all colours; "ssim", 0…1 (Wang et al. 2004, of the colours, windows of
        11 pixels), which needs the package pytorch-msssim.
    """

    kind: str
    value: float

    def __str__(self) -> str:
        return {"size": "{:.0f} bytes", "bpp": "{:g} bpp", "psnr": "{:g} dB", "ssim": "SSIM {:g}"}[
            self.kind
        ].format(self.value)


@dataclass(frozen=True)
class Reached:
    """What was made for a target.

    value: of the file, as the target counts. quality: 0…100, the highest if it has a map.
    encodings: how many files were made. met: whether the file is within 1 % of the target; one
    that is to be no larger than so many bytes may be smaller, if the next quality's is too large.
    note: where it is not within 1 %, why, in one line.
    """

    data: bytes
    value: float
    quality: float
    encodings: int
    met: bool
    note: str


def given(**values: Any) -> Target | None:
    """The target among size, bpp, psnr and ssim; those that are None were not given.

    Raises InvalidTarget: there are several, or it is none; MissingPackage: it cannot be measured.
    """
    named = {kind: value for kind, value in values.items() if value is not None}
    if not named:
        return None
    if len(named) > 1:
        raise InvalidTarget(f"give one of {', '.join(named)}, not several")
    ((kind, value),) = named.items()
    target = Target(kind, _number(kind, value))
    if kind == "ssim" and find_spec("pytorch_msssim") is None:
        raise MissingPackage("ssim needs the package pytorch-msssim; pip install 'lictor[bench]'")
    return target


def _number(kind: str, value: Any) -> float:
    """Raises InvalidTarget."""
    try:
        number = float(sizes.parse(value) if kind == "size" else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    most, what = {
        "size": (2.0**63, "bytes, at least 1, or a text like '40kB'"),
        "ssim": (1.0, "a number between 0 and 1"),
    }.get(kind, (1e6, "a number above 0"))
    if not 0 < number < most:
        raise InvalidTarget(f"{kind} is {value!r}; give {what}")
    return number


# ---- the search


@dataclass(frozen=True)
class _Made:
    """A file. height: of its value on the scale on which curves are nearly straight."""

    step: int
    data: bytes
    value: float
    height: float


Curve = Callable[[float], float]
"""From a step of quality, 0…STEPS, to a height."""


class Search:
    """Makes files until one is near enough to a target, at most `MOST`.

    Args:
        target: what to reach.
        pixels: of the picture.
        make: the file of a quality and an effort.
        measure: its value, as the target counts.
        fixed: the bytes of a file that do not depend on quality.
    """

    def __init__(
        self,
        target: Target,
        pixels: int,
        make: Callable[[Quality, int], bytes],
        measure: Callable[[bytes], float],
        fixed: Callable[[bytes], int],
    ) -> None:
        self._target, self._pixels = target, pixels
        self._make, self._measure, self._fixed = make, measure, fixed
        self._rest = 0
        self._count = 0

    def run(self, effort: int) -> Reached:
        """With an effort, a few files without it tell where to begin."""
        curve = _typical(self._target.kind, self._pixels)
        if not effort:
            return self._reached(self._search(curve, 0, MOST), [])
        quick = self._search(curve, 0, MOST // 2)
        bent = _Bent(curve, quick, self._aim)
        return self._reached(self._search(bent, effort, MOST - len(quick), quick), quick)

    def _search(
        self, curve: Curve, effort: int, most: int, quick: Sequence[_Made] = ()
    ) -> list[_Made]:
        """The files made, in order. quick: those made without the effort."""
        spare = any(self._allowed(m) for m in quick)
        made: list[_Made] = []
        low, high = -1, STEPS + 1  # below the target or not yet tried; above likewise
        while len(made) < most and high - low > 1:
            step = self._next(_Bent(curve, made, self._aim), made, low, high)
            if self._bound and low < 0 and len(made) == most - 1:
                step = step - 3 if spare else 0  # the last chance to keep the bound
            step = min(max(step, low + 1), high - 1)
            made.append(self._one(step, effort))
            self._count += 1
            if self._near(made[-1]):
                break
            if made[-1].height < self._aim:
                low = step
            else:
                high = step
        return made

    def _next(self, curve: _Bent, made: list[_Made], low: int, high: int) -> int:
        step = curve.where(self._aim)
        if len(made) > 2 and (low < 0 or high > STEPS):
            # All on one side: go further than what was measured says, to have the target between.
            step += step - made[-1].step
        return step

    def _one(self, step: int, effort: int) -> _Made:
        data = self._make(Quality(step), effort)
        value = self._measure(data)
        if self._target.kind in ("size", "bpp"):
            self._rest = self._fixed(data)
        return _Made(step, data, value, self._height(value))

    @property
    def _bound(self) -> bool:
        """Whether the target is one that must not be exceeded."""
        return self._target.kind == "size"

    @property
    def _aim(self) -> float:
        """The height to look for: of a bound, that of the middle of what is near enough."""
        share = 1 - TOLERANCE / 2 if self._bound else 1.0
        return self._height(self._target.value * share)

    def _height(self, value: float) -> float:
        kind = self._target.kind
        if kind == "psnr":  # of what is lossless it is infinite
            return min(value, self._target.value + _FAR)
        if kind == "ssim":
            return min(decibels(value), decibels(self._target.value) + _FAR)
        size = value if kind == "size" else value * self._pixels / 8
        return math.log2(max(size - self._rest, 1.0))

    def _near(self, made: _Made) -> bool:
        if self._target.kind == "psnr":  # a hundredth would be too coarse to stop at
            return abs(made.height - self._aim) <= _NEAR_PSNR
        return self._within(made.value)

    def _within(self, value: float) -> bool:
        """Whether a value is within the tolerance."""
        wanted = self._target.value
        if self._bound:
            return wanted * (1 - TOLERANCE) <= value <= wanted
        scale = 1 - wanted if self._target.kind == "ssim" else wanted
        return abs(value - wanted) <= TOLERANCE * scale

    # ---- the result

    def _reached(self, made: list[_Made], quick: list[_Made]) -> Reached:
        """quick: files made without the effort, for where none with it keeps the bound."""
        allowed = [m for m in made if self._allowed(m)]
        spare = [] if allowed else [m for m in quick if self._allowed(m)]
        best = self._best(allowed or spare) if allowed or spare else self._least_missed(made)
        near = self._within(best.value)
        next_up = any(m.step == best.step + 1 and not self._allowed(m) for m in made)
        note = "" if near else self._why(best, made)
        if spare:
            note = (
                f"{self._target} wanted: with the effort no file was that small; this one has none"
            )
        return Reached(
            data=best.data,
            value=best.value,
            quality=float(Quality(best.step)),
            encodings=self._count,
            met=near or (self._bound and bool(allowed) and next_up),
            note=note,
        )

    def _best(self, allowed: list[_Made]) -> _Made:
        if self._bound:
            return max(allowed, key=lambda m: m.value)
        return min(allowed, key=lambda m: abs(m.height - self._aim))

    def _least_missed(self, made: list[_Made]) -> _Made:
        """Of files that all exceed the bound."""
        return min(made, key=lambda m: m.value)

    def _allowed(self, made: _Made) -> bool:
        return not self._bound or made.value <= self._target.value

    def _why(self, best: _Made, made: list[_Made]) -> str:
        """Why the best is not nearer."""
        start = f"{self._target} wanted, {Target(self._target.kind, best.value)} reached"
        others = [m for m in made if abs(m.step - best.step) == 1]
        if best.step == 0 and best.height > self._aim:
            return f"{start}: quality 0 is the lowest"
        if best.step == STEPS and best.height < self._aim:
            return f"{start}: quality 100 is the highest"
        if others:
            other = min(others, key=lambda m: abs(m.height - self._aim))
            return (
                f"{start}: the next step of quality gives {Target(self._target.kind, other.value)}"
            )
        return f"{start}: it is the nearest of {self._count} encodings"


_FAR = 10.0
"""dB above the target beyond which it does not matter how far."""
_NEAR_PSNR = 0.05


def decibels(ssim: float) -> float:
    """SSIM as dB: 10 for 0.9, 20 for 0.99."""
    return -10 * math.log10(max(1 - ssim, 1e-12))


def _typical(kind: str, pixels: int) -> Curve:
    if kind in ("size", "bpp"):
        offset = math.log2(pixels / 8)
        return _Ladder([bits + offset for bits in _BITS])
    return _Ladder(_PSNR if kind == "psnr" else _SSIM)


class _Ladder:
    """Linear between the rungs."""

    def __init__(self, rungs: Iterable[float]) -> None:
        self._rungs = list(rungs)

    def __call__(self, step: float) -> float:
        place = min(int(step // _RUNG), len(self._rungs) - 2)
        low, high = self._rungs[place : place + 2]
        return low + (high - low) * (step / _RUNG - place)


class _Bent:
    """A curve, bent so that it goes through those of the files made that are next to the aim."""

    def __init__(self, curve: Curve, made: Sequence[_Made], aim: float) -> None:
        self.curve = curve
        nearest = sorted(made, key=lambda m: abs(m.height - aim))
        below = [m for m in made if m.height < aim]
        above = [m for m in made if m.height >= aim]
        if below and above:  # both sides, before what is nearer
            ends = [max(below, key=lambda m: m.step), min(above, key=lambda m: m.step)]
            nearest = ends + [m for m in nearest if m not in ends]
        self._between = bool(below and above)
        self._points = [(m.height, curve(m.step)) for m in nearest[:3]]
        """Heights, and those that the curve has there."""

    def __call__(self, step: float) -> float:
        if not self._points:
            return self.curve(step)
        height, usual = self._points[0]
        return height + (self.curve(step) - usual) * self._slope()

    def where(self, height: float) -> int:
        """The step at which the height is most likely to be."""
        usual = self._usual(height)
        steps = range(STEPS + 1)
        after = bisect_left(steps, usual, key=self.curve)
        pair = [step for step in (after - 1, after) if step in steps]
        return min(pair, key=lambda step: abs(self.curve(step) - usual))

    def _usual(self, height: float) -> float:
        """The height that the curve has where the bent one has this."""
        if not self._points:
            return height
        first, usual = self._points[0]
        if self._between and len(self._points) == 3:
            found = _through(self._points, height)
            low, high = sorted((usual, self._points[1][1]))
            if found is not None and low < found < high:
                return found
        return usual + (height - first) / self._slope()

    def _slope(self) -> float:
        """How much steeper what was measured is than the curve."""
        if len(self._points) < 2:
            return 1.0
        (first, usual), (second, other) = self._points[:2]
        found = (second - first) / (other - usual) if other != usual else 1.0
        return min(max(found, _FLATTEST), 1 / _FLATTEST)


_FLATTEST = 0.1


def _through(points: Sequence[tuple[float, float]], x: float) -> float | None:
    """The value at x of the parabola through three points; None if two are above each other."""
    (a, fa), (b, fb), (c, fc) = points
    if a in (b, c) or b == c:
        return None
    return (
        fa * (x - b) * (x - c) / ((a - b) * (a - c))
        + fb * (x - a) * (x - c) / ((b - a) * (b - c))
        + fc * (x - a) * (x - b) / ((c - a) * (c - b))
    )
