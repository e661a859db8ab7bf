"""Weights are verified by real files before anyone is told to use them."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from lictor.codec import api
from lictor.training import pack
from lictor.training.export import ExportFailed, export, recipe, verify
from lictor.training.state import averaged


@pytest.fixture(scope="module")
def finished(script, photos, tmp_path_factory):
    """The folder of a run that ended well."""
    out = tmp_path_factory.mktemp("runs") / "done"
    quick = ["model=lictor-tiny", "crop=64", "batch=2", "workers=0", "steps=2", "threads=1"]
    assert script.main([f"data={photos}:0.8:0.9", f"out={out}", *quick]) == 0
    return out


def test_the_index_tells_of_the_weights(finished):
    (entry,) = json.loads((finished / "index.json").read_text())["checkpoints"]
    weights = (finished / entry["file"]).read_bytes()
    assert (entry["name"], entry["id"]) == ("lictor-tiny.mine", 0)
    assert entry["sha256"] == hashlib.sha256(weights).hexdigest()
    assert entry["training"]["steps"] == 2
    assert str(finished.parent) not in json.dumps(entry)
    assert len(entry["training"]["data"]) == 1


def test_weights_are_the_averaged_ones(finished):
    model, config, steps = averaged(finished)
    assert steps == 2
    assert recipe(config, steps)["crop"] == 64
    from lictor.models import checkpoint

    loaded = checkpoint.load(str(finished / "lictor-tiny.mine.safetensors"))
    for (name, a), (_, b) in zip(
        model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert np.allclose(a, b, atol=2e-3), name


def test_files_that_differ_from_the_estimate_fail_loudly(finished, monkeypatch, script, capsys):
    honest = api.estimate
    monkeypatch.setattr(api, "estimate", lambda *a, **k: honest(*a, **k) * 1.03)
    with pytest.raises(ExportFailed, match=r"differ by -[23]\.\d% from what the model expects"):
        export(finished)
    assert script.finish(averaged(finished)[1]) == 1
    assert "do not use these weights" in capsys.readouterr().err


def test_an_estimate_that_is_no_number_fails(finished, monkeypatch):
    monkeypatch.setattr(api, "estimate", lambda *a, **k: float("nan"))
    with pytest.raises(ExportFailed):
        export(finished)


def test_nothing_is_verified_on_nothing():
    with pytest.raises(ExportFailed, match="no validation pictures"):
        verify("lictor-s.mse", [])


def test_measured_and_put_among_others(finished, tmp_path):
    folder, pictures = tmp_path / "checkpoints", tmp_path / "kodak"
    folder.mkdir()
    pictures.mkdir()
    from skimage import data

    Image.fromarray(data.coffee()[:64, :96]).save(pictures / "a.png")
    other = {"name": "other.one", "id": 4}
    old = {"name": "lictor-tiny.mine", "id": 2, "licence": "Apache-2.0", "summary": "first try"}
    old["sha256"] = "ab" * 32
    (folder / "index.json").write_text(json.dumps({"checkpoints": [other, old]}))
    weights = pack.export(finished, str(pictures), str(folder))
    index = json.loads((folder / "index.json").read_text())
    first, entry = index["checkpoints"]
    assert first == other
    retired = {key: old[key] for key in ("id", "name", "sha256")}
    assert [known | {"last": ""} for known in index["retired"]] == [retired | {"last": ""}]
    assert (entry["id"], entry["licence"], entry["summary"]) == (5, "Apache-2.0", "first try")
    packed = folder / entry["file"]
    assert packed.name == "lictor-tiny.mine.lictor" and weights.name.endswith(".safetensors")
    assert entry["sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert packed.stat().st_size < 0.5 * weights.stat().st_size
    measured = entry["measured"]
    qualities = "--qualities 0,20,40,60,80,100"
    assert measured["command"] == f"lictor bench kodak/ --codecs lictor-tiny.mine {qualities}"
    assert measured["kodak_quality"] == [0, 20, 40, 60, 80, 100]
    assert measured["kodak_bpp"] == sorted(measured["kodak_bpp"])


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        export(tmp_path)
