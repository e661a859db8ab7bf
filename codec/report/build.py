"""The results of `lictor bench` as one page that needs nothing else.

What is embedded of pictures is lossless WebP of what was decoded: browsers differ in how they turn
AVIF, WebP and JPEG into RGB, and the pixels shown are to be those that were measured.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lictor.codec.errors import BadResults, CodecError, MissingPackage
from lictor.codec.inputs import replacing
from lictor.codec.report import sevenbit
from lictor.codec.report.html import data, page
from lictor.codec.report.palette import styles

MAX_PICTURE_BYTES = 44_000_000
"""Pictures in one report; as text they are a sixth larger, and the plots' library is 5 MB."""
MAX_WEBP_SIDE = 16383
WEBP_OF_PNG = 0.75
"""About how large a lossless WebP is beside the PNG of the same picture."""

Results = dict[str, Any]


def report(
    folder: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    pictures: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the report of a benchmark.

    Args:
        folder: what `lictor bench --out` wrote: results.json and the pictures.
        target: the page to write; report.html in the folder unless told otherwise.
        pictures: how many pictures can be looked at, worst first. There are fewer if they would
            make the page larger than 60 MB.
        progress: called with the pictures embedded so far, and how many there will be.

    Returns:
        The path of the page.

    Raises:
        CodecError: BadResults, MissingPackage, or an ImageError of a picture in the folder.
        CannotWrite: the page cannot be written.
    """
    folder = Path(folder)
    results = read(folder)
    need_plotly()
    path = folder / "report.html" if target is None else Path(target)
    blobs, shown = _embed(folder, results, pictures, progress)
    content = {**results, "rows": None, **_derived(results), "pictures": shown}
    text = page(
        "report",
        {
            "plotly": f"<script>{_plotly()}</script>\n",
            "results": data("results", content),
            "blobs": "".join(_blob(i, mime, raw) for i, (mime, raw) in enumerate(blobs)),
        },
    )
    with replacing(str(path)) as file:
        file.write(text.encode())
    return path


def read(folder: str | os.PathLike[str]) -> Results:
    """The results in a folder. Raises BadResults."""
    path = Path(folder) / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise BadResults(
            f"{path}: {e.strerror}; give the folder that `lictor bench --out` wrote"
        ) from e
    except ValueError as e:
        raise BadResults(f"{path}: not JSON ({e}); run `lictor bench` again") from e
    missing = [key for key in ("images", "codecs", "rows", "curves") if not _has(results, key)]
    if missing:
        raise BadResults(f"{path}: has no {', '.join(missing)}; run `lictor bench` again")
    return _finite(results)


def _has(results: Any, key: str) -> bool:
    return isinstance(results, dict) and bool(results.get(key))


def _finite(value: Any) -> Any:
    """What JSON has no number for becomes null: pages cannot read it."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


# ---- what the page says beyond the measurements


def subject(results: Results) -> str:
    """The codec that the report is about: the first of Lictor's, else the first."""
    names = [codec["name"] for codec in results["codecs"]]
    return next((name for name in names if name.startswith("lictor")), names[0])


def label(results: Results, name: str) -> str:
    """How a codec is called on pages and plots."""
    return next((c.get("label") or name for c in results["codecs"] if c["name"] == name), name)


def _derived(results: Results) -> dict[str, Any]:
    return {
        "subject": subject(results),
        "styles": styles([codec["name"] for codec in results["codecs"]]),
        "headline": headline(results),
        "day": _day(results.get("date")),
    }


def headline(results: Results) -> str:
    """The result in one sentence: how the subject does against the anchor, at equal PSNR."""
    rates = results.get("bd_rate") or {}
    anchor, own = rates.get("anchor", ""), subject(results)
    by_codec = (rates.get("metric") or {}).get("psnr") or {}
    if own == anchor:
        measured = {codec["name"] for codec in results["codecs"]} - {own}
        others = {n: r["mean_curve"] for n, r in by_codec.items() if n in measured}
        known = {name: rate for name, rate in others.items() if rate is not None}
        if known:
            best = min(known, key=lambda name: known[name])
            return _sentence(results, best, known[best], own)
    elif (rate := (by_codec.get(own) or {}).get("mean_curve")) is not None:
        return _sentence(results, own, rate, anchor)
    return f"{label(results, own)}: rate and distortion"


def _sentence(results: Results, name: str, rate: float, anchor: str) -> str:
    amount = f"{abs(rate):.1f} % {'fewer' if rate < 0 else 'more'} bits than"
    if round(abs(rate), 1) == 0:
        amount = "as many bits as"
    return f"{label(results, name)} needs {amount} {label(results, anchor)} at equal PSNR"


def _day(date: Any) -> str:
    try:
        return f"{datetime.fromisoformat(date):%d %B %Y}".lstrip("0")
    except (TypeError, ValueError):
        return ""


def worst_first(results: Results) -> list[tuple[str, float | None]]:
    """The pictures, those first where the subject does worst beside the best other codec.

    Returns:
        Name, and the mean difference in PSNR at equal bpp, dB, negative where the subject is
        worse; None where no other codec was measured at such bpp. Those come last.
    """
    gaps = [(image["name"], _gap(results, image["name"])) for image in results["images"]]
    return sorted(gaps, key=lambda item: (item[1] is None, item[1] or 0.0))


def _gap(results: Results, image: str) -> float | None:
    import numpy as np

    curves: dict[str, list[tuple[float, float]]] = {}
    for row in results["rows"]:
        if row["image"] == image and row["psnr"] is not None:
            curves.setdefault(row["codec"], []).append((row["bpp"], row["psnr"]))
    own = subject(results)
    differences = []
    for bpp, psnr in curves.get(own, []):
        peers = [_between(c, bpp) for name, c in curves.items() if name != own]
        measured = [peer for peer in peers if peer is not None]
        if measured:
            differences.append(psnr - max(measured))
    return float(np.mean(differences)) if differences else None


def _between(curve: Sequence[tuple[float, float]], bpp: float) -> float | None:
    """PSNR at this bpp, linear in log bpp between the points measured; None outside them."""
    import numpy as np

    rates, values = zip(*sorted(curve), strict=True)
    if not rates[0] <= bpp <= rates[-1]:
        return None
    return float(np.interp(np.log(bpp), np.log(rates), values))


# ---- pictures


def _embed(
    folder: Path,
    results: Results,
    count: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[tuple[str, bytes]], list[dict[str, Any]]]:
    """Pictures as (type, bytes), and what the page is told about them, by their places."""
    blobs: list[tuple[str, bytes]] = []
    shown: list[dict[str, Any]] = []
    files = {i["name"]: i["file"] for i in results["images"] if i.get("file")}
    chosen = [item for item in worst_first(results) if item[0] in files][:count]
    room = float(MAX_PICTURE_BYTES)
    for done, (name, gap) in enumerate(chosen):
        original = folder / files[name]
        own = [r for r in results["rows"] if r["image"] == name and r.get("decoded")]
        rows = _fitting(folder, original, own, room / (len(chosen) - done))
        if rows is None:
            rows = _fitting(folder, original, own, room)
        if rows is None and shown:
            break
        rows = rows or []
        points = []
        for row in rows:
            points.append({**_point(row), "blob": len(blobs)})
            blobs.append(_browser_picture(folder / row["decoded"]))
        entry = {"name": name, "gap": gap, "points": points, "left_out": len(own) - len(rows)}
        shown.append({**entry, "original": len(blobs)})
        blobs.append(_browser_picture(original))
        room = MAX_PICTURE_BYTES - sum(len(raw) for _, raw in blobs)
        if progress:
            progress(done + 1, len(chosen))
    return blobs, shown


def _point(row: dict[str, Any]) -> dict[str, Any]:
    keys = ("codec", "quality", "bytes", "bpp", "psnr", "ms_ssim", "ssimulacra2", "lpips")
    return {key: row.get(key) for key in keys}


def _fitting(
    folder: Path, original: Path, rows: list[dict[str, Any]], room: float
) -> list[dict[str, Any]] | None:
    """The rows, or as many of each codec, evenly spread, as fit; None if two of each do not."""
    codecs = dict.fromkeys(row["codec"] for row in rows)
    by_codec = [sorted((r for r in rows if r["codec"] == c), key=_bpp) for c in codecs]
    most = max(map(len, by_codec), default=0)
    least = _expected_size(original)
    for count in range(most, min(most, 2) - 1, -1):
        some = [row for own in by_codec for row in _spread(own, count)]
        if least + sum(_expected_size(folder / r["decoded"]) for r in some) <= room:
            return some
    return None


def _bpp(row: dict[str, Any]) -> float:
    return float(row["bpp"])


def _spread(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    if len(rows) <= count:
        return rows
    last = len(rows) - 1
    return [rows[round(i * last / max(count - 1, 1))] for i in range(count)]


def _expected_size(path: Path) -> float:
    try:
        return WEBP_OF_PNG * path.stat().st_size
    except OSError as e:
        raise BadResults(f"{path}: {e.strerror}; run `lictor bench` again") from e


def _browser_picture(path: Path) -> tuple[str, bytes]:
    """A picture for browsers, type and bytes: its samples, without a profile that changes them."""
    from lictor.codec.image import pillow

    try:
        pixels = pillow.to_pillow(pillow.Picture(pillow.read(path).pixels), depth=8)
    except CodecError as e:
        raise BadResults(f"{path}: {e}") from e
    buffer = io.BytesIO()
    if max(pixels.size) > MAX_WEBP_SIDE:
        pixels.save(buffer, "PNG")
        return "image/png", buffer.getvalue()
    pixels.save(buffer, "WEBP", lossless=True, exact=True, method=4)
    return "image/webp", buffer.getvalue()


def _blob(place: int, mime: str, raw: bytes) -> str:
    text = sevenbit.text(raw)
    return f'<script type="text/plain" id="blob-{place}" data-type="{mime}">{text}</script>\n'


def need_plotly() -> None:
    """Raises MissingPackage."""
    if find_spec("plotly") is None:
        raise MissingPackage("reports need the package plotly; pip install 'lictor[bench]'")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
