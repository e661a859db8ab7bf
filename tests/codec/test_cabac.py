"""Levels of weights by adaptive binary decisions: exact, the same without C, and never beyond."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from lictor import codec
from lictor.codec.errors import CorruptFile, FileError
from lictor.codec.format import weights as form
from lictor.codec.weights import cabac, grid, slow_cabac
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import Quantised

_cabac = pytest.importorskip("lictor.codec.weights._cabac", reason="no C compiler")
MOST = 1 << 24


def tensor(dtype: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor("t", dtype, shape, 0, math.prod(shape) * grid.ITEMS[dtype])


@given(
    st.lists(st.one_of(st.integers(-12, 12), st.integers(-MOST, MOST)), max_size=80),
    st.integers(1, 9),
    st.data(),
)
@settings(max_examples=80, deadline=None)
def test_levels_come_back_the_same_with_and_without_c(found, columns, data):
    at = data.draw(st.integers(0, columns - 1))
    levels = np.array(found, np.int32)
    stream = _cabac.encode(levels, columns, at)
    assert slow_cabac.encode(levels, columns, at) == stream
    for coder in (_cabac, slow_cabac):
        back = np.empty_like(levels)
        assert coder.decode(stream, columns, at, back)
        assert (back == levels).all()


@given(st.binary(max_size=60), st.integers(0, 300), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_a_stream_of_anything_gives_the_same_with_and_without_c(stream, count, columns):
    quick, slow = np.zeros(count, np.int32), np.zeros(count, np.int32)
    whole = _cabac.decode(stream, columns, 0, quick)
    assert whole == slow_cabac.decode(stream, columns, 0, slow)
    if whole:
        assert (quick == slow).all()


@pytest.mark.parametrize("slope", [0.0, 0.3, 4.0])
def test_choice_weighs_error_and_bits(slope):
    values = (np.random.default_rng(1).laplace(0, 1.5, (40, 30))).astype(np.float32)
    values[0, :3] = np.inf, -1e30, np.float32(2**22)
    levels, slow = cabac.chosen(values, slope), np.empty(1200, np.int32)
    slow_cabac.choose(values.reshape(-1), 30, slope, slow)
    assert (levels.reshape(-1) == slow).mean() > 0.99  # logarithms differ in their last bit
    if not slope:
        assert (levels[1:] == np.rint(values[1:])).mean() > 0.999
    nearest = np.rint(values[1:])
    assert np.abs(levels[1:]).sum() <= np.abs(nearest).sum()


def test_rare_decisions_and_constants_cost_little():
    levels = np.zeros((1000, 100), np.int32)
    assert len(_cabac.encode(levels.reshape(-1), 100, 0)) < 60
    levels[:] = -7
    assert len(_cabac.encode(levels.reshape(-1), 100, 0)) < 400


@pytest.mark.parametrize("wrong", [(0, 0), (4, 4), (4, -1)])
def test_rows_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        _cabac.encode(np.zeros(8, np.int32), *wrong)


def test_levels_beyond_are_refused():
    with pytest.raises(ValueError):
        _cabac.encode(np.array([MOST + 1], np.int32), 1, 0)


@pytest.mark.parametrize("dtype", grid.TYPES)
@pytest.mark.parametrize("shape", [(1,), (3, 1), (1, 300), (700, 800), (2, 600000)])
def test_records_of_all_types_and_shapes(dtype, shape):
    own = tensor(dtype, shape)
    rows, columns = grid.matrix(own)
    rng = np.random.default_rng(2)
    levels = rng.integers(-9, 10, (rows, columns)).astype(np.int32)
    halves = rng.integers(-5, 6, rows).astype(np.int8)
    given_ = cabac.Adaptive(Quantised(levels, 0.01, rows=halves if rows > 1 else None))
    record, chunks = given_.encode(own, map)
    read, start = form.read_record(form.write_head(record) + b"".join(chunks))
    assert isinstance(read, form.Cabac) and start
    out, at = np.empty(own.bytes, np.uint8), 0
    spaced, step = cabac.coding_of(read, own), read.values * grid.ITEMS[dtype]
    for chunk, data in zip(read.chunks, chunks, strict=True):
        part = out[at : at + step]
        cabac.decode_chunk(spaced, chunk, data, at // grid.ITEMS[dtype], part)
        at += step
    want = given_.decoded(own).reshape(-1)
    assert np.array_equal(grid.floats(out, dtype), want)


def test_whole_files_and_damage():
    w = np.random.default_rng(3).normal(0, 0.02, (60, 50)).astype(np.float32)
    source = save({"w": w, "b": w[:, 0].copy()})
    data = codec.encode_weights(source, quality=50, quantiser="deepcabac")
    plain = codec.encode_weights(source, quality=50, quantiser="plain")
    assert 0.8 < len(data) / len(plain) < 1.25
    back = codec.decode_weights(data)
    with codec.open_weights(data) as weights:
        assert np.abs(weights.get_tensor("w") - w).max() < 0.02
        rows = weights.get_slice("w")[10:20]
        assert np.array_equal(rows, weights.get_tensor("w")[10:20])
    assert len(back) == len(source)
    assert "adaptive" in str(codec.weights_info(data).tensors)
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x41
        with pytest.raises(FileError):
            codec.decode_weights(bytes(damaged))


def test_a_record_with_other_chunks_than_its_tensor_is_refused():
    own = tensor("F32", (30, 30))
    with pytest.raises(CorruptFile):
        cabac.coding_of(form.Cabac(values=100), own)
