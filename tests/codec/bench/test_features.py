"""`lictor bench features`: equal error, honest bytes, what is not an array."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lictor.codec.bench.features import measure_array
from lictor.codec.cli.main import cli

pytest.importorskip("zstandard")


def lictor(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="lictor")


def maps() -> np.ndarray:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, 6, 24, 24)).cumsum(-1).cumsum(-2)
    return x.astype(np.float32)


@pytest.mark.parametrize("depth", [8, 6])
def test_none_has_more_error_and_ours_is_smallest(depth: int) -> None:
    rows = {r.method: r for r in measure_array("x", maps(), depth)}
    first = rows[f"int{depth}+zstd"]
    assert first.ratio == 1.0
    assert all(r.mse <= first.mse * (1 + 1e-6) for r in rows.values() if r.method != "float16+zstd")
    assert rows["lictor"].bytes == min(r.bytes for r in rows.values())
    assert all(r.bits == 8 * r.bytes / maps().size for r in rows.values())


def test_a_constant_array() -> None:
    rows = measure_array("x", np.full((30, 40), 2.5, np.float32))
    assert all(r.mse == 0 for r in rows)


def test_command(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", maps())
    np.save(tmp_path / "labels.npy", np.arange(5))
    result = lictor("bench", "features", tmp_path)
    assert result.exit_code == 1  # labels are no features
    assert "labels.npy: holds no finite float arrays" in result.stderr
    assert "int8+zstd" in result.stdout and "lictor" in result.stdout
    report = json.loads(lictor("bench", "features", tmp_path / "a.npy", "--json").stdout)
    assert report["depth"] == 8 and report["rows"][-1]["method"] == "lictor"


def test_nothing_there(tmp_path: Path) -> None:
    result = lictor("bench", "features", tmp_path)
    assert result.exit_code == 2 and "holds no arrays" in result.stderr


def test_a_model_and_the_others_at_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lictor import models
    from lictor.models import checkpoint, registry

    model = registry.create("plane-hyper").resized(6, 2).eval()
    model.start_from_klt(torch.eye(24).double())
    weights = tmp_path / "plane-hyper.test.safetensors"
    checkpoint.save(model, weights, "plane-hyper.test", {})
    monkeypatch.setattr(models, "load", checkpoint.load)
    monkeypatch.setattr(models, "find", checkpoint.find)
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path))
    np.save(tmp_path / "a.npy", maps())
    call = ("bench", "features", tmp_path / "a.npy", "--model", weights)
    result = lictor(*call, "--qualities", "30,60", "--json")
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["rows"]
    for quality in (30, 60):
        (place,) = (i for i, r in enumerate(rows) if r["method"] == f"plane-hyper.test {quality}")
        grid, own, plain = rows[place - 1 : place + 2]
        assert (grid["method"], plain["method"]) == ("int+zstd", "lictor")
        assert grid["ratio"] == 1 and own["ratio"] == own["bytes"] / grid["bytes"]
        assert max(grid["mse"], plain["mse"]) <= own["mse"] * (1 + 1e-6)
    assert "of int+zstd" in lictor(*call).stdout
    np.save(tmp_path / "a.npy", np.full((30, 6), 1 / 3, np.float32))  # which comes back exactly
    assert lictor(*call).exit_code == 0
    result = lictor(*call, "--qualities", "high")
    assert result.exit_code == 2 and "write numbers" in result.stderr
    result = lictor("bench", "features", tmp_path / "a.npy", "--model", "nothing.here")
    assert result.exit_code == 2 and "unknown model" in result.stderr
