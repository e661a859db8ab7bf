"""Packed weights lose what was asked for, are read as they were meant, and are listed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lictor.models import checkpoint, packed
from lictor.training import grids, pack
from lictor.training.grids import Curvature


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "SAMPLES", 8)
    monkeypatch.setattr(pack, "CHECKED", 2)
    monkeypatch.setattr(pack, "SIDE", 64)


def problem() -> tuple[torch.Tensor, Curvature]:
    """A matrix, inputs that say much of one another, outputs that matter more or less."""
    chance = torch.Generator().manual_seed(0)
    mixing = torch.randn(30, 30, generator=chance) / 6 + torch.eye(30)
    x = torch.randn(5000, 30, generator=chance) @ mixing
    outputs = torch.exp2(torch.randn(20, generator=chance))
    return torch.randn(20, 30, generator=chance), Curvature(x.T @ x / 5000, outputs, 5000)


def test_errors_cost_what_they_may():
    weight, curvature = problem()
    share = 1e-4
    found = grids.rounded(weight, curvature, share)
    assert 0.8 < found.loss / (share * weight.numel()) < 1.25
    finer = grids.rounded(weight, curvature, share / 16)
    assert 12 < found.loss / finer.loss < 20


def test_what_comes_makes_up_for_errors():
    """At the same steps, each number rounded by itself costs more."""
    weight, curvature = problem()
    found = grids.rounded(weight, curvature, 1e-4)
    steps = np.outer(packed.step(found.rows), packed.step(found.columns))
    alone = torch.from_numpy(np.rint(weight.numpy() / steps) * steps).double() - weight
    own = (((alone @ curvature.inputs.double()) * alone).sum(1) * curvature.rows).sum().item()
    assert found.loss < 0.8 * own


def test_few_places_are_not_believed():
    weight, _ = problem()
    one = torch.zeros(20)
    one[3] = 1.0
    seen = Curvature(torch.ones(30, 30), one, 1)
    assert seen.rows.min() > 0.8 and seen.rows.max() < 4
    found = grids.rounded(weight, seen, 1e-3)
    levels = found.levels * torch.from_numpy(
        np.outer(packed.step(found.rows), packed.step(found.columns))
    )
    assert (levels - weight).abs().max() < 0.5


def test_nothing_and_far_too_much_fit_their_levels():
    weight, curvature = problem()
    weight[4], weight[:, 7] = 0, 0
    weight[2, 2] = 1e6
    found = grids.rounded(weight, curvature, 1e-12)
    assert found.levels.abs().max() < packed.MIDDLE
    assert not found.levels[4].any()


def test_biases_and_caps_are_shortened_upwards_at_most_by_half_a_step():
    values = np.float32([0.1, -3.3333, 1e-9, 0.0, np.inf])
    short = pack._shortened("a.bias", values[:4])
    assert np.abs(short / np.where(values[:4], values[:4], 1) - (values[:4] != 0)).max() < 2**-12
    assert np.array_equal(pack._shortened("a.cap", values), values)
    assert np.array_equal(pack._shortened("rungs", values), values)


def test_a_model_is_packed_and_listed(start: Path, photos: Path, tmp_path: Path, capsys):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    shutil.copyfile(start, folder / start.name)
    known = {"name": "lictor-tiny.start", "id": 3, "file": start.name, "sha256": "ab" * 32}
    (folder / "index.json").write_text(json.dumps({"checkpoints": [known], "retired": []}))
    assert pack.main([str(start), f"data={photos}", str(folder), "loss=0.002"]) == 0
    assert "of other samples" in capsys.readouterr().out
    index = json.loads((folder / "index.json").read_text())
    (entry,) = index["checkpoints"]
    assert (entry["id"], entry["file"]) == (4, "lictor-tiny.start.lictor")
    assert [old["id"] for old in index["retired"]] == [3]
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", entry["file"]]
    model, read = (checkpoint.load(str(p)) for p in (start, folder / entry["file"]))
    assert read.name == "lictor-tiny.start"
    for name, tensor in model.state_dict().items():
        other = read.state_dict()[name]
        assert other.shape == tensor.shape, name
        assert other.isfinite().all(), name


@pytest.mark.parametrize("arguments", [[], ["a"], ["a", "b"], ["a", "b", "data=x", "other=1"]])
def test_other_arguments(arguments: list[str], capsys):
    assert pack.main(arguments) == 2
    assert "lictor.training.pack" in capsys.readouterr().err


def test_weights_that_are_not_there(tmp_path: Path, capsys):
    assert pack.main(["nothing.mse", "data=x", str(tmp_path / "x.lictor")]) == 2
    assert "unknown model" in capsys.readouterr().err
