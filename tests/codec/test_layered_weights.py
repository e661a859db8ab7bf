"""Grids within grids: each layer is the grid of its step, and all of them hardly more than one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from lictor import codec
from lictor.codec.cli.main import cli
from lictor.codec.errors import CorruptFile, FileError, InvalidOption
from lictor.codec.format import weights as form
from lictor.codec.weights import grid, layered
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import Quantised
from lictor.codec.weights.layered import Nested, Opened


def tensor(dtype: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor("t", dtype, shape, 0, math.prod(shape) * grid.ITEMS[dtype])


def whole(record: form.Layers, chunks: list[bytes], own: Tensor, layers: int | None) -> np.ndarray:
    """By way of the bytes of its head."""
    read, _ = form.read_record(form.write_head(record) + b"".join(chunks))
    assert isinstance(read, form.Layers)
    opened, out = Opened(read, b"".join(chunks), own, layers), np.empty(own.bytes, np.uint8)
    for number in range(opened.count):
        opened.chunk(number, out[number * opened.step : (number + 1) * opened.step])
    return grid.floats(out, own.dtype).reshape(grid.matrix(own))


@given(
    st.sampled_from(grid.TYPES),
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.lists(st.sampled_from([3, 5, 127]), min_size=1, max_size=4),
    st.sampled_from([0, 1, 9, 2000]),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_each_layer_is_the_grid_of_its_step(dtype, shape, ratios, size, seed):
    own, rng = tensor(dtype, tuple(shape)), np.random.default_rng(seed)
    rows, columns = grid.matrix(own)
    levels = rng.integers(-size, size + 1, (rows, columns)).astype(np.int32)
    steps = rng.integers(-3, 4, rows).astype(np.int8), rng.integers(-3, 4, columns).astype(np.int8)
    nested = Nested(Quantised(levels, 0.25, *steps), tuple(ratios))
    record, chunks = nested.encode(own, map)
    assert np.array_equal(whole(record, chunks, own, None), nested.decoded(own))
    assert np.array_equal(whole(record, chunks, own, 99), nested.decoded(own))
    coarse, finest = whole(record, chunks, own, 1), levels * 0.25
    factor = 2.0 ** (steps[0][:, None] / 2 + steps[1] / 2)
    cell = 0.25 * math.prod(ratios) * factor / 2
    near = np.abs(coarse / 1 - finest * factor) <= cell * 1.02 + 0.01 * np.abs(coarse)
    assert near.all() or dtype in ("F16", "BF16")


def test_layers_together_take_hardly_more_than_the_finest_grid():
    rng = np.random.default_rng(5)
    w = rng.normal(size=(300, 200)) * np.exp(rng.normal(size=(300, 1)))
    source = save({"w": w.astype(np.float32), "b": np.ones(3, np.float32)})
    plain = codec.encode_weights(source, quality=60, quantiser="plain")
    data = codec.encode_weights(source, quality=60, quantiser="nested")
    assert len(data) < 1.01 * len(plain)
    fine, coarse = (load(codec.decode_weights(data, layers=n))["w"] for n in (3, 1))
    assert np.abs(fine - load(codec.decode_weights(plain))["w"]).max() < 1e-6
    step = np.abs(fine - w).max() * 2
    assert step * 3 < np.abs(coarse - w).max() * 2 < step * 9.1
    with codec.open_weights(data, layers=2) as weights:
        middle = weights.get_tensor("w")
        assert step < np.abs(middle - w).max() * 2 < step * 3.1
        assert np.array_equal(weights.get_slice("w")[7:90], middle[7:90])
        assert np.array_equal(weights.get_tensor("b"), np.ones(3))
    assert np.array_equal(codec.decode(data, layers=1)["w"], coarse)
    assert codec.weights_info(data).tensors[1]["method"] == "3 layers"


def test_at_the_command_line(tmp_path):
    w = np.random.default_rng(6).normal(size=(50, 60)).astype(np.float32)
    path, out = tmp_path / "w.bin", tmp_path / "w.safetensors"
    path.write_bytes(codec.encode_weights(save({"w": w}), quality=60, quantiser="nested"))
    result = CliRunner().invoke(cli, ["decode", str(path), str(out), "--layers", "1"])
    assert result.exit_code == 0, result.output
    coarse = load(out.read_bytes())["w"]
    assert np.array_equal(coarse, load(codec.decode_weights(path.read_bytes(), layers=1))["w"])
    assert len(np.unique(coarse)) < 30


def test_layers_that_there_are_not_are_refused():
    w = np.random.default_rng(7).normal(size=(50, 60)).astype(np.float32)
    with pytest.raises(InvalidOption, match="no tensor of the file has layers"):
        codec.decode_weights(codec.encode_weights(save({"w": w})), layers=1)
    data = codec.encode_weights(save({"w": w}), quality=60, quantiser="nested")
    with pytest.raises(InvalidOption, match="1 or more"):
        codec.decode_weights(data, layers=0)


def test_damage_is_found():
    w = np.random.default_rng(8).normal(size=(40, 30)).astype(np.float32)
    data = codec.encode_weights(save({"w": w}), quality=50, quantiser="nested")
    for at in range(0, len(data), 5):
        damaged = bytearray(data)
        damaged[at] ^= 0x29
        with pytest.raises(FileError):
            codec.decode_weights(bytes(damaged))
    for size in range(0, len(data), 11):
        with pytest.raises(FileError):
            codec.decode_weights(data[:size])


@pytest.mark.parametrize("seed", range(30))
def test_heads_of_anything_with_right_checksums_are_refused_or_give_values(seed):
    rng = np.random.default_rng(seed)
    own = tensor("F32", (20, 30))
    levels = rng.integers(-9, 10, (20, 30)).astype(np.int32)
    record, chunks = Nested(Quantised(levels, 0.1), (3, 5)).encode(own, map)
    changes = (
        lambda r: replace(r, coarse=replace(r.coarse, trellis=True)),
        lambda r: replace(r, coarse=replace(r.coarse, values=int(rng.integers(1, 500)))),
        lambda r: replace(r, finer=r.finer[:1]),
        lambda r: replace(r, finer=[replace(r.finer[0], chunks=[]), r.finer[1]]),
        lambda r: replace(r, finer=[replace(r.finer[0], ratio=127), r.finer[1]]),
        lambda r: replace(r, finer=[replace(f, runs=[64] * len(f.runs)) for f in r.finer]),
        lambda r: replace(r, finer=[replace(f, tables=bytes(rng.bytes(30))) for f in r.finer]),
    )
    broken = changes[seed % len(changes)](record)
    broken.chunks = [c for layer in (broken.coarse, *broken.finer) for c in layer.chunks]
    with pytest.raises(CorruptFile):
        whole(broken, chunks, own, None)


def test_what_is_coarser_is_symmetric():
    levels = np.arange(-100, 101, dtype=np.int32)
    for ratio in (3, 5, 127):
        found = layered._coarser(levels, ratio)
        assert np.array_equal(found, -found[::-1])
        assert np.abs(levels - found * ratio).max() <= ratio // 2
