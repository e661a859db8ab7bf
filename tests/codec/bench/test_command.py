"""`lictor bench`: what it writes, what it goes on from, and how it is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lictor.codec import encode
from lictor.codec.bench import peers
from lictor.codec.cli.main import cli

FAST = ("--codecs", "jpeg,webp-m0", "--points", "3", "--repeat", "1")


@pytest.fixture
def folder(tmp_path: Path, china: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures, photos/a.png and photos/b.png; it is where the command runs."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.fromarray(china[:192, :168]).save("photos/a.png")
    Image.fromarray(china[200:330, 300:421, :1].repeat(3, 2)).save("photos/b.png")
    return tmp_path


def bench(*args: object) -> Result:
    return CliRunner().invoke(cli, ["bench", *map(str, args)])


def measured(*args: object) -> dict[str, Any]:
    result = bench(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*args: object) -> str:
    result = bench(*args)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("lictor") and result.stderr.count("\n") == 1
    return result.stderr


def pixels_of(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# ---- what it writes


def test_rows_are_of_real_files(folder: Path):
    report = measured("photos", *FAST, "--out", "out", "--keep-pictures")
    assert json.loads(Path("out/results.json").read_text()) == report
    assert len(report["rows"]) == 2 * 2 * 3
    for row in report["rows"]:
        file = Path("out", row["file"])
        with Image.open(file) as coded:
            width, height = coded.size
        assert file.stat().st_size == row["bytes"]
        assert row["bpp"] == 8 * row["bytes"] / (width * height)
        with Image.open(file) as coded, Image.open(Path("out", row["decoded"])) as kept:
            assert np.array_equal(np.asarray(coded.convert("RGB")), np.asarray(kept))
        assert row["encode_s"] > 0 and row["decode_s"] > 0 and row["psnr"] > 15
        assert (row["ms_ssim"] is None) == (row["image"] == "b")  # too small
    first = report["images"][0]
    assert (first["name"], first["width"], first["height"]) == ("a", 168, 192)
    with Image.open(Path("out", first["file"])) as kept:
        assert np.array_equal(np.asarray(kept), pixels_of("photos/a.png"))
    with open("out/results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(line["bytes"]) for line in table] == [row["bytes"] for row in report["rows"]]
    assert list(table[0]) == list(report["rows"][0])
    assert {codec["name"] for codec in report["codecs"]} == {"jpeg-420-prog", "webp-m0"}
    assert [point["images"] for point in report["curves"]["webp-m0"]] == [2, 2, 2]
    assert report["bd_rate"]["anchor"] == "jpeg-420-prog"
    against = report["bd_rate"]["metric"]["psnr"]["webp-m0"]
    assert against["images"] == 2 and against["worst"][0] in "ab"
    assert against["mean_curve"] == report["bd_rate_all"]["psnr"]["jpeg-420-prog"]["webp-m0"]
    assert not list(Path("out").rglob("*.tmp"))


def test_a_model_and_its_files(folder: Path):
    curves = Path("curves.json")
    curves.write_text(json.dumps({"peer": {"bpp": [0.1, 40], "psnr": [10, 60]}}))
    args = ("photos/a.png", "--codecs", "fake.pixels", "--qualities", "10,90")
    report = measured(*args, "--curves", curves, "--anchor", "peer")
    pixels = pixels_of("photos/a.png")
    assert [row["bytes"] for row in report["rows"]] == [
        len(encode(pixels, quality=quality, model="fake.pixels")) for quality in (10, 90)
    ]
    (codec,) = report["codecs"]
    assert len(codec["weights"]) == 64 and codec["kmac_per_pixel"] is not None
    assert all(row["estimate"] > 0 and row["file"] is None for row in report["rows"])
    assert report["bd_rate"]["anchor"] == "peer"
    assert report["bd_rate"]["metric"]["psnr"]["fake.pixels"]["mean_curve"] is not None
    table = bench(*args, "--curves", curves).stdout
    assert "fake.pixels" in table and "against fake.pixels" in table


def test_qualities_of_one_codec_and_of_all(folder: Path):
    args = ("photos/a.png", "--codecs", "jpeg,webp,jpeg2000", "--repeat", "1")
    report = measured(
        *args, "--qualities", "20,60", "--qualities", "jpeg2000=0.5,1", "--qualities", "webp=7"
    )
    at = {name: [p["quality"] for p in curve] for name, curve in report["curves"].items()}
    assert at == {"jpeg-420-prog": [20, 60], "webp-m6": [7], "jpeg2000-rate": [0.5, 1]}


def test_several_processes_give_the_same_files_and_no_times(folder: Path):
    alone = measured("photos", *FAST)
    together = measured("photos", *FAST, "-j", "2", "--out", "out")
    keys = ("image", "codec", "quality", "bytes", "psnr", "ms_ssim")
    assert [[r[k] for k in keys] for r in together["rows"]] == [
        [r[k] for k in keys] for r in alone["rows"]
    ]
    assert all(r["encode_s"] is None and r["peak_memory_mb"] is None for r in together["rows"])


# ---- going on


def test_a_second_run_measures_only_what_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = measured("photos", *FAST, "--out", "out")
    calls = []
    save = peers._save

    def counted(*args: Any, **options: Any) -> bytes:
        calls.append(options["quality"])
        return save(*args, **options)

    monkeypatch.setattr(peers, "_save", counted)
    again = measured("photos", *FAST, "--out", "out")
    assert again["rows"] == first["rows"] and not calls
    kept = measured("photos", *FAST, "--out", "out", "--keep-pictures")
    assert not calls and all(Path("out", row["decoded"]).is_file() for row in kept["rows"])
    more = measured("photos", *FAST, "--out", "out", "--qualities", "jpeg=4,91,50")
    assert set(calls) == {50} and len(more["rows"]) == len(first["rows"])
    calls.clear()
    measured("photos", "--codecs", "jpeg", "--points", "3", "--repeat", "2", "--out", "out")
    assert set(calls) == {4, 40, 91}  # other times
    calls.clear()
    Path("out/pictures/a/jpeg-420-prog-4.jpg").write_bytes(b"")
    with open("out/rows.jsonl", "a") as file:
        file.write('{"key": "cut o')
    repaired = measured("photos", *FAST, "--out", "out")
    assert set(calls) == {4}
    calls.clear()
    assert measured("photos", *FAST, "--out", "out")["rows"] == repaired["rows"] and not calls


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_and_gone_on(folder: Path, jobs: int):
    """SIGINT while it works; the same command then ends with what a whole run gives."""
    arguments = ["photos", "--codecs", "jpeg,webp,avif-aom-s4-444", "--out", "out"]
    arguments += ["-j", str(jobs), "--repeat", "1"]
    command = [sys.executable, "-m", "lictor.codec", "bench", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    journal = Path("out/rows.jsonl")
    for _ in range(6000):
        if (journal.is_file() and journal.read_text().count("\n") >= 3) or process.poll():
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "files are measured; the same command goes on" in said and "Traceback" not in said
    done = journal.read_text().count("\n")
    assert 3 <= done < 2 * (9 + 8 + 8)
    assert not Path("out/results.json").exists()
    before = journal.read_text()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"COLUMNS": "80"})
    assert journal.read_text().startswith(before)
    assert journal.read_text().count("\n") == 2 * (9 + 8 + 8)
    rows = json.loads(Path("out/results.json").read_text())["rows"]
    assert len(rows) == 2 * (9 + 8 + 8)


# ---- what goes wrong


def test_a_picture_that_cannot_be_read_is_named(folder: Path):
    Path("photos/bad.png").write_text("hello")
    result = bench("photos", *FAST, "--json")
    assert result.exit_code == 1
    assert "lictor: bad: not a picture" in result.stderr
    report = json.loads(result.stdout)
    assert len(report["rows"]) == 12 and report["failed"][0]["image"] == "bad"


def test_a_codec_that_fails_on_one_picture_is_named(folder: Path):
    """WebP ends at 16383 pixels a side."""
    Image.new("RGB", (16400, 2), "red").save("photos/wide.png")
    result = bench("photos", "--codecs", "jpeg,webp", "--points", "2", "--json")
    assert result.exit_code == 1
    assert "lictor: wide webp-m6 0: " in result.stderr
    report = json.loads(result.stdout)
    assert [r["image"] for r in report["rows"] if r["codec"] == "webp-m6"] == [*"aabb"]
    assert {p["images"] for curve in report["curves"].values() for p in curve} == {2}
    assert {failure["image"] for failure in report["failed"]} == {"wide"}


def test_codecs_that_are_not_here_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(folder))
    result = bench("photos", *FAST[2:], "--codecs", "jpeg,vtm,mbt2018-mean", "--json")
    assert result.exit_code == 0
    assert "lictor: vtm is left out: EncoderApp is not on PATH" in result.stderr
    assert "lictor: mbt2018-mean is left out: no weights" in result.stderr
    names = [lack["name"] for lack in json.loads(result.stdout)["skipped"]]
    assert names[:2] == ["vtm", "mbt2018-mean"]


@pytest.mark.parametrize(
    "args, reason",
    [
        (("none",), "none: no such file"),
        (("photos", "--codecs", "avfi"), "unknown codec 'avfi'; did you mean avif?"),
        (("photos", "--codecs", "zzzzzz"), "unknown codec 'zzzzzz'; `lictor bench --list-codecs`"),
        (("photos", "--codecs", "none.safetensors"), "unknown model"),
        (("photos", "--qualities", "1,x"), "write numbers with commas"),
        (("photos", "--codecs", "jpeg", "--qualities", "webp=5"), "webp is not among --codecs"),
        (("photos", "--codecs", "jpeg2000", "--qualities", "20"), "20 is not within 0.01 to 16"),
        (("photos", "--codecs", "jpeg", "--curves", "missing.json"), "no curves"),
        (("photos", "--codecs", "jpeg", "--anchor", "vtm"), "neither measured nor published"),
        (("photos", "--codecs", "jpeg", "--keep-pictures"), "needs a folder"),
        (("photos", "--codecs", "jpeg", "--out", "photos/a.png"), "is a file"),
        (("photos", "--codecs", "jpeg", "--classifier", "x"), "add that"),
        (("photos", "--codecs", "jpeg", "--task", "classify", "--classifier", "x"), "unknown clas"),
    ],
)
def test_bad_calls(folder: Path, args: tuple[str, ...], reason: str):
    assert reason in refused(*args)


def test_a_folder_that_cannot_be_written(folder: Path):
    Path("out").mkdir()
    Path("out/pictures").write_text("a file in the way")
    result = bench("photos", *FAST, "--out", "out")
    assert result.exit_code == 1
    *left_out, last = result.stderr.splitlines()
    assert last.startswith("lictor: cannot write out/pictures/a/")
    assert all("is left out" in line for line in left_out)


def test_list_of_codecs(folder: Path):
    result = bench("--list-codecs")
    assert result.exit_code == 0
    assert "jpeg-{420,422,444}-{prog,opt}  (jpeg, jpeg-420, jpeg-444)" in result.stdout
    assert "fake.pixels" in result.stdout and "not here: " in result.stdout


def test_two_weights_of_one_name(folder: Path, fake: ModuleType, monkeypatch: pytest.MonkeyPatch):
    from lictor import models

    def load(name: str):
        return fake.Fake(name="fake.own", id=0 if name == "x" else 1)

    def digest(name: str):
        model = load(name)
        model.digest = name.encode().ljust(32, b".")
        return model

    monkeypatch.setattr(models, "load", digest)
    assert "two weights files are called fake.own" in refused("photos", "--codecs", "x,y")


def test_report_is_made_of_what_was_measured(folder: Path):
    result = bench("photos", *FAST, "--out", "out", "--report", "page.html", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"]  # the page's name goes to standard error
    assert "page.html" in result.stderr
    page = Path("page.html").read_text(encoding="utf-8")
    assert "photos" in page and "webp-m0" in page
    assert Path("out/pictures/a/original.png").exists()


def test_report_wants_a_folder(folder: Path):
    assert "--report needs a folder" in refused("photos", *FAST, "--report", "page.html")
