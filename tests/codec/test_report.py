"""The report of a benchmark, but for what only a browser can tell."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lictor.codec.cli.main import cli
from lictor.codec.errors import BadResults, MissingPackage
from lictor.codec.report import build, plots, sevenbit
from lictor.codec.report.palette import styles


@pytest.fixture
def results(results_folder: Path) -> dict:
    return json.loads((results_folder / "results.json").read_text())


def lictor(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="lictor")


def embedded(text: str) -> tuple[dict, list[np.ndarray]]:
    """The JSON and the pictures of a page."""
    (found,) = re.findall(r'<script type="application/json" id="results">(.*?)</script>', text)
    blobs = re.findall(r'id="blob-\d+" data-type="image/webp">(.*?)</script>', text)
    pictures = [np.asarray(Image.open(io.BytesIO(sevenbit.raw(b)))) for b in blobs]
    return json.loads(found), pictures


def test_pictures_are_embedded_exactly(results_folder: Path, results: dict, tmp_path: Path):
    page = build.report(results_folder, tmp_path / "deep" / "page.html")
    data, pictures = embedded(page.read_text())
    assert sorted(p["name"] for p in data["pictures"]) == sorted(
        i["name"] for i in results["images"]
    )
    rows = {(r["image"], r["codec"], r["quality"]): r for r in results["rows"]}
    shown = 0
    for picture in data["pictures"]:
        for point in picture["points"]:
            row = rows[picture["name"], point["codec"], point["quality"]]
            decoded = np.asarray(Image.open(results_folder / row["decoded"]))
            np.testing.assert_array_equal(pictures[point["blob"]], decoded)
            shown += 1
    assert shown == len(rows)


def test_page_loads_nothing_from_elsewhere(results_folder: Path, tmp_path: Path):
    text = build.report(results_folder, tmp_path / "page.html", pictures=0).read_text()
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "://" not in markup
    assert not re.search(r"<(link|img|iframe)\b|\b(src|href)=", markup)
    assert "default-src 'none'" in markup


def test_names_cannot_leave_the_json(results_folder: Path, tmp_path: Path):
    text = build.report(results_folder, tmp_path / "page.html", pictures=1).read_text()
    assert "<img src=x" not in text
    assert "webp </script>" not in text
    assert "<img src=x onerror=alert(1)>" in {i["name"] for i in embedded(text)[0]["images"]}


def test_worst_first(results: dict):
    order = build.worst_first(results)
    gaps = [gap for _, gap in order]
    assert gaps == sorted(gaps)
    # By hand, for one picture: at each of our points, the best other codec at that bpp.
    name, gap = order[0]
    curves: dict = {}
    for row in results["rows"]:
        if row["image"] == name:
            curves.setdefault(row["codec"], []).append((row["bpp"], row["psnr"]))
    own = curves.pop("lictor-test")
    differences = []
    for bpp, psnr in own:
        peers = []
        for curve in curves.values():
            for (b0, p0), (b1, p1) in pairwise(curve):
                if b0 <= bpp <= b1:
                    share = np.log(bpp / b0) / np.log(b1 / b0)
                    peers.append(p0 + share * (p1 - p0))
        if peers:
            differences.append(psnr - max(peers))
    assert gap == pytest.approx(np.mean(differences))


def test_pictures_without_peers_come_last(results: dict):
    results["rows"] = [r for r in results["rows"] if r["image"] == "tower" or "li" in r["codec"]]
    order = build.worst_first(results)
    assert order[0][0] == "tower" and order[0][1] is not None
    assert [gap for _, gap in order[1:]] == [None, None]


def test_headline(results: dict):
    assert build.headline(results) == (
        "lictor-test, a label needs 12.3 % fewer bits than jpeg, a label at equal PSNR"
    )
    results["bd_rate"]["metric"]["psnr"]["lictor-test"]["mean_curve"] = 0.04
    assert "needs as many bits as jpeg" in build.headline(results)
    results["bd_rate"]["anchor"] = "lictor-test"
    assert build.headline(results).startswith("jpeg, a label needs as many bits as lictor-test")
    results["bd_rate"] = None
    assert build.headline(results) == "lictor-test, a label: rate and distortion"


def test_progress(results_folder: Path, tmp_path: Path):
    calls = []
    build.report(results_folder, tmp_path / "page.html", 2, lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


@pytest.fixture
def own_folder(results_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results_folder, tmp_path / "own"))


def change(folder: Path, **changes: object) -> None:
    path = folder / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_page_stays_small(own_folder: Path, monkeypatch: pytest.MonkeyPatch):
    full, _ = embedded(build.report(own_folder).read_text())
    size = sum(p.stat().st_size for p in own_folder.rglob("*.png")) * build.WEBP_OF_PNG
    monkeypatch.setattr(build, "MAX_PICTURE_BYTES", 0.8 * size)
    less, pictures = embedded(build.report(own_folder).read_text())
    assert [p["name"] for p in less["pictures"]] == [p["name"] for p in full["pictures"]]
    assert any(p["left_out"] for p in less["pictures"])
    for picture in less["pictures"]:
        assert {p["codec"] for p in picture["points"]} == set(less["styles"])
    assert len(pictures) == sum(len(p["points"]) + 1 for p in less["pictures"])
    monkeypatch.setattr(build, "MAX_PICTURE_BYTES", 0.1 * size)
    least, _ = embedded(build.report(own_folder).read_text())
    assert [p["name"] for p in least["pictures"]] == [full["pictures"][0]["name"]]


def test_results_without_pictures(own_folder: Path, results: dict):
    for image in results["images"]:
        image["file"] = None
    change(own_folder, images=results["images"], bd_rate=None, published=None, skipped=None)
    data, pictures = embedded(build.report(own_folder).read_text())
    assert data["pictures"] == [] and pictures == []


def test_not_finite_becomes_null(own_folder: Path, results: dict):
    results["curves"]["jpeg"][0]["psnr"] = float("inf")
    change(own_folder, curves=results["curves"])
    data, _ = embedded(build.report(own_folder, pictures=0).read_text())
    assert data["curves"]["jpeg"][0]["psnr"] is None


@pytest.mark.parametrize(
    "text, reason",
    [
        (None, "No such file or directory; give the folder that `lictor bench --out` wrote"),
        ("{", "not JSON"),
        ("[]", "has no images, codecs, rows, curves"),
        ('{"images": [1], "codecs": [1], "rows": []}', "has no rows, curves"),
    ],
)
def test_bad_results(tmp_path: Path, text: str | None, reason: str):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(BadResults, match=re.escape(reason)):
        build.report(tmp_path)
    result = lictor("report", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and reason in result.stderr


def test_picture_is_missing(own_folder: Path, results: dict):
    (own_folder / results["rows"][0]["decoded"]).unlink()
    with pytest.raises(BadResults, match="No such file"):
        build.report(own_folder)


def test_picture_is_damaged(own_folder: Path, results: dict):
    (own_folder / results["rows"][0]["decoded"]).write_bytes(b"no picture")
    with pytest.raises(BadResults, match="not a picture"):
        build.report(own_folder)


@pytest.mark.parametrize("package, make", [("plotly", build.report), ("matplotlib", plots.write)])
def test_missing_package(
    package: str, make, results_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=f"{package}; pip install 'lictor\\[bench\\]'"):
        make(results_folder, tmp_path / "out")


@pytest.mark.parametrize(
    "package, call, status",
    [
        ("matplotlib", ["report", "OUT", "--plots", "plots"], 1),
        ("plotly", ["bench", "IN", "--codecs", "jpeg", "--out", "new", "--report", "r.html"], 2),
        ("bjontegaard", ["bench", "IN", "--codecs", "jpeg,webp", "--anchor", "jpeg"], 2),
        ("zstandard", ["bench", "features", "IN"], 2),
    ],
)
def test_missing_packages_are_said_before_the_work(
    package: str,
    call: list[str],
    status: int,
    own_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    from lictor.codec.bench import runner

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(runner, "run", lambda *_: pytest.fail("work has begun"))
    monkeypatch.setattr(build, "_embed", lambda *_: pytest.fail("work has begun"))
    places = {"OUT": own_folder, "IN": own_folder / "pictures"}
    result = lictor(*(places.get(part, part) for part in call))
    assert result.exit_code == status, result.output
    assert "pip install 'lictor[bench]'" in result.stderr and result.stderr.count("\n") == 1


def test_command(own_folder: Path, tmp_path: Path):
    result = lictor("report", own_folder, "--pictures", 1, "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == str(own_folder / "report.html")
    assert all(Path(line).stat().st_size for line in lines)


def test_plots(results_folder: Path, tmp_path: Path):
    paths = plots.write(results_folder, tmp_path)
    assert [p.name for p in paths] == [
        f"{name}.{suffix}"
        for name in (
            *("rd-psnr", "rd-ms-ssim", "rd-ssimulacra2"),
            *("time-encode", "time-decode", "task-agreement"),
        )
        for suffix in ("png", "svg")
    ]
    for path in paths:
        if path.suffix == ".png":
            assert np.asarray(Image.open(path).convert("L")).std() > 5
            continue
        words = "".join(ElementTree.parse(path).getroot().itertext())
        assert "lictor-test, a label" in words and "webp </script>, a label" in words
    again = plots.write(results_folder, tmp_path / "again")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


def test_many_published_curves_have_one_name(own_folder: Path, tmp_path: Path):
    curve = {"source": "a paper", "bpp": [1, 2], "psnr": [25, 30], "ms_ssim": None}
    change(own_folder, published={f"paper {i}": curve for i in range(30)})
    svg = plots.write(own_folder, tmp_path)[1]
    words = [e.text for e in ElementTree.parse(svg).iter() if e.tag.endswith("text")]
    assert words.count("published") == 1 and "paper 3" not in words


def test_no_plots_of_times_where_none_were_taken(own_folder: Path, tmp_path: Path):
    curves = json.loads((own_folder / "results.json").read_text())["curves"]
    for point in (p for curve in curves.values() for p in curve):
        point["encode_s"] = None
    change(own_folder, curves=curves)
    names = {path.stem for path in plots.write(own_folder, tmp_path)}
    assert "time-encode" not in names and {"time-decode", "rd-psnr"} <= names


def test_plots_and_page_agree_on_colours(results_folder: Path, tmp_path: Path):
    style = styles(["jpeg", "lictor-test", "webp </script>"])
    svg = plots.write(results_folder, tmp_path)[1].read_text()
    for name in style:
        assert style[name]["light"] in svg
    data, _ = embedded(build.report(results_folder, tmp_path / "page.html", 0).read_text())
    assert data["styles"] == style


def test_styles_differ():
    many = styles([f"codec {i}" for i in range(28)])
    assert len({tuple(s.values()) for s in many.values()}) == 28
    assert styles(["jpeg", "lictor-s"])["lictor-s"] == styles(["lictor-s"])["lictor-s"]
