"""Weights with loss: what a decoder gives is what was promised, and damage is found."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lictor import codec
from lictor.codec.cli.main import cli
from lictor.codec.errors import CorruptFile, FileError, InvalidOption
from lictor.codec.format import weights as form
from lictor.codec.weights import file as files
from lictor.codec.weights import grid, lossy, quantisers, slow, trellis, words
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.curvature import Calibration, Curvature
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


def lictor(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="lictor")


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


def test_what_a_decoder_does_after_each_value_is_the_same_in_c() -> None:
    """Also of numbers that only a damaged file has."""
    rng = np.random.default_rng(0)
    ends = [-(2**31), -(2**31) + 127, -1, 0, 1, 126, 127, 128, 2**31 - 1]
    symbols = np.concatenate(
        [rng.integers(-(2**31), 2**31, 3000), rng.integers(0, 255, 3000), ends]
    )
    symbols = symbols.astype(np.int32)
    states = rng.integers(0, 8, symbols.size).astype(np.uint8)
    following = rng.integers(0, 40, symbols.size - 5).astype(np.uint8)
    odd = (states & 1).astype(np.uint8)
    found = []
    for module in (words, slow):
        own = symbols.copy(), states.copy(), following.copy()
        module.advance(*own, 127, 40)
        found.append(own)
    for quick, plain in zip(*found, strict=True):
        assert np.array_equal(quick, plain)
    levels = symbols[3000:6000] - 127
    assert np.array_equal(found[0][0][3000:6000], trellis.points(levels, odd[3000:6000]))
    assert np.array_equal(
        found[0][1][3000:6000], trellis.NEXT[2 * states[3000:6000] + (levels & 1)]
    )
    next_odd = found[0][1][: following.size] & 1
    assert np.array_equal(found[0][2], following + 40 * next_odd)
    with pytest.raises(ValueError, match="more values follow"):
        words.advance(symbols[:2].copy(), states[:2].copy(), following[:3].copy(), 127, 40)
    with pytest.raises(ValueError, match="another size"):
        words.advance(symbols[:2].copy(), states[:3].copy(), following[:1].copy(), 127, 40)


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
        for exact in ("ids", "nan"):
            assert np.array_equal(found.get_tensor(exact), want.get_tensor(exact), equal_nan=True)
        assert np.allclose(found.get_tensor("b.bias"), want.get_tensor("b.bias"), rtol=2**-8)
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


def normalised(seed: int = 0) -> dict[str, np.ndarray]:
    """A convolution and its batch normalisation, one channel of which is dead."""
    rng = np.random.default_rng(seed)
    parts = {
        "conv.weight": normal((40, 12, 3, 3), seed),
        "bn.weight": rng.normal(size=40) * 0.3 + 1,
        "bn.bias": rng.normal(size=40),
        "bn.running_mean": rng.normal(size=40),
        "bn.running_var": np.exp(rng.normal(size=40) * 2),
    }
    parts["bn.running_var"][3] = 0
    return {name: values.astype(np.float32) for name, values in parts.items()}


def affine(parts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    scale = parts["bn.weight"] / np.sqrt(parts["bn.running_var"] + 1e-5)
    return scale, parts["bn.bias"] - parts["bn.running_mean"] * scale


def test_a_normalisation_does_what_it_did() -> None:
    parts = normalised()
    coded = codec.encode_weights(made({n: ("F32", v) for n, v in parts.items()}), quality=50)
    with codec.open_weights(coded) as opened:
        found = {name: opened.get_tensor(name) for name in parts}
    for got, want in zip(affine(found), affine(parts), strict=True):
        live = np.arange(40) != 3
        assert np.allclose(got[live], want[live], rtol=0.03, atol=0.03)
    assert not np.array_equal(found["bn.running_var"], parts["bn.running_var"])
    assert found["bn.running_var"][3] == 0


def test_what_was_the_same_may_be_so_no_more() -> None:
    parts = normalised()
    other = {n: v for n, v in normalised(1).items() if "running" in n}
    both = parts | {f"z.{n}": v for n, v in (parts | other).items()}
    coded = codec.encode_weights(made({n: ("F32", v) for n, v in both.items()}), quality=50)
    with codec.open_weights(coded) as opened:
        found = {name: opened.get_tensor(f"z.{name}") for name in parts}
    for got, want in zip(affine(found), affine(parts | other), strict=True):
        live = (np.arange(40) != 3) & (other["bn.running_var"] > 0)
        assert np.allclose(got[live], want[live], rtol=0.03, atol=0.03)


def test_small_matrices_have_finer_steps_unless_they_are_known() -> None:
    tensors = {"large": ("F32", normal((300, 200))), "small": ("F32", normal((30, 20), 1))}
    errors = {}
    for how in ("trellis", "plain"):
        with codec.open_weights(
            codec.encode_weights(made(tensors), quality=40, quantiser=how)
        ) as f:
            errors[how] = [float(np.std(f.get_tensor(n) - v)) for n, (_, v) in tensors.items()]
    assert errors["trellis"][1] < 0.25 * errors["trellis"][0]
    assert errors["plain"][1] > 0.9 * errors["plain"][0]


def test_tables_of_tokens_have_the_steps_of_other_large_matrices() -> None:
    rng = np.random.default_rng(0)
    shapes = {"tokens": (5000, 640), "layer": (1024, 1024), "head": (64, 1024)}
    own = {name: ("F32", rng.normal(size=shape)) for name, shape in shapes.items()}
    with codec.open_weights(codec.encode_weights(made(own), quality=20)) as weights:
        off = {n: np.std(weights.get_tensor(n) - v.astype("f4")) for n, (_, v) in own.items()}
    assert off["tokens"] == pytest.approx(off["layer"], rel=0.02)
    assert off["head"] < off["layer"] / 1.5


def test_bits_are_kept() -> None:
    data = made({"w": ("BF16", normal((200, 160))), "v": ("BF16", normal((160, 90), 1))})
    for bits in (2.5, 4.0):
        found = codec.weights_info(codec.encode_weights(data, bits=bits)).bits
        assert 0.93 * bits < found <= bits
    assert codec.weights_info(codec.encode_weights(data, bits=0.01)).bits > 0.01


def test_options_that_do_not_go_together() -> None:
    data = some()
    for options, message in (
        ({"quality": 40, "bits": 3}, "leave the quality out"),
        ({"quality": 40, "base": data}, "for exact weights"),
        ({"bits": 0}, "above 0"),
        ({"calibration": Calibration()}, "a calibration is for"),
    ):
        with pytest.raises(InvalidOption, match=message):
            codec.encode_weights(data, **options)


def test_the_command(tmp_path: Path) -> None:
    source, out = tmp_path / "m.safetensors", tmp_path / "m.bin"
    source.write_bytes(some())
    result = lictor("encode", source, out, "--quality", "40")
    assert result.exit_code == 0 and "with loss" in result.output
    assert out.read_bytes() == codec.encode_weights(some(), quality=40)
    result = lictor("info", out, "--json")
    assert json.loads(result.stdout)["tensors"][0]["method"].startswith("grid")
    assert lictor("decode", out, tmp_path / "back.safetensors").exit_code == 0
    back = (tmp_path / "back.safetensors").read_bytes()
    assert back == codec.decode_weights(out.read_bytes()) and len(back) == len(some())
    result = lictor("encode", source, out, "--bits", "0.1")
    assert result.exit_code == 0 and "are too few" in result.stderr
    assert lictor("encode", source, out).exit_code == 0
    assert codec.decode_weights(out.read_bytes()) == some()


def test_beside_pictures_a_quality_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m.safetensors").write_bytes(some())
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "p.png")
    (tmp_path / "out").mkdir()
    result = lictor("encode", tmp_path / "in", tmp_path / "out", "-q", "20", "--model", "fake.own")
    assert result.exit_code == 0, result.output
    assert codec.decode_weights((tmp_path / "out" / "m.bin").read_bytes()) == some()


# ---- with data


def seen(columns: int, groups: int = 1, count: int = 300) -> np.ndarray:
    """Moments of inputs that are like one another."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(groups, count, columns)) @ rng.normal(size=(columns, columns))
    return (np.einsum("gnc,gnd->gcd", x, x) / count).astype(np.float32)


@pytest.mark.parametrize("groups", [1, 70])
def test_feedback_costs_less_at_the_same_bits(groups: int) -> None:
    values = normal((70, 24)).astype(np.float32)
    data = made({"w": ("F32", values)})
    rows = np.linspace(0.1, 3, 70).astype(np.float32)
    curvature = Curvature(seen(24, groups), rows, 300)
    costs = {}
    for name in ("trellis", "diagonal", "feedback"):
        calibration = Calibration({"w": curvature} if name != "trellis" else {})
        coded = codec.encode_weights(data, bits=4, calibration=calibration, quantiser=name)
        off = (codec.open_weights(coded).get_tensor("w") - values).astype(float)
        moments = np.broadcast_to(curvature.moments, (70, 24, 24))
        costs[name] = float(np.einsum("r,rc,rcd,rd->", rows, off, moments, off))
    assert costs["feedback"] < 0.75 * costs["diagonal"] < costs["trellis"]


def test_a_calibration_as_a_file(tmp_path: Path) -> None:
    made_of = Calibration(
        {"b.weight": Curvature(seen(70), np.ones(90, np.float32), 50)},
        {"b.bias": np.arange(70, dtype=np.float32)},
    )
    made_of.save(tmp_path / "c.npz")
    coded = codec.encode_weights(some(), quality=30, calibration=made_of)
    assert codec.encode_weights(some(), quality=30, calibration=tmp_path / "c.npz") == coded
    assert np.array_equal(codec.open_weights(coded).get_tensor("b.bias"), np.arange(70))
    source, out = tmp_path / "m.safetensors", tmp_path / "m.bin"
    source.write_bytes(some())
    result = lictor("encode", source, out, "-q", "30", "--calibration", tmp_path / "c.npz")
    assert result.exit_code == 0 and out.read_bytes() == coded
    for bad in (b"", b"PK", source.read_bytes()):
        (tmp_path / "bad.npz").write_bytes(bad)
        with pytest.raises(InvalidOption, match="no calibration"):
            codec.encode_weights(some(), quality=30, calibration=tmp_path / "bad.npz")


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


# ---- golden


def test_golden() -> None:
    data = (GOLDEN / "lossy.bin").read_bytes()
    assert hashlib.sha256(codec.decode_weights(data)).hexdigest() == GOLDEN_DIGEST
    methods = [t["method"] for t in codec.weights_info(data).tensors]
    assert sum("trellis" in m for m in methods) >= 2 and "grid, 1 tables" in methods


def make_golden() -> None:
    """Write the golden file anew; only on purpose, and its digest above then."""
    parts = {f"n.{name}": ("F32", values) for name, values in normalised().items()}
    parts |= {"half": ("F16", normal((60, 50))), "brain": ("BF16", normal((150, 20)))}
    layer = Curvature(seen(20), np.linspace(0.1, 9, 150).astype(np.float32), 300)
    data = codec.encode_weights(made(parts), quality=35, calibration=Calibration({"brain": layer}))
    (GOLDEN / "lossy.bin").write_bytes(data)
    print(hashlib.sha256(codec.decode_weights(data)).hexdigest())


GOLDEN = Path(__file__).parents[1] / "golden" / "weights"
GOLDEN_DIGEST = "50a6562e4dbfc01ea2a92f64d2230d868e6439a72abfc8370e16d40440115e1d"


# ---- scales that differ by orders of magnitude


def lost(data: bytes, named: dict[str, np.ndarray], **how: Any) -> dict[str, float]:
    """Of each tensor the error's share of its values, by their root mean squares."""
    found = {}
    with codec.open_weights(codec.encode_weights(data, **how)) as opened:
        for name, values in named.items():
            want = values.astype(np.float64)
            off = opened.get_tensor(name).astype(np.float64) - want
            found[name] = float(np.sqrt(np.mean(off**2) / np.mean(want**2)))
    return found


@pytest.mark.parametrize("calibrated", [False, True])
def test_each_tensor_is_coded_by_its_own_scale(calibrated: bool) -> None:
    named = {
        f"{i}": (normal((60, 50), i + 50) * 10.0**i).astype(np.float32) for i in range(-30, 7, 6)
    }
    data = made({name: ("F32", values) for name, values in named.items()})
    layers = {
        f"{i}": Curvature(seen(50), np.full(1, 10.0 ** (-2 * i), np.float32), 300)
        for i in (-12, -6)
    }
    how: dict[str, Any] = {"calibration": Calibration(layers)} if calibrated else {}
    for quality, most in ((20, 0.4), (40, 0.15), (70, 0.03)):
        assert max(lost(data, named, quality=quality, **how).values()) < most
    assert codec.weights_info(codec.encode_weights(data, quality=40, **how)).bits < 5


def test_a_scale_that_is_a_bit_smaller_counts_as_the_same() -> None:
    for ratio in (0.25, 0.5, 1.0, 30.0, 0.0):
        assert lossy.apart(ratio) == 1
    assert lossy.apart(1 / 16) == 1 / 16 and lossy.apart(1e-30) == 1e-30
    between = [lossy.apart(2.0**-i) for i in np.arange(2, 4.1, 0.25)]
    assert between == sorted(between, reverse=True)


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-36, 1e-20, 1e19, 1e30, 1e38])
def test_a_tensor_beside_ones_of_any_scale(scale: float) -> None:
    with np.errstate(over="ignore"):
        named = {"one": normal((60, 50)), "far": (normal((60, 50), 1).clip(-3, 3) * scale)}
        named = {name: values.astype(np.float32) for name, values in named.items()}
    assert np.isfinite(named["far"]).all()
    data = made({name: ("F32", values) for name, values in named.items()})
    assert max(lost(data, named, quality=50).values()) < 0.1


def test_a_normalisation_with_one_large_weight_keeps_the_others() -> None:
    parts = normalised()
    parts["bn.weight"][5] = 1e6
    data = made({n: ("F32", v) for n, v in parts.items()})
    with codec.open_weights(codec.encode_weights(data, quality=50)) as opened:
        found = {name: opened.get_tensor(name) for name in parts}
    live = (np.arange(40) != 3) & (np.arange(40) != 5)
    for got, want in zip(affine(found), affine(parts), strict=True):
        assert np.allclose(got[live], want[live], rtol=0.1, atol=0.1)


def test_what_becomes_zeros_is_named(tmp_path: Path) -> None:
    tensors = {
        "large.one": ("F32", np.random.default_rng(0).normal(size=(400, 400))),
        "small": ("F32", np.sign(normal((200, 200))) * 0.3),
        "nothing": ("F32", np.zeros((30, 30))),
    }
    (tmp_path / "a.safetensors").write_bytes(made(tensors))
    result = lictor("encode", tmp_path / "a.safetensors", tmp_path / "a.bin", "-q", "0")
    assert result.exit_code == 0
    assert "all values become 0 at this quality, of small;" in result.stderr
    told = codec.weights_info((tmp_path / "a.bin").read_bytes())
    methods = {t["name"]: t["method"] for t in told.tensors}
    assert methods["small"] == "zeros" and methods["large.one"] != "zeros"
    with codec.open_weights(tmp_path / "a.bin") as opened:
        for name, method in methods.items():
            assert opened.get_tensor(name).any() == (method != "zeros")
    result = lictor("encode", tmp_path / "a.safetensors", tmp_path / "a.bin", "-q", "40")
    assert result.exit_code == 0 and "become 0" not in result.stderr
