"""The plots of a report for papers: PNG and SVG, in the colours of the page."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import MissingPackage
from lictor.codec.inputs import replacing
from lictor.codec.report.build import Results, label, read, subject
from lictor.codec.report.palette import styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "x": "X",
}
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_AXES = {
    "psnr": "PSNR, dB",
    "ms_ssim": "MS-SSIM, dB",
    "ssimulacra2": "SSIMULACRA2",
    "lpips": "LPIPS",
}
_TASK_AXES = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "agreement": "agreement with the original",
    "feature_distance": "feature distance",
}
_LOOK: dict[Any, Any] = {
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e3e5e8",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "lictor",  # the same results give the same file
    "text.parse_math": False,  # a $ in a codec's name is a $
}
_THIN = ("-", "--", "-.", ":")
DPI = 200
MOST_PUBLISHED = 8
"""Published curves that are named in print; more are one gray family."""
MOST_INSIDE = 6
"""Codecs that a legend can name without covering the lines."""


def need_matplotlib() -> None:
    """Raises MissingPackage."""
    if find_spec("matplotlib") is None:
        raise MissingPackage("plots need the package matplotlib; pip install 'lictor[bench]'")


def write(folder: str | os.PathLike[str], target: str | os.PathLike[str]) -> list[Path]:
    """Draw the results of `lictor bench`.

    Args:
        folder: what `lictor bench --out` wrote.
        target: where the files go: rd-psnr, rd-ms-ssim, rd-ssimulacra2 and rd-lpips as far as
            measured, and time-encode and time-decode where BD-rates and times are, and
            task-agreement and so on where a classifier looked; each as .png and .svg.

    Returns:
        The paths of the files.

    Raises:
        CodecError: BadResults or MissingPackage.
        CannotWrite: a file cannot be written.
    """
    results = read(folder)
    need_matplotlib()
    from matplotlib import style

    paths = []
    with style.context(["default", _LOOK]):
        for name, figure in _figures(results):
            for suffix in (".png", ".svg"):
                path = Path(target) / f"{name}{suffix}"
                _save(figure, path)
                paths.append(path)
    return paths


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(buffer, format=path.suffix[1:], dpi=DPI, metadata=metadata)
    with replacing(str(path)) as file:
        file.write(buffer.getbuffer())


def _figures(results: Results) -> Iterator[tuple[str, Figure]]:
    for metric in _AXES:
        if any(_points(curve, metric)[0] for curve in results["curves"].values()):
            yield f"rd-{metric.replace('_', '-')}", _rate_distortion(results, metric)
    for what in ("encode", "decode"):
        if _rates(results) and any(
            p.get(f"{what}_s") for c in results["curves"].values() for p in c
        ):
            yield f"time-{what}", _time(results, what)
    task = (results.get("task") or {}).get("curves") or {}
    for measure, axis in _TASK_AXES.items():
        if any(_points(curve, measure)[0] for curve in task.values()):
            figure, axes = _axes()
            _draw_curves(axes, results, task, measure)
            axes.set_xlabel("bits per pixel")
            axes.set_ylabel(axis)
            _legend(figure, axes)
            yield f"task-{measure.replace('_', '-')}", figure


def _rates(results: Results) -> dict[str, Any]:
    """BD-rates at equal PSNR, by codec."""
    return ((results.get("bd_rate") or {}).get("metric") or {}).get("psnr") or {}


def _axes() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    return figure, figure.add_subplot()


def _draw_curves(axes: Axes, results: Results, curves: dict[str, Any], metric: str) -> None:
    style = styles([codec["name"] for codec in results["codecs"]])
    for name in (name for name in style if name in curves):
        own = name == subject(results)
        axes.plot(
            *_points(curves[name], metric),
            label=label(results, name),
            color=style[name]["light"],
            marker=_MARKERS[style[name]["marker"]],
            linestyle=_DASHES[style[name]["dash"]],
            markersize=5 if own else 4,
            linewidth=2 if own else 1.3,
            zorder=4 if own else 3,
        )


def _rate_distortion(results: Results, metric: str) -> Figure:
    figure, axes = _axes()
    _draw_curves(axes, results, results["curves"], metric)
    right, heights = axes.get_xlim()[1], axes.get_ylim()
    _draw_published(axes, results, metric)
    axes.set_xlim(0, right)
    axes.set_ylim(*(heights[::-1] if metric == "lpips" else heights))
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel(_AXES[metric])
    _legend(figure, axes)
    return figure


def _draw_published(axes: Axes, results: Results, metric: str) -> None:
    """Thin and gray; each with its name, unless there are too many."""
    published = results.get("published") or {}
    curves = {name: _published(curve, metric) for name, curve in published.items()}
    known = [(name, points) for name, points in curves.items() if points[0]]
    named = len(known) <= MOST_PUBLISHED
    for place, (name, points) in enumerate(known):
        turn, dash = divmod(place, len(_THIN)) if named else (2, 0)
        axes.plot(
            *points,
            label=name if named else "published" if place == 0 else None,
            color=str(0.35 + 0.15 * turn),
            linewidth=0.7 if named else 0.5,
            linestyle=_THIN[dash],
            zorder=2,
        )


def _time(results: Results, what: str) -> Figure:
    figure, axes = _axes()
    style = styles([codec["name"] for codec in results["codecs"]])
    for name, curve in results["curves"].items():
        times = [p[f"{what}_s"] for p in curve if p.get(f"{what}_s")]
        rate = (_rates(results).get(name) or {}).get("mean_curve")
        if not times or rate is None:
            continue
        axes.plot(
            median(times),
            rate,
            label=label(results, name),
            color=style[name]["light"],
            marker=_MARKERS[style[name]["marker"]],
            markersize=9 if name == subject(results) else 7,
            linestyle="none",
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"seconds to {what} (median)")
    axes.set_ylabel("BD-rate, %")
    anchor = label(results, results["bd_rate"]["anchor"])
    axes.set_title(f"against {anchor}, at equal PSNR", fontsize=8, loc="left")
    axes.margins(0.12)
    _legend(figure, axes)
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    """Inside the plot, or beside it if it is long."""
    if len(axes.get_legend_handles_labels()[1]) <= MOST_INSIDE:
        axes.legend(fontsize=8)
    else:
        figure.set_figwidth(7.6)
        figure.legend(fontsize=8, loc="outside right upper")


def _points(curve: Sequence[dict[str, Any]], metric: str) -> tuple[list[float], list[float]]:
    pairs = [(p["bpp"], decibels(p.get(metric), metric)) for p in curve]
    return _known(pairs)


def _published(curve: dict[str, Any], metric: str) -> tuple[list[float], list[float]]:
    values = curve.get(metric) or []
    return _known(list(zip(curve["bpp"], (decibels(v, metric) for v in values), strict=False)))


def _known(pairs: list[tuple[float, float | None]]) -> tuple[list[float], list[float]]:
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    return [x for x, _ in known], [y for _, y in known]


def decibels(value: float | None, metric: str) -> float | None:
    """A value as plots show it: MS-SSIM as -10 log10(1 - MS-SSIM), all else as it is."""
    if value is None or metric != "ms_ssim":
        return value
    return None if value >= 1 else -10 * math.log10(1 - value)
