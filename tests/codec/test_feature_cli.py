"""`lictor encode`, `decode` and `info` on files of arrays: folders, pipes, kinds, wrong calls."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file

from lictor.codec.arrays.files import read
from lictor.codec.cli.main import cli
from lictor.codec.format.arrays import kind_of

MODEL = ("--model", "fake.pixels")


def lictor(*args: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], input=stdin, prog_name="lictor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file of each kind, and a picture."""
    rng = np.random.default_rng(0)
    own = tmp_path / "in"
    (own / "deep").mkdir(parents=True)
    np.save(own / "a.npy", rng.normal(size=(3, 8, 8)).astype(np.float32))
    np.savez(own / "deep" / "b.npz", x=rng.normal(size=(4, 5)), n=np.arange(3))
    save_file({"w": torch.randn(20, 10).bfloat16()}, own / "c.safetensors")
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(own / "p.png")
    return own


def test_a_folder_there_and_back(folder: Path, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    assert lictor("encode", folder, out, "--max-error", "0.05", *MODEL).exit_code == 0
    assert lictor("decode", out, back).exit_code == 0
    found = sorted(str(p.relative_to(back)) for p in back.rglob("*.*"))
    assert found == ["a.npy", "c.safetensors", "deep/b.npz", "p.png"]
    assert np.abs(np.load(back / "a.npy") - np.load(folder / "a.npy")).max() <= 0.05
    with np.load(back / "deep" / "b.npz") as new, np.load(folder / "deep" / "b.npz") as old:
        assert np.abs(new["x"] - old["x"]).max() <= 0.05
        np.testing.assert_array_equal(new["n"], old["n"])
    was = load_file(folder / "c.safetensors")["w"]
    now = load_file(back / "c.safetensors")["w"]
    assert now.dtype == torch.bfloat16 and (now.double() - was.double()).abs().max() <= 0.05


def test_info(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.bin"
    assert lictor("encode", folder / "deep" / "b.npz", out, "--json").exit_code == 0
    text = lictor("info", out).stdout
    assert "x float64 4x5, n int64 3" in text and "23 values" in text
    row = json.loads(lictor("info", out, "--json").stdout)
    assert row["bytes"] == out.stat().st_size and len(row["arrays"]) == 2


def test_the_extension_of_the_output_says_the_kind(folder: Path, tmp_path: Path) -> None:
    bins = tmp_path / "a.bin"
    lictor("encode", folder / "a.npy", bins)
    for name in ("x.npz", "x.safetensors", "x.npy"):
        assert lictor("decode", bins, tmp_path / name).exit_code == 0
    plain = np.load(tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["array"], plain)
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")["array"].numpy(), plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bits", "-1"], "give a number above 0"),
        (["--bits", "1", "--mse", "1"], "one of max_error, mse and bits"),
        (["--axis", "7"], "no axis 7"),
    ],
)
def test_wrong_calls(folder: Path, tmp_path: Path, options: list[str], words: str) -> None:
    result = lictor("encode", folder / "a.npy", tmp_path / "a.bin", *options)
    assert result.exit_code == 2 and words in result.stderr
    assert not (tmp_path / "a.bin").exists()


def test_outputs_named_as_what_they_are_not(folder: Path, tmp_path: Path) -> None:
    result = lictor("encode", folder / "a.npy", tmp_path / "b.npy")
    assert result.exit_code == 2 and "name the output .bin" in result.stderr
    lictor("encode", folder / "a.npy", tmp_path / "a.bin")
    result = lictor("decode", tmp_path / "a.bin", tmp_path / "a.png")
    assert result.exit_code == 1 and "holds arrays" in result.stderr
    lictor("encode", folder / "p.png", tmp_path / "p.bin", *MODEL)
    result = lictor("decode", tmp_path / "p.bin", tmp_path / "p.npy")
    assert result.exit_code == 1 and "holds a picture" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "in", "p.bin"]


def test_bfloat16_does_not_fit_npy(folder: Path, tmp_path: Path) -> None:
    lictor("encode", folder / "c.safetensors", tmp_path / "c.bin", "--kind", "arrays")
    result = lictor("decode", tmp_path / "c.bin", tmp_path / "c.npy")
    assert result.exit_code == 1 and "cannot hold bfloat16" in result.stderr


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01", b"PK\x03\x04"])
def test_damaged_inputs(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    result = lictor("encode", tmp_path / name, tmp_path / "x.bin")
    assert result.exit_code == 1 and "cannot be read as ." in result.stderr
    assert "unexpected" not in result.stderr


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    result = lictor("encode", tmp_path / "x.npy", tmp_path / "x.bin")
    assert result.exit_code == 1 and "cannot be read as .npy" in result.stderr


def test_kinds_by_content() -> None:
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, np.zeros(2))
    np.savez(npz, a=np.zeros(2))
    assert kind_of("-", npy.getvalue()[:16]) == ".npy"
    assert kind_of("-", npz.getvalue()[:16]) == ".npz"
    assert kind_of("-", b'\x10\0\0\0\0\0\0\0{"a"') == ".safetensors"
    assert kind_of("-", b"\x89PNG\r\n\x1a\n") == ""
    assert list(read(npz.getvalue(), ".npz")) == ["a"]


def test_pipes(folder: Path) -> None:
    """Through real pipes: the kind of standard input shows in its first bytes."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "lictor.codec"]
    raw = (folder / "a.npy").read_bytes()
    coded = subprocess.run(
        [*command, "encode", "-", "-", "--max-error", "0.1"],
        input=raw,
        capture_output=True,
        check=True,
    )
    back = subprocess.run(
        [*command, "decode", "-", "-"], input=coded.stdout, capture_output=True, check=True
    )
    assert np.abs(np.load(io.BytesIO(back.stdout)) - np.load(folder / "a.npy")).max() <= 0.1
