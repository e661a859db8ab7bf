"""The results of a benchmark as Markdown tables, as docs/benchmark.md has them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from lictor.codec.errors import BadResults
from lictor.codec.inputs import replacing
from lictor.codec.report.build import Results, read

PUBLISHED = " (published)"
"""Behind the name of a published curve whose codec was measured, too (bench/curves.py)."""
NONE = "–"
_EYES = {"ms_ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA2"}
_SHARES = {"top1": "top-1", "top5": "top-5", "agreement": "same answer as on the original"}


def write(folder: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Write the tables of what `lictor bench --out` wrote.

    Raises:
        BadResults: there are no such results, or neither BD-rates nor a classifier in them.
        CannotWrite: the file cannot be written.
    """
    results = read(folder)
    tables = [*_bd_rates(results), *_task(results)]
    if not tables:
        raise BadResults(
            f"{folder}: holds neither BD-rates nor what a classifier saw; "
            "pip install 'lictor[bench]' and run `lictor bench` again"
        )
    with replacing(str(target)) as file:
        file.write("\n".join(tables).encode())
    return Path(target)


def _bd_rates(results: Results) -> Iterable[str]:
    """Codec, BD-rates, times; by BD-rate, and what was measured only."""
    rates = results.get("bd_rate") or {}
    by_psnr: dict[str, Any] = (rates.get("metric") or {}).get("psnr") or {}
    eyes = {title: (rates.get("metric") or {}).get(key) or {} for key, title in _EYES.items()}
    names = [codec["name"] for codec in results["codecs"] if codec["name"] in by_psnr]
    if not names:
        return
    earlier = any(name + PUBLISHED in by_psnr for name in names)
    header = ["codec", "PSNR, mean curve", "mean of pictures", "worst picture", *eyes]
    header += ["encode", "decode", *(["earlier"] if earlier else [])]
    rows = []
    for name in sorted(names, key=lambda name: _order(by_psnr[name])):
        own = by_psnr[name]
        worst = own["worst"] if name != rates["anchor"] else None
        row = [f"`{name}`", _rate(own["mean_curve"]), _rate(own["per_image_mean"])]
        row += [f"{worst[0]} {_rate(worst[1])}" if worst else NONE]
        row += [_rate((own.get(name) or {}).get("mean_curve")) for own in eyes.values()]
        row += [_seconds(results["curves"][name], f"{what}_s") for what in ("encode", "decode")]
        if earlier:
            row.append(_rate((by_psnr.get(name + PUBLISHED) or {}).get("mean_curve")))
        rows.append(row)
    yield f"BD-rates against `{rates['anchor']}`, {len(results['images'])} pictures.\n"
    yield _table(header, rows)


def _order(rate: dict[str, Any]) -> float:
    return float("inf") if rate["mean_curve"] is None else float(rate["mean_curve"])


def _task(results: Results) -> Iterable[str]:
    """What a classifier saw, at equal bpp."""
    task = results.get("task") or {}
    rates = (task.get("at_bpp") or {}).get("bpp") or []
    if not rates:
        return
    header = ["bpp", *(f"{rate:g}" for rate in rates)]
    for measure, title in (*_SHARES.items(), ("feature_distance", "distance of the features")):
        cells = {name: own[measure] for name, own in task["at_bpp"]["codecs"].items()}
        if all(value is None for row in cells.values() for value in row):
            continue
        original = (task.get("original") or {}).get(measure)
        there = f", {_share(original)} on the originals" if original is not None else ""
        show = _share if measure in _SHARES else _number
        yield f"{title[0].upper()}{title[1:]}{there}.\n"
        yield _table(header, [[f"`{name}`", *map(show, row)] for name, row in cells.items()])


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _rate(value: float | None) -> str:
    """Percent, with the signs of the docs."""
    if value is None:
        return NONE
    return "0" if value == 0 else f"{value:+.1f} %".replace("-", "−")


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _seconds(curve: list[dict[str, Any]], key: str) -> str:
    times = [point[key] for point in curve if point.get(key) is not None]
    return f"{median(times):.3f} s" if times else NONE
