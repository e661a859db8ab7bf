"""Differences of neighbouring integers: exact both ways, chosen for smooth fields, and hostile."""

from __future__ import annotations

import itertools
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from lictor.codec import decode_features, encode_features, feature_info, open_array
from lictor.codec.arrays import differences, field, methods
from lictor.codec.arrays.methods import Differenced
from lictor.codec.errors import CodecError, CorruptFile, FileError
from lictor.codec.format import arrays as form


def waves(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    """Smooth along all axes."""
    rng = np.random.default_rng(seed)
    x = np.zeros(shape)
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    for _ in range(6):
        x += np.cos(sum(g * f for g, f in zip(grids, rng.normal(size=len(shape)) / 9, strict=True)))
    return x.astype(np.float32)


@pytest.mark.parametrize("shape", [(7,), (1, 5), (4, 1, 6), (3, 5, 2, 4)])
@pytest.mark.parametrize("c", [True, False])
def test_sums_bring_integers_back(shape: tuple[int, ...], c: bool, monkeypatch: pytest.MonkeyPatch):
    if not c:
        monkeypatch.setattr(differences, "_field", None)
    rng = np.random.default_rng(1)
    levels = rng.integers(-(2**31), 2**31, shape).astype(np.int32)
    for orders in itertools.product(range(differences.MOST + 1), repeat=len(shape)):
        found = differences.differences(levels, orders)
        wanted = levels.astype(np.int64)
        for axis, order in enumerate(orders):
            for _ in range(order):
                wanted = np.diff(wanted, axis=axis, prepend=0)
        assert np.array_equal(found, wanted.astype(np.int32))  # modulo 2^32
        differences.sums(found, orders)
        assert np.array_equal(found, levels)


@pytest.mark.parametrize("shape", [(40, 60), (300, 301), (2**17,), (20, 50, 70)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_smooth_fields_are_coded_so(shape: tuple[int, ...], dtype: type):
    x = waves(shape).astype(dtype)
    bound = 0.01
    data = encode_features(x, max_error=bound)
    assert any(feature_info(data).arrays[0]["differences"] or []) or dtype == np.float16
    back = decode_features(data)
    assert back.dtype == dtype and np.abs(x.astype(np.float64) - back).max() <= bound
    data = encode_features(x, mse=1e-5)
    assert np.square(x.astype(np.float64) - decode_features(data)).mean() <= 1e-5


def test_chunks_are_coded_so_too():
    x = waves((64, 90, 40))
    data = encode_features(x, max_error=0.01, chunk=16)
    assert np.array_equal(open_array(data)[20:50, 3], decode_features(data)[20:50, 3])
    assert np.abs(x - decode_features(data)).max() <= 0.01


def test_they_decode_alike_without_the_extension(monkeypatch: pytest.MonkeyPatch):
    data = encode_features(waves((60, 70)), max_error=0.01)
    quickly = decode_features(data)
    monkeypatch.setattr(differences, "_field", None)
    monkeypatch.setattr(field, "_field", None)
    assert np.array_equal(decode_features(data), quickly)


def test_noise_is_not():
    x = np.random.default_rng(2).normal(size=(300, 300)).astype(np.float32)
    for array in (x, x[:40, :40]):
        info = feature_info(encode_features(array, max_error=0.01))
        assert not any(info.arrays[0]["differences"] or [])


def test_a_search_is_never_larger():
    x = waves((280, 260))
    quickly, searched = (encode_features(x, max_error=0.003, effort=e) for e in (0, 1))
    assert len(searched) <= len(quickly)


def test_golden():
    path = Path(__file__).parents[1] / "golden" / "features"
    found = decode_features((path / "differences.bin").read_bytes())
    told = {n: [a.dtype.str, list(a.shape), zlib.crc32(a.tobytes())] for n, a in found.items()}
    assert told == json.loads((path / "differences.json").read_text())


def test_older_releases_refuse_them_by_the_version():
    assert encode_features(waves((40, 60)), max_error=0.01)[3] == 3


def test_every_cut_and_flip_is_refused():
    data = encode_features(waves((30, 40)), max_error=0.02)
    assert isinstance(methods.read(data).arrays[0], Differenced)
    for end in range(0, len(data), 3):
        with pytest.raises(FileError):
            decode_features(data[:end])
    for i in range(0, len(data), 2):
        bad = bytearray(data)
        bad[i] ^= 0x11
        with pytest.raises(CodecError):
            decode_features(bytes(bad))


def test_hostile_orders_and_sums():
    file = methods.read(encode_features(waves((30, 40)), max_error=0.02))
    array = file.arrays[0]
    assert isinstance(array, Differenced)
    orders = array.orders
    for other in itertools.product(range(3), repeat=2):
        array.orders = other
        try:
            assert decode_features(form.write(file)).shape == (30, 40)
        except CorruptFile as e:
            assert "out of range" in str(e)
    array.orders = orders
    data = bytearray(form.write(file))
    place = bytes(data).index(np.float64(array.step).tobytes()) + 8
    assert tuple(data[place : place + 2]) == orders
    data[place] = 3
    with pytest.raises(FileError):
        decode_features(bytes(data))


def test_sums_that_leave_the_range_are_damage():
    from lictor.codec.arrays import stream
    from lictor.codec.arrays.context import grid

    steep = np.full((1, 64), 2**27, np.int64)
    coded = stream.encode(steep, grid((64,), None))
    array = Differenced("", "float32", (64,), coded=coded, orders=(1,))
    with pytest.raises(CorruptFile, match="out of range"):
        array.decode()
