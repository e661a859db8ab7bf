"""Whatever the array and whatever the target: decoded values are within it.

LICTOR_PROMISES sets how many arrays are tried, 2,000 without; with more, some are larger.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lictor.codec import decode_features, encode_features, feature_info
from lictor.codec.arrays import lossless
from lictor.codec.errors import SelfCheckFailed

TRIED = int(os.environ.get("LICTOR_PROMISES", "2000"))
SETTINGS = settings(
    max_examples=TRIED, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
Rng = np.random.Generator
Wide = np.ndarray

TYPES = ("float16", "bfloat16", "float32", "float64")
SHAPES = [
    *((), (1,), (2,), (7,), (60,), (1, 1, 1), (5, 9), (12, 8), (16, 3), (3, 16), (6, 8, 1)),
    *((2, 3, 4, 4), (1, 9, 3, 4), (3, 1, 4, 2, 2), (2,) * 5, (1,) * 30 + (4, 3)),
]
LARGER = [(90,), (1000,), (24, 12), (40, 3), (3, 40), (64, 24), (1, 24, 9, 7), (2, 9, 16, 16)]
SHAPES += LARGER if TRIED > 2000 else []

DISTRIBUTIONS: dict[str, Callable[[Rng, tuple[int, ...]], Wide]] = {
    "normal": lambda rng, n: rng.normal(size=n) * 10 ** rng.uniform(-3, 3),
    "far from 0": lambda rng, n: rng.normal(size=n) + 10 ** rng.uniform(3, 16),
    "hardly any variance": lambda rng, n: (
        1e6 * (1 + 10 ** rng.uniform(-16, -9) * rng.normal(size=n))
    ),
    "one far out": lambda rng, n: _with_one(rng.normal(size=n), rng, 10 ** rng.uniform(3, 300)),
    "huge": lambda rng, n: rng.normal(size=n) * 10 ** rng.uniform(30, 300),
    "tiny": lambda rng, n: rng.normal(size=n) * 10 ** rng.uniform(-300, -30),
    "denormal": lambda rng, n: rng.normal(size=n) * 10 ** rng.choice([-42.0, -7, -310, -320, -323]),
    "all magnitudes": lambda rng, n: 10 ** rng.uniform(-300, 300, n) * rng.choice([-1, 1], n),
    "some magnitudes": lambda rng, n: 10 ** rng.uniform(-8, 8, n) * rng.choice([-1, 1], n),
    "constant": lambda rng, n: np.full(n, rng.choice([0.0, -0.0, 1, 1e30, 5e-324, 0.1, -7e7])),
    "two values": lambda rng, n: rng.choice(rng.normal(size=2) * 10 ** rng.uniform(-3, 9), n),
    "the type's ends": lambda rng, n: rng.choice([1.7e308, -1.7e308, 3.3e38, 65504, -65504, 1], n),
    "bytes": lambda rng, n: rng.integers(0, 256, n).astype(float),
    "integers": lambda rng, n: rng.integers(-(10 ** int(rng.integers(1, 16))), 10**9, n) * 1.0,
    "tenths": lambda rng, n: rng.integers(-900, 900, n) * 0.1,
    "seconds": lambda rng, n: 1.7e9 + rng.uniform(0, 9, n).ravel().cumsum().reshape(n),
    "sparse": lambda rng, n: np.maximum(rng.normal(size=n) - 1, 0),
    "clipped": lambda rng, n: np.clip(rng.normal(size=n) * 4, 0, 6),
    "steps": lambda rng, n: rng.normal(size=n).ravel().cumsum().reshape(n),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n) ** 3,
    "mixed channels": lambda rng, n: _mixed(rng, n),
    "channels of all kinds": lambda rng, n: _channels(rng, n),
    "not all numbers": lambda rng, n: _holes(rng, rng.normal(size=n) * 10 ** rng.uniform(-9, 9)),
}


def _with_one(x: Wide, rng: Rng, value: float) -> Wide:
    x = np.array(x)
    x.reshape(-1)[rng.integers(x.size)] = value
    return x


def _mixed(rng: Rng, shape: tuple[int, ...]) -> Wide:
    """Channels along the last axis that are combinations of two, held above 0."""
    size = shape[-1] if shape else 1
    x = rng.normal(size=(*shape[:-1], 2)) @ rng.normal(size=(2, size)) + rng.normal()
    return np.maximum(x, 0).reshape(shape)


def _channels(rng: Rng, shape: tuple[int, ...]) -> Wide:
    """Each channel along the last axis has a mean and a spread of its own."""
    size = shape[-1:] or (1,)
    mean, spread = 10 ** rng.uniform(-3, 10, size), 10 ** rng.uniform(-6, 3, size)
    return (rng.normal(size=(*shape[:-1], *size)) * spread + mean).reshape(shape)


def _holes(rng: Rng, x: Wide) -> Wide:
    return np.where(rng.random(x.shape) < 0.1, rng.choice([np.nan, np.inf, -np.inf], x.shape), x)


def made(kind: str, shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    with np.errstate(all="ignore"):
        x = np.asarray(DISTRIBUTIONS[kind](np.random.default_rng(seed), shape), np.float64)
        if dtype == "bfloat16":
            return torch.from_numpy(x.copy()).bfloat16()
        return x.astype(dtype)


def wide(x: Any) -> Wide:
    return (x.double().numpy() if isinstance(x, torch.Tensor) else x).astype(np.longdouble)


def root_mean_square(error: Wide) -> np.longdouble:
    """Whatever the range."""
    largest = np.abs(error).max(initial=0)
    if not largest:
        return np.longdouble(0)
    return np.sqrt(np.square(error / largest).mean()) * largest


def int8_error(x: Wide) -> np.longdouble:
    """Of 8-bit integers with one scale, symmetric or affine."""
    low, high = x.min(), x.max()
    errors = [np.longdouble(np.inf)]
    for step, zero, least in ((np.abs(x).max() / 127, 0, -127), ((high - low) / 255, low, 0)):
        with np.errstate(all="ignore"):
            levels = np.clip(np.rint((x - zero) / step), least, 255 if zero else 127)
            errors.append(root_mean_square(levels * step + zero - x) if step else 0)
    return min(errors)


def check(x: Any, back: Any, target: dict[str, float], size: int) -> None:
    assert back.dtype == x.dtype and tuple(back.shape) == tuple(x.shape)
    was, now = wide(x), wide(back)
    finite = np.isfinite(was)
    np.testing.assert_array_equal(now[~finite], was[~finite])
    error = now[finite] - was[finite]
    if not error.size:
        return
    assert np.isfinite(error).all()
    if "max_error" in target:
        assert np.abs(error).max() <= np.longdouble(target["max_error"])
    elif "mse" in target:
        assert root_mean_square(error) <= np.sqrt(np.longdouble(target["mse"])) * (1 + 1e-12)
        with np.errstate(all="ignore"):
            assert np.square(error.astype(np.float64)).mean() <= target["mse"]
    elif "bits" in target:
        assert size <= max(target["bits"] * was.size / 8, len(encode_features(x, bits=1e-9)))
    else:
        # Integers times a scale are rounded to float64, too.
        most = int8_error(was[finite]) * (1 + 1e-9) + np.abs(was[finite]).max() * 2.0**-53
        assert root_mean_square(error) <= most


targets = st.one_of(
    st.just({}),
    st.builds(
        lambda name, digits: {name: 10.0**digits},
        st.sampled_from(["max_error", "mse"]),
        st.one_of(st.floats(-12, 6), st.floats(-320, 300)),
    ),
    st.builds(lambda digits: {"bits": 10.0**digits}, st.floats(-1.5, 2)),
)
any_array = st.tuples(
    st.sampled_from(sorted(DISTRIBUTIONS)),
    st.sampled_from(SHAPES),
    st.sampled_from(TYPES),
    st.integers(0, 2**32 - 1),
)


@SETTINGS
@given(any_array, targets)
def test_no_array_breaks_its_target(
    array: tuple[str, tuple[int, ...], str, int], target: dict[str, float]
) -> None:
    x = made(*array)
    data = encode_features(x, **target)
    check(x, decode_features(data), target, len(data))


bits_ladder = st.lists(st.floats(-1.5, 1.85), min_size=4, max_size=8, unique=True)


@settings(SETTINGS, max_examples=max(1, TRIED // 40))
@given(any_array, bits_ladder)
def test_more_bits_are_never_worse(
    array: tuple[str, tuple[int, ...], str, int], digits: list[float]
) -> None:
    x = made(*array)
    finite = np.isfinite(wide(x))
    last = np.longdouble(np.inf)
    for bits in sorted(10.0**d for d in digits):
        back = wide(decode_features(encode_features(x, bits=bits)))
        error = root_mean_square(back[finite] - wide(x)[finite])
        assert error <= last, bits
        last = error


# ---- the faults that were found, each by its kind


@pytest.mark.parametrize("shape", [(4096,), (64, 64), (4, 32, 32), (2, 8, 16, 16)], ids=str)
@pytest.mark.parametrize(
    "target", [{}, {"max_error": 0.07}, {"max_error": 1e-4}, {"mse": 1e-4}, {"bits": 5.0}], ids=str
)
@pytest.mark.parametrize("level", [20, 22, 23, 24, 28, 30, 40, 50])
def test_levels_of_any_size(level: int, target: dict[str, float], shape: tuple[int, ...]) -> None:
    """Far from 0 in steps: biases of 32 bits once wrapped, and values came back 2^24 steps off."""
    x = np.random.default_rng(level).normal(size=shape) / 16 + 2.0**level / 64
    data = encode_features(x, **target)
    check(x, decode_features(data), target, len(data))
    if not target and level < 50:
        assert 8 * len(data) / x.size < 8  # and cost no more than near 0


def test_columns_of_a_table_are_counted_each_from_its_own_level() -> None:
    rng = np.random.default_rng(0)
    seconds = 1.7e9 + rng.uniform(size=900).cumsum()
    x = np.stack([seconds, rng.normal(size=900), rng.normal(size=900) - 7e5], 1)
    data = encode_features(x, max_error=1e-3)
    check(x, decode_features(data), {"max_error": 1e-3}, len(data))
    assert feature_info(data).arrays[0]["axis"] == 1
    assert 8 * len(data) / x.size < 16


@pytest.mark.parametrize("target", [{"mse": 1e-3}, {"max_error": 0.1}, {"bits": 4.0}], ids=str)
@pytest.mark.parametrize("value", [1e20, -1e30, 3e38])
def test_one_value_far_out_costs_itself(value: float, target: dict[str, float]) -> None:
    x = np.random.default_rng(3).normal(size=(64, 64)).astype(np.float32)
    x[5, 6] = value
    data = encode_features(x, **target)
    back = decode_features(data)
    check(x, back, target, len(data))
    assert 8 * len(data) / x.size < 8
    assert np.abs(back - x).max() < 0.5


@pytest.mark.parametrize("digits", range(-30, 3))
def test_targets_finer_than_the_numbers(digits: int) -> None:
    x = np.random.default_rng(4).normal(size=(8, 16, 16)).astype(np.float32)
    for name in ("max_error", "mse"):
        target = {name: 10.0**digits}
        data = encode_features(x, **target)
        check(x, decode_features(data), target, len(data))


def test_an_array_that_fits_as_it_is_comes_back_exactly() -> None:
    x = np.random.default_rng(1).standard_normal((16, 32, 32)).astype("f4")
    sizes = [len(encode_features(x, bits=bits)) for bits in (28, 40, 44, 58)]
    assert len(set(sizes)) == 1
    np.testing.assert_array_equal(decode_features(encode_features(x, bits=44)), x)


@pytest.mark.parametrize("target", [{}, {"mse": 1e-6}, {"max_error": 1e-9}], ids=str)
def test_integers_stored_as_floats_come_back_exactly_and_small(target: dict[str, float]) -> None:
    x = np.random.default_rng(5).integers(0, 100, (40, 50)) * 0.25 + 4096
    data = encode_features(x, **target)
    np.testing.assert_array_equal(decode_features(data), x)
    assert 8 * len(data) / x.size < 7.5


def test_each_of_several_keeps_the_mse() -> None:
    rng = np.random.default_rng(6)
    given_ = {f"w{k}": rng.normal(size=(20, 30)) * 10.0**k + 10.0 ** (2 * k) for k in range(-3, 6)}
    back = decode_features(encode_features(given_, mse=1e-4))
    for name, x in given_.items():
        assert np.square(back[name] - x).mean() <= 1e-4, name


# ---- an encoder that is broken


class Broken:
    """A coder whose streams decode to something else, from some value on."""

    def __init__(self, encode: Any, wrong: float) -> None:
        self.encode, self.wrong = encode, wrong

    def __call__(self, q: Wide, g: Any, quick: bool = False) -> bytes:
        q = q.copy()
        q[-1, -max(1, int(self.wrong * q.shape[1])) :] += 1 << 24
        return self.encode(q, g)


@pytest.mark.parametrize("target", [{}, {"max_error": 0.01}, {"mse": 1e-3}, {"bits": 4.0}], ids=str)
@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_what_does_not_decode_right_is_kept_exactly(
    target: dict[str, float], wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lictor.codec.arrays import stream

    monkeypatch.setattr(stream, "encode", Broken(stream.encode, wrong))
    for x in (
        made("normal", (24, 12), "float32", 0),
        made("mixed channels", (99, 12), "float64", 0),
    ):
        np.testing.assert_array_equal(decode_features(encode_features(x, **target)), x)


def test_exact_arrays_are_unpacked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = lossless.pack
    monkeypatch.setattr(lossless, "pack", lambda raw: pack(raw + 1))
    with pytest.raises(SelfCheckFailed, match="kept exactly"):
        encode_features({"a": np.arange(5)})


def test_lists_that_do_not_fit_are_no_stream() -> None:
    from lictor.codec.arrays.stream import Uncodable, ints
    from lictor.entropy import Decoder, Encoder, Pull, Push

    encoder = Encoder()
    with pytest.raises(Uncodable):
        ints(Push(encoder), [2**31], 1)
    ints(Push(encoder), [2**31 - 1, -(2**31)], 2)
    found = ints(Pull(Decoder(encoder.finish())), [], 2)
    assert found.tolist() == [2**31 - 1, -(2**31)]
