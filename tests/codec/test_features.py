"""The feature codec: types and shapes, bounds, targets, hostile files, files of yesterday."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lictor.codec import decode_features, encode_features, feature_info
from lictor.codec.errors import (
    CodecError,
    CorruptFile,
    FileError,
    InvalidTarget,
    NotALictorFile,
    TruncatedFile,
    UnsupportedArray,
    UnsupportedFeature,
    UnsupportedVersion,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "features"
SHAPES = [(), (0,), (3, 0, 2), (1,), (5,), (1000,), (7, 9), (64, 32), (2, 3, 8, 8), (2, 3, 4, 5, 2)]
TYPES = ["float16", "float32", "float64", "bfloat16"]
TARGETS = [{}, {"max_error": 0.01}, {"mse": 0.02}, {"bits": 3.0}]


def noise(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 3, dtype)


def maps(seed: int = 0, shape: tuple[int, ...] = (2, 6, 16, 12)) -> np.ndarray:
    """Smooth channels that depend on one another, after a ReLU."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).cumsum(-1).cumsum(-2) / 4
    x[:, 1:] += 0.8 * x[:, :-1]
    return np.maximum(x, 0).astype(np.float32)


def wide(x: object) -> np.ndarray:
    return torch.as_tensor(x).double().numpy()


# ---- types, shapes, targets


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: next(iter(t), "default"))
def test_round_trip(shape: tuple[int, ...], dtype: str, target: dict[str, float]) -> None:
    x = noise(shape)
    given_ = torch.tensor(x).bfloat16() if dtype == "bfloat16" else x.astype(dtype)
    back = decode_features(encode_features(given_, **target))
    assert back.dtype == given_.dtype
    assert tuple(back.shape) == shape
    error = np.abs(wide(back) - wide(given_))
    if "max_error" in target and error.size:
        assert error.max() <= target["max_error"]
    if "mse" in target and error.size:
        assert np.square(error).mean() <= target["mse"]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64"])
def test_integers_are_kept_exactly(dtype: str) -> None:
    x = (noise((9, 7)) * 20).astype(dtype)
    back = decode_features(encode_features(x))
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(UnsupportedArray, match="convert it"):
        encode_features(np.zeros(3).astype(dtype))


def test_layout_in_memory_does_not_matter() -> None:
    x = maps()
    turned = np.asfortranarray(x)
    swapped = x.astype(">f4")
    data = encode_features(x)
    assert encode_features(turned) == data
    back = decode_features(encode_features(swapped))
    assert back.dtype == swapped.dtype
    np.testing.assert_array_equal(back, decode_features(data))
    assert encode_features(torch.from_numpy(x).requires_grad_()) == data


def test_no_target_means_no_more_error_than_int8() -> None:
    x = maps()
    scale = np.abs(x).max() / 127
    int8 = np.clip(np.rint(x / scale), -127, 127) * scale
    back = decode_features(encode_features(x))
    assert np.square(back - x).mean() <= np.square(int8 - x).mean()


@pytest.mark.parametrize("bits", [1.0, 4.0])
def test_bits_count_every_byte_of_the_file(bits: float) -> None:
    x = maps(shape=(2, 8, 32, 32))
    data = encode_features(x, bits=bits)
    assert 0.98 * bits <= 8 * len(data) / x.size <= bits
    assert feature_info(data).bits == 8 * len(data) / x.size


@pytest.mark.parametrize(
    "target", [{"bits": 0}, {"mse": -1}, {"max_error": np.nan}, {"bits": 1, "mse": 1}]
)
def test_wrong_targets(target: dict[str, float]) -> None:
    with pytest.raises(InvalidTarget):
        encode_features(noise((4,)), **target)


def test_wrong_axis() -> None:
    with pytest.raises(InvalidTarget, match="no axis 4"):
        encode_features(noise((4, 4)), axis=4)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, None])
def test_every_axis_decodes(axis: int | None) -> None:
    x = maps()
    back = decode_features(encode_features(x, max_error=0.05, axis=axis))
    assert np.abs(back - x).max() <= 0.05


def test_context_is_worth_something() -> None:
    """Smooth, dependent channels take far less than their values one by one would."""
    x = maps(shape=(2, 8, 32, 32))
    data = encode_features(x, max_error=0.05)
    q = np.rint(x / 0.1)
    _, counts = np.unique(q, return_counts=True)
    entropy = np.log2(q.size) - (counts * np.log2(counts)).sum() / q.size
    assert 8 * len(data) / x.size < 0.85 * entropy


# ---- what is not ordinary


@pytest.mark.parametrize("dtype", TYPES)
def test_nan_and_infinities_come_back(dtype: str) -> None:
    x = torch.tensor(noise((50, 4))).to(getattr(torch, dtype))
    x[3, 1], x[7, 2], x[9, 0] = torch.nan, torch.inf, -torch.inf
    back = torch.as_tensor(decode_features(encode_features(x, max_error=0.1)))
    assert back[3, 1].isnan() and back[7, 2] == torch.inf and back[9, 0] == -torch.inf
    rest = x.isfinite()
    assert (back.double() - x.double())[rest].abs().max() <= 0.1


def test_nan_keeps_its_bits() -> None:
    x = noise((300,))
    x.view(np.uint32)[5] = 0x7FC12345
    assert decode_features(encode_features(x)).view(np.uint32)[5] == 0x7FC12345


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -3.5, 1e-45, 3e38], ids=str)
def test_all_values_alike(value: float) -> None:
    x = np.full((40, 30), value, np.float32)
    data = encode_features(x)
    assert len(data) < 120
    np.testing.assert_array_equal(decode_features(data), x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_far_out(dtype: str) -> None:
    x = noise((40, 30), dtype)
    x[3, 3], x[4, 4] = np.finfo(dtype).max, np.finfo(dtype).min
    back = decode_features(encode_features(x, max_error=0.01))
    with np.errstate(over="ignore"):
        assert np.abs(back.astype(float) - x.astype(float)).max() <= 0.01


@pytest.mark.parametrize("bound", [1e-30, 1e-8, 1e30])
def test_bounds_finer_than_the_type_or_coarser_than_all(bound: float) -> None:
    x = noise((40, 30))
    back = decode_features(encode_features(x, max_error=bound))
    assert np.abs(back.astype(float) - x.astype(float)).max() <= bound


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
    ),
    st.floats(1e-6, 1e6),
)
def test_the_bound_holds_for_any_values(x: np.ndarray, bound: float) -> None:
    back = decode_features(encode_features(x, max_error=bound))
    assert back.dtype == x.dtype and back.shape == x.shape
    finite = np.isfinite(x)
    error = np.abs(back[finite].astype(np.longdouble) - x[finite].astype(np.longdouble))
    assert (error <= bound).all()
    np.testing.assert_array_equal(back[~finite], x[~finite])


# ---- several arrays, and what is known without decoding


def test_names_order_and_info() -> None:
    given_ = {"β": maps(), "labels": np.arange(7), "none": np.zeros((0, 3), np.float16)}
    data = encode_features(given_, mse=0.01)
    back = decode_features(data)
    assert list(back) == list(given_)
    np.testing.assert_array_equal(back["labels"], given_["labels"])
    info = feature_info(data)
    assert (info.kind, info.values, info.bytes) == (".npz", maps().size + 7, len(data))
    assert [a["name"] for a in info.arrays] == list(given_)
    assert info.arrays[0]["shape"] == [2, 6, 16, 12] and info.arrays[0]["step"] > 0


# ---- hostile files


def test_every_truncation_is_noticed() -> None:
    data = encode_features({"a": maps(shape=(1, 3, 6, 6)), "b": np.arange(5)}, bits=3)
    for end in range(len(data)):
        with pytest.raises(TruncatedFile if end else FileError):
            decode_features(data[:end])
    with pytest.raises(CorruptFile, match="follow the end"):
        decode_features(data + b"\0")


def test_every_changed_byte_is_noticed() -> None:
    x = maps(shape=(1, 3, 6, 6))
    x[0, 0, 0, 0] = np.nan
    data = encode_features(x, max_error=0.1)
    for i in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(data)
            bad[i] ^= flip
            with pytest.raises(FileError):
                decode_features(bytes(bad))


def _resealed(data: bytes, start: int, end: int, change: bytes) -> bytes:
    """The file with a payload changed and its checksum made right again."""
    body = data[start : end - 4]
    body = body[: len(body) - len(change)] + change
    return data[:start] + body + zlib.crc32(body).to_bytes(4, "little") + data[end:]


@pytest.mark.parametrize("seed", range(60))
def test_damage_behind_right_checksums_is_an_error_or_values(seed: int) -> None:
    """What a hostile writer can do: wrong streams with right checksums."""
    rng = np.random.default_rng(seed)
    x = maps(shape=(1, 3, 6, 6))
    x[0, 1, 2, 3] = np.inf
    data = encode_features(x, max_error=0.05)
    size = feature_info(data).arrays[0]["bytes"]
    start = len(data) - 1 - 4 - size - 11  # padding length, check, lengths of both blocks, step
    for _ in range(20):
        change = bytearray(data[start:-5][-int(rng.integers(1, size)) :])
        change[rng.integers(len(change))] ^= 1 << rng.integers(8)
        try:
            back = decode_features(_resealed(data, start, len(data) - 1, bytes(change)))
        except FileError:
            continue
        assert back.shape == x.shape


def test_sizes_are_bounded_before_anything_is_allocated() -> None:
    from lictor.codec.arrays.methods import Predicted
    from lictor.codec.format import arrays as feature_format
    from lictor.codec.format.arrays import File

    huge = File(".npy", [Predicted("", "float32", (2**30,), coded=b"\0\0\0")])
    data = feature_format.write(huge)
    assert len(data) >= (2**30 - feature_format.FREE_VALUES) // feature_format.VALUES_PER_BYTE
    short = data[: len(data) // 2]
    with pytest.raises(CorruptFile, match=r"more than any encoder writes|ends after"):
        decode_features(short)


def test_an_array_that_takes_hardly_a_byte_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    from lictor.codec.format import arrays as feature_format

    monkeypatch.setattr(feature_format, "FREE_VALUES", 2**10)
    x = np.zeros((3, 2**19), np.bool_)
    data = encode_features(x)
    assert 8 * len(data) >= (x.size - 2**10) / 2**9
    assert not decode_features(data).any()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", TruncatedFile),
        (b"LIC\x01", NotALictorFile),
        (b"PNG", NotALictorFile),
        (b"LIF\x04", UnsupportedVersion),
        (b"LIF\x01\x09", UnsupportedFeature),
    ],
)
def test_foreign_files(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_features(data)


def test_not_bytes() -> None:
    with pytest.raises(CodecError):
        decode_features("text")  # type: ignore[arg-type]


# ---- the same everywhere


def golden_arrays() -> dict[str, np.ndarray]:
    """What the golden file was made from: dyadic numbers, so that there is nothing to round."""
    rng = np.random.default_rng(7)
    dense = rng.integers(-60, 60, (2, 5, 9, 8)).cumsum(-1) / 8
    sparse = np.maximum(rng.integers(-90, 40, (40, 24)), 0) / 4
    odd = dense[0, 0].astype(np.float16)
    odd[0, 0], odd[1, 1] = np.nan, np.inf
    return {
        "dense": dense.astype(np.float32),
        "sparse": sparse.astype(np.float32),
        "odd": odd,
        "scalar": np.float64(0.5),
        "labels": np.arange(6, dtype=np.int16),
    }


def test_golden() -> None:
    data = (GOLDEN / "mixed.bin").read_bytes()
    expected = json.loads((GOLDEN / "mixed.json").read_text())
    back = decode_features(data)
    assert {
        n: [a.dtype.name, list(a.shape), zlib.crc32(a.tobytes())] for n, a in back.items()
    } == expected
    for name, array in golden_arrays().items():
        finite = np.isfinite(array)
        assert np.abs(back[name][finite] - array[finite]).max() <= 0.25, name


@pytest.mark.parametrize("setting", [{"OMP_NUM_THREADS": "2"}, {"LICTOR_CODER": "reference"}])
def test_other_threads_and_coders_decode_alike(setting: dict[str, str], tmp_path: Path) -> None:
    import os

    script = (
        "import sys, zlib; from lictor.codec import decode_features as d\n"
        "print({n: zlib.crc32(a.tobytes()) for n, a in d(open(sys.argv[1], 'rb').read()).items()})"
    )
    path = str(GOLDEN / "mixed.bin")
    env = {**os.environ, **setting}
    out = subprocess.run(
        [sys.executable, "-c", script, path], env=env, capture_output=True, check=True
    )
    here = decode_features(Path(path).read_bytes())
    assert out.stdout.decode().strip() == str({n: zlib.crc32(a.tobytes()) for n, a in here.items()})


def write_golden() -> None:
    data = encode_features(golden_arrays(), max_error=0.25)
    back = decode_features(data)
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "mixed.bin").write_bytes(data)
    told = {n: [a.dtype.name, list(a.shape), zlib.crc32(a.tobytes())] for n, a in back.items()}
    (GOLDEN / "mixed.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write_golden()
