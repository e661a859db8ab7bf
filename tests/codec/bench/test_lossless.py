"""Lossless codecs, measured on two small pictures by the command of a user."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lictor.codec.bench import lossless
from lictor.codec.cli.main import cli


@pytest.fixture
def folder(china: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(china[100:180, 200:310]).save(tmp_path / "a.png")
    Image.fromarray(china[200:260, 100:161]).save(tmp_path / "b.png")
    return tmp_path


def bench(*arguments: object) -> str:
    done = CliRunner().invoke(cli, ["bench", "lossless", *map(str, arguments)], prog_name="lictor")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_report(folder: Path):
    made = json.loads(bench(folder, "--json"))
    names = [codec.name for codec in lossless.codecs()]
    assert list(made["codecs"]) == names and {"png optimised", "webp m4 q100"} <= set(names)
    assert [row["codec"] for row in made["rows"]] == 2 * names
    for name, row in made["codecs"].items():
        mine = [row for row in made["rows"] if row["codec"] == name]
        assert row["pictures"] == 2 and row["bytes"] == sum(one["bytes"] for one in mine)
        rates = [8 * one["bytes"] / one["samples"] for one in mine]
        assert row["bpsp"] == pytest.approx(np.mean(rates))
        assert row["encode_mb_s"] > 0 and row["decode_mb_s"] > 0
    if "lictor" in names:
        assert made["codecs"]["lictor"]["bpsp"] < made["codecs"]["png optimised"]["bpsp"]


def test_table(folder: Path):
    lines = bench(folder).splitlines()
    assert lines[0].split()[0] == "codec" and len(lines) == len(lossless.codecs()) + 2


def test_a_picture_of_several_tiles(monkeypatch: pytest.MonkeyPatch, folder: Path):
    monkeypatch.setattr(lossless, "TILE", 32)
    rows = lossless.measure(str(folder / "a.png"), lossless.codecs()[:2])
    assert all(row.samples == 80 * 110 * 3 for row in rows)


def test_a_codec_that_loses_is_named(folder: Path):
    loses = lossless.Codec("loses", lambda pixels: b"", lambda data, shape: np.zeros(shape, "u1"))
    with pytest.raises(lossless.NotLossless, match="loses"):
        lossless.measure(str(folder / "a.png"), [loses])
