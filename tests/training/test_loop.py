"""The loop: what a run leaves, that it resumes exactly, what it skips, how it stops."""

import csv
import importlib.util
import os
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lictor.models import checkpoint
from lictor.training import config as settings
from lictor.training import state, validation
from lictor.training.recovery import Recovery


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def last(run):
    return state.read(run)


def equal(a, b) -> bool:
    """Whether two nested states are the same to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Make a module for task=: its source to its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = []

    def make(source: str) -> str:
        name = f"task_{os.path.basename(tmp_path).replace('-', '_')}_{len(made)}"
        (tmp_path / f"{name}.py").write_text(source)
        made.append(name)
        return name

    return make


def test_a_run_from_nothing_leaves_weights_that_code_and_something_to_see(
    script, photos, tmp_path, monkeypatch, capsys
):
    from lictor.codec import decode, encode

    arguments = [f"data={photos}", f"out={tmp_path}", "model=lictor-tiny", "crop=64", "batch=2"]
    arguments += ["workers=0", "steps=150", "hold_out=0.5", "tag=new"]
    assert script.main(arguments) == 0
    said = capsys.readouterr()
    assert "bytes against estimate" in said.out
    assert "step 0, 0.0 min: loss" in said.err

    weights = tmp_path / "lictor-tiny.new.safetensors"
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path))
    (picture,) = validation.kept(tmp_path)
    decoded = np.asarray(decode(encode(picture, quality=50, model=weights)), float)
    assert 10 * np.log10(255**2 / np.square(decoded - picture).mean()) > 19
    assert checkpoint.load(str(weights)).name == "lictor-tiny.new"

    log = rows(tmp_path / "log.csv")
    assert [int(row["step"]) for row in log] == [*range(20, 150, 20), 150]
    assert all(float(row["images_per_s"]) > 0 for row in log)
    assert all(0 <= float(row["waiting"]) <= 1 for row in log)
    curve = rows(tmp_path / "rd.csv")
    assert len(curve) == 10
    assert [row["quality"] for row in curve[:5]] == ["0", "25", "50", "75", "100"]
    assert float(curve[9]["bpp"]) > float(curve[5]["bpp"])
    losses = [float(row["loss"]) for row in curve]
    assert sum(losses[5:]) < sum(losses[:5])
    for name, width in (("rd", 640), ("samples", 4 * picture.shape[1])):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width == width
    if importlib.util.find_spec("tensorboard"):
        assert list(tmp_path.glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    "more",
    [
        ("workers=0", "optimiser=soap"),
        ("workers=1", "optimiser=adamw"),
        ("workers=0", "optimiser=adamw", "smooth=0.5"),
    ],
)
def test_an_interrupted_run_resumes_to_the_same_bits(run, task, tmp_path, capsys, more):
    settings = ("steps=8", "late=0.4", "late_crop=128", *more)
    interrupt = task(
        "import os, signal\n"
        "calls = 0\n"
        "def at_third(x_hat, x):\n"
        "    global calls\n"
        "    calls += len(x) >= 4\n"  # validation has one picture at a time
        "    if calls == 3:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return 0 * x_hat.flatten(1).sum(1)\n"
    )
    assert run(tmp_path / "whole", *settings, f"task={interrupt}:at_third", "task_weight=0") == 143
    assert last(tmp_path / "whole")["step"] == 3
    assert "resume=true" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    assert run(tmp_path / "whole", "resume=true", "task=") == 0
    assert run(tmp_path / "other", *settings) == 0
    resumed, other = last(tmp_path / "whole"), last(tmp_path / "other")
    assert resumed["step"] == 8
    assert resumed["position"] == 32
    for part in ("model", "average", "optim"):
        assert equal(resumed[part], other[part])


def test_minutes_end_the_run_and_the_learning_rate(run, tmp_path):
    assert run(tmp_path, "minutes=0.05", "warmup=0") == 0
    saved = last(tmp_path)
    assert saved["step"] > 3
    assert 0.05 <= saved["spent"] < 0.2
    assert float(rows(tmp_path / "log.csv")[-1]["learning_rate"]) < 1e-5  # of 1e-3


def test_schedule(script):
    config = script.Config(warmup=100, decay=0.4, learning_rate=2.0)

    def rate(step, progress, warm_from=0, warm_since=0.0, tempo=1.0):
        at = SimpleNamespace(step=step, warm_from=warm_from, warm_since=warm_since, tempo=tempo)
        return script.schedule(at, progress, config)

    assert rate(0, 0.0) == pytest.approx(0.02)
    assert rate(3, 0.1) == pytest.approx(2)
    assert rate(500, 0.6) == pytest.approx(2)
    assert rate(500, 0.8) == pytest.approx(1)
    assert rate(500, 1.0) == pytest.approx(0)
    assert rate(0, 0.2) == pytest.approx(0.02), "what went before the first step is no warm-up"
    assert rate(9, 0.21, 0, 0.2) == pytest.approx(0.2)
    assert rate(549, 0.31, 500, 0.3, 0.5) == pytest.approx(0.5)


def test_a_run_that_goes_astray_goes_back(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lictor.training.monitor.EVERY", 4)
    assert run(tmp_path, "steps=40", "learning_rate=300", "optimiser=adamw", "warmup=0") == 0
    said = capsys.readouterr().err
    assert "astray; back to the averaged weights, at half the rate" in said
    assert last(tmp_path)["tempo"] < 1


def test_what_is_astray():
    recovery = Recovery()
    assert not any(map(recovery.needed, (100.0, 140.0, 70.0, 300.0, 4000.0)))
    assert recovery.needed(3e5) and recovery.needed(float("nan"))
    assert not recovery.needed(120.0)


def test_steps_that_are_not_finite_are_skipped_and_counted(run, task, tmp_path):
    name = task(
        "calls = 0\n"
        "def broken(x_hat, x):\n"
        "    global calls\n"
        "    calls += len(x) >= 4\n"
        "    return x_hat.flatten(1).sum(1) * (float('nan') if calls == 2 else 0)\n"
    )
    assert run(tmp_path / "run", "steps=4", f"task={name}:broken") == 0
    saved = last(tmp_path / "run")
    assert (saved["step"], saved["skipped"], saved["position"]) == (3, 1, 16)
    assert all(value.isfinite().all() for value in saved["average"].values())


def test_accumulated_parts_give_the_step_of_the_whole(run, tmp_path):
    # Adam's first move is the gradient's sign: where that is nothing but rounding, steps differ by
    # the learning rate, so that it must be small beside what is compared.
    settings = ("steps=2", "learning_rate=2e-5", "warmup=0")
    assert run(tmp_path / "whole", *settings) == 0
    assert run(tmp_path / "parts", *settings, "accumulate=2") == 0
    whole, parts = (rows(tmp_path / name / "log.csv")[0] for name in ("whole", "parts"))
    for key in ("loss", "bpp", "mse"):
        assert float(whole[key]) == pytest.approx(float(parts[key]), rel=1e-4)


def test_bfloat16_trains_to_a_like_loss(run, tmp_path):
    losses = []
    for bf16 in ("true", "false"):
        assert run(tmp_path / bf16, "steps=3", f"bf16={bf16}") == 0
        losses.append(float(rows(tmp_path / bf16 / "log.csv")[0]["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    dtypes = {value.dtype for value in last(tmp_path / "true")["model"].values()}
    assert dtypes == {torch.float32}


def test_batches_cut_where_the_pictures_live_are_those_of_the_loaders(script, photos):
    """The way of a GPU, on the CPU: photos by one gather, screens from loaders."""
    from lictor.datasets.crops import Crops, ResidentCrops
    from lictor.datasets.pictures import load, sources

    crops = Crops(load(sources(f"{photos}:0.5:0.9"), 64, 1e9), 64, seed=4, screens=0.3)
    config = script.Config(data="-", batch=6, crop=64, workers=0, accumulate=2)
    team = script.Team(0, 1, torch.device("cpu"))
    resident = script.resident_batches(ResidentCrops(crops, team.device), config, team, 12)
    for number in range(12, 30, 3):
        x, quality = next(resident)
        assert x.shape == (3, 3, 64, 64)
        for i in range(3):
            pixels, wanted = crops[number + i]
            assert quality[i] == pytest.approx(float(wanted))
            apart = (x[i].float() - torch.from_numpy(pixels)).abs()
            assert apart.mean() < 0.3
            if crops.is_screen(number + i):
                assert apart.max() == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_run_on_a_gpu_resumes(run, tmp_path):
    settings = ("bf16=true", "late=0.5", "late_crop=128")
    assert run(tmp_path, "steps=25", *settings) == 0
    assert run(tmp_path, "steps=50", "resume=true") == 0
    saved = last(tmp_path)
    assert (saved["step"], saved["skipped"], saved["position"]) == (50, 0, 200)
    losses = [float(row["loss"]) for row in rows(tmp_path / "log.csv")]
    assert losses[-1] < losses[0]


def test_bare_weights_are_a_start(run, start, tmp_path):
    loaded = checkpoint.load(str(start)).state_dict()
    before = {name: value.clone() for name, value in loaded.items()}
    assert run(tmp_path, "steps=1", "learning_rate=1e-9") == 0
    for name, value in last(tmp_path)["model"].items():
        assert torch.allclose(value, before[name], atol=1e-6)
    assert equal(loaded, before)  # loaded models are shared, so not to be trained in place


def test_a_larger_model_starts_from_a_smaller_one(run, start, tmp_path):
    assert run(tmp_path, "model=lictor-s", "steps=1", "learning_rate=1e-9") == 0
    grown = last(tmp_path)["model"]["g_s.leave.weight"]
    wanted = checkpoint.load(str(start)).state_dict()["g_s.leave.weight"]
    assert torch.allclose(grown[:, : wanted.shape[1]], wanted, atol=1e-6)
    assert grown[:, wanted.shape[1] :].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["weights=", "model=lictor-xl"], "unknown model 'lictor-xl'; there are"),
        (["weights=lictor-s.mse", "model=lictor-tiny"], "lictor-s.mse does not fit"),
        (["weights=lictor-s.none"], "unknown model 'lictor-s.none'"),
        (["accumulate=3"], "give a multiple of 3"),
        (["optimiser=sgd"], "optimiser is 'sgd'; there are adamw"),
        (["late_crop=1024"], "no picture holds a crop of 1024"),
        (["data=/no/such/folder"], "no such file or folder"),
        (["resume=true"], "settings.toml"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(run, tmp_path, capsys, more, message):
    assert run(tmp_path, *more, "steps=1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lictor train: ")
    assert message in line


def test_compressai_models_are_trained_elsewhere(run, tmp_path, capsys):
    pytest.importorskip("compressai")
    assert run(tmp_path, "weights=", "model=mbt2018-mean") == 2
    assert "with CompressAI" in capsys.readouterr().err


def test_a_run_is_not_overwritten(run, tmp_path, capsys):
    assert run(tmp_path, "steps=1") == 0
    capsys.readouterr()
    assert run(tmp_path, "steps=1") == 2
    assert "go on with it (resume=true)" in capsys.readouterr().err


def test_only_the_parts_that_are_named_are_trained(run, start, tmp_path):
    assert run(tmp_path, "steps=3", "parts=g_s,inverse_gain", "smooth=0.5") == 0
    before = checkpoint.load(str(start)).state_dict()
    after = last(tmp_path)["model"]
    changed = {
        name.partition(".")[0]
        for name in before
        if not torch.equal(before[name].half(), after[name].half())
    }
    assert changed == {"g_s", "inverse_gain"}


def test_an_unknown_part_is_named(run, tmp_path, capsys):
    assert run(tmp_path, "steps=3", "parts=g_s,g_x") == 2
    assert "there is no 'g_x'; there are g_a, g_s" in capsys.readouterr().err


def test_smooth_crops_are_a_function_of_the_place_in_the_run(script):
    config = settings.configure(["data=nowhere", "batch=8", "accumulate=2", "smooth=0.5"])
    config.workers = 0
    team = SimpleNamespace(device=torch.device("cpu"), size=1, rank=0)

    def made(start, parts):
        feed = script.smooth_batches(64, config, team, start)
        return [next(feed) for _ in range(parts)]

    first = made(0, 4)
    for crops, qualities in first:
        assert crops.shape == (2, 3, 64, 64) and crops.min() >= 0 and crops.max() <= 1
        assert (qualities >= 75).all() and (qualities <= 100).all()
    assert not torch.equal(first[0][0], first[1][0])
    assert equal(made(8, 2), first[2:])
