"""Vectors of embeddings: how near they come back, of which rows, and as int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lictor.codec.embeddings import decode, encode, form, info, searchable
from lictor.codec.errors import (
    CodecError,
    FileError,
    InvalidOption,
    InvalidTarget,
    UnsupportedArray,
)


def _vectors(count: int = 900, columns: int = 48, seed: int = 0) -> np.ndarray:
    """Of unit length, wide along few axes, about a mean."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(np.random.default_rng(9).normal(size=(columns, columns)))[0]
    x = rng.normal(size=(count, columns)) * np.geomspace(1, 0.03, columns) @ turned + 0.1
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def _recall(scores: np.ndarray, truth: np.ndarray) -> float:
    best, own = (np.argsort(-s, axis=1)[:, :10] for s in (truth, scores))
    return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(best, own, strict=True)]))


def test_bits_are_kept_and_more_come_nearer():
    x, errors = _vectors(4000), []
    for bits in (1.0, 2.0, 4.0, 8.0):
        data = encode(x, bits=bits)
        said = info(data)
        back = decode(data)
        assert 0.9 * bits < said.bits <= bits and said.bytes == len(data)
        error = np.linalg.norm(back - x) / np.linalg.norm(x)
        assert said.error == pytest.approx(error, rel=1e-3)
        errors.append(error)
    assert errors == sorted(errors, reverse=True) and said.way == "axes"


def test_axes_are_left_where_they_cost_more_than_they_give():
    few = np.random.default_rng(0).normal(size=(70, 64)).astype(np.float32)
    assert info(encode(few, bits=4)).way == "grid"
    assert info(encode(few[:50], bits=4)).way == "grid"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("bound", [1e-7, 1e-4, 0.02, 3.0])
def test_a_bound_holds(dtype: str, bound: float):
    x = _vectors(300).astype(dtype)
    data = encode(x, max_error=bound, chunk=100)
    off = np.abs(decode(data).astype(np.float64) - x)
    assert off.max() <= bound and info(data).largest == off.max()
    assert len(data) < x.nbytes * 1.1 + 500 or bound < 1e-6


def test_rows_decode_alone():
    x = _vectors()
    for options in ({"bits": 3.0}, {"max_error": 1e-3}):
        data = encode(x, chunk=128, **options)
        whole = decode(data)
        for first, last in ((0, 1), (127, 130), (256, 384), (800, 900)):
            part = decode(data, rows=(first, last))
            assert np.allclose(part, whole[first:last], atol=1e-6)
        with pytest.raises(InvalidOption):
            decode(data, rows=(5, 901))


def test_int8_finds_what_floats_find():
    x = _vectors(3000)
    queries, base = x[:50], x[50:]
    data = encode(base, bits=4)
    found = searchable(data)
    assert found.levels.dtype == np.int8 and len(found.levels) == len(base)
    scores = (found.levels @ found.turned(queries.T) + found.offset(queries.T)).T
    truth = queries @ base.T
    assert _recall(scores, truth) > 0.9
    assert abs(_recall(scores, truth) - _recall(queries @ decode(data).T, truth)) < 0.02
    part = searchable(data, rows=(1000, 1100))
    assert np.array_equal(part.levels, found.levels[1000:1100])
    with pytest.raises(InvalidOption, match="int8"):
        searchable(encode(base, max_error=1e-6))


def test_axes_are_weighted_towards_products():
    """What is far less wrong along the wide axes finds more than the nearest vectors would."""
    x = _vectors(4000)
    file = form.read(encode(x, bits=2.5))
    assert file.axes is not None
    sizes = np.linalg.norm(file.axes.directions, axis=1)
    assert 2 * sizes[0] < sizes[20]


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("options", [{"lossless": True}, {"max_error": 1e-12}])
def test_every_bit_is_kept(dtype: str, options: dict[str, Any]):
    import torch

    x = torch.tensor(_vectors(300)).to(getattr(torch, dtype))
    given: Any = x if dtype == "bfloat16" else x.numpy()
    data = encode(given, chunk=128, **options)
    back = decode(data)
    assert (torch.as_tensor(back) == x).all() and back.dtype == given.dtype
    assert info(data).way == "exact" and info(data).largest == 0
    assert len(data) < x.numel() * x.itemsize
    assert (torch.as_tensor(decode(data, rows=(100, 150))) == x[100:150]).all()
    with pytest.raises(InvalidOption, match="every bit"):
        searchable(data)


@pytest.mark.parametrize("name", ["axes", "bound", "exact", "grid"])
def test_golden_files(name: str):
    """Kept for ever; tests/golden/make_embeddings.py made them."""
    folder = Path(__file__).parents[1] / "golden" / "embeddings"
    data, wanted = (folder / f"{name}.bin").read_bytes(), np.load(folder / f"{name}.npy")
    back = decode(data)
    assert info(data).way == {"bound": "grid"}.get(name, name) and back.dtype == wanted.dtype
    if name == "axes":  # sums of float32, in whatever order
        assert np.abs(back - wanted).max() < 1e-6
    else:
        assert np.array_equal(back, wanted)


def test_bfloat16_comes_back_as_tensors():
    import torch

    x = torch.tensor(_vectors(200)).to(torch.bfloat16)
    back = decode(encode(x, max_error=0.01))
    assert back.dtype == x.dtype and (back.float() - x.float()).abs().max() <= 0.01


def test_what_cannot_be_is_refused():
    x = _vectors(60)
    for wrong in (x[0], x.astype(np.float64), x.astype(np.int32), x[:0], x * np.nan):
        with pytest.raises(UnsupportedArray):
            encode(wrong)
    for options in (
        {"bits": 0},
        {"bits": 0.001},
        {"step": 1e-30},
        {"bits": 2, "step": 1},
        {"bits": 2, "lossless": True},
    ):
        with pytest.raises(InvalidTarget):
            encode(x, **options)
    with pytest.raises(InvalidOption):
        encode(x, chunk=0)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_vectors(value: float):
    x = np.full((50, 8), value, np.float32)
    for options in ({"bits": 20}, {"max_error": 1e-3}, {"step": 0.5}):
        assert np.abs(decode(encode(x, **options)) - x).max() <= max(1e-3, 0.5 * value * 0.3)
    assert decode(encode(x[:1, :1], bits=2000)).shape == (1, 1)


def test_damage_is_found():
    rng = np.random.default_rng(0)
    for options in ({"bits": 4.0}, {"max_error": 1e-3}, {"lossless": True}):
        data = encode(_vectors(150), chunk=64, **options)
        for at in rng.integers(0, len(data), 80):
            bad = bytearray(data)
            bad[at] ^= 1 << rng.integers(8)
            with pytest.raises(CodecError):
                decode(bytes(bad))
        for size in rng.integers(0, len(data), 40):
            with pytest.raises(FileError):
                decode(data[:size])


def test_hostile_files_end_in_errors():
    """With their checks made right, so that what lies behind them is reached."""
    rng = np.random.default_rng(1)
    for options in ({"bits": 4.0}, {"max_error": 1e-3}, {"lossless": True}):
        good = encode(_vectors(150), chunk=64, **options)
        for _ in range(60):
            file = form.read(good)
            blocks = [bytearray(b) for b in file.blocks]
            own = blocks[rng.integers(len(blocks))]
            own[rng.integers(min(len(own), 300))] ^= int(rng.integers(1, 256))
            file.blocks = list(blocks)
            with pytest.raises(FileError):
                decode(form.written(file))
    file = form.File("float32", 2**30, 2**14, 2**20)
    file.blocks = [b"x" * 30] * 2**10
    data = bytearray(form.MAGIC + b"\x01\x02" + b"\xff" * 30)
    with pytest.raises(FileError):
        decode(bytes(data))


def test_the_command_line_encodes_embeddings(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    from click.testing import CliRunner

    from lictor.codec.cli.main import cli

    monkeypatch.chdir(tmp_path)
    np.save("e.npy", _vectors())
    for args in (
        ("encode", "e.npy", "e.bin", "--preset", "embedding", "--max-error", "0.001"),
        ("info", "e.bin"),
        ("decode", "e.bin", "back.npy"),
    ):
        run = CliRunner().invoke(cli, args, prog_name="lictor")
        assert run.exit_code == 0, run.output
    assert np.abs(np.load("back.npy") - _vectors()).max() <= 0.001
