"""Caches of keys and values: what comes back, how near, of which parts, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lictor.codec.errors import (
    CodecError,
    FileError,
    InvalidOption,
    InvalidTarget,
    NotALictorFile,
    UnsupportedArray,
)
from lictor.codec.kv import form
from lictor.kv import (
    Cache,
    Calibration,
    CalibrationUnavailable,
    Rope,
    append,
    calibrate,
    decode,
    encode,
    info,
)

LAYERS, TOKENS, HEADS, DIM = 2, 150, 2, 12
FREQUENCIES = tuple(1000.0 ** (-i / 5) for i in range(5))  # two dimensions do not turn


def _cache(seed: int = 0, tokens: int = TOKENS, dtype: str = "float32") -> Cache:
    """Keys that turn by position, and values, of few directions; the first token is far out."""
    mixing = np.random.default_rng(99).normal(size=(LAYERS, 2, HEADS * DIM, HEADS * DIM))
    mixing *= np.geomspace(3, 0.05, HEADS * DIM)[:, None]
    rng = np.random.default_rng(seed)
    x = np.einsum("ltsr,lsrc->lstc", rng.normal(size=(LAYERS, tokens, 2, HEADS * DIM)), mixing)
    x = (x + 1.5).astype(np.float32)
    x[:, :, 0] *= 50
    for layer in x:
        layer[0] = Rope(FREQUENCIES).turned(layer[0], DIM, 0)
    if dtype == "bfloat16":
        raw: Any = (x.view(np.uint32) >> 16).astype(np.uint16)
    else:
        raw = x.astype(dtype)
    return Cache(dtype, [tuple(m.reshape(tokens, HEADS, DIM) for m in layer) for layer in raw])  # type: ignore[misc]


def _floats(cache: Cache) -> np.ndarray:
    raw = np.array([[m for m in layer] for layer in cache.layers])
    if cache.dtype == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float64)


def _same(one: Cache, other: Cache) -> bool:
    pairs = zip(one.layers, other.layers, strict=True)
    return one.dtype == other.dtype and all(
        a.tobytes() == b.tobytes() for x, y in pairs for a, b in zip(x, y, strict=True)
    )


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate([_cache(7), _cache(8)], rope=Rope(FREQUENCIES))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("tokens", [1, 5, TOKENS])
def test_lossless_is_to_the_bit_and_never_above_raw(dtype: str, tokens: int):
    cache = _cache(1, tokens, dtype)
    cache.layers[0][0].reshape(-1)[:3] = (
        [0x7FC1, 0x8000, 0xFF80] if dtype == "bfloat16" else (np.array([np.nan, -0.0, -np.inf]))
    )
    data = encode(cache)
    assert _same(decode(data), cache)
    raw = cache.values * np.dtype(np.float32 if dtype == "float32" else np.float16).itemsize
    assert len(data) <= raw + 150
    assert info(data).error == 0


def test_a_calibration_saves_its_tables_without_loss():
    seen, cache = _cache(7, dtype="bfloat16"), _cache(2, dtype="bfloat16")
    own = calibrate([seen])
    data = encode(cache, calibration=own, lossless=True)
    assert _same(decode(data, calibration=own), cache)
    assert len(data) < 0.9 * len(encode(cache)) and len(data) < 0.75 * 2 * cache.values


def test_noise_of_bits_takes_no_more_than_it_has():
    noise = np.random.default_rng(0).integers(0, 2**16, (2, 2, 90, 40)).astype(np.uint16)
    noise = noise.view(np.float16)
    data = encode(noise)
    assert len(data) < noise.nbytes + 100
    assert decode(data).array().tobytes() == noise.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("bound", [1e-4, 0.01, 0.3, 40.0])
def test_a_bound_holds_for_every_value(dtype: str, bound: float):
    cache = _cache(3, dtype=dtype)
    data = encode(cache, max_error=bound)
    back = decode(data)
    gone = np.abs(_floats(back).astype(np.float64) - _floats(cache))
    assert gone.max() <= bound
    assert info(data).largest == gone.max()


def test_what_is_not_finite_keeps_its_layer_as_it_is(calibration: Calibration):
    cache = _cache(3)
    cache.layers[1][0][60, 1, 3] = np.nan
    for options in ({"max_error": 0.1}, {"calibration": calibration, "bits": 16.0}):
        data = encode(cache, chunk=64, **options)
        back = decode(data, calibration=calibration if "calibration" in options else None)
        assert np.isnan(back.layers[1][0][60, 1, 3]) and np.isfinite(_floats(back)[0]).all()
        assert info(data).raw == pytest.approx(1 / 6)


def test_bits_are_reached_and_more_of_them_come_nearer(calibration: Calibration):
    cache, before = _cache(4, 400), math.inf
    for bits in (2.0, 3.0, 5.0):
        data = encode(cache, calibration=calibration, bits=bits)
        said = info(data)
        assert 0.85 * bits < said.bits <= bits
        gone = _floats(decode(data, calibration=calibration)) - _floats(cache)
        error = math.sqrt((gone**2).sum() / (_floats(cache) ** 2).sum())
        assert said.error == pytest.approx(error, rel=1e-6) and error < before
        before = error


def test_a_basis_and_turning_back_save_bits():
    cache, errors = _cache(5, 400), {}
    rope = Rope(FREQUENCIES)
    plain, turned = (calibrate([_cache(7), _cache(8)], rope=r) for r in (None, rope))
    ways: dict[str, dict[str, Any]] = {
        "grid": {},
        "basis": {"calibration": plain},
        "turned": {"calibration": turned},
        "tensor": {"transform": "tensor"},
    }
    for name, options in ways.items():
        data = encode(cache, bits=4, sinks=1, **options)
        errors[name] = info(data).error
    assert errors["turned"] < errors["basis"] < errors["grid"]
    assert errors["tensor"] != errors["grid"]


def test_ranks_are_nested(calibration: Calibration):
    cache, errors = _cache(5), []
    for rank in (2, 8, 16, HEADS * DIM):
        data = encode(cache, calibration=calibration, rank=rank, bits=6)
        errors.append(info(data).error)
        assert info(data).rank == rank
    assert errors == sorted(errors, reverse=True)
    shrunk = calibrate([_cache(7)], method="shrunk", rank=8)
    assert shrunk.layers[0][0].basis.rank == 8 and not shrunk.layers[0][1].basis.mean.any()
    assert info(encode(cache, calibration=shrunk, bits=4)).error < 0.5


def test_sinks_and_recent_tokens_are_exact(calibration: Calibration):
    cache = _cache(6)
    data = encode(cache, calibration=calibration, bits=16, sinks=4, recent=37, chunk=32)
    back, own = _floats(decode(data, calibration=calibration)), _floats(cache)
    exact = (back == own).all(axis=(0, 1, 3, 4))
    assert exact[:4].all() and exact[-37:].all() and not exact[4:-37].any()
    later = encode(cache, calibration=calibration, bits=3, start=1000)
    assert not (_floats(decode(later, calibration=calibration)) == own).all(axis=(0, 1, 3, 4)).any()


def test_chunks_decode_alone(calibration: Calibration):
    cache = _cache(6)
    data = encode(cache, calibration=calibration, bits=4, chunk=32)
    whole = decode(data, calibration=calibration)
    for first, last in ((0, 1), (31, 33), (64, 96), (100, TOKENS)):
        part = decode(data, calibration=calibration, tokens=(first, last), layers=[1, 0])
        want = whole.part(first, last)
        want.layers.reverse()
        assert _same(part, want)
    with pytest.raises(InvalidOption):
        decode(data, calibration=calibration, tokens=(10, TOKENS + 1))
    with pytest.raises(InvalidOption):
        decode(data, calibration=calibration, layers=[LAYERS])


@pytest.mark.parametrize("options", [{}, {"max_error": 0.02}, {"bits": 4.0}])
def test_appended_chunks_are_as_if_encoded_at_once(options: dict[str, Any]):
    cache = _cache(6)
    data = encode(cache.part(0, 64), chunk=32, **options)
    grown = data + append(data, cache.part(64, 100))
    grown += append(grown, cache.part(100, TOKENS))
    back = decode(grown)
    assert back.tokens == TOKENS
    gone = np.abs(_floats(back) - _floats(cache)).max()
    assert gone <= {"max_error": 0.02, "bits": 30.0}.get(next(iter(options), ""), 0.0)
    with pytest.raises(UnsupportedArray):
        append(data, np.zeros((1, 2, 8, 8), np.float32))


def test_gradients_weigh_errors():
    cache = _cache(4, 300)
    gradients = _cache(40, 300)
    for keys, values in gradients.layers:
        keys *= 1e-3  # of keys next to nothing matters
        values *= 1.0
    own = calibrate([_cache(7, 300)], [[gradients]], rope=Rope(FREQUENCIES), following=64)
    data = encode(cache, calibration=own, divergence=0.5)
    assert 0.3 < info(data).expected <= 0.5
    gone = np.square(_floats(decode(data, calibration=own)) - _floats(cache))[:, :, 4:].mean(
        axis=(0, 2, 3, 4)
    )
    assert gone[0] > 10 * gone[1]
    assert info(encode(cache, calibration=own)).expected <= 0.005


def test_a_calibration_that_is_missing_is_named(
    calibration: Calibration, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    data = encode(_cache(1), calibration=calibration, bits=4)
    name = calibration.hash.hex()[:16]
    assert info(data).calibration == name
    with pytest.raises(CalibrationUnavailable, match=name):
        decode(data)
    other = calibrate([_cache(9)])
    with pytest.raises(CalibrationUnavailable, match=other.hash.hex()[:16]):
        decode(data, calibration=other)
    calibration.save(tmp_path / "own.lkc")
    other.save(tmp_path / "other.lkc")
    monkeypatch.setenv("LICTOR_CALIBRATIONS", f"{tmp_path / 'other.lkc'}:{tmp_path / 'own.lkc'}")
    assert decode(data).tokens == TOKENS
    assert Calibration.load(tmp_path / "own.lkc").hash == calibration.hash
    with pytest.raises(NotALictorFile):
        Calibration.load(b"nothing")


def test_what_is_no_cache_is_refused(calibration: Calibration):
    for wrong in (
        np.zeros((2, 3, 4, 5), np.float32),
        np.zeros((2, 2, 4, 5), np.int32),
        [],
        [(np.zeros((2, 1, 3, 4)),) * 2],
        [(np.zeros((3, 4), np.float32), np.zeros((4, 4), np.float32))],
        {"layers.0.keys": np.zeros((3, 4), np.float32)},
        {"weight": np.zeros((3, 4), np.float32)},
    ):
        with pytest.raises(UnsupportedArray):
            encode(wrong)
    small = np.zeros((1, 2, 3, 4), np.float32)
    with pytest.raises(UnsupportedArray, match="calibration's model"):
        encode(small, calibration=calibration)
    for options in (
        {"bits": 0},
        {"max_error": math.nan},
        {"divergence": 0.1},
        {"bits": 3, "lossless": True},
    ):
        with pytest.raises(InvalidTarget):
            encode(small, **options)
    for options in ({"chunk": 0}, {"transform": "basis"}, {"transform": "?"}, {"sinks": -1}):
        with pytest.raises(InvalidOption):
            encode(small, **options)


@pytest.mark.parametrize("value", [0.0, 3.25, 1e30])
def test_constant_caches(value: float):
    x = np.full((1, 2, 40, 8), value, np.float32)
    with pytest.raises(InvalidTarget, match="least"):
        encode(x, bits=2)  # tokens that are kept take more
    for options in ({}, {"max_error": 1e-3}, {"bits": 20, "sinks": 0}):
        assert (np.abs(decode(encode(x, **options)).array() - x) <= 1e-3 * max(1, value)).all()


def test_damage_is_found(calibration: Calibration):
    rng = np.random.default_rng(0)
    cache = _cache(1, 80)
    for options in ({}, {"max_error": 0.1}, {"calibration": calibration, "bits": 3.0}):
        data = encode(cache, chunk=32, **options)
        own = options.get("calibration")
        for at in rng.integers(0, len(data), 60):
            bad = bytearray(data)
            bad[at] ^= 1 << rng.integers(8)
            with pytest.raises(CodecError):
                decode(bytes(bad), calibration=own)
        chunks = form.read(data)[1]
        whole = {len(data) - sum(c.bytes for c in chunks[n:]) for n in range(1, 4)}
        for size in rng.integers(0, len(data), 40):
            if size not in whole:
                with pytest.raises(FileError):
                    decode(data[:size], calibration=own)


def test_hostile_streams_end_in_errors(calibration: Calibration):
    """With their checks made right, so that what lies behind them is reached."""
    rng = np.random.default_rng(1)
    cache = _cache(1, 40)
    for options in (
        {},
        {"max_error": 0.1},
        {"calibration": calibration, "bits": 9.0},
        {"bits": 9, "transform": "tensor"},
    ):
        header, chunks = form.read(encode(cache, **options))
        for _ in range(60):
            chunk = chunks[0]
            payloads = [bytearray(p) for p in chunk.payloads]
            own = payloads[rng.integers(LAYERS)]
            own[rng.integers(min(len(own), 400))] = rng.integers(256)
            tokens = int(rng.integers(1, 60))
            changed = form.Chunk(tokens, 0, 0, ways=[1, int(rng.integers(2))], payloads=payloads)
            with pytest.raises(FileError):
                decode(form.written(header, [changed]), calibration=options.get("calibration"))


def test_a_small_file_cannot_claim_much():
    header = form.Header("float16", [(64, 128, 64, 128)] * 8, chunk=2**16)
    chunk = form.Chunk(2**16, ways=[1] * 8, payloads=[b"x" * 30] * 8)
    data = form.written(header, [chunk])
    assert len(data) > 2**16 * header.columns // 2**10 - 2**13  # padded: honest files are so long
    with pytest.raises(FileError):
        decode(data)


def test_transformers_give_and_take_caches():
    transformers = pytest.importorskip("transformers")
    import torch

    rng = np.random.default_rng(0)
    made = transformers.DynamicCache()
    for layer in range(3):
        k, v = (torch.tensor(rng.normal(size=(1, 2, 20, 8)), dtype=torch.bfloat16) for _ in "kv")
        made.update(k, v, layer)
    back = decode(encode(made)).dynamic_cache()
    for one, other in zip(made.layers, back.layers, strict=True):
        assert torch.equal(one.keys, other.keys) and torch.equal(one.values, other.values)


def test_tensors_of_pytorch_and_names():
    import torch

    x = torch.randn(2, 2, 30, 8).to(torch.bfloat16)
    assert torch.equal(decode(encode(x)).array(), x)
    named = {f"model.{i}.{n}": x[i, j].float() for i in range(2) for j, n in enumerate("kv")}
    back = decode(encode(named))
    assert back.form == "named" and list(back.named())[3] == "layers.1.values"
    assert np.array_equal(back.named()["layers.1.values"][:, 0], x[1, 1].float().numpy())
    pairs = decode(encode([(x[i, 0], x[i, 1]) for i in range(2)])).tensors()
    assert pairs[1][0].shape == (1, 1, 30, 8)


def test_the_command_line_encodes_caches(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, calibration: Calibration
):
    from click.testing import CliRunner

    from lictor.codec.cli.main import cli

    monkeypatch.chdir(tmp_path)
    cache = _cache(2)
    np.save("cache.npy", cache.array())
    calibration.save("own.lkc")

    def lictor(*args: str, status: int = 0) -> str:
        run = CliRunner().invoke(cli, args, prog_name="lictor")
        assert run.exit_code == status, run.output
        return run.output

    lictor("encode", "cache.npy", "cache.bin", "--preset", "kv", "--lossless")
    lictor("decode", "cache.bin", "back.npy")
    assert np.array_equal(np.load("back.npy"), cache.array())
    used = ("--preset", "kv", "--calibration", "own.lkc", "--bits", "5")
    lictor("encode", "cache.npy", "small.bin", *used)
    assert "calibration" in lictor("info", "small.bin")
    assert "calibration" in lictor("decode", "small.bin", "back.npy", status=2)
    lictor("decode", "small.bin", "out.npy", "--calibration", "own.lkc")
    decoded = decode((tmp_path / "small.bin").read_bytes(), calibration=calibration)
    assert np.array_equal(np.load("out.npy"), decoded.array())
    assert "--mse" in lictor(
        "encode", "cache.npy", "x.bin", "--preset", "kv", "--mse", "1", status=2
    )
    assert "--sinks" in lictor("encode", "cache.npy", "x.bin", "--sinks", "1", status=2)


@pytest.mark.parametrize("name", ["exact", "basis", "exact-basis", "grid", "tensor"])
def test_golden_files(name: str):
    """Kept for ever; tests/golden/make_kv.py made them."""
    folder = Path(__file__).parents[1] / "golden" / "kv"
    data = (folder / f"{name}.bin").read_bytes()
    own = folder / "own.lkc" if info(data).calibration else None
    back, want = decode(data, calibration=own).array(), np.load(folder / f"{name}.npy")
    if name in ("exact", "exact-basis", "grid"):
        assert back.tobytes() == want.tobytes()
    else:  # of floats, which machines may round in another way
        assert np.allclose(back, want, rtol=2e-3, atol=1e-3)
