"""Low rank by data: products are of what layers give, and taken where they cost less."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save

from lictor import codec
from lictor.codec.errors import InvalidOption
from lictor.codec.weights.curvature import Calibration, Curvature


def calibrated(rank: int, seed: int = 0) -> tuple[dict[str, np.ndarray], Calibration, np.ndarray]:
    """A matrix of full rank whose inputs lie near a few directions, and some of these."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(120, 90)).astype(np.float32)
    x = rng.normal(size=(2000, rank)) @ rng.normal(size=(rank, 90))
    x = (x + 0.02 * rng.normal(size=x.shape)).astype(np.float32)
    rows = np.linspace(0.5, 2, 120).astype(np.float32)
    layer = Curvature((x.T @ x / len(x))[None], rows, len(x))
    return {"w": w}, Calibration({"w": layer}), x


def test_what_inputs_seldom_have_is_left_out():
    own, calibration, x = calibrated(8)
    size, error = {}, {}
    for name in ("lord", "feedback", "factors"):
        data = codec.encode_weights(save(own), quality=10, quantiser=name, calibration=calibration)
        size[name] = len(data)
        error[name] = float(
            np.square(x @ (load(codec.decode_weights(data))["w"] - own["w"]).T).sum()
        )
        method = codec.weights_info(data).tensors[0]["method"]
        assert ("factors" in method) == (name == "lord")
    assert size["lord"] < 0.8 * size["feedback"]
    assert error["lord"] < 0.8 * error["feedback"]
    assert error["lord"] < 0.05 * error["factors"]


@pytest.mark.parametrize("quality", [30, 60, 100])
def test_as_feedback_where_inputs_are_of_all_kinds(quality):
    own, calibration, _ = calibrated(90)
    lord, feedback = (
        codec.encode_weights(save(own), quality=quality, quantiser=name, calibration=calibration)
        for name in ("lord", "feedback")
    )
    assert lord == feedback


@pytest.mark.parametrize(
    "w",
    [np.zeros((40, 30)), np.ones((400, 1)), np.full((2, 300), 1e30), np.eye(40) * 1e-25],
)
def test_matrices_of_any_kind(w):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, w.shape[1]))
    layer = Curvature((x.T @ x / 50)[None].astype(np.float32), np.ones(1, np.float32), 50)
    data = codec.encode_weights(
        save({"w": w.astype(np.float32)}),
        quality=50,
        quantiser="lord",
        calibration=Calibration({"w": layer}),
    )
    back = load(codec.decode_weights(data))["w"]
    assert np.abs(back - w).max() <= np.sqrt(np.square(w).mean()) + 1e-30


def test_rows_that_have_inputs_of_their_own_are_as_with_feedback():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(64, 100, 9))
    moments = np.einsum("gnc,gnd->gcd", x, x) / 100
    layer = Curvature(moments.astype(np.float32), np.ones(64, np.float32), 100)
    own = {"w": rng.normal(size=(64, 1, 3, 3)).astype(np.float32)}
    lord, feedback = (
        codec.encode_weights(
            save(own), quality=30, quantiser=name, calibration=Calibration({"w": layer})
        )
        for name in ("lord", "feedback")
    )
    assert lord == feedback


def test_matrices_that_were_not_calibrated_are_as_factors():
    rng = np.random.default_rng(3)
    own, calibration, _ = calibrated(3)
    low = (rng.normal(size=(90, 2)) @ rng.normal(size=(2, 80))).astype(np.float32)
    data = codec.encode_weights(
        save(own | {"v": low}), quality=40, quantiser="lord", calibration=calibration
    )
    methods = {t["name"]: t["method"] for t in codec.weights_info(data).tensors}
    assert methods["v"] == "factors of rank 2"


def test_it_needs_a_calibration():
    with pytest.raises(InvalidOption, match="calibration"):
        codec.encode_weights(save(calibrated(3)[0]), quality=40, quantiser="lord")
