"""Rate and distortion of a model on a folder of pictures, from real files.

bpp is always bytes of the file * 8 / pixels; PSNR is over all colour samples of what was decoded.
Curves are means over the pictures. BD-rate is Bjontegaard's, PCHIP of log rate over PSNR, from the
package `bjontegaard`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any

from lictor.codec import image
from lictor.codec.api import decode, decode_picture, encode, estimate, psnr
from lictor.codec.errors import BadCurves
from lictor.codec.image import Picture


@dataclass(frozen=True)
class Row:
    """One picture at one quality.

    bytes: size of the file. estimate: bytes that the model expected; None after a search.
    encode_s, decode_s: seconds in this process, network and coder, one run.
    """

    image: str
    model: str
    quality: float
    bytes: int
    estimate: float | None
    bpp: float
    psnr: float
    encode_s: float
    decode_s: float
    effort: int = 0


@dataclass(frozen=True)
class Point:
    """The mean of all pictures at one quality; times are medians."""

    model: str
    quality: float
    bpp: float
    psnr: float
    encode_s: float
    decode_s: float


def measure(path: str, model: str, qualities: Sequence[float], effort: int = 0) -> list[Row]:
    """Encode and decode a picture at every quality. Raises CodecError."""
    picture = replace(image.read(path), icc=b"", exif=b"")
    _warm_up(model)
    return [_measure_one(os.path.basename(path), picture, model, q, effort) for q in qualities]


@cache
def _warm_up(model: str) -> None:
    """Load the model and run it once, so that the first time measured is like the others."""
    import numpy as np

    decode(encode(np.zeros((256, 256, 3), np.uint8), model=model))


def _measure_one(name: str, picture: Picture, model: str, quality: float, effort: int) -> Row:
    start = perf_counter()
    data = encode(picture, quality=quality, model=model, effort=effort)
    encoded = perf_counter()
    decoded = decode_picture(data)
    done = perf_counter()
    return Row(
        image=name,
        model=model,
        quality=quality,
        bytes=len(data),
        estimate=None if effort else estimate(picture, quality=quality, model=model),
        bpp=8 * len(data) / (picture.pixels.shape[0] * picture.pixels.shape[1]),
        psnr=psnr(picture.colours, decoded.colours),
        encode_s=encoded - start,
        decode_s=done - encoded,
        effort=effort,
    )


def curve(rows: Sequence[Row]) -> list[Point]:
    """Mean points of one model, from low to high quality."""
    points = []
    for quality in sorted({r.quality for r in rows}):
        same = [r for r in rows if r.quality == quality]
        points.append(
            Point(
                model=same[0].model,
                quality=quality,
                bpp=fmean(r.bpp for r in same),
                psnr=fmean(r.psnr for r in same),
                encode_s=median(r.encode_s for r in same),
                decode_s=median(r.decode_s for r in same),
            )
        )
    return points


def not_monotone(rows: Sequence[Row]) -> list[str]:
    """Pictures where more quality did not mean more bytes and a nearer picture."""
    faults = []
    for name in sorted({r.image for r in rows}):
        own = sorted((r for r in rows if r.image == name), key=lambda r: r.quality)
        for low, high in pairwise(own):
            if high.bytes <= low.bytes or high.psnr <= low.psnr:
                faults.append(f"{name}: quality {low.quality:g} to {high.quality:g}")
    return faults


def largest_gap(rows: Sequence[Row]) -> float | None:
    """Largest excess of a file over its estimate, in bytes, beyond 0.5 % of the estimate."""
    gaps = [abs(r.bytes - r.estimate) - 0.005 * r.estimate for r in rows if r.estimate is not None]
    return max(gaps, default=None)


def bd_rate(points: Sequence[Point], anchor: dict[str, list[float]]) -> float:
    """Percent of bits that the model needs beyond the anchor at equal PSNR; negative is better."""
    from bjontegaard import bd_rate as bjontegaard

    return float(
        bjontegaard(
            anchor["bpp"],
            anchor["psnr"],
            [p.bpp for p in points],
            [p.psnr for p in points],
            method="pchip",
            require_matching_points=False,
            min_overlap=0,
        )
    )


def read_anchors(path: str) -> dict[str, dict[str, list[float]]]:
    """Curves {name: {"bpp": […], "psnr": […]}} from a JSON file. Raises BadCurves."""
    if find_spec("bjontegaard") is None:
        raise BadCurves("BD-rates need the package bjontegaard; pip install 'lictor[bench]'")
    try:
        curves = json.loads(Path(path).read_text(encoding="utf-8"))
        return {
            name: {"bpp": list(map(float, c["bpp"])), "psnr": list(map(float, c["psnr"]))}
            for name, c in curves.items()
            if len(c.get("psnr") or []) > 1
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadCurves(
            f'{path}: no curves ({error}); want JSON {{name: {{"bpp": […], "psnr": […]}}}}'
        ) from error


def report(rows: Sequence[Row], anchors: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Everything `lictor bench --json` prints."""
    points = curve(rows)
    return {
        "points": [asdict(p) for p in points],
        "bd_rate": {name: bd_rate(points, anchor) for name, anchor in anchors.items()},
        "not_monotone": not_monotone(rows),
        "largest_gap_bytes": largest_gap(rows),
        "rows": [asdict(r) for r in rows],
    }


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{'quality':>7} {'bpp':>8} {'PSNR dB':>8} {'encode s':>9} {'decode s':>9}"]
    for p in report["points"]:
        lines.append(
            f"{p['quality']:7g} {p['bpp']:8.4f} {p['psnr']:8.3f}"
            f" {p['encode_s']:9.3f} {p['decode_s']:9.3f}"
        )
    lines += [f"BD-rate {rate:+7.1f} %  against {name}" for name, rate in report["bd_rate"].items()]
    if report["largest_gap_bytes"] is not None:
        lines.append(f"largest gap to the estimate: 0.5 % {report['largest_gap_bytes']:+.0f} bytes")
    faults = report["not_monotone"]
    lines.append("quality is monotone on every picture" if not faults else "NOT MONOTONE:")
    return "\n".join(lines + faults)
