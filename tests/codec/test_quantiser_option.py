"""`lictor encode --quantiser`: weights by any quantiser, what it makes no sense for, and `info`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load, save

from lictor import codec
from lictor.codec.cli.main import cli

WAYS = {"plain": "plain", "trellis": "trellis", "deepcabac": "deepcabac", "nested": "nested"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    path.write_bytes(save({"w": np.random.default_rng(1).normal(size=(40, 50)).astype("f4")}))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.mark.parametrize("name", WAYS)
def test_weights_are_coded_by_the_quantiser_that_is_named(name, source, tmp_path):
    out = tmp_path / "w.bin"
    result = run("encode", source, out, "-q", 60, "--quantiser", name)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == codec.encode_weights(source, quality=60, quantiser=name)
    assert np.abs(load(codec.decode_weights(out))["w"] - load(source.read_bytes())["w"]).max() < 0.2
    assert f"with loss ({WAYS[name]})" in run("info", out).output
    (row,) = json.loads(run("info", out, "--json").output)["tensors"]
    assert row["method"] != "words"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "a quantiser is for a quality or bits"),
        (("-q", "lossless"), "a quantiser is for a quality or bits"),
        (("-q", "50", "--quantiser", "none"), "there is no quantiser 'none'; give one of"),
        (("-q", "50", "--quantiser", "feedback"), "feedback needs a calibration"),
        (("--bits", "3", "--quantiser", "diagonal"), "diagonal needs a calibration"),
        (("--mse", "1"), "--quantiser is for weights"),
        (("--kind", "arrays"), "--quantiser is for weights"),
        (("-q", "40", "--network", "a:b", "--data", "x"), "leave --quantiser out"),
    ],
)
def test_where_it_makes_no_sense_it_is_refused_in_a_line(words, said, source, tmp_path):
    given = ("--quantiser", "plain", *words)
    result = run("encode", source, tmp_path / "w.bin", *given)
    assert result.exit_code == 2 and said in result.output
    assert result.output.count("\n") == 1 and not (tmp_path / "w.bin").exists()


def test_pictures_do_not_take_it(tmp_path):
    result = run("encode", tmp_path / "a.png", tmp_path / "a.bin", "--quantiser", "plain")
    assert result.exit_code != 0 and not (tmp_path / "a.bin").exists()


def test_lossless_is_exact(source, tmp_path):
    assert run("encode", source, tmp_path / "w.bin", "-q", "lossless").exit_code == 0
    assert codec.decode_weights(tmp_path / "w.bin") == source.read_bytes()
