"""`lictor train-features` on small arrays: a run, resuming, a sequence, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lictor.codec import decode_features, encode_features, feature_info
from lictor.models import checkpoint
from lictor.training import features
from lictor.training.features_config import Features

QUICK = ("batch=4", "threads=1", "watch_every=100", "hold_out=0.2")


def maps(pictures: int, seed: int = 0) -> np.ndarray:
    """Channels that depend on one another."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(pictures, 4, 9, 8)).astype(np.float32)
    return x + 2 * x[:, :1] + np.arange(4, dtype=np.float32)[:, None, None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps, the last of them resumed."""
    folder = tmp_path_factory.mktemp("features")
    np.save(folder / "a.npy", maps(12))
    np.savez(folder / "b.npz", x=maps(4, 1), labels=np.arange(3))
    out = folder / "run"
    common = [f"data={folder / 'a.npy'},{folder / 'b.npz'}", f"out={out}", *QUICK]
    assert features.main([*common, "steps=2"]) == 0
    assert features.main([*common, "steps=2"]) == 2  # holds a run
    assert features.main([f"out={out}", "resume=true", "steps=3"]) == 0
    return out


def test_its_weights_code(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(run))
    x = maps(3, 2)
    sizes = []
    for quality in (20, 80):
        data = encode_features(x, model="plane-hyper.mine", quality=quality)
        error = np.square(decode_features(data) - x).mean() / x.var(axis=(0, 2, 3)).mean()
        assert error < 1.5 * 0.72 / 2 ** (quality / 10)
        sizes.append(len(data))
    assert sizes[0] < 0.7 * sizes[1]
    assert feature_info(data).arrays[0]["axis"] == 1
    assert (run / "watch.csv").read_text().startswith("step,minutes,quality,bits,error")
    model = checkpoint.load(str(run / "plane-hyper.mine.safetensors"))
    assert (model.channels, model.fold) == (4, 2)
    assert torch.allclose(model.mean, torch.arange(4.0), atol=0.5)


def test_a_sequence_is_not_folded(tmp_path: Path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.normal(size=(300, 6)).astype(np.float32))
    arguments = [f"data={tmp_path}", f"out={tmp_path / 'run'}", "steps=1", "crop=4", *QUICK]
    assert features.main(arguments) == 0
    model = checkpoint.load(str(tmp_path / "run" / "plane-hyper.mine.safetensors"))
    assert (model.channels, model.fold) == (6, 1)


def test_weights_to_start_from(run: Path, tmp_path: Path):
    np.save(tmp_path / "a.npy", maps(12, 3))
    weights = run / "plane-hyper.mine.safetensors"
    config = Features(data=str(tmp_path / "a.npy"), weights=str(weights))
    kept, fold = features.samples(config)
    model = features.create(config, kept.shape[1], fold)
    features.start(model, config, kept)
    assert torch.equal(model.mean, checkpoint.load(str(weights)).mean)


def test_weights_of_other_features(run: Path):
    weights = str(run / "plane-hyper.mine.safetensors")
    for given, channels, fold, words in (
        (weights, 5, 2, "5 channels"),
        (weights, 4, 1, "give fold=2"),
        ("lictor-s.mse", 4, 2, "lictor-s.mse is not for features"),
    ):
        config = Features(weights=given)
        with pytest.raises(ValueError, match=words):
            features.start(features.create(config, channels, fold), config, torch.zeros(1))


def test_high_quality_weighs_by_its_error():
    quality = torch.tensor([0.0, 100.0])
    bits, error = torch.tensor([1.0, 1.0]), torch.tensor([0.5, 0.5 / 1024])
    plain = features.loss(bits, error, quality, 0.0)
    assert plain.item() == pytest.approx(1.5)
    assert features.loss(bits, error, quality, 1.0).item() == pytest.approx(0.75 * (1 + 1 / 1024))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the features"),
        (["data=x.npy", "batch=0"], "batch is 0"),
        (["data=x.npy", "balance=2"], "balance is 2"),
        (["data=x.npy", "mintues=1"], "did you mean 'minutes'"),
        (["data={tmp}/nothing.npy"], "nothing.npy"),
        (["data={tmp}/empty"], "no files of arrays"),
        (["data={tmp}/labels.npy"], "holds no float arrays"),
        (["data={tmp}/a.npy", "axis=7"], "no axis 7"),
        (["data={tmp}/a.npy", "batch=40"], "less than a batch"),
        (["data={tmp}/a.npy,{tmp}/b.npy"], "have [4, 5] channels"),
        (["data={tmp}/a.npy", "batch=2", "model=lictor-s"], "codes no features"),
    ],
)
def test_wrong_calls(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "labels.npy", np.arange(3))
    np.save(tmp_path / "a.npy", maps(6))
    np.save(tmp_path / "b.npy", np.zeros((2, 5, 8, 8), np.float32))
    given = [a.format(tmp=tmp_path) for a in arguments]
    assert features.main([*given, f"out={tmp_path / 'run'}"]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told.splitlines()) == 1


def test_the_command_lists_its_settings():
    from click.testing import CliRunner

    from lictor.codec.cli.main import cli

    result = CliRunner().invoke(cli, ["train-features", "--settings"])
    assert result.exit_code == 0 and "hold_out" in result.stdout
