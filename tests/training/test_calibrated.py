"""What data say of a network helps its weights, and corrections put means and variances right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from lictor.codec import decode_weights, encode_weights
from lictor.training.calibrated import divergence as divergence_of_each
from lictor.training.calibrated import measured_steps
from lictor.training.calibrated.compress import compress
from lictor.training.calibrated.corrections import corrections
from lictor.training.calibrated.moments import calibrate
from lictor.training.calibrated.steps import squares
from lictor.training.calibrated.tuning import tuned


def network() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 40, 1, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(160, 24),
    )
    made.train()
    with torch.no_grad():
        for seed in range(20):
            made(examples(16, seed))
    return made.eval()


def examples(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(count, 3, 4, 4, generator=generator)
    return nn.functional.interpolate(small, size=16, mode="bilinear").contiguous()


def divergence(made: nn.Module, state: dict[str, torch.Tensor], x: torch.Tensor) -> float:
    with torch.no_grad():
        want = made(x).log_softmax(1)
        got = torch.func.functional_call(made, state, (x,)).log_softmax(1)
    return float((want.exp() * (want - got)).sum(1).mean())


@pytest.mark.parametrize("classes", [True, False])
def test_what_data_say_is_worth_its_while(classes: bool) -> None:
    made = network()
    data = save(made.state_dict())
    calibration = calibrate(made, list(examples(64, 100).split(1)), classes=classes)
    assert set(calibration.layers) == {f"{i}.weight" for i in (0, 3, 5, 9)}
    assert calibration.layers["3.weight"].moments.shape == (16, 9, 9)
    assert not any(p.grad is not None and p.grad.any() for p in made.parameters())
    x = examples(200, 7)
    found = {}
    for name, own in (("without", None), ("with", calibration)):
        state = load(decode_weights(encode_weights(data, bits=7, calibration=own)))
        found[name] = divergence(made, state, x)
    assert found["with"] < 0.8 * found["without"]


def test_corrections_of_what_is_right_are_none() -> None:
    made = network()
    x = examples(40, 3)
    found = corrections(made, made.state_dict(), lambda own: own(x))
    names = {"1.running_mean", "1.running_var", "4.running_mean", "4.running_var"}
    assert set(found) == names | {"5.bias", "9.bias"}
    for name, values in found.items():
        assert torch.allclose(torch.from_numpy(values), made.state_dict()[name], atol=1e-5)


def test_corrections_put_means_and_variances_right() -> None:
    made = network()
    x = examples(64, 3)
    state = {k: v.clone() for k, v in made.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    for value in state.values():
        if value.ndim > 1:
            value.mul_(1.1).add_(torch.randn(value.shape, generator=generator) * 0.02)
    before = divergence(made, state, x)
    changed = corrections(made, state, lambda own: own(x))
    mended = state | {k: torch.from_numpy(v) for k, v in changed.items()}
    assert divergence(made, mended, examples(100, 8)) < 0.5 * before
    own, again = made.state_dict(), network().state_dict()
    assert all(torch.equal(own[name], again[name]) for name in own)


def test_compress_is_what_encode_makes_and_more() -> None:
    made = network()
    data = save(made.state_dict())
    batches = list(examples(32, 5).split(1))
    calibration = calibrate(made, batches)
    plain = encode_weights(data, quality=30, calibration=calibration)
    found = compress(data, made, batches, quality=30, calibration=calibration)
    x = examples(100, 9)
    mended, rounded = (load(decode_weights(d)) for d in (found, plain))
    assert torch.equal(mended["9.weight"], rounded["9.weight"])
    assert divergence(made, mended, x) < divergence(made, rounded, x)


@pytest.mark.parametrize("classes", [True, False])
def test_steps_are_by_what_was_measured(classes: bool) -> None:
    made = network()
    with torch.no_grad():
        made.get_parameter("9.weight")[:, 80:] *= 0.01
        made.get_parameter("9.bias").mul_(30)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    data, batches = save(before), list(examples(40, 5).split(1))
    calibration = calibrate(made, batches, classes=classes)
    # As if nothing were known of what layers cost, as far as between layers.
    for name, layer in calibration.layers.items():
        scale = {"0.weight": 1e4, "9.weight": 1e-4}.get(name, 1.0)
        calibration.layers[name] = replace(layer, gradients=layer.gradients * np.float32(scale))
    distance = divergence_of_each if classes else squares
    steps = measured_steps(data, made, batches, calibration=calibration, distance=distance)
    assert set(steps) == set(calibration.layers)
    assert steps["0.weight"] > 1.5 and steps["9.weight"] < 0.67
    after = made.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    x, lost = examples(100, 9), []
    for own in (None, steps):
        file = compress(data, made, batches, quality=40, calibration=calibration, steps=own)
        lost.append(divergence(made, load(decode_weights(file)), x))
    assert lost[1] < 0.7 * lost[0]


def test_compress_loses_next_to_nothing_of_much() -> None:
    """Vectors that suit one another are not mixed with those that suit others."""
    made = network()
    batches = list(examples(16, 5).split(1))
    found = compress(
        save(made.state_dict()), made, batches, quality=90, calibration=calibrate(made, batches)
    )
    state = load(decode_weights(found))
    assert divergence(made, state, examples(100, 9)) < 1e-4
    for name in ("1", "4"):
        got, want = (
            own[f"{name}.weight"] / (own[f"{name}.running_var"] + 1e-5).sqrt()
            for own in (state, made.state_dict())
        )
        assert torch.allclose(got, want, rtol=0.02)


def rounded(made: nn.Module) -> dict[str, torch.Tensor]:
    state = {k: v.clone() for k, v in made.state_dict().items()}
    for value in state.values():
        if value.ndim > 1:
            value.copy_((value / 0.08).round() * 0.08)
    return state


@pytest.mark.parametrize("distance", [divergence_of_each, squares])
def test_vectors_learn_what_rounding_lost(distance) -> None:
    made = network()
    before, state = {k: v.clone() for k, v in made.state_dict().items()}, rounded(made)
    found = tuned(made, state, list(examples(600, 3).split(1)), distance)
    names = {"1.weight", "1.bias", "4.weight", "4.bias", "5.bias", "9.bias"}
    assert found.keys() == names
    assert all(v.dtype == np.float32 and v.ndim == 1 for v in found.values())
    x, new = examples(200, 7), state | {k: torch.from_numpy(v) for k, v in found.items()}
    assert divergence(made, new, x) < 0.95 * divergence(made, state, x)
    again = made.state_dict()
    assert all(torch.equal(own, again[name]) for name, own in before.items())
    assert not any(p.grad is not None for p in made.parameters())


def test_what_is_right_stays() -> None:
    made = network()
    found = tuned(made, made.state_dict(), list(examples(32, 3).split(1)), divergence_of_each)
    for name, values in found.items():
        assert np.allclose(values, made.state_dict()[name].numpy(), atol=2e-3)


def test_networks_without_vectors_have_nothing_to_learn() -> None:
    made = nn.Sequential(nn.Flatten(), nn.Linear(768, 10, bias=False))
    shown = list(examples(8, 3).split(1))
    assert tuned(made, made.state_dict(), shown, squares) == {}
    assert tuned(network(), network().state_dict(), [], squares) == {}


def test_gradients_that_are_not_finite_move_nothing() -> None:
    made = network()
    shown = [torch.full((1, 3, 16, 16), torch.inf)]
    found = tuned(made, rounded(made), shown, divergence_of_each)
    assert np.array_equal(found["9.bias"], made.state_dict()["9.bias"].numpy())


def test_a_file_has_what_was_learned() -> None:
    made = network()
    data, shown = save(made.state_dict()), list(examples(480, 5).split(1))
    own = {"quality": 22, "calibration": calibrate(made, shown[:48])}
    plain, learned = (
        load(decode_weights(compress(data, made, shown, tune=tune, **own)))
        for tune in (None, divergence_of_each)
    )
    assert torch.equal(plain["9.weight"], learned["9.weight"])
    assert not torch.equal(plain["9.bias"], learned["9.bias"])
    x = examples(200, 9)
    assert divergence(made, learned, x) < divergence(made, plain, x)


class Tied(nn.Module):
    """A table of words that answers, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(40, 24)
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, 40, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.words(ids).cumsum(1)))


def test_tied_tensors_are_calibrated_and_rounded_by_either_name() -> None:
    made = Tied().eval()
    ids = torch.randint(40, (64, 12), generator=torch.Generator().manual_seed(2))
    shown = list(ids.split(1))
    calibration = calibrate(made, shown)
    assert calibration.layers["words.weight"] is calibration.layers["head.weight"]
    state = {k: v.clone() for k, v in made.state_dict().items() if k != "head.weight"}
    data = compress(
        save(state), made, shown, quality=30, calibration=calibration, tune=divergence_of_each
    )
    back = load(decode_weights(data))
    assert back.keys() == state.keys()
    assert not torch.equal(back["norm.weight"], state["norm.weight"])
