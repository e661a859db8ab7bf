"""From rows to curves, and curves that others published."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from lictor.codec.bench.rows import Row
from lictor.codec.errors import BadCurves

_PEAK = 255.0**2


def complete(rows: Sequence[Row], plan: Mapping[str, Sequence[float]]) -> list[str]:
    """Pictures that every codec has at all qualities, so that all curves are of the same.

    A codec that has no picture in full is left out of this.
    """
    have: dict[str, dict[str, set[float]]] = {}
    for row in rows:
        have.setdefault(row.codec, {}).setdefault(row.image, set()).add(row.quality)
    names: list[str] = list(dict.fromkeys(row.image for row in rows))
    for codec, qualities in plan.items():
        full = {image for image, own in have.get(codec, {}).items() if own >= set(qualities)}
        if full:
            names = [name for name in names if name in full]
    return names


def points(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The curve of one codec's rows, from few bits to many: means; of times and memory, medians."""
    by_quality: dict[float, list[Row]] = {}
    for row in rows:
        by_quality.setdefault(row.quality, []).append(row)
    found = [_point(quality, same) for quality, same in by_quality.items()]
    return sorted(found, key=lambda point: point["bpp"])


def _point(quality: float, rows: list[Row]) -> dict[str, Any]:
    psnr = [row.psnr for row in rows]
    return {
        "quality": quality,
        "images": len(rows),
        "bpp": fmean(row.bpp for row in rows),
        "psnr": None if None in psnr else fmean(p for p in psnr if p is not None),
        "psnr_of_mean_mse": _of_mean_mse(psnr),
        "ms_ssim": _over(fmean, [row.ms_ssim for row in rows]),
        "ssimulacra2": _over(fmean, [row.ssimulacra2 for row in rows]),
        "lpips": _over(fmean, [row.lpips for row in rows]),
        "encode_s": _over(median, [row.encode_s for row in rows]),
        "decode_s": _over(median, [row.decode_s for row in rows]),
        "peak_memory_mb": _over(median, [row.peak_memory_mb for row in rows]),
    }


def _of_mean_mse(psnr: list[float | None]) -> float | None:
    error = fmean(0.0 if p is None else _PEAK / 10 ** (p / 10) for p in psnr)
    return 10 * math.log10(_PEAK / error) if error else None


def _over(average: Any, values: list[float | None]) -> float | None:
    """Of the pictures that have one."""
    there = [value for value in values if value is not None]
    return float(average(there)) if there else None


def not_monotone(rows: Sequence[Row]) -> list[str]:
    """Pictures of one codec where more quality did not mean more bytes and a nearer picture.

    Of a scale whose small numbers mean many bytes, such as QP, less quality.
    """
    by_image: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.quality):
        by_image.setdefault(row.image, []).append(row)
    falling = sum(own[-1].bytes - own[0].bytes for own in by_image.values()) < 0
    faults = []
    for name, own in by_image.items():
        for low, high in pairwise(reversed(own) if falling else own):
            nearer = high.psnr is None or (low.psnr is not None and high.psnr > low.psnr)
            if high.bytes <= low.bytes or not nearer:
                faults.append(f"{name}: quality {low.quality:g} to {high.quality:g}")
    return faults


def published(path: str, taken: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Curves {name: {"bpp": […], "psnr": […], "ms_ssim": […]}} from a JSON file.

    Names that are in `taken` get " (published)" behind them. "ms_ssim" and "source" may be missing.
    Raises BadCurves.
    """
    try:
        curves = json.loads(Path(path).read_text(encoding="utf-8"))
        found = {name: _published(curve) for name, curve in curves.items() if curve.get("psnr")}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadCurves(
            f'{path}: no curves ({error}); want JSON {{name: {{"bpp": […], "psnr": […]}}}}'
        ) from error
    names = set(taken)
    return {f"{n} (published)" if n in names else n: curve for n, curve in found.items()}


def _published(curve: dict[str, Any]) -> dict[str, Any]:
    bpp = [float(value) for value in curve["bpp"]]
    psnr = [float(value) for value in curve["psnr"]]
    if len(bpp) != len(psnr):
        raise ValueError(f"{len(bpp)} rates, but {len(psnr)} PSNR")
    ms_ssim = curve.get("ms_ssim")
    if not ms_ssim or None in ms_ssim or len(ms_ssim) != len(bpp):
        ms_ssim = None
    return {
        "source": str(curve.get("source", "")),
        "bpp": bpp,
        "psnr": psnr,
        "ms_ssim": [float(value) for value in ms_ssim] if ms_ssim else None,
    }
