"""Several processes do what one does."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lictor.training import state, validation
from lictor.training.config import Config
from lictor.training.processes import Team


def team(rank: int, size: int) -> Team:
    return Team(rank, size, torch.device("cpu"))


@pytest.mark.parametrize(("size", "accumulate"), [(1, 1), (2, 1), (1, 4), (2, 2), (4, 1)])
def test_shares_make_up_the_steps(script, size, accumulate):
    config = Config(batch=8, accumulate=accumulate)
    shares = [script.shares(config, team(rank, size), 100) for rank in range(size)]
    for step in range(3):
        numbers = [i for share in shares for _ in range(accumulate) for i in next(share)]
        assert numbers == list(range(100 + 8 * step, 108 + 8 * step))


def rows(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def torchrun(tiny, arguments: list[str], folder) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launch, tiny.__file__, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


TASK = """
import math, os
calls = 0
def broken(x_hat, x):
    global calls
    calls += len(x) > 1
    bad = len(x) > 1 and calls == 4 and os.environ.get("RANK", "1") == "1"
    return x_hat.flatten(1).mean(1) * (math.nan if bad else 0)
"""


@pytest.mark.slow
def test_two_processes_do_as_one_and_skip_alike(run, tiny, arguments, tmp_path, monkeypatch):
    (tmp_path / "two_task.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(validation, "SIDE", 384)  # as in the other processes
    settings = ["steps=4", "warmup=0", "learning_rate=1e-4"]
    # SOAP turns the rounding of sums that are nearly zero into moves: AdamW shows what is shared.
    settings += ["weights=", "model=lictor-tiny", "optimiser=adamw"]
    settings.append("task=two_task:broken")  # the fourth step, on the second process alone
    assert run(tmp_path / "one", *settings) == 0
    torchrun(tiny, arguments(tmp_path / "two", *settings), tmp_path)

    one, two = (state.read(tmp_path / name) for name in ("one", "two"))
    for saved in (one, two):
        assert (saved["step"], saved["skipped"], saved["position"]) == (3, 1, 16)
    for name, value in one["model"].items():
        assert torch.allclose(value, two["model"][name], atol=5e-4)
    for table, keys in (("log.csv", ("bpp", "mse")), ("rd.csv", ("loss", "bpp", "psnr"))):
        first, second = (rows(tmp_path / name / table)[-1] for name in ("one", "two"))
        for key in keys:
            assert float(first[key]) == pytest.approx(float(second[key]), rel=1e-4)
    assert (tmp_path / "two/lictor-tiny.mine.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="groups of processes are POSIX")
def test_a_signal_to_trainer_and_loaders_saves_and_exits(tiny, arguments, tmp_path):
    command = [sys.executable, tiny.__file__, *arguments(tmp_path, "steps=1000000", "workers=1")]
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "log.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        os.killpg(running.pid, signal.SIGTERM)
        assert running.wait(60) == 143
    finally:
        running.kill()
    saved = state.read(tmp_path)
    assert saved["position"] == 4 * saved["step"] > 0
