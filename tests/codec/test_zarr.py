"""Chunks of Zarr, numcodecs and xarray by Lictor, where these are installed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lictor.codec.errors import CorruptFile, InvalidTarget, UnsupportedArray

numcodecs = pytest.importorskip("numcodecs", reason="pip install 'lictor[zarr]'")


def smooth(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    rng = np.random.default_rng(3)
    x = rng.normal(size=shape)
    for axis in range(len(shape)):
        x = x.cumsum(axis)
    return x.astype(dtype)


# ---- numcodecs


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2", "u1", "?"])
@pytest.mark.parametrize("shape", [(31,), (40, 30), (3, 1, 20), (0, 4)])
def test_numcodecs_finds_it_by_name_and_keeps_a_bound(dtype: str, shape: tuple[int, ...]):
    codec = numcodecs.get_codec({"id": "lictor", "max_error": 0.25})
    x = smooth(shape, dtype)
    data = codec.encode(x)
    back = codec.decode(data)
    assert isinstance(data, bytes) and back.shape == shape and back.dtype == x.dtype
    error = np.abs(x.astype(np.float64) - back)
    assert (error <= 0.25).all() and (x.dtype.kind == "f" or not error.any())
    out = np.empty_like(x)
    assert codec.decode(bytearray(data), out) is out and np.array_equal(out, back)


def test_settings_survive_numcodecs():
    for given in ({}, {"max_error": 0.5}, {"mse": 1e-3, "axis": 1, "effort": 2}):
        config = {"id": "lictor", **given}
        codec = numcodecs.get_codec(dict(config))
        assert codec.get_config() == config == numcodecs.get_codec(codec.get_config()).get_config()
    assert repr(numcodecs.get_codec({"id": "lictor", "mse": 0.5})) == "Lictor(mse=0.5)"


def test_without_a_target_every_bit_comes_back():
    codec = numcodecs.get_codec({"id": "lictor"})
    x = smooth((50, 20))
    x[3, 4], x[5, 6], x[7, 8] = np.nan, -0.0, np.inf
    assert codec.decode(codec.encode(x)).tobytes() == x.tobytes()
    assert codec.decode(codec.encode(b"plain bytes")).tobytes() == b"plain bytes"


def test_wrong_settings_and_damage_are_said():
    with pytest.raises(InvalidTarget):
        numcodecs.get_codec({"id": "lictor", "max_error": -1})
    with pytest.raises(InvalidTarget):
        numcodecs.get_codec({"id": "lictor", "max_error": 1, "mse": 1})
    codec = numcodecs.get_codec({"id": "lictor", "max_error": 0.1})
    data = bytearray(codec.encode(smooth((40, 40))))
    data[len(data) // 2] ^= 1
    with pytest.raises(CorruptFile):
        codec.decode(data)
    with pytest.raises(UnsupportedArray):
        codec.encode(np.zeros(3, np.complex64))


# ---- zarr


@pytest.fixture
def zarr() -> Any:
    return pytest.importorskip("zarr", minversion="3", reason="pip install 'lictor[zarr]'")


def test_zarr_reads_what_a_serializer_wrote(zarr: Any, tmp_path: Path):
    from lictor.codec.zarr import LictorSerializer

    x = smooth((70, 50, 9))
    array = zarr.create_array(
        tmp_path / "x.zarr",
        shape=x.shape,
        chunks=(32, 50, 9),
        dtype=x.dtype,
        serializer=LictorSerializer(max_error=0.5),
        compressors=None,
    )
    array[:] = x
    again = zarr.open_array(tmp_path / "x.zarr", mode="r")
    assert again.metadata.codecs[0] == LictorSerializer(max_error=0.5)
    assert np.abs(x - again[:]).max() <= 0.5
    assert np.array_equal(again[40:50, 3], again[:][40:50, 3])
    taken = sum(f.stat().st_size for f in (tmp_path / "x.zarr").rglob("*") if f.is_file())
    assert taken < x.nbytes / 2


@pytest.mark.parametrize("dtype", ["float16", "float64", "int16", "bool"])
def test_shards_and_types(zarr: Any, tmp_path: Path, dtype: str):
    from lictor.codec.zarr import LictorSerializer

    x = smooth((64, 64), dtype)
    array = zarr.create_array(
        tmp_path / "x.zarr",
        shape=x.shape,
        chunks=(16, 16),
        shards=(32, 32),
        dtype=x.dtype,
        serializer=LictorSerializer(),
        compressors=None,
    )
    array[:] = x
    assert np.array_equal(zarr.open_array(tmp_path / "x.zarr")[:], x)


def test_zarr_2_takes_the_codec_of_numcodecs(zarr: Any, tmp_path: Path):
    x = smooth((70, 50))
    array = zarr.create_array(
        tmp_path / "x.zarr",
        shape=x.shape,
        chunks=(32, 32),
        dtype=x.dtype,
        zarr_format=2,
        compressors=numcodecs.get_codec({"id": "lictor", "max_error": 0.5}),
    )
    array[:] = x
    assert 0 < np.abs(x - zarr.open_array(tmp_path / "x.zarr", mode="r")[:]).max() <= 0.5


def test_types_that_are_not_coded_are_refused_before_anything_is_written(zarr: Any):
    from lictor.codec.zarr import LictorSerializer

    with pytest.raises(UnsupportedArray):
        zarr.create_array(
            {}, shape=(4,), chunks=(4,), dtype="complex64", serializer=LictorSerializer()
        )


def test_a_chunk_of_another_array_is_refused(zarr: Any):
    from lictor.codec.zarr import LictorSerializer

    stores: list[dict[str, Any]] = [{}, {}]
    for store, shape in zip(stores, ((8, 4), (4, 8)), strict=True):
        zarr.create_array(
            store,
            shape=shape,
            chunks=shape,
            dtype="float32",
            serializer=LictorSerializer(),
            compressors=None,
        )[:] = smooth(shape)
    (stores[1]["c/0/0"],) = (stores[0]["c/0/0"],)
    with pytest.raises(CorruptFile, match="shape"):
        zarr.open_array(stores[1], mode="r")[:]


def test_xarray_writes_and_reads(zarr: Any, tmp_path: Path):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    from lictor.codec.zarr import LictorSerializer

    x = smooth((40, 30))
    data = xarray.Dataset({"t": (("y", "x"), x)})
    encoding = {"serializer": LictorSerializer(max_error=0.1), "compressors": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that are not consolidated
        data.to_zarr(tmp_path / "x.zarr", encoding={"t": encoding}, zarr_format=3)
        back = xarray.open_zarr(tmp_path / "x.zarr")["t"].values
    assert 0 < np.abs(x - back).max() <= 0.1
