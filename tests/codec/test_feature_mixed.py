"""Arrays whose channels are mixtures of few components, also behind an activation that clips."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lictor.codec import decode_features, encode_features, feature_info
from lictor.codec.arrays import low_rank_exact, methods, quick
from lictor.codec.arrays.low_rank import Mixture
from lictor.codec.arrays.low_rank_fit import find, resolve
from lictor.codec.arrays.methods import Mixed
from lictor.codec.errors import CorruptFile, FileError, TruncatedFile
from lictor.codec.format import arrays as form
from lictor.codec.format.arrays import File

GOLDEN = Path(__file__).parents[1] / "golden" / "features" / "components"


def widened(rank: int, channels: int, side: int = 24, seed: int = 0) -> np.ndarray:
    """What a layer makes of `rank` smooth maps, (2, channels, side, side), not yet clipped."""
    rng = np.random.default_rng(seed)
    narrow = rng.normal(size=(2, rank, side, side)).cumsum(-1).cumsum(-2)
    narrow /= narrow.std((0, 2, 3), keepdims=True)
    weights = rng.normal(size=(channels, rank)) / np.sqrt(rank)
    return np.einsum("ck,nkhw->nchw", weights, narrow) + rng.normal(size=(channels, 1, 1)) / 2


def relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(2 * x, 0, 6).astype(np.float32)


def components(data: bytes) -> int | None:
    return feature_info(data).arrays[0]["components"]


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(np.asarray(a, float) - b).mean())


# ---- finding


@pytest.mark.parametrize("activation", [lambda x: x, lambda x: np.maximum(x, 0), relu6])
def test_the_rank_is_found(activation) -> None:
    x = np.moveaxis(activation(widened(6, 48)), 1, -1).reshape(-1, 48).astype(float)
    span = find(x, 1e-4)
    assert span is not None
    assert 6 <= len(span.basis) <= 9
    parts = resolve(x, span, 1e-4)
    back = np.clip(parts.z @ parts.weights + parts.mean, parts.low, parts.high)
    assert mse(back, x) < 1e-4


@pytest.mark.parametrize(
    ("shape", "error"), [((500, 30), 0.001), ((500, 7), 1.0), ((9, 30), 1.0), ((500, 900), 1.0)]
)
def test_noise_and_what_is_small_have_none(shape: tuple[int, int], error: float) -> None:
    assert find(np.random.default_rng(1).normal(size=shape), error) is None


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_a_constant_has_none(value: float) -> None:
    assert find(np.full((100, 20), value), 1e-3) is None


@pytest.mark.parametrize("axis", [1, 3])
def test_what_is_seldom_clipped_tells_the_rank_at_once(axis: int) -> None:
    whole = relu6(widened(6, 48) + 0.5)
    x = np.ascontiguousarray(np.moveaxis(whole, 1, axis))
    planes = low_rank_exact.Planes.of(x, axis, float(x.min()), float(x.max()))
    maps = low_rank_exact.find(planes, 1e-4)
    assert maps is not None and maps.weights.shape == (48, 6)
    parts = low_rank_exact.resolve(planes, maps, 1e-4)
    back = np.clip(parts.z @ parts.weights + parts.mean, parts.low, parts.high)
    assert mse(back, np.moveaxis(x, axis, -1).reshape(-1, 48)) < 2e-5
    noise = relu6(np.random.default_rng(2).normal(size=x.shape) + 1)
    other = low_rank_exact.Planes.of(noise, axis, float(noise.min()), float(noise.max()))
    assert low_rank_exact.find(other, 1e-4) is None


def test_large_arrays_are_not_searched(monkeypatch) -> None:
    """Components are found at once, or else not looked for, unless told to."""
    x = relu6(widened(6, 48, 40) + 0.5)
    assert x.size >= quick.LEAST
    monkeypatch.setattr(Mixed, "mixer", None)
    for dtype in (np.float16, np.float32, np.float64):
        data = encode_features(x.astype(dtype), mse=1e-3)
        assert components(data) == 6 and mse(decode_features(data), x) <= 1.01e-3
    noise = relu6(np.random.default_rng(2).normal(size=x.shape))
    assert components(encode_features(noise, mse=1e-3)) is None


# ---- coding


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("error", [1e-4, 1e-2])
def test_fewer_bytes_at_no_more_error(dtype: type, error: float, monkeypatch) -> None:
    x = relu6(widened(6, 48)).astype(dtype)
    data = encode_features(x, mse=error)
    back = decode_features(data)
    assert back.dtype == dtype and back.shape == x.shape
    assert mse(back, x) <= error
    assert components(data) in range(4, 20)
    monkeypatch.setattr(Mixed, "mixer", staticmethod(lambda *_: None))
    plain = encode_features(x, mse=error)
    assert components(plain) is None
    assert len(data) < 0.75 * len(plain)


def test_values_stay_within_the_activation(monkeypatch) -> None:
    x = relu6(widened(5, 40, seed=3))
    back = decode_features(encode_features(x, mse=0.02))
    assert back.min() >= 0 and back.max() <= x.max()
    assert (back[x == 0] == 0).mean() > 0.8


def test_a_size_that_is_given_is_kept(monkeypatch) -> None:
    x = relu6(widened(6, 48))
    data = encode_features(x, bits=1.5)
    assert components(data)
    assert 0.9 * 1.5 < 8 * len(data) / x.size <= 1.5
    monkeypatch.setattr(Mixed, "mixer", staticmethod(lambda *_: None))
    plain = encode_features(x, bits=1.5)
    assert mse(decode_features(data), x) < 0.5 * mse(decode_features(plain), x)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis(axis: int) -> None:
    x = np.moveaxis(widened(4, 32, 12), 1, -1).reshape(-1, 32)[:, :, None] * np.array([1.0, 1.5])
    x = np.moveaxis(x, 1, axis).astype(np.float32)
    data = encode_features(x, mse=1e-4, axis=axis)
    assert components(data)
    assert mse(decode_features(data), x) <= 1e-4


def test_what_is_bounded_or_not_finite_is_coded_without() -> None:
    x = relu6(widened(6, 48))
    assert components(encode_features(x, max_error=0.05)) is None
    x[0, 0, 0, 0] = np.inf
    data = encode_features(x, mse=1e-2)
    assert components(data) is None
    assert decode_features(data)[0, 0, 0, 0] == np.inf


@pytest.mark.parametrize("scale", [1e-60, 1e-30, 1e30, 1e120])
def test_any_magnitude(scale: float) -> None:
    x = np.maximum(widened(3, 24, 12), 0) * scale
    data = encode_features(x)
    back = decode_features(data)
    assert np.abs(back - x).max() <= 0.05 * x.max()


def test_channels_that_are_one_another() -> None:
    """Of rank 1, and places that are all the same."""
    x = np.tile(np.maximum(widened(1, 1, 16), 0), (1, 12, 1, 1)).astype(np.float32)
    for y in (x, np.tile(x[:, :, :1, :1], (1, 1, 16, 16)), np.where(x > x.mean(), x.max(), 0)):
        assert mse(decode_features(encode_features(y, mse=1e-4)), y) <= 1e-4


# ---- hostile files


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, bytes]:
    x = relu6(widened(2, 16, 8))
    data = encode_features(x, mse=1e-2)
    assert components(data)
    return x, data


def test_every_truncation_and_changed_byte_is_noticed(small: tuple[np.ndarray, bytes]) -> None:
    _, data = small
    for end in range(len(data)):
        with pytest.raises(TruncatedFile if end else FileError):
            decode_features(data[:end])
        bad = bytearray(data)
        bad[end] ^= 0x41
        with pytest.raises(FileError):
            decode_features(bytes(bad))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("part", ["basis", "coded"])
def test_wrong_streams_with_right_checksums(small, part: str, seed: int) -> None:
    x, data = small
    rng = np.random.default_rng(seed)
    for _ in range(10):
        (array,) = methods.read(data).arrays
        stream = bytearray(array.basis if part == "basis" else array.coded)
        stream[rng.integers(len(stream))] ^= 1 << rng.integers(8)
        if part == "basis":
            array.basis = bytes(stream)
        else:
            array.coded = bytes(stream)
        try:
            back = decode_features(form.write(File(".npy", [array])))
        except FileError:
            continue
        assert back.shape == x.shape


def described(**changes: object) -> bytes:
    """A file that says so of a mixed array of 16x10; its streams are empty."""
    said: dict[str, Any] = {"components": 2, "low": 0.0, "high": 6.0} | changes
    array = Mixed("", "float32", (10, 16), axis=1, step=0.1, **said)
    return form.write(File(".npy", [array]))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(CorruptFile, match="weights that cannot be read"):
        decode_features(described())
    for wrong in ({"low": 1.0, "high": 0.0}, {"low": float("nan")}):
        with pytest.raises((CorruptFile, ValueError), match="values lie between"):
            decode_features(described(**wrong))
    for count in (0, 11):
        with pytest.raises((CorruptFile, ValueError)):
            decode_features(described(components=count))


def test_sums_that_would_not_be_exact_are_refused() -> None:
    mixture = Mixture(np.array([0, 24]), np.full((2, 3), 2**24), np.zeros(3, np.int64))
    levels = np.full((2, 5), 2**28)
    with pytest.raises(CorruptFile, match="sums outside their range"):
        mixture.values(levels, 1.0, -np.inf, np.inf)


# ---- the same everywhere


def test_mixing_is_exact() -> None:
    """As integers of any size would have it."""
    rng = np.random.default_rng(5)
    shifts, mean = rng.integers(0, 15, 6), rng.integers(-5000, 5000, 9)
    rows, levels = rng.integers(-9000, 9000, (6, 9)), rng.integers(-3000, 3000, (6, 40))
    found = Mixture(shifts, rows, mean).values(levels, 0.25, -np.inf, np.inf)
    top = max(int(shifts.max()), 4)
    for c in range(9):
        for p in range(40):
            total = int(mean[c]) << (top - 4)
            total += sum(
                int(rows[k, c]) * int(levels[k, p]) << (top - int(shifts[k])) for k in range(6)
            )
            assert found[c, p] == total * 0.25 / 2**top


def test_golden() -> None:
    data = GOLDEN.with_suffix(".bin").read_bytes()
    expected = json.loads(GOLDEN.with_suffix(".json").read_text())
    back = decode_features(data)
    assert components(data) == expected["components"]
    assert [list(back.shape), zlib.crc32(back.tobytes())] == expected["values"]


def write_golden() -> None:
    data = encode_features(relu6(widened(3, 20, 10)), mse=1e-3)
    back = decode_features(data)
    assert components(data)
    GOLDEN.with_suffix(".bin").write_bytes(data)
    told = {
        "components": components(data),
        "values": [list(back.shape), zlib.crc32(back.tobytes())],
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write_golden()


def test_what_components_miss_is_that_of_numpy(monkeypatch) -> None:
    rng = np.random.default_rng(2)
    x = np.clip(rng.normal(size=(7, 1031)), 0, 1).astype(np.float32)
    guess = rng.normal(size=x.shape).astype(np.float32)
    planes = low_rank_exact.Planes("float32", x[None], 0.0, 1.0)
    ours, other = guess.copy(), guess.copy()
    total = planes.missed(x, ours)
    monkeypatch.setattr(low_rank_exact, "_field", None)
    assert np.isclose(planes.missed(x, other), total, rtol=1e-5)
    assert np.array_equal(ours, other)
    assert not ours[(x == 0) & (guess < 0)].any() and not ours[(x == 1) & (guess > 1)].any()


def test_what_is_seen_of_places_tells_their_components_as_least_squares_do() -> None:
    rng = np.random.default_rng(5)
    weights, x = rng.normal(size=(30, 7)), rng.normal(size=(30, 200)).astype(np.float32)
    seen = rng.random(x.shape) < np.linspace(0.4, 1, 200)
    seen[:7] = True  # enough of each place
    found = low_rank_exact.Completed(weights)(x, seen)
    for place in range(200):
        own = seen[:, place]
        wanted = np.linalg.lstsq(weights[own], x[own, place], rcond=None)[0]
        assert np.abs(found[:, place] - wanted).max() < 1e-3 * (1 + np.abs(wanted).max())
    nothing = low_rank_exact.Completed(weights)(x, np.zeros_like(seen))
    assert np.abs(nothing).max() < 1e-6
