"""results.json, results.csv, and the table for people; docs/benchmark.md says what is in them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lictor.codec import inputs
from lictor.codec.bench import bd_rate, curves, learned, machine
from lictor.codec.bench.contender import Missing
from lictor.codec.bench.measure import Options
from lictor.codec.bench.pictures import Source
from lictor.codec.bench.rows import Row
from lictor.codec.bench.runner import Entry, Measured

_TITLES = {"psnr": "PSNR dB", "ms_ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA2"}
COLUMNS = tuple(field.name for field in fields(Row) if field.name != "seen")


def assemble(
    measured: Measured,
    entries: Sequence[Entry],
    options: Options,
    *,
    sources: Sequence[Source] = (),
    skipped: Sequence[dict[str, str]] = (),
    published: dict[str, dict[str, Any]] | None = None,
    anchor: str | None = None,
    jobs: int = 1,
    command: str = "",
) -> dict[str, Any]:
    """Everything that results.json holds.

    anchor: name of a codec or a published curve; None for the first that is no model.
    """
    published = published or {}
    plan = {entry.codec.name: entry.qualities for entry in entries}
    whole = set(curves.complete(measured.rows, plan))
    kept = {
        codec: [r for r in measured.rows if r.codec == codec and r.image in whole] for codec in plan
    }
    kept = {codec: rows for codec, rows in kept.items() if rows}
    means = {codec: curves.points(rows) for codec, rows in kept.items()}
    skipped = list(skipped)
    try:
        bd_rate.require()
        chosen, against, everything = _bd_rates(kept, means, published, anchor, entries)
    except Missing as e:
        chosen, against, everything = None, {}, {}
        skipped.append({"name": "bd_rate", "reason": str(e)})
    return {
        "lictor": version("lictor"),
        "commit": machine.commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine.describe(options.threads),
        "versions": machine.versions(),
        "settings": {
            "repeat": options.repeat,
            "jobs": jobs,
            "metrics": list(options.metrics),
        },
        "images": measured.images,
        "codecs": [_codec(entry, sources) for entry in entries],
        "skipped": skipped,
        "failed": [asdict(failure) for failure in measured.failed],
        "rows": [{name: getattr(row, name) for name in COLUMNS} for row in measured.rows],
        "curves": means,
        "bd_rate": {"anchor": chosen, "metric": against} if chosen else None,
        "bd_rate_all": everything,
        "published": published,
        "not_monotone": {codec: curves.not_monotone(rows) for codec, rows in kept.items()},
        "task": _task(kept, means, options),
    }


def _codec(entry: Entry, sources: Sequence[Source]) -> dict[str, Any]:
    codec = entry.codec
    work = None
    if sources and codec.learned:
        try:
            work = learned.work(codec, sources[0].read().pixels)
        except Exception:  # the picture or the codec failed, and was named then
            work = None
    return {
        "name": codec.name,
        "label": codec.label,
        "version": codec.version,
        "settings": codec.settings,
        "quality": codec.scale.text,
        "kmac_per_pixel": work,
        "weights": codec.weights,
    }


def _bd_rates(
    kept: dict[str, list[Row]],
    means: dict[str, list[dict[str, Any]]],
    published: dict[str, dict[str, Any]],
    anchor: str | None,
    entries: Sequence[Entry],
) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """The anchor; all against it; and mean curves of what was measured against every curve."""
    peers = [e.codec.name for e in entries if e.codec.name in means and not e.codec.learned]
    chosen = anchor or next(iter([*peers, *means, *published]), None)
    against, everything = {}, {}
    for metric in bd_rate.METRICS:
        lines = {
            name: bd_rate.curve(metric, [p["bpp"] for p in own], [p[metric] for p in own])
            for name, own in means.items()
        }
        for name, own in published.items():
            if own.get(metric):
                lines[name] = bd_rate.curve(metric, own["bpp"], own[metric])
        each = {name: _each(rows, metric) for name, rows in kept.items()}
        if chosen in lines:
            against[metric] = bd_rate.compare(chosen, lines, each)
        everything[metric] = {
            base: {name: bd_rate.bd_rate(points, lines[name]) for name in means if name != base}
            for base, points in lines.items()
        }
    return (chosen if chosen in against.get("psnr", {}) else None), against, everything


def _each(rows: list[Row], metric: str) -> dict[str, bd_rate.Curve]:
    by_image: dict[str, list[Row]] = {}
    for row in rows:
        by_image.setdefault(row.image, []).append(row)
    return {
        image: bd_rate.curve(metric, [r.bpp for r in own], [getattr(r, metric) for r in own])
        for image, own in by_image.items()
    }


def _task(
    kept: dict[str, list[Row]], means: dict[str, list[dict[str, Any]]], options: Options
) -> dict[str, Any] | None:
    if not options.classifier:
        return None
    from lictor.codec.bench import classify

    return classify.summary(kept, means, options.classifier)


# ---- files


def write(results: dict[str, Any], folder: str) -> None:
    """results.json and results.csv. Raises CannotWrite."""
    with inputs.replacing(str(Path(folder, "results.json"))) as file:
        file.write((json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(results["rows"])
    with inputs.replacing(str(Path(folder, "results.csv"))) as file:
        file.write(text.getvalue().encode())


# ---- for people


def table(results: dict[str, Any]) -> str:
    """Curves, BD-rates and what the task gave."""
    lines = []
    for codec, own in results["curves"].items():
        lines += [codec, _line("quality", "bpp", *_TITLES.values(), "encode s", "decode s")]
        lines += [
            _line(
                f"{p['quality']:g}",
                _number(p["bpp"], ".4f"),
                _number(p["psnr"], ".3f"),
                _number(p["ms_ssim"], ".5f"),
                _number(p["ssimulacra2"], ".2f"),
                _number(p["encode_s"], ".3f"),
                _number(p["decode_s"], ".3f"),
            )
            for p in own
        ]
        faults = results["not_monotone"][codec]
        if faults:
            lines.append(f"  NOT MONOTONE: {', '.join(faults)}")
    lines += _rates(results)
    if results["task"]:
        from lictor.codec.bench import classify

        lines += classify.table(results["task"])
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return "  " + " ".join(f"{cell:>11}" for cell in cells)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _rates(results: dict[str, Any]) -> list[str]:
    if not results["bd_rate"]:
        return []
    anchor, metric = results["bd_rate"]["anchor"], results["bd_rate"]["metric"]
    lines = [
        f"bits at equal quality against {anchor} (BD-rate, %): of mean curves, mean over pictures, "
        "worst"
    ]
    names = [name for name in metric["psnr"] if name != anchor]
    width = max((len(name) for name in names), default=0)
    for name in names:
        parts = []
        for key, title in _TITLES.items():
            own = metric.get(key, {}).get(name)
            if own and own["mean_curve"] is not None:
                cells = [own["mean_curve"], own["per_image_mean"], (own["worst"] or [0, None])[1]]
                parts.append(" ".join([title, *(f"{_number(c, '+.1f'):>7}" for c in cells)]))
        lines.append(f"  {name:{width}}  {'   '.join(parts) or 'no common range'}")
    return lines
