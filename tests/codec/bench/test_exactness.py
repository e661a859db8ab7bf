"""What exactness costs: measured on two small pictures, by the command of a user."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lictor import models
from lictor.codec import encode, estimate, info
from lictor.codec.bench import exactness
from lictor.codec.cli.main import cli
from lictor.models import zoo
from lictor.models.coding.quadtree import to_cells


@pytest.fixture
def here(china: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.fromarray(china[100:228, 200:392]).save("in/a.png")
    Image.fromarray(china[200:300, 100:201]).save("in/b.png")


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the fixture that hides the shipped models."""
    if "lictor-s.mse" not in zoo.index():
        pytest.skip("lictor-s.mse is not in the tree")
    monkeypatch.undo()


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bench", "exactness", *arguments], prog_name="lictor")


def test_report(shipped: None, here: None):
    result = bench("in", "--qualities", "20,90", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [point["quality"] for point in report["points"]] == [20, 90]
    assert [(r["image"], r["quality"]) for r in report["rows"]] == [
        ("a.png", 20),
        ("a.png", 90),
        ("b.png", 20),
        ("b.png", 90),
    ]
    with Image.open("in/a.png") as picture:
        a = np.array(picture)
    row, about = (
        report["rows"][1],
        info(encode(a, quality=90, model="lictor-s.mse", method="network")),
    )
    assert (row["bytes"], row["latent_bytes"]) == (about.bytes, about.latent_bytes)
    assert row["estimate"] == estimate(a, quality=90, model="lictor-s.mse")
    point, (first, _, second, _) = report["points"][0], report["rows"]
    ideal = first["estimate"] + second["estimate"]
    assert point["rate"] == pytest.approx(
        (first["latent_bytes"] + second["latent_bytes"]) / ideal - 1
    )
    # Tables and words of the coder cost a few bytes on pictures as small as these.
    gaps = [abs(r["latent_bytes"] - r["estimate"]) - 0.007 * r["estimate"] for r in report["rows"]]
    assert max(gaps) < 16, gaps
    assert point["share_of_decode"] > 0 and point["time"] > 0


def test_float_networks_are_those_of_the_same_latents(shipped: None, here: None):
    """Timed on their own, they must still do the work: symbols near zero, as the file's are."""
    with Image.open("in/a.png") as picture:
        data = encode(picture, quality=50, model="lictor-s.mse", method="network")
    networks = exactness._Networks(models.load("lictor-s.mse"), data)
    residuals, cells = [], to_cells(networks._y)
    walk = networks._codec.walk

    def watched(shape, p, quality, code):
        def count(here, mean, scale):
            residuals.append((cells[here] - mean).numpy().ravel())
            return code(here, mean, scale)

        return walk(shape, p, quality, count)

    networks._codec.walk = watched
    try:
        networks.floats()
    finally:
        del networks._codec.walk
    symbols = np.concatenate([s.ravel() for s in networks._symbols[1:]])
    found = np.concatenate(residuals)
    assert found.shape == symbols.shape
    assert np.mean(np.rint(found) == symbols) > 0.99


def test_table(shipped: None, here: None):
    result = bench("in/b.png", "--qualities", "50")
    header, row, total = result.stdout.splitlines()
    assert "ideal bytes" in header and row.split()[0] == "50" and total.split()[0] == "all"


def test_wrong_calls(here: None):
    assert bench("in", "--model", "fake.pixels").exit_code == 2
    result = bench("in", "--model", "fake.pixels")
    assert "fake.pixels has no integer networks; give a lictor model" in result.stderr
    assert "write numbers with commas" in bench("in", "--qualities", "a").stderr
