"""Quantisers that choose steps: by measured costs, by steps that are given, by columns' inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from lictor import codec
from lictor.codec.weights import mixed
from lictor.codec.weights.cabac import Adaptive
from lictor.codec.weights.equalised import Equalised
from lictor.codec.weights.factors import Product
from lictor.codec.weights.grid import Quantised
from lictor.codec.weights.layered import Nested
from lictor.codec.weights.mixed import Mixed, Stepped
from lictor.codec.weights.quantisers import Known


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(60, 50)).astype(np.float32),
        "b": rng.normal(size=(80, 40)).astype(np.float32),
    }


def test_steps_by_what_is_measured_cost_less_for_their_bits():
    own, x = weights(), np.random.default_rng(1).normal(size=(200, 50)).astype(np.float32)

    def answer(w):
        return np.concatenate([30 * (x @ w["a"].T), x[:, :40] @ w["b"].T], 1)

    def away(w):
        return float(np.square(answer(w) - answer(own)).mean())

    costs = mixed.measured(own, lambda name, values: away({**own, name: values}))
    assert costs["a"] > 100 * costs["b"]
    factors = mixed.factors(costs, {k: w.size for k, w in own.items()})
    sizes = np.array([own[k].size for k in factors])
    assert abs((np.log2(list(factors.values())) * sizes).sum()) < 1e-6
    found = []
    for quantiser in ("plain", Mixed(factors, "plain")):
        data = codec.encode_weights(save(own), quality=50, quantiser=quantiser)
        found.append((len(data), away(load(codec.decode_weights(data)))))
    assert found[1][0] < 1.05 * found[0][0]
    assert found[1][1] < 0.3 * found[0][1]


def test_what_costs_nothing_has_a_step_that_is_held():
    factors = mixed.factors({"a": 1e-30, "b": 1.0}, {"a": 10, "b": 10})
    assert 2**-6 <= factors["b"] < factors["a"] <= 2**6


@pytest.mark.parametrize("inner", ["plain", "trellis", "deepcabac", "nested"])
def test_given_steps_are_taken_by_any_quantiser(inner):
    own = weights()
    steps = {"a": 0.5}
    data = codec.encode_weights(save(own), quality=90, quantiser=Stepped(steps, inner))
    back = load(codec.decode_weights(data))
    assert 0.1 < np.abs(back["a"] - own["a"]).mean() < 0.2
    assert np.abs(back["b"] - own["b"]).mean() < 0.02


def test_columns_of_large_inputs_have_finer_steps():
    own = weights()["a"]
    squares = np.geomspace(1e-2, 1e2, 50).astype(np.float32)
    quantise = Equalised({"a": squares})
    found = quantise(own, Known("a", own.shape, 0.2))
    assert found is not None and found.columns is not None
    assert found.columns[0] > found.columns[-1]
    plain = quantise(own, Known("other", own.shape, 0.2))
    assert plain is not None and plain.columns is None
    error = np.square(found.levels * 0.2 * 2.0 ** (found.columns / 2) - own) @ squares
    assert error.mean() < (np.square(plain.levels * 0.2 - own) @ squares).mean()


def test_equalised_levels_in_a_trellis():
    own = np.random.default_rng(2).normal(size=(300, 200)).astype(np.float32)
    squares = np.geomspace(1e-2, 1e2, 200).astype(np.float32)
    costs = []
    for trellis in (False, True):
        way = Equalised({"a": squares}, trellis)
        data = codec.encode_weights(save({"a": own}), quality=50, quantiser=way)
        error = np.square(load(codec.decode_weights(data))["a"] - own) @ squares
        costs.append(8 * len(data) / own.size + 0.5 * np.log2(error.mean()))
    assert costs[1] < costs[0] - 0.05


@pytest.mark.parametrize("values", [np.zeros((3, 200)), np.full((2, 300), 1e30)])
def test_degenerate_values(values):
    data = codec.encode_weights(
        save({"w": values.astype(np.float32)}), quality=50, quantiser=Equalised({})
    )
    assert np.allclose(load(codec.decode_weights(data))["w"], values, rtol=0.5)


# ---- golden

GOLDEN = Path(__file__).parents[1] / "golden" / "weights"


def golden_levels() -> np.ndarray:
    """Made of integers, so that they are the same everywhere: many small ones, few large."""
    v = np.arange(60 * 40, dtype=np.int64)
    small = v * v * 2654435761 // 65536 % 7 - 3
    return np.where(v % 97 == 5, small * 1000003 % 8191, small).astype(np.int32).reshape(60, 40)


def golden_values() -> np.ndarray:
    """What the golden files hold: steps are powers of two."""
    rows = np.where(np.arange(60) % 3 == 1, np.float32(4), np.float32(1))
    return golden_levels().astype(np.float32) * np.float32(2**-6) * rows[:, None]


def golden_product() -> Product:
    """The golden levels beside a product of rank 3."""
    rows = np.where(np.arange(60) % 3 == 1, 4, 0).astype(np.int8)
    left, right = golden_levels()[:, :3] % 5, golden_levels()[:3] % 3 - 1
    shifts = np.array([0, 2, 6], np.int8)
    return Product(
        Quantised(left, 0.5),
        Quantised(right, 0.25, rows=shifts),
        Quantised(golden_levels(), 2**-6, rows=rows),
    )


def golden_file(name: str) -> bytes:
    """The file as it is made now."""
    rows = np.where(np.arange(60) % 3 == 1, 4, 0).astype(np.int8)
    given = Quantised(golden_levels(), 2**-6, rows=rows)
    ways = {"cabac": Adaptive(given), "layers": Nested(given, (3, 5)), "factors": golden_product()}
    way, source = ways[name], save({"w": golden_values()})
    return codec.encode_weights(source, quality=50, quantiser=lambda values, known: way)


def test_golden_product() -> None:
    back = load(codec.decode_weights((GOLDEN / "factors.bin").read_bytes()))["w"]
    levels = golden_levels()
    product = (levels[:, :3] % 5 * [1, 2, 8]) @ (levels[:3] % 3 - 1) * np.float32(0.125)
    assert np.array_equal(back, product.astype(np.float32) + golden_values())
    assert golden_file("factors") == (GOLDEN / "factors.bin").read_bytes()


@pytest.mark.parametrize("name", ["cabac", "layers"])
def test_golden(name: str) -> None:
    data = (GOLDEN / f"{name}.bin").read_bytes()
    assert np.allclose(load(codec.decode_weights(data))["w"], golden_values(), rtol=1e-6, atol=0)
    assert golden_file(name) == data
