"""Features by a model: shapes, types, what is far out, hostile files, wrong calls."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from lictor.codec import decode, decode_features, encode, encode_features, feature_info
from lictor.codec.arrays import methods
from lictor.codec.cli.main import cli
from lictor.codec.errors import (
    CodecError,
    CorruptFile,
    FileError,
    InvalidQuality,
    InvalidTarget,
    LatentMismatch,
    ModelUnavailable,
    TruncatedFile,
)
from lictor.codec.format import arrays as feature_format
from lictor.models import checkpoint, registry

CHANNELS = 12
SHAPES = [
    *[(), (1,), (5,), (1, CHANNELS), (9, CHANNELS), (CHANNELS, 30), (40, 7), (40, 4)],
    *[(2, CHANNELS, 7, 5), (3, 7, 5, CHANNELS), (1, 30, 6, 6), (2, CHANNELS, 1, 1)],
    (2, 3, 4, 5, 6),
]


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides real models."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that start from a KLT of `maps`, and were not trained."""
    torch.manual_seed(0)
    model = registry.create("plane-hyper").resized(CHANNELS, 2)
    x = torch.from_numpy(maps(seed=9, shape=(64, CHANNELS, 8, 8)))
    deviation, mean = torch.std_mean(x, dim=(0, 2, 3))
    model.mean.copy_(mean)
    model.spread.copy_(deviation)
    model.unit.copy_(deviation.square().mean().sqrt())
    centred = (x - mean[:, None, None]) / model.unit
    flat = torch.nn.functional.pixel_unshuffle(centred, 2).permute(0, 2, 3, 1).flatten(0, 2)
    model.start_from_klt((flat.T @ flat / len(flat)).double())
    path = tmp_path_factory.mktemp("weights") / "plane-hyper.test.safetensors"
    checkpoint.save(model.eval(), path, "plane-hyper.test", {})
    return path


@pytest.fixture(autouse=True)
def found(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(weights.parent))


def maps(seed: int = 0, shape: tuple[int, ...] = (2, CHANNELS, 14, 14)) -> np.ndarray:
    """Smooth channels that depend on one another, each with its own mean and loudness."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    x = (x + np.roll(x, 1, -1) + np.roll(x, 1, -2)) * np.linspace(0.5, 2, shape[1])[:, None, None]
    x[:, 1:] += 0.8 * x[:, :-1]
    return (x + np.arange(shape[1])[:, None, None]).astype(np.float32)


def wide(x: object) -> np.ndarray:
    return torch.as_tensor(x).double().numpy()


# ---- types, shapes, targets


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(weights: Path, shape: tuple[int, ...], dtype: str) -> None:
    x = np.random.default_rng(1).normal(size=shape) * 3 + 5
    given = torch.tensor(x).bfloat16() if dtype == "bfloat16" else x.astype(dtype)
    back = decode_features(encode_features(given, model=weights, quality=100))
    assert back.dtype == given.dtype and tuple(back.shape) == shape
    assert np.square(wide(back) - wide(given)).mean() < 0.1


@pytest.mark.parametrize("quality", [0, 33.3, 100])
def test_all_rates_of_one_model(weights: Path, quality: float) -> None:
    x = maps()
    data = encode_features(x, model=weights, quality=quality)
    error = np.square(decode_features(data) - x).mean() / x.var(axis=(0, 2, 3)).mean()
    assert error < 1.5 * 0.72 / 2 ** (quality / 10)
    array = feature_info(data).arrays[0]
    assert array["model"] == "plane-hyper.test" and array["axis"] == 1
    assert array["quality"] == round(quality * 4) / 4 and array["step"] is None


def test_a_layer_known_takes_less_than_one_to_be_learned(weights: Path) -> None:
    x = maps(shape=(1, CHANNELS, 14, 14))
    data = encode_features(x, model=weights, quality=40)
    error = np.square(decode_features(data) - x).mean()
    assert len(data) < 0.9 * len(encode_features(x, mse=float(error)))


def test_targets_find_the_quality(weights: Path) -> None:
    x = maps()
    back = decode_features(encode_features(x, model=weights, mse=0.05))
    assert 0.04 < np.square(back - x).mean() <= 0.05
    assert 1.9 < feature_info(encode_features(x, model=weights, bits=2)).bits <= 2
    least = encode_features(x, model=weights, mse=1e9)
    assert feature_info(least).arrays[0]["quality"] == 0


def test_what_a_model_cannot_keep_is_coded_without_it(weights: Path) -> None:
    x = maps()
    data = encode_features(x, model=weights, mse=1e-9)
    assert np.square(decode_features(data) - x).mean() <= 1e-9
    assert feature_info(data).arrays[0]["model"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_error": 0.1}, "keeps no max_error"),
        ({"quality": 5, "mse": 1}, "one of quality, mse and bits"),
        ({"bits": 2, "mse": 1}, "one of max_error, mse and bits"),
        ({"axis": 4}, "no axis 4"),
        ({"axis": 0}, "axis 0 has 2 channels"),
    ],
)
def test_wrong_targets(weights: Path, options: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidTarget, match=words):
        encode_features(maps(), model=weights, **options)
    with pytest.raises(InvalidTarget, match="quality is for models"):
        encode_features(maps(), quality=50)
    with pytest.raises(InvalidQuality):
        encode_features(maps(), model=weights, quality=101)


def test_weights_need_not_be_where_decoders_look(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LICTOR_CHECKPOINTS")
    assert feature_info(encode_features(maps(), model=weights, mse=0.05)).values == maps().size


def test_a_name_that_no_file_can_hold(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    checkpoint.save(checkpoint.load(str(weights)), path, "plane-hyper.a b", {})
    with pytest.raises(CodecError, match="plain ASCII"):
        encode_features(maps(), model=path)


def test_models_of_the_other_kind(weights: Path, photo: np.ndarray) -> None:
    with pytest.raises(ModelUnavailable, match="codes arrays of 12 channels, not pictures"):
        encode(photo, model=weights)
    with pytest.raises(ModelUnavailable, match="codes pictures, not arrays"):
        encode_features(maps(), model="lictor-s.mse")
    with pytest.raises(ModelUnavailable, match="unknown model"):
        encode_features(maps(), model="nothing.here")


# ---- what is not ordinary


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_infinities_and_numbers_far_out_come_back(weights: Path, dtype: str) -> None:
    x = maps().astype(dtype)
    clean = decode_features(encode_features(x, model=weights, quality=60))
    x[0, 1, 2, 3], x[1, 0, 0, 0], x[1, 5, 1, 1] = np.nan, np.inf, -np.inf
    x[0, 3, 3, 3], x[0, 4, 4, 4] = np.finfo(dtype).max, np.finfo(dtype).min
    data = encode_features(x, model=weights, quality=60)
    back = decode_features(data)
    odd = ~np.isfinite(x) | (np.abs(x) > 1e4)
    np.testing.assert_array_equal(back[odd], x[odd])
    before, after = (np.square(wide(b)[~odd] - wide(x)[~odd]).mean() for b in (clean, back))
    assert after < 1.2 * before


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-40, 3e38, np.nan])
def test_all_values_alike(weights: Path, value: float) -> None:
    x = np.full((40, CHANNELS), value, np.float32)
    back = decode_features(encode_features(x, model=weights))
    np.testing.assert_array_equal(back, x)


def test_channels_of_other_scales_are_brought_to_those_known(weights: Path) -> None:
    x = maps(shape=(4, CHANNELS, 14, 14))
    plain = encode_features(x, model=weights, quality=50)
    for factor in (1e-3, 64.0, 1e4):
        data = encode_features(x * np.float32(factor), model=weights, quality=50)
        assert len(data) < 1.5 * len(plain) + 100
        error = np.square(decode_features(data) / factor - x).mean()
        assert error < 8 * np.square(decode_features(plain) - x).mean()
    loud = x.copy()
    loud[:, 3] *= 300
    assert len(encode_features(loud, model=weights, quality=50)) < 1.3 * len(plain)


def test_values_stay_within_the_bounds(weights: Path) -> None:
    x = np.maximum(maps(), 4)
    back = decode_features(encode_features(x, model=weights, quality=10))
    assert back.min() >= x.min() and back.max() <= x.max()


def test_names_and_integers_beside(weights: Path) -> None:
    given = {"a": maps(), "n": np.arange(5), "none": np.zeros((0, 3), np.float32)}
    back = decode_features(encode_features(given, model=weights, quality=80))
    assert list(back) == list(given)
    np.testing.assert_array_equal(back["n"], given["n"])


# ---- exactness, hostile files


def small(weights: Path) -> bytes:
    return encode_features(maps(shape=(1, CHANNELS, 5, 4)), model=weights, quality=30)


def test_threads_change_no_latents(weights: Path) -> None:
    data, before = encode_features(maps(), model=weights, quality=70), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(decode_features(data))  # the checksum of the latents is compared
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*found, atol=1e-4)


def test_the_file_names_its_model(weights: Path) -> None:
    array = methods.read(small(weights)).arrays[0]
    assert isinstance(array, methods.Learned) and array.code == 2
    assert array.learned.weights == checkpoint.load(str(weights)).digest[:4]


def test_every_truncation_is_noticed(weights: Path) -> None:
    data = small(weights)
    for end in range(len(data)):
        with pytest.raises(TruncatedFile if end else FileError):
            decode_features(data[:end])


def test_every_changed_byte_is_noticed(weights: Path) -> None:
    data = small(weights)
    for i in range(len(data)):
        for flip in (1, 0x80):
            bad = bytearray(data)
            bad[i] ^= flip
            with pytest.raises(FileError):
                decode_features(bytes(bad))


@pytest.mark.parametrize("seed", range(10))
def test_damage_behind_right_checksums(weights: Path, seed: int) -> None:
    """Wrong streams with right checksums are damage or other latents, never anything else."""
    rng = np.random.default_rng(seed)
    file = methods.read(small(weights))
    array = file.arrays[0]
    coded = bytearray(array.coded)
    for _ in range(20):
        changed = bytearray(coded)
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        array.coded = bytes(changed)
        with pytest.raises(FileError):
            decode_features(feature_format.write(file))


def test_a_checksum_that_disagrees(weights: Path) -> None:
    file = methods.read(small(weights))
    file.arrays[0].learned.latents ^= 1
    with pytest.raises(LatentMismatch, match="other latents"):
        decode_features(feature_format.write(file))


def test_other_weights_and_unknown_models(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = methods.read(small(weights))
    said = file.arrays[0].learned
    said.weights = bytes(4)
    with pytest.raises(ModelUnavailable, match="other weights"):
        decode_features(feature_format.write(file))
    said.model_name = "plane-hyper.gone"
    with pytest.raises(ModelUnavailable, match="unknown model"):
        decode_features(feature_format.write(file))
    said.model_id = 4242
    with pytest.raises(ModelUnavailable, match="number 4242"):
        decode_features(feature_format.write(file))
    shipped = checkpoint.load("lictor-s.mse")
    said.model_id, said.weights = shipped.id, shipped.digest[:4]
    with pytest.raises(ModelUnavailable, match="codes pictures"):
        decode_features(feature_format.write(file))


@pytest.mark.parametrize("change", ["axis", "bounds", "nan"])
def test_what_no_encoder_writes(weights: Path, change: str) -> None:
    file = methods.read(small(weights))
    array = file.arrays[0]
    if change == "axis":
        array.axis = 0  # one channel, where the model has twelve: nearly all would be padding
        with pytest.raises(CorruptFile, match="axis"):
            decode_features(feature_format.write(file))
        return
    array.learned.low = np.nan if change == "nan" else array.learned.high + 1
    with pytest.raises(ValueError, match="values lie between"):
        feature_format.write(file)


def test_sizes_are_bounded_before_anything_is_allocated(weights: Path) -> None:
    file = methods.read(small(weights))
    file.arrays[0].shape = (2**26, CHANNELS, 5, 4)
    data = feature_format.write(file)
    with pytest.raises(CorruptFile, match=r"more than any encoder writes|ends after"):
        decode_features(data[: len(data) // 2])


# ---- the command line


def lictor(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="lictor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", maps())
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / "p.png")
    return tmp_path


def test_there_and_back(weights: Path, folder: Path) -> None:
    coded, back = folder / "a.bin", folder / "b.npy"
    result = lictor("encode", folder / "a.npy", coded, "--model", weights, "--quality", "62.5")
    assert result.exit_code == 0, result.stderr
    assert lictor("decode", coded, back).exit_code == 0
    assert np.square(np.load(back) - maps()).mean() < 0.1
    text = lictor("info", coded).stdout
    assert "plane-hyper.test (weights " in text and "quality 62.5" in text
    row = json.loads(lictor("info", coded, "--json").stdout)["arrays"][0]
    assert (row["model"], row["quality"]) == ("plane-hyper.test", 62.5)
    assert (
        lictor("encode", folder / "a.npy", coded, "--model", weights, "--bits", "2").exit_code == 0
    )
    assert feature_info(coded.read_bytes()).bits <= 2


@pytest.mark.parametrize(
    ("source", "model", "options", "words"),
    [
        ("p.png", None, [], "codes arrays of 12 channels, not pictures"),
        ("a.npy", "lictor-s.mse", [], "codes pictures, not arrays"),
        ("a.npy", "nothing.here", [], "unknown model"),
        ("a.npy", None, ["--max-error", "1"], "leave the model out"),
        ("a.npy", None, ["--quality", "5", "--bits", "1"], "one of quality, mse and bits"),
    ],
)
def test_wrong_calls(
    weights: Path, folder: Path, source: str, model: str | None, options: list[str], words: str
) -> None:
    out = folder / "x.bin"
    result = lictor("encode", folder / source, out, "--model", model or weights, *options)
    assert result.exit_code == 2 and words in result.stderr and not out.exists()
    assert len(result.stderr.strip().splitlines()) == 1


def test_in_a_folder_a_model_codes_what_it_can(weights: Path, folder: Path) -> None:
    out = folder / "out"
    assert lictor("encode", folder, out, "--model", weights).exit_code == 0
    assert feature_info((out / "a.bin").read_bytes()).arrays[0]["model"] == "plane-hyper.test"
    assert decode((out / "p.bin").read_bytes()).size == (16, 16)


def test_weights_too_large_for_exact_sums_are_a_typed_error(weights: Path, tmp_path: Path) -> None:
    """Twins are made when something is first coded: in the middle of an encode or a decode."""
    model = copy.deepcopy(checkpoint.load(str(weights)))
    with torch.no_grad():
        model.get_submodule("context.steps.0.from_prior").weight.fill_(3e4)
    path = tmp_path / "plane-hyper.loud.safetensors"
    checkpoint.save(model, path, "plane-hyper.loud", {})
    with pytest.raises(ModelUnavailable, match="too large for exact arithmetic"):
        encode_features(maps(), model=str(path), quality=50, axis=1)
