"""`lictor bench`: real sizes, sound sums, and curves that are refused in one line."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lictor.codec import bench, encode
from lictor.codec.cli import cli

ANCHOR = {"bpp": [0.5, 1.0, 2.0, 4.0], "psnr": [25.0, 30.0, 35.0, 40.0]}


def points(factor: float) -> list[bench.Point]:
    """The anchor's curve at `factor` times its bits."""
    pairs = zip(ANCHOR["bpp"], ANCHOR["psnr"], strict=True)
    return [bench.Point("m", i, factor * b, p, 0, 0) for i, (b, p) in enumerate(pairs)]


def row(image: str, quality: float, size: int, psnr: float) -> bench.Row:
    return bench.Row(image, "m", quality, size, size - 10.0, size / 100, psnr, 0.1, 0.2)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25])
def test_bd_rate_of_a_scaled_curve(factor: float):
    assert bench.bd_rate(points(factor), ANCHOR) == pytest.approx(100 * (factor - 1), abs=1e-6)


def test_curve_is_the_mean_of_the_pictures():
    rows = [row("a", 0, 100, 30.0), row("b", 0, 300, 34.0), row("a", 50, 400, 36.0)]
    low, high = bench.curve(rows)
    assert (low.quality, low.bpp, low.psnr) == (0, 2.0, 32.0)
    assert (high.quality, high.bpp, high.psnr) == (50, 4.0, 36.0)


def test_what_is_not_monotone_is_named():
    rows = [row("a", 0, 100, 30.0), row("a", 50, 90, 31.0), row("a", 100, 200, 32.0)]
    assert bench.not_monotone(rows) == ["a: quality 0 to 50"]
    assert bench.not_monotone(rows[1:]) == []


def test_gap_beyond_the_half_percent():
    assert bench.largest_gap([row("a", 0, 1010, 30.0)]) == pytest.approx(10 - 5)


def test_estimate_is_of_plain_latents_only():
    searched = bench.Row("a", "m", 50, 100, None, 1.0, 30.0, 0.1, 0.2, effort=5)
    assert bench.largest_gap([searched]) is None
    assert "estimate" not in bench.table(bench.report([searched], {}))


def test_command_reports_real_sizes(tmp_path, china: np.ndarray):
    picture = china[:96, :128]
    Image.fromarray(picture).save(tmp_path / "a.png")
    curves = tmp_path / "curves.json"
    curves.write_text(json.dumps({"peer": ANCHOR}))
    arguments = ["bench", str(tmp_path), "--qualities", "10,90", "--anchors", str(curves)]
    arguments += ["--model", "fake.pixels"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [r["bytes"] for r in report["rows"]] == [
        len(encode(picture, quality=quality, model="fake.pixels")) for quality in (10, 90)
    ]
    assert report["rows"][0]["bpp"] == 8 * report["rows"][0]["bytes"] / (96 * 128)
    assert math.isfinite(report["rows"][1]["psnr"])
    assert set(report["bd_rate"]) == {"peer"}
    table = CliRunner().invoke(cli, arguments).stdout
    assert "against peer" in table
    assert "monotone" in table.lower()


@pytest.mark.parametrize("text", ["", "[]", '{"a": {"psnr": [1, 2]}}', '{"a": {"psnr": ["x", 2]}}'])
def test_bad_curves(tmp_path, text: str):
    curves = tmp_path / "curves.json"
    curves.write_text(text)
    with pytest.raises(bench.BadCurves, match="no curves"):
        bench.read_anchors(str(curves))


@pytest.mark.parametrize("option", [("--qualities", "1,x"), ("--anchors", "missing.json")])
def test_bad_calls(tmp_path, option: tuple[str, str]):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = CliRunner().invoke(cli, ["bench", str(tmp_path), *option])
    assert result.exit_code == 2
    assert result.stderr.startswith("lictor: ")
    assert result.stderr.count("\n") == 1
