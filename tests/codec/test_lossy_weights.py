"""Weights with loss: what a decoder gives is what was promised, and damage is found."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lictor import codec
from lictor.codec.errors import CorruptFile, FileError, InvalidOption
from lictor.codec.format import weights as form
from lictor.codec.weights import file as files
from lictor.codec.weights import grid, quantisers, slow, trellis, words
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import Quantised
from lictor.codec.weights.quantisers import Known

STORED = {"F32": "f4", "F16": "f2", "F64": "f8"}


def made(named: dict[str, tuple[str, np.ndarray]]) -> bytes:
    """A .safetensors file of arrays; BF16 are cut."""
    said: dict[str, Any] = {}
    parts: list[bytes] = []
    at = 0
    for name, (dtype, values) in named.items():
        if dtype == "BF16":
            raw = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        else:
            raw = values.astype(STORED.get(dtype, values.dtype)).tobytes()
        said[name] = {"dtype": dtype, "shape": values.shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        parts.append(raw)
    text = json.dumps(said).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """As weights are: rows and columns of several scales."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 0.02
    if len(shape) > 1:
        values *= np.exp(rng.normal(size=(shape[0], *[1] * (len(shape) - 1))))
        values *= np.exp(rng.normal(size=shape[-1]) / 2)
    return values


def tensor(dtype: str, shape: tuple[int, ...]) -> Tensor:
    size = math.prod(shape) * (8 if dtype == "F64" else 4 if dtype == "F32" else 2)
    return Tensor("t", dtype, shape, 0, size)


def decode(own: Tensor, record: form.Grid, chunks: list[bytes]) -> np.ndarray:
    """What `grid.encode` made, by way of the bytes of its head."""
    head = form.write_head(record)
    read, start = form.read_record(head + b"".join(chunks))
    assert isinstance(read, form.Grid) and start == len(head)
    coding = grid.coding_of(read, own)
    out = np.empty(own.bytes, np.uint8)
    item = own.bytes // own.values
    for i, (chunk, data) in enumerate(zip(read.chunks, chunks, strict=True)):
        begin = i * read.values
        grid.decode_chunk(
            coding, chunk, data, begin, out[begin * item : (begin + read.values) * item]
        )
    return grid.floats(out, own.dtype)


# ---- levels


@given(
    st.sampled_from(grid.TYPES),
    st.lists(st.integers(1, 40), min_size=0, max_size=3),
    st.sampled_from([0, 1, 5, 300, 2**22]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_any_levels(
    dtype: str, shape: list[int], most: int, stepped: bool, in_trellis: bool, seed: int
) -> None:
    own = tensor(dtype, tuple(shape))
    rows, columns = grid.matrix(own)
    rng = np.random.default_rng(seed)
    levels = rng.integers(-most, most + 1, (rows, columns)).astype(np.int32)
    steps = [rng.integers(-9, 10, n).astype(np.int8) if stepped else None for n in (rows, columns)]
    given = Quantised(levels, 0.0123, steps[0], steps[1], in_trellis)
    record, chunks = grid.encode(own, given)
    found = decode(own, record, chunks)
    assert np.array_equal(found.reshape(rows, columns), grid.decoded(own, given))
    if dtype == "F64" and not in_trellis and not stepped:
        assert np.array_equal(
            found.reshape(rows, columns), levels.astype(np.float32) * np.float32(0.0123)
        )


def test_steps_of_rows_and_columns() -> None:
    rows, columns = np.array([0, 2, -127], np.int8), np.array([1, 0, -4, 127], np.int8)
    own = tensor("F32", (3, 4))
    found = grid.decoded(own, Quantised(np.ones((3, 4), np.int32), 0.5, rows, columns))
    want = 0.5 * 2.0 ** (rows[:, None] / 2 + columns / 2)
    assert np.allclose(found, want, rtol=1e-6)


def test_chunks_of_long_rows_and_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trellis, "_CHUNK", 512)
    monkeypatch.setattr(trellis, "MAX_VALUES", 2048)
    for shape in ((300, 10), (3, 700), (2000,), (1, 130)):
        for in_trellis in (False, True):
            own = tensor("BF16", shape)
            rows, columns = grid.matrix(own)
            levels = np.random.default_rng(1).integers(-4, 5, (rows, columns)).astype(np.int32)
            steps = np.arange(rows).astype(np.int8) % 5, np.arange(columns).astype(np.int8) % 3
            given = Quantised(levels, 0.1, *steps, in_trellis)
            record, chunks = grid.encode(own, given)
            assert len(chunks) > 1 or shape == (1, 130)
            found = decode(own, record, chunks).reshape(rows, columns)
            assert np.array_equal(found, grid.decoded(own, given))


# ---- the trellis


@given(st.integers(1, 200), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_trellis_is_the_same_in_c(count: int, strands: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=count) * 3).astype(np.float32)
    contexts = rng.integers(0, 3, count).astype(np.uint8)
    rates = rng.random((2, 3, 7), np.float32)
    found, other = np.zeros(count, np.int32), np.zeros(count, np.int32)
    words.viterbi(values, contexts, rates, strands, found)
    slow.viterbi(values, contexts, rates, 3, strands, other)
    costs = [_spent(values, contexts, rates, strands, levels) for levels in (found, other)]
    assert costs[0] == pytest.approx(costs[1], rel=1e-5)


def _spent(
    values: np.ndarray, contexts: np.ndarray, rates: np.ndarray, strands: int, levels: np.ndarray
) -> float:
    odd = trellis.odd(levels, strands)
    off = values - trellis.points(levels, odd)
    reach = rates.shape[2] // 2
    inside = np.clip(levels, -reach, reach)
    own = rates[odd, contexts, inside + reach].astype(float)
    edge = np.where(levels > 0, 2 * reach, 0)
    next_to = np.where(levels > 0, 2 * reach - 1, 1)
    slope = rates[odd, contexts, edge] - rates[odd, contexts, next_to]
    return float((off.astype(float) ** 2 + own + np.abs(levels - inside) * slope).sum())


def test_the_trellis_saves_a_decibel() -> None:
    values = np.random.default_rng(0).normal(size=40000).astype(np.float32) * 20
    none = np.zeros(values.size, np.uint8)
    levels = trellis.levels(values, none, np.zeros((2, 1, 3), np.float32), 40)
    points = trellis.points(levels, trellis.odd(levels, 40))
    # A plain grid of the same number of levels has twice the step: an error of 4 / 12.
    assert 0.9 < 10 * np.log10(4 / 12 / np.mean((points - values) ** 2)) < 1.4


@pytest.mark.parametrize("bad", [dict(strands=0), dict(contexts=1), dict(rates=(2, 3, 2))])
def test_the_trellis_refuses_what_is_no_trellis(bad: dict[str, Any]) -> None:
    if words._quick is slow:
        pytest.skip("built without a C compiler")
    values = np.zeros(4, np.float32)
    contexts = np.full(4, 3 if "contexts" in bad else 2, np.uint8)
    rates = np.zeros(bad.get("rates", (2, 3, 5)), np.float32)
    with pytest.raises(ValueError, match=r"context|rates"):
        words.viterbi(values, contexts, rates, bad.get("strands", 1), np.zeros(4, np.int32))


# ---- files


def some(seed: int = 0) -> bytes:
    return made(
        {
            "a.weight": ("BF16", normal((64, 3, 3, 3), seed)),
            "b.weight": ("F32", normal((90, 70), seed)),
            "b.bias": ("F32", normal((70,), seed)),
            "ids": ("I64", np.arange(300).reshape(3, 100)),
            "tied": ("F32", normal((90, 70), seed)),
            "nan": ("F32", np.full((30, 30), np.nan)),
        }
    )


@pytest.mark.parametrize("name", ["plain", "trellis"])
def test_a_quality_makes_files_smaller_and_coarser(name: str) -> None:
    data = some()
    sizes, errors = [], []
    for quality in (0, 30, 60, 100):
        coded = codec.encode_weights(data, quality=quality, quantiser=name)
        found, want = codec.open_weights(coded), codec.open_weights(codec.encode_weights(data))
        for exact in ("b.bias", "ids", "nan"):
            assert np.array_equal(found.get_tensor(exact), want.get_tensor(exact), equal_nan=True)
        off = found.get_tensor("b.weight") - want.get_tensor("b.weight")
        sizes.append(len(coded))
        errors.append(float(np.sqrt((off**2).mean())))
        methods = {t["name"]: t["method"] for t in codec.weights_info(coded).tensors}
        assert methods["b.weight"].startswith("grid") and methods["tied"] == "same as b.weight"
        rows = found.get_slice("b.weight")[3:9]
        assert np.array_equal(rows, found.get_tensor("b.weight")[3:9])
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_one_more_quantiser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisers, "QUANTISERS", dict(quantisers.QUANTISERS))

    @quantisers.quantiser("ones")
    def ones(values: np.ndarray, known: Known) -> Quantised | None:
        return None if known.name == "a.weight" else Quantised(np.ones(values.shape, np.int32), 2)

    coded = codec.encode_weights(some(), quality=50, quantiser="ones")
    assert codec.encode_weights(some(), quality=50, quantiser=ones) == coded
    assert (codec.open_weights(coded).get_tensor("b.weight") == 2).all()
    with pytest.raises(ValueError, match="already"):
        quantisers.quantiser("ones")(ones)
    with pytest.raises(InvalidOption, match="no quantiser"):
        codec.encode_weights(some(), quality=50, quantiser="twos")
    with pytest.raises(InvalidOption, match="0 to 100"):
        codec.encode_weights(some(), quality=101)


def test_huge_and_tiny_values() -> None:
    wide = normal((40, 40))
    for scale in (1e-42, 1e-30, 1e30, 1e37):
        data = made({"w": ("F32", wide * scale), "one": ("F32", np.eye(40) * 1e30)})
        coded = codec.encode_weights(data, quality=60)
        assert np.isfinite(codec.open_weights(coded).get_tensor("w")).all()


# ---- damage


def test_every_flipped_byte_is_an_error_of_its_tensor() -> None:
    coded = codec.encode_weights(some(), quality=20)
    opened = files.read(coded)
    begin, end = opened.places[0]
    other = codec.open_weights(coded).get_tensor("b.weight")
    for at in range(begin + 3, end):
        bad = bytearray(coded)
        bad[at] ^= 1 << at % 8
        damaged = codec.open_weights(bytes(bad), framework="pt")
        with pytest.raises(FileError, match=r"tensor a\.weight"):
            damaged.get_tensor("a.weight")
        assert np.array_equal(damaged.get_tensor("b.weight"), other)


def test_heads_that_lie() -> None:
    own = tensor("F32", (30, 20))
    levels = np.random.default_rng(0).integers(-3, 4, (30, 20)).astype(np.int32)
    record, chunks = grid.encode(own, Quantised(levels, 0.1, trellis=True))
    lies = [
        (replace(record, trellis=False), own),
        (replace(record, runs=[1] * (len(record.runs) + 1)), own),
        (replace(record, tables=record.tables[:-1]), own),
        (replace(record, rows=b"\x01\x00"), replace(own, shape=(31, 20))),
        (replace(record, strands=1 + record.strands), own),
        (replace(record, values=record.values // 2), own),
        (replace(record, step=0x7F7FFFFF, row_steps=b"\x01\xff"), own),
        (record, replace(own, dtype="I32")),
        (record, replace(own, shape=(60, 20))),
    ]
    for lie, of in lies:
        with pytest.raises(CorruptFile):
            decode(of, lie, chunks)


def test_heads_of_any_bytes() -> None:
    own = tensor("F16", (25, 12))
    levels = np.random.default_rng(0).integers(-3, 4, (25, 12)).astype(np.int32)
    record, chunks = grid.encode(own, Quantised(levels, 0.1, trellis=True))
    for seed in range(400):
        rng = np.random.default_rng(seed)
        fields: dict[str, Any] = {}
        for name in ("rows", "columns", "row_steps", "column_steps", "tables"):
            if rng.random() < 0.4:
                fields[name] = rng.bytes(int(rng.integers(0, 40)))
        data = rng.bytes(len(chunks[0]))
        chunk = form.Chunk(0, len(data), form.zlib.crc32(data), 0)
        with pytest.raises(CorruptFile):
            decode(own, replace(record, **fields, chunks=[chunk]), [data])
