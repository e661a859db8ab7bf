"""The table of methods that code arrays: what must hold of each of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from lictor.codec import decode_features, encode_features, feature_info
from lictor.codec.arrays import methods
from lictor.codec.arrays.methods import (
    METHODS,
    Chunked,
    Differenced,
    Exact,
    Learned,
    Mixed,
    Predicted,
    Shifted,
)
from lictor.codec.errors import FileError
from lictor.codec.format import arrays as form
from lictor.codec.format.arrays import Array, File


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


def encoded(method: type[Array]) -> bytes:
    """A file whose only array is coded by a method."""
    if method is Exact:
        return encode_features(np.arange(20, dtype=np.int16).reshape(4, 5))
    if method is Predicted:
        return encode_features(normal(8, 30).astype(np.float32), max_error=0.01)
    if method is Shifted:
        return encode_features(normal(4, 60) + 1e9 * np.arange(4)[:, None], max_error=0.01)
    if method is Chunked:
        return encode_features(normal(64, 8).astype(np.float32), max_error=0.01, chunk=16)
    if method is Differenced:
        return encode_features(np.sin(np.arange(900.0) / 40).reshape(30, 30), max_error=1e-4)
    assert method is Mixed
    return encode_features((normal(300, 3) @ normal(48, 3).T).astype(np.float32), mse=1e-4)


@pytest.fixture(params=[m for m in METHODS.values() if m is not Learned], ids=lambda m: m.__name__)
def made(request: pytest.FixtureRequest) -> tuple[type[Array], bytes]:
    """Learned needs weights: test_feature_learned.py."""
    return request.param, encoded(request.param)


def test_codes_are_permanent() -> None:
    found = {code: method.__name__ for code, method in METHODS.items()}
    names = "Exact Predicted Learned Mixed Shifted Chunked Differenced"
    assert found == dict(enumerate(names.split()))
    assert all(method.code == code for code, method in METHODS.items())


def test_read_and_written_alike(made: tuple[type[Array], bytes]) -> None:
    method, data = made
    file = methods.read(data)
    (array,) = file.arrays
    assert type(array) is method
    assert file.version == max(method.since, data[3])
    assert form.write(file) == data and methods.read(form.write(file)) == file
    assert form.size_of(array) == len(form.write(File(".npy", [array])))


def test_described(made: tuple[type[Array], bytes]) -> None:
    method, data = made
    (array,), (row,) = methods.read(data).arrays, feature_info(data).arrays
    said = array.describe()
    assert said.items() <= row.items() and 0 < said["bytes"] < len(data)
    keys = (
        "name dtype shape axis step components model weights quality chunks cut differences bytes"
    )
    assert list(row) == keys.split()
    assert (row["components"] is not None) == (method is Mixed)
    assert (row["differences"] is not None) == (method is Differenced)
    assert (row["step"] is None) == (method in (Exact, Chunked))


def test_every_block_counts(made: tuple[type[Array], bytes]) -> None:
    """What a description calls bytes are those of all blocks."""
    (array,) = methods.read(made[1]).arrays
    blocks = [getattr(array, f.name) for f in fields(array)]
    if isinstance(array, Chunked):
        blocks = [chunk.payload for chunk in array.chunks]
    sizes = [len(block) for block in blocks if isinstance(block, bytes | memoryview)]
    assert array.describe()["bytes"] == sum(sizes)


def test_decoded_as_the_file_is(made: tuple[type[Array], bytes]) -> None:
    data = made[1]
    (array,) = methods.read(data).arrays
    first, again = array.decode(), array.decode()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, decode_features(data))


def test_a_first_version_has_no_later_method() -> None:
    data = bytearray(encoded(Shifted))
    assert data[3] == 2
    (array,) = methods.read(bytes(data)).arrays
    older = type("Older", (Shifted,), {"since": 1})
    said: dict[str, Any] = {f.name: getattr(array, f.name) for f in fields(array)}
    with pytest.raises(FileError):
        methods.read(form.write(File(".npy", [older(**said)])))


def test_a_method_that_is_not_in_the_table() -> None:
    data = encoded(Mixed)
    with pytest.raises(FileError) as caught:
        form.read(data, {code: method for code, method in METHODS.items() if code != 3})
    assert "\n" not in str(caught.value)
