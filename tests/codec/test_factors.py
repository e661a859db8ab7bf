"""Weights as products: what comes back is what was promised, smaller where ranks are low."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from lictor import codec
from lictor.codec.errors import CorruptFile, FileError
from lictor.codec.format import weights as form
from lictor.codec.weights import factors, grid
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.factors import Opened, Product
from lictor.codec.weights.grid import Quantised


def tensor(dtype: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor("t", dtype, shape, 0, math.prod(shape) * grid.ITEMS[dtype])


def made(
    rng: np.random.Generator, rows: int, columns: int, rank: int, rest: bool, scaled: bool = False
) -> Product:
    def levels(*shape: int) -> np.ndarray:
        return rng.integers(-40, 41, shape).astype(np.int32)

    def halves(count: int) -> np.ndarray | None:
        return rng.integers(-3, 4, count).astype(np.int8) if scaled else None

    shifts = (2 * rng.integers(0, 9, rank)).astype(np.int8)
    left = Quantised(levels(rows, rank), 0.3, halves(rows), trellis=bool(rng.integers(2)))
    right = Quantised(levels(rank, columns), 0.01, shifts, halves(columns))
    own = rng.integers(-3, 4, rows).astype(np.int8)
    more = Quantised(levels(rows, columns), 0.7, rows=own) if rest else None
    return Product(left, right, more)


def whole(record: form.Factors, data: bytes, own: Tensor) -> np.ndarray:
    """By way of the bytes of its head."""
    read, _ = form.read_record(form.write_head(record) + data)
    assert isinstance(read, form.Factors)
    opened, out = Opened(read, data, own), np.empty(own.bytes, np.uint8)
    for number in range(opened.count):
        opened.chunk(number, out[number * opened.step : (number + 1) * opened.step])
    return grid.floats(out, own.dtype).reshape(grid.matrix(own))


@given(
    st.sampled_from(grid.TYPES),
    st.lists(st.integers(1, 30), min_size=2, max_size=3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_whole_numbers_are_multiplied(dtype, shape, rest, scaled, seed):
    own, rng = tensor(dtype, tuple(shape)), np.random.default_rng(seed)
    rows, columns = grid.matrix(own)
    rank = max(1, min(rows, columns) // 2)
    product = made(rng, rows, columns, rank, rest, scaled)
    record, chunks = product.encode(own, map)
    back = whole(record, b"".join(chunks), own)
    assert np.array_equal(back, product.decoded(own))
    a, b = (factors.points(g).astype(object) for g in (product.left, product.right))
    assert product.right.rows is not None
    scales = np.array([2 ** int(r // 2) for r in product.right.rows], object)
    sums = ((a * scales) @ b).astype(np.float64)  # of Python's integers
    want = sums.astype(np.float32) * (np.float32(0.3) * np.float32(0.01))
    if product.left.rows is not None and product.right.columns is not None:
        want = want * grid.factors(product.right.columns) * grid.factors(product.left.rows)[:, None]
    if product.rest:
        want = want + grid.decoded(tensor("F32", (rows, columns)), product.rest)
    assert np.array_equal(
        back, grid.floats(grid.stored(want.reshape(-1), dtype), dtype).reshape(rows, columns)
    )


def low(noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 150)) + noise * rng.normal(size=(200, 150))
    return w.astype(np.float32)


@pytest.mark.parametrize(("noise", "most"), [(0.01, 0.2), (1.0, 0.95)])
def test_low_ranks_take_less_at_no_more_error(noise, most):
    w = low(noise)
    source = save({"w": w})
    size, error = {}, {}
    for name in ("factors", "trellis"):
        data = codec.encode_weights(source, quality=50, quantiser=name)
        size[name] = len(data)
        error[name] = float(np.square(load(codec.decode_weights(data))["w"] - w).mean())
    assert size["factors"] < most * size["trellis"]
    assert error["factors"] < 1.05 * error["trellis"]


@pytest.mark.parametrize(
    "w",
    [
        np.random.default_rng(3).normal(size=(60, 50)),
        np.zeros((30, 20)),
        np.ones((300, 1)),
        np.full((2, 300), 1e30),
        np.eye(40),
        np.outer(np.arange(30), np.arange(20)) * 1e-20,
    ],
)
def test_never_much_more_than_the_grid_alone(w):
    source = save({"w": w.astype(np.float32)})
    data = codec.encode_weights(source, quality=50, quantiser="factors")
    assert len(data) <= 1.01 * len(codec.encode_weights(source, quality=50))
    back = load(codec.decode_weights(data))["w"]
    assert np.abs(back - w).max() <= 0.5 * np.sqrt(np.square(w).mean()) + 1e-30


def test_parts_and_what_info_says():
    source = save({"w": low(0.01).astype(np.float16).reshape(200, 15, 10)})
    data = codec.encode_weights(source, quality=50, quantiser="factors")
    back = load(codec.decode_weights(data))["w"]
    with codec.open_weights(data) as weights:
        assert np.array_equal(weights.get_slice("w")[7:90], back[7:90])
    assert codec.weights_info(data).tensors[0]["method"] == "factors of rank 4"


def test_sums_that_are_not_exact_are_not_made():
    large = Quantised(np.full((20, 20), 2**21, np.int32), 1.0)
    shifted = replace(large, rows=np.full(20, 40, np.int8))
    with pytest.raises(OverflowError):
        Product(large, shifted).decoded(tensor("F32", (20, 20)))


def test_damage_is_found():
    data = codec.encode_weights(save({"w": low(0.01)[:60, :50]}), quality=50, quantiser="factors")
    assert "factors" in codec.weights_info(data).tensors[0]["method"]
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x29
        with pytest.raises(FileError):
            codec.decode_weights(bytes(damaged))
    for size in range(0, len(data), 13):
        with pytest.raises(FileError):
            codec.decode_weights(data[:size])


_CHANGES = (
    lambda r: replace(r, rank=r.rank + 1),
    lambda r: replace(r, rank=form.MAX_RANK),
    lambda r: replace(r, values=7),
    lambda r: replace(r, values=2**19),
    lambda r: replace(r, product=[]),
    lambda r: replace(r, left=replace(r.left, values=1)),
    lambda r: replace(r, left=r.right, right=r.left),
    lambda r: replace(r, left=replace(r.left, row_steps=r.right.row_steps)),
    lambda r: replace(r, left=replace(r.left, column_steps=r.right.row_steps)),
    lambda r: replace(r, right=replace(r.right, column_steps=r.right.row_steps)),
    lambda r: replace(r, right=replace(r.right, row_steps=grid.packed_steps(_steps(1)))),
    lambda r: replace(r, right=replace(r.right, row_steps=grid.packed_steps(_steps(-2)))),
    lambda r: replace(r, right=replace(r.right, row_steps=grid.packed_steps(_steps(126)))),
    lambda r: replace(r, right=replace(r.right, tables=bytes(30))),
    lambda r: replace(r, right=replace(r.right, step=0x7F000000)),
    lambda r: replace(r, rest=None),
    lambda r: replace(r, rest=replace(r.rest, values=30)),
)


def _steps(size: int) -> np.ndarray:
    return np.full(3, size, np.int8)


@pytest.mark.parametrize("change", _CHANGES)
def test_heads_of_anything_with_right_checksums_are_refused(change):
    own = tensor("F32", (20, 30))
    record, chunks = made(np.random.default_rng(1), 20, 30, 3, True).encode(own, map)
    broken = change(record)
    broken.chunks = [c for g in broken.grids for c in g.chunks] + broken.product
    with pytest.raises(CorruptFile):
        whole(broken, b"".join(chunks)[: broken.size], own)
