"""Large arrays without a search: the field in C beside numpy, targets that are kept, and sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lictor.codec import decode_features, encode_features, feature_info
from lictor.codec.arrays import api, context, direct, dtypes, field, quick, shared_tables
from lictor.codec.arrays.context import Grid, Weights
from lictor.codec.arrays.target import Distance, Promise
from lictor.codec.errors import InvalidEffort
from lictor.codec.format.arrays import FLOATS
from lictor.entropy import fitted

needs_c = pytest.mark.skipif(not field.available(), reason="built without a C compiler")


def tokens(count: int = 700, channels: int = 96) -> np.ndarray:
    """Correlated channels of unequal scales."""
    rng = np.random.default_rng(3)
    mix = np.eye(channels) + 0.3 * rng.normal(size=(channels, channels)) / channels**0.5
    scales = np.exp(rng.normal(size=channels))
    return (rng.normal(size=(count, channels)) @ mix * scales).astype(np.float32)


def maps() -> np.ndarray:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 24, 33, 32)).cumsum(2).cumsum(3)
    x[:, 1:] += 0.5 * x[:, :-1]
    return x.astype(np.float32)


# ---- the field


def some_weights(g: Grid, rng: np.random.Generator, c: int, turn: int, big: bool) -> Weights:
    taps: list[tuple[int, int]] = []
    values: list[int] = []
    most = 2**14 if big else 300
    for distance in range(c + 1):
        for place in range(9):
            if context.allowed(g, c, turn, (distance, place)) and rng.random() < 0.5:
                taps.append((distance, place))
                values.append(int(rng.integers(-most, most + 1)))
    bias = int(rng.integers(-(2**31) + 1, 2**31) if big else rng.integers(-999, 999))
    w = Weights.of(taps, values, bias)
    first, second, third = (2**30, 2**14, 2**14) if big else (500, 40, 60)
    w.spread = (*(int(rng.integers(0, n)) for n in (first, second, third)),)
    return w


@needs_c
@pytest.mark.parametrize("big", [False, True])
def test_field_is_that_of_numpy(big: bool):
    rng = np.random.default_rng(5)
    for _ in range(60):
        g = Grid(*(int(rng.integers(1, n)) for n in (4, 4, 8, 9)))
        assert g.sizes == tuple(p.size for p in g.places)
        quickly, slowly = field.of(g), field.Slow(g)
        assert not isinstance(quickly, field.Slow)
        contexts = np.sort(rng.integers(0, 20, context.LEVELS)).astype(np.uint8)
        most = context.MAX_SYMBOL if big else 200
        for c, turn in ((c, t) for c in range(g.channels) for t in range(3) if g.sizes[t]):
            w = some_weights(g, rng, c, turn, big)
            predictions = quickly.predict(c, turn, w)
            assert np.array_equal(predictions, slowly.predict(c, turn, w))
            bounds = np.unique(rng.choice(predictions, 9) + rng.integers(-1, 2, 9))
            for some in (bounds, bounds << 30):
                found = quickly.contexts(c, turn, w, some)
                assert np.array_equal(found, slowly.contexts(c, turn, w, some))
            rounded, index = quickly.expect(c, turn, w, contexts)
            other = slowly.expect(c, turn, w, contexts)
            assert np.array_equal(rounded, other[0]) and np.array_equal(index, other[1])
            assert np.array_equal(rounded, context.rounded(predictions))
            values = rng.integers(-most, most + 1, g.sizes[turn])
            residuals = (values - rounded).astype(np.int32)
            assert quickly.restore(c, turn, rounded.copy(), residuals.copy())
            assert slowly.restore(c, turn, rounded, residuals)
        assert np.array_equal(quickly.values, slowly.values)


@needs_c
@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("most", [300, 2**15, 2**17, context.MAX_SYMBOL])
def test_values_that_are_coded_themselves_are_those_of_numpy(root: bool, most: int):
    rng = np.random.default_rng(most)
    for _ in range(20):
        g = Grid(*(int(rng.integers(1, n)) for n in (4, 4, 8, 9)))
        quickly, slowly = field.of(g), field.Slow(g)
        for c, turn in ((c, t) for c in range(g.channels) for t in range(3) if g.sizes[t]):
            w = some_weights(g, rng, c, turn, False)
            assert np.array_equal(quickly.predict(c, turn, w), slowly.predict(c, turn, w))
            values = rng.integers(-most, most + 1, g.sizes[turn], np.int32)
            for one in (quickly, slowly):
                one.store(c, turn, values if c else values // 64, root)
        assert np.array_equal(quickly.values, slowly.values)


@needs_c
def test_values_out_of_range_are_refused_by_both():
    g = Grid(1, 1, 1, 3)
    for one in (field.of(g), field.Slow(g)):
        rounded, _ = one.expect(0, 0, Weights(bias=2**31 - 1), np.zeros(64, np.uint8))
        assert not one.restore(0, 0, rounded, np.full(2, 2**28, np.int32))


@needs_c
@pytest.mark.parametrize("array", [tokens(), maps()], ids=["tokens", "maps"])
def test_streams_decode_without_the_extension(array: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = encode_features(array, mse=0.01)
    quickly = decode_features(data)
    monkeypatch.setattr(field, "_field", None)
    assert np.array_equal(decode_features(data), quickly)


# ---- targets


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a.astype(np.float64) - b).mean())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("array", [tokens(), maps()], ids=["tokens", "maps"])
def test_targets_are_kept_and_used(array: np.ndarray, dtype: type):
    array = array.astype(dtype)
    back = decode_features(encode_features(array, mse=0.01))
    assert back.dtype == dtype and 0.0095 < mse(array, back) <= 0.01
    back = decode_features(encode_features(array, max_error=0.05))
    least = 0.03 if dtype == np.float16 else 0.049  # halves lie apart
    assert least < np.abs(array.astype(np.float64) - back).max() <= 0.05
    back = decode_features(encode_features(array))
    low, high = float(array.min()), float(array.max())
    step = (high - low) / 255
    int8 = mse(array, np.rint((array - low) / step) * step + low)
    assert mse(array, back) <= int8 * (1 + 1e-6)


@needs_c
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_integers_become_numbers_as_numpy_rounds_them(dtype: str, axis: int | None):
    rng = np.random.default_rng(8)
    shape = (37, 19, 23)
    levels = rng.integers(-(2**28), 2**28, shape) >> rng.integers(0, 29, shape)
    for step in (2.0**-24, 1e-7, 3e-8 / 7, 0.013, 1.0, 65519.0, 65520.0, 5e-324, 1e300):
        with np.errstate(over="ignore"):
            wanted = dtypes.from_float64(dtype, levels * step)
        planes = np.ascontiguousarray(context.cut(levels.astype(np.int32), axis))
        found = quick.scaled(planes, shape, axis, step, dtype)
        assert found.tobytes() == wanted.tobytes()


@needs_c
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("step", [0.01, 1e-6])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_numbers_become_integers_of_channels(axis: int | None, step: float, dtype: str):
    x = np.random.default_rng(9).normal(size=(37, 19, 23))
    raw = dtypes.from_float64(dtype, x)
    way = quick.Quick(dtype, raw, axis)
    levels, cut = way._room(axis, step, ())
    assert levels.dtype == (np.int16 if step == 0.01 else np.int32)
    total, largest = way._quantise(raw, step, 0.0, levels, cut)
    x = dtypes.to_float64(dtype, raw)
    wanted = np.rint(x / step)
    assert np.array_equal(levels.reshape(-1), context.cut(wanted, axis).reshape(-1))
    back = (wanted * step).astype(np.float64 if dtype == "float64" else np.float32)
    error = back.astype(np.float64) - x
    assert np.isclose(total, np.square(error).sum()) and np.isclose(largest, np.square(error).max())


@needs_c
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_of_16_bits_are_exact_in_c(dtype: str):
    raw = np.arange(2**16, dtype=np.uint16).view(np.float16 if dtype == "float16" else np.uint16)
    x = dtypes.to_float64(dtype, raw)
    raw = raw[np.isfinite(x) & (np.abs(x) < 2.0**20)]
    x = dtypes.to_float64(dtype, raw)
    other = raw[::-1].copy()
    _field = quick._field
    assert _field is not None
    total, largest = _field.compare(raw, other, FLOATS.index(dtype))
    assert largest == np.abs(x - x[::-1]).max()
    assert np.isclose(total, np.square(x - x[::-1]).sum(), rtol=1e-12)
    for bad in (np.inf, np.nan):
        worse = other.copy()
        worse[3] = dtypes.from_float64(dtype, np.array(bad))
        assert not math.isfinite(_field.compare(raw, worse, FLOATS.index(dtype))[0])


@needs_c
@pytest.mark.parametrize("roots", [False, True])
@pytest.mark.parametrize("shape", [(3, 2, 7, 5), (2, 1, 1, 9), (4, 3, 6, 1), (1, 2, 8, 8)])
def test_16_bits_give_what_32_do(shape: tuple[int, ...], roots: bool):
    g, rng = Grid(*shape), np.random.default_rng(4)
    q = rng.integers(-900, 900, (g.channels, g.plane)).astype(np.int16)
    narrow, wide = q.copy(), q.astype(np.int32)
    found = [field.Fitted(g, v, 3, not roots) for v in (narrow, wide)]
    assert np.array_equal(found[0].residuals, found[1].residuals)
    assert np.array_equal(found[0].levels, found[1].levels)
    assert np.array_equal(found[0].predictions, found[1].predictions)
    one, other = ([w for turns in f.weights for w in turns] for f in found)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.rows, b.rows) and (a.bias, a.spread) == (b.bias, b.spread)
    assert np.array_equal(narrow, wide) and (not roots or np.array_equal(narrow, q))


@needs_c
def test_contexts_are_shared_as_without_the_extension(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(10)
    fine = rng.integers(0, 60, 20000).astype(np.uint8)
    symbols = np.rint(rng.normal(size=20000) * np.exp(fine // 7 / 3.0)).astype(np.int32)
    bits, starts, joined = shared_tables.shared(symbols, fine, 64, 9)
    monkeypatch.setattr(shared_tables, "_field", None)
    other = shared_tables.shared(symbols, fine, 64, 9)
    assert starts == other[1] and np.isclose(bits, other[0])
    assert joined is not None and other[2] is not None
    for a, b in zip(joined, other[2], strict=True):
        assert a.low == b.low and np.array_equal(a.counts, b.counts)


@needs_c
def test_nothing_is_searched(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(api, "Quantiser", refuse)
    encode_features(tokens(), mse=0.01)
    with pytest.raises(AssertionError, match="searched"):
        encode_features(tokens(), mse=0.01, effort=1)


@needs_c
def test_little_larger_than_after_a_search():
    for array in (tokens(1500), maps()):
        quickly = encode_features(array, mse=0.01, axis=1)
        searched = encode_features(array, mse=0.01, axis=1, effort=1)
        assert len(quickly) < 1.02 * len(searched)


@pytest.mark.parametrize("shape", [(2**17,), (1, 2**17), (2**17, 1), (2, 3, 5, 2**13)])
def test_shapes(shape: tuple[int, ...]):
    array = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    back = decode_features(encode_features(array, max_error=0.1))
    assert back.shape == shape and np.abs(array - back).max() <= 0.1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x.__setitem__((3, 4), np.nan),
        lambda x: x.__setitem__((3, 4), np.inf),
        lambda x: x.__setitem__((3, 4), 1e30),
        lambda x: x.__setitem__(slice(None), np.rint(x)),
        lambda x: x.__setitem__(slice(None), 0),
        lambda x: x.__setitem__(slice(None), 7.25),
        lambda x: x.__imul__(1e-38),
        lambda x: x.__iadd__(1e7),
        lambda x: np.maximum(x - 1, 0, out=x),
    ],
    ids=["nan", "inf", "far", "integers", "zeros", "constant", "tiny", "offset", "sparse"],
)
def test_what_is_rare(spoil):
    array = tokens()
    spoil(array)
    finite = np.isfinite(array)
    bound = float(np.abs(array[finite]).mean()) / 50 or 1.0
    back = decode_features(encode_features(array, max_error=bound))
    error = np.abs(array[finite].astype(np.float64) - back[finite])
    assert error.max() <= bound
    assert array[~finite].tobytes() == back[~finite].tobytes()


def test_kept_says_yes_only_where_it_is_sure():
    x = tokens()
    back = x + np.float32(0.01)
    assert not quick.kept(Promise(bound=0.009), "float32", x, back)
    assert not quick.kept(Promise(distance=Distance(5e-5)), "float32", x, back)
    if field.available():
        assert quick.kept(Promise(bound=0.02), "float32", x, back)
        assert quick.kept(Promise(distance=Distance(2e-4)), "float32", x, back)
    back[3, 4] = np.nan
    assert not quick.kept(Promise(bound=1e9), "float32", x, back)


def test_what_compresses_better_exactly_is_kept_exactly():
    array = np.tile(np.random.default_rng(7).normal(size=256).astype(np.float32), 2**10)
    info = feature_info(encode_features(array, max_error=1e-6))
    assert info.bytes < array.size


@pytest.mark.parametrize("effort", [-1, 10, 0.5])
def test_effort_is_a_whole_number(effort: float):
    with pytest.raises(InvalidEffort):
        encode_features(np.zeros(3, np.float32), effort=effort)


@needs_c
def test_a_field_refuses_what_would_leave_its_memory():
    from lictor.codec.arrays import _field

    f = _field.Field(2, 1, 4, 4)
    out = np.zeros(4, np.int64)
    for taps in ([[2, 4, 1]], [[0, 0, 1]], [[1, 9, 1]], [[1, 4, 2**15]], [[-1, 4, 1]]):
        with pytest.raises(ValueError):
            f.predict(1, 0, np.array(taps, np.int32), 0, out)
    none = np.zeros((0, 3), np.int32)
    for channel, turn, size in ((2, 0, 4), (0, 3, 4), (0, 0, 5)):
        with pytest.raises(ValueError):
            f.predict(channel, turn, none, 0, np.zeros(size, np.int64))
    with pytest.raises(ValueError):
        f.restore(0, 0, np.full(4, 2**30, np.int32), np.zeros(4, np.int32))
    with pytest.raises(ValueError):
        f.store(0, 0, np.zeros(3, np.int32), False, None)
    with pytest.raises(ValueError):
        f.store(0, 0, np.zeros(4, np.int32), True, np.zeros(15, np.int32))
    with pytest.raises(ValueError):
        f.store(0, 0, np.full(4, 2**30, np.int32), True, np.zeros(16, np.int32))
    with pytest.raises(ValueError):
        f.contexts(0, 0, none, 0, np.zeros(7, np.int64), np.zeros(4, np.uint8))
    with pytest.raises(ValueError):
        f.ordered(np.zeros(31, np.int16))


@needs_c
def test_clipped_arrays_of_few_components_are_searched():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(1200, 4)) @ rng.normal(size=(4, 64)) + 0.5
    x = np.clip(x, 0, 6).astype(np.float32)
    quickly, searched = (encode_features(x, effort=effort) for effort in (0, 1))
    assert feature_info(quickly).arrays[0]["components"] == 4
    assert len(quickly) < 1.02 * len(searched)


# ---- values that are coded themselves


@needs_c
@pytest.mark.parametrize("low", [0, 1, 5, 16])
def test_direct_values_are_those_of_numpy(low: int, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(low)
    values = (rng.normal(size=5000) * 2.0 ** rng.integers(0, 26, 5000)).astype(np.int32)
    values[:3] = 0, context.MAX_SYMBOL, -context.MAX_SYMBOL
    predictions = rng.integers(-(2**60), 2**60, 5000) >> rng.integers(0, 50, 5000)
    bounds = np.unique(predictions[:100])

    def found() -> list[np.ndarray]:
        high, rest = direct.split(values, low)
        joined = direct.join(high.copy(), rest, low)
        assert joined is not None and np.array_equal(joined, values)
        contexts = direct.contexts(predictions, bounds)
        return [direct.roots(values), high, rest, contexts]

    quickly = found()
    far = np.array([2**30, -(2**31), 0], np.int32)
    assert direct.join(far.copy(), np.zeros(2, np.int32), 4) is None
    monkeypatch.setattr(direct, "_field", None)
    for a, b in zip(quickly, found(), strict=True):
        assert np.array_equal(a, b)
    assert direct.join(far.copy(), np.zeros(2, np.int32), 4) is None


def test_a_few_far_symbols_do_not_make_the_others_long() -> None:
    """They escape: low bits for all symbols of a table would cost more."""
    counts = np.zeros(5000, np.int64)
    counts[:9] = 1000
    counts[[700, 2100, 4999]] = 9
    shape = fitted.shape(fitted.Histogram(-4, counts))
    assert (shape.offset, shape.shift, len(shape.logs)) == (-4, 0, 10)
    wide = fitted.shape(fitted.Histogram(-2500, np.full(5000, 100)))
    assert wide.shift == 5  # here they would cost less


def test_fields_with_jumps_are_coded_by_what_costs_least() -> None:
    """Smooth planes, and land that was filled: several parts tell, not the middle alone."""
    rng = np.random.default_rng(3)
    lat, lon = np.linspace(-1, 1, 24)[:, None], np.linspace(0, 6, 200)
    season = np.cos(np.arange(30))[:, None, None]
    x = (
        20 * np.cos(lat + 0.1 * np.sin(lon))
        + 3 * season * lat
        + 0.02 * rng.normal(size=(30, 24, 200))
    )
    x[:, rng.normal(size=(24, 200)).cumsum(1) > 4] = 0
    x = x.astype(np.float32)
    data = encode_features(x, max_error=0.01)
    assert np.abs(decode_features(data).astype(np.float64) - x).max() <= 0.01
    others = [len(encode_features(x, max_error=0.01, axis=axis)) for axis in range(3)]
    assert len(data) < 1.1 * min(others)
