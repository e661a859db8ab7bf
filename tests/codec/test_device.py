"""`--device`: the CPU by every name, GPUs where there are some, and what is said where none is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from lictor.codec import api, decode, decode_picture, encode, latents
from lictor.codec.cli.main import cli
from lictor.codec.errors import DeviceUnavailable
from lictor.models import zoo

pytestmark = pytest.mark.skipif(
    "lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"
)
gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


@pytest.fixture
def png(photo: np.ndarray, tmp_path: Path) -> str:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.mark.parametrize("effort", [0, 1])
def test_other_names_of_the_cpu_give_the_same_file(photo: np.ndarray, effort: int):
    """`cpu:0` is the CPU to PyTorch, but goes the way of a device: the model is copied to it."""
    data = encode(photo, effort=effort)
    assert encode(photo, effort=effort, device="cpu:0") == data
    assert np.array_equal(decode(data, device="cpu:0"), decode(data))


@without_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu(photo: np.ndarray):
    data = encode(photo, device="auto")
    assert data == encode(photo)
    assert np.array_equal(decode(data, device="auto"), decode(data))


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_no_gpu_is_an_error_with_a_name(photo: np.ndarray, name: str):
    reason = f"device '{name}' cannot be used .*; give cpu"
    with pytest.raises(DeviceUnavailable, match=reason) as e:
        encode(photo, device=name)
    assert len(str(e.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["gramophone", "meta"])
def test_no_such_device(photo: np.ndarray, name: str):
    with pytest.raises(DeviceUnavailable, match=f"device '{name}' cannot be used"):
        encode(photo, device=name)


def test_the_command_on_the_cpu(png: str, photo: np.ndarray, tmp_path: Path):
    result = CliRunner().invoke(cli, ["encode", png, str(tmp_path / "a.bin"), "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a.bin").read_bytes() == encode(photo)


@without_gpu
@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_command_stops_at_once_where_there_is_no_gpu(png: str, tmp_path: Path, jobs: str):
    """It is wrong with the command, not with the files: status 2, one line, nothing written."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(Path(png).read_bytes())
    command = ["encode", str(folder), str(out), "--device", "cuda", "-j", jobs]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert "device 'cuda' cannot be used" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=gpu)])
@pytest.mark.parametrize("effort", [0, 1])
def test_encoded_on_a_gpu(china: np.ndarray, device: str, effort: int):
    """The CPU decodes it, to what a file from the CPU is worth, at its size."""
    here, there = (
        encode(china, effort=effort, device=where, method="network") for where in ("cpu", device)
    )
    assert abs(len(there) / len(here) - 1) < 0.01
    assert latents(there).sha256 == latents(there, device=device).sha256
    worth = [api.psnr(china, decode_picture(data).pixels) for data in (here, there)]
    assert abs(worth[0] - worth[1]) < 0.05
