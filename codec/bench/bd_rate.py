"""Bjontegaard's delta rate, by the package `bjontegaard`: PCHIP of log rate over quality.

MS-SSIM is taken in dB, -10 log10(1 - x). The range is where both curves are.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from statistics import fmean
from typing import Any

from lictor.codec.bench.contender import Missing

METRICS = ("psnr", "ms_ssim", "ssimulacra2")
Curve = list[tuple[float, float]]
"""Points (bpp, metric) from few bits to many; MS-SSIM in dB."""


def require() -> None:
    """Raises Missing without the package."""
    if find_spec("bjontegaard") is None:
        raise Missing("BD-rates need bjontegaard; pip install 'lictor[bench]'")


def decibels(metric: str, value: float) -> float:
    """A metric in dB."""
    if metric != "ms_ssim":
        return value
    return -10 * math.log10(1 - value) if value < 1 else math.inf


def curve(metric: str, bpp: Sequence[float], values: Sequence[float | None]) -> Curve:
    """The points that have a finite value."""
    points = [
        (rate, decibels(metric, value))
        for rate, value in zip(bpp, values, strict=True)
        if value is not None
    ]
    return sorted(point for point in points if math.isfinite(point[1]))


def bd_rate(anchor: Curve, test: Curve) -> float | None:
    """Percent of bits that `test` needs beyond `anchor` at equal quality; negative is better.

    None where the curves have fewer than two points, do not meet, or where a higher rate is not
    better.
    """
    for points in (anchor, test):
        values = [value for _, value in points]
        if len(points) < 2 or any(b <= a for a, b in pairwise(values)):
            return None
    from bjontegaard import bd_rate as bjontegaard

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # curves that do not meet, which gives not a number
        rate = float(
            bjontegaard(
                *zip(*anchor, strict=True),
                *zip(*test, strict=True),
                method="pchip",
                require_matching_points=False,
                min_overlap=0,
            )
        )
    return rate if math.isfinite(rate) else None


def compare(
    anchor: str,
    means: dict[str, Curve],
    each: dict[str, dict[str, Curve]],
) -> dict[str, dict[str, Any]]:
    """Every codec against an anchor.

    Args:
        anchor: its name.
        means: curves of means, by codec.
        each: curves of each picture, by codec and picture; published curves have none.

    Returns:
        {codec: {"mean_curve", "per_image_mean", "images", "worst"}} as in results.json.
    """
    found = {}
    for codec, points in means.items():
        rates = {}
        for image, own in each.get(codec, {}).items():
            rate = bd_rate(each.get(anchor, {}).get(image, []), own)
            if rate is not None:
                rates[image] = rate
        worst = max(rates, key=lambda image: rates[image], default=None)
        found[codec] = {
            "mean_curve": bd_rate(means[anchor], points),
            "per_image_mean": fmean(rates.values()) if rates else None,
            "images": len(rates),
            "worst": [worst, rates[worst]] if worst is not None else None,
        }
    return found
