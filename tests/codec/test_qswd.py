"""Sparse, quantised factors: fitted to one another, and never much worse than the trellis."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save

from lictor import codec
from lictor.codec.weights import factors, qswd


def sparse(seed: int = 0) -> np.ndarray:
    """A product of sparse factors, and some noise."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(200, 12)), rng.normal(size=(12, 150))
    a, b = (x * (rng.random(x.shape) < 0.3) for x in (a, b))
    return (a @ b + 0.01 * rng.normal(size=(200, 150))).astype(np.float32)


def test_products_take_less_at_no_more_error():
    source, size, error = save({"w": sparse()}), {}, {}
    for name in ("qswd", "trellis"):
        data = codec.encode_weights(source, quality=50, quantiser=name)
        size[name] = len(data)
        error[name] = np.square(load(codec.decode_weights(data))["w"] - sparse()).mean()
        assert ("factors" in codec.weights_info(data).tensors[0]["method"]) == (name == "qswd")
    assert size["qswd"] < 0.4 * size["trellis"]
    assert error["qswd"] < error["trellis"]


def test_later_sweeps_make_up_for_errors_of_earlier_ones(monkeypatch):
    w = sparse(1)
    sizes, right = factors.singular(w)[1:]
    error = []
    for sweeps in (1, 3):
        monkeypatch.setattr(qswd, "_SWEEPS", sweeps)
        made = qswd.fitted(w, sizes[:12], right[:12], 1.0)
        assert made is not None and (made.right.levels == 0).mean() > 0.2
        left, b = factors.points(made.left) * 1.0, factors.points(made.right) * made.right.step
        assert made.right.rows is not None
        product = left @ (b * 2.0 ** (made.right.rows[:, None] / 2))
        error.append(np.square(product - w).mean())
    assert error[1] < 0.96 * error[0]


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
@pytest.mark.parametrize("quality", [0, 50, 100])
def test_matrices_of_any_kind(w, quality):
    source = save({"w": w.astype(np.float32)})
    data = codec.encode_weights(source, quality=quality, quantiser="qswd")
    back = load(codec.decode_weights(data))["w"]
    assert np.abs(back - w).max() <= 3.4 * 2 ** (-quality / 12.5) * np.sqrt(np.square(w).mean()) * 3
