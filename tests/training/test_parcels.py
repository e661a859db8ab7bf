"""Pieces of weights that a run leaves as it goes on."""

import pytest
from safetensors.torch import load_file

from lictor.models import checkpoint
from lictor.training import parcels


def test_a_run_leaves_pieces_that_join_to_its_weights(run, tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "PIECE", 40_000)
    monkeypatch.setattr(parcels, "EVERY", 0.0)
    out, sent = tmp_path / "run", tmp_path / "sent"
    assert run(out, "steps=3", f"parcels={sent}", "tag=new", "screens=0.5", "compile=false") == 0
    pieces = sorted(path.name for path in sent.glob("lictor-tiny.new.safetensors.*"))
    assert len(pieces) > 2
    assert all((sent / piece).stat().st_size <= 40_000 for piece in pieces)
    assert (sent / "log.csv").read_text() == (out / "log.csv").read_text()

    target = tmp_path / "lictor-tiny.new.safetensors"
    parcels.join(sent, target)
    assert checkpoint.load(str(target)).name == "lictor-tiny.new"
    averaged = checkpoint.load(str(target)).state_dict()
    assert all(value.isfinite().all() for value in averaged.values())
    assert load_file(target).keys() == averaged.keys()
    assert run(tmp_path / "on", "steps=1", f"weights={target}") == 0  # goes on from there


def test_pieces_that_do_not_fit_are_no_weights(tmp_path):
    (tmp_path / "a.safetensors.0").write_bytes(b"half of something")
    with pytest.raises(checkpoint.BadCheckpoint):
        parcels.join(tmp_path, tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError, match="no pieces"):
        parcels.join(tmp_path / "none", tmp_path / "a.safetensors")
