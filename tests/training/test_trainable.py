"""train.py trains whatever is Trainable, and says of the rest what trains it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lictor.models import LatentCodec, ModelError, Output, Trainable, registry
from lictor.models.array.plane_hyper import PlaneHyper
from lictor.models.capabilities import ArrayModel, PictureModel, TaskModel
from lictor.models.picture.lictor import Lictor
from lictor.models.task.student import Student
from lictor.training.state import read

NAME = "blur-tiny"


class Blur(LatentCodec):
    """No relative of Lictor: its picture is a mean, its bits are what the weights say."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(3))
        self.quick = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, quality: Tensor, deep: Tensor | None = None) -> Output:
        x_hat = self.mean[:, None, None].expand_as(x) + 0.001 * quality[:, None, None, None]
        return Output(x_hat, (1 + self.quick.square()) * (1 + quality))

    def start_from_pictures(self, sample: Tensor) -> None:
        with torch.no_grad():
            self.mean.copy_(sample.mean((0, 2, 3)))

    def start_from_weights(self, given: Any, sample: Tensor) -> None:
        raise ModelError(f"{given.name} is of another kind")

    def moves_slowly(self, parameter: str) -> bool:
        return parameter == "mean"


@pytest.fixture
def blur(monkeypatch: pytest.MonkeyPatch) -> str:
    registry.architectures()
    monkeypatch.setitem(registry._architectures, NAME, (Blur, {}))
    return NAME


def test_a_model_of_another_make_is_trained(
    blur: str, run: Callable[..., int], photos: Path, tmp_path: Path, script: Any
) -> None:
    settings = (f"model={blur}", "weights=", "learning_rate=0.01", "warmup=0", "decay=0.01")
    assert run(tmp_path, *settings, "steps=20") == 0
    saved = read(tmp_path)
    assert (saved["step"], saved["skipped"]) == (20, 0)
    assert 0.1 < saved["model"]["mean"].mean() < 0.9  # what the pictures look like
    slow, fast = saved["optim"]["param_groups"][1], saved["optim"]["param_groups"][0]
    assert slow["relative"] < fast["relative"] == 1 and len(slow["params"]) == 1


def test_it_says_itself_from_what_it_cannot_start(
    blur: str, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, f"model={blur}", "steps=1") == 2
    assert "start is of another kind" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "way"),
    [("student-lite0", "lictor distil"), ("plane-hyper", "lictor train-features")],
)
def test_others_are_told_what_trains_them(
    model: str,
    way: str,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(tmp_path, f"model={model}", "weights=", "steps=1") == 2
    error = capsys.readouterr().err.strip()
    assert f"{model} is not trained by this, but by `{way}`" in error and "\n" not in error


def test_the_registry_knows_what_can_be_trained(blur: str) -> None:
    assert {blur, "lictor-s", "lictor-m"} <= set(registry.architectures(Trainable))
    others = set(registry.architectures()) - set(registry.architectures(Trainable))
    assert {"student-lite0", "plane-hyper", "mbt2018-mean"} <= others
    assert registry.architectures(Student) == ["student-lite0"]


@pytest.mark.parametrize(
    ("make", "pictures", "arrays", "task"),
    [
        (lambda: Lictor(channels=8, latent=16, side=8, prior=8, depth=1), True, False, False),
        (lambda: Student(latent=8, prior=8, narrow=8, wide=8, depth=1), True, False, True),
        (lambda: PlaneHyper(4, 1, hidden=8, side=8, prior=8, depth=1), False, True, False),
    ],
)
def test_a_model_is_what_it_can_do(
    make: Callable[[], Any], pictures: bool, arrays: bool, task: bool
) -> None:
    model = make()
    found = tuple(isinstance(model, kind) for kind in (PictureModel, ArrayModel, TaskModel))
    assert found == (pictures, arrays, task)
