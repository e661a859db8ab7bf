"""Fitting in C against the twin in PyTorch, and the schedule on small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from lictor.models.overfit import _fit, fitting, make_starts, sizes, starts, training, twin

SIDES = [(1, 1), (1, 7), (65, 33), (3, 530), (130, 70)]
LANES = sorted({_fit.lanes(most) for most in (1, 4, 8, 16)})
WEIGHTS = fitting.Weights(bit=3e-4, error=1e-2)


def _problem(
    size: sizes.Size, sides: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], twin.Twin]:
    """A picture, latents and networks where everything takes part."""
    rng = np.random.default_rng(sides[1])
    torch.manual_seed(sides[0])
    net = twin.Twin(size)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    x = rng.random((3, *sides), dtype=np.float32)
    symbols = sum(rows * columns for rows, columns in sizes.grid_shapes(*sides))
    return x, rng.normal(0, 1.5, symbols).astype(np.float32), net


def _split(values: NDArray[np.float32], sides: tuple[int, int]) -> list[torch.Tensor]:
    shapes = sizes.grid_shapes(*sides)
    parts = torch.from_numpy(values).double().split([rows * columns for rows, columns in shapes])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _close(ours: NDArray[np.float32], theirs: torch.Tensor, what: str) -> None:
    expected = theirs.numpy()
    assert np.abs(ours - expected).max() <= 2e-5 * np.abs(expected).max() + 1e-12, what


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("name", sizes.SIZES)
def test_loss_and_gradients_are_the_twins(name: str, sides: tuple[int, int], lanes: int):
    size = sizes.SIZES[name]
    x, latents, net = _problem(size, sides)
    parameters = twin.flat(net)
    fit = fitting.Fit(x, size, threads=2, lanes=lanes)
    noise = fitting.Noise(temperature=0.3, deviation=0.2, seed=7)
    loss, gradient = fit.gradient(latents, parameters, noise, WEIGHTS)
    values, by_symbol = fit.inside()

    net.double()  # probabilities near the floor are differences of like numbers
    grids = [grid.requires_grad_() for grid in _split(values, sides)]
    x_hat, bits = net(grids, sides, sizes.tile_sides(*sides))
    off = x_hat.detach().clamp(0, 1) - torch.from_numpy(x)  # the clamp is passed straight through
    (WEIGHTS.bit * bits.sum() + (2 * WEIGHTS.error * off * x_hat).sum()).backward()
    assert loss.bits == pytest.approx(bits.sum().item(), rel=1e-5)
    assert loss.mse == pytest.approx((off**2).mean().item(), rel=1e-5)
    at = 0
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None
        end = at + parameter.numel()
        _close(gradient[at:end], parameter.grad.ravel(), label)
        at = end
    found = [torch.zeros_like(g) if g.grad is None else g.grad for g in grids]
    _close(by_symbol, torch.cat([grad.ravel() for grad in found]), "grids")


def test_rounding_gives_the_twins_picture():
    size, sides = sizes.SIZES["m"], (65, 33)
    x, latents, net = _problem(size, sides)
    fit = fitting.Fit(x, size)
    x_hat = np.empty_like(x)
    loss = fit.loss(latents, twin.flat(net), x_hat)
    grids = [torch.from_numpy(grid).float() for grid in fit.grids(latents)]
    with torch.no_grad():
        expected, bits = net(grids, sides, sizes.tile_sides(*sides))
    assert np.abs(x_hat - expected.numpy()).max() < 1e-5
    assert loss.bits == pytest.approx(bits.sum().item(), rel=1e-3)


def test_soft_rounding_is_the_twins():
    """Its noise is found by taking a second look without any; its slope by autograd."""
    size, sides = sizes.SIZES["s"], (40, 50)
    x, latents, net = _problem(size, sides)
    fit = fitting.Fit(x, size)
    plain = fitting.Noise(temperature=0.2)
    fit.gradient(latents, twin.flat(net), plain, WEIGHTS)
    values, by_symbol = fit.inside()
    moving = torch.from_numpy(latents).double().requires_grad_()
    expected = twin.noisy(moving, 0.2, torch.zeros(()))
    assert np.abs(values - expected.detach().numpy()).max() < 1e-5
    # A first step of Adam is as long as the rate, and against the slope where there is one.
    (slope,) = torch.autograd.grad(expected.sum(), moving)
    moved, mean, square = latents.copy(), np.zeros_like(latents), np.zeros_like(latents)
    fit.step(moved, mean, square, 0.01, 1, fitting.Weights(bit=1e-6, error=0))
    assert np.allclose(mean, 0.1 * by_symbol * slope.numpy(), rtol=1e-3, atol=1e-9)
    steep = np.abs(mean) > 1e-6
    assert np.allclose((moved - latents)[steep], -0.01 * np.sign(mean[steep]), atol=1e-3)


def test_symbols_move_alike_whatever_the_scale_of_the_loss():
    """It is a mean over all pixels: gradients are the smaller, the larger the picture."""
    size = sizes.SIZES["s"]
    x, latents, net = _problem(size, (40, 50))
    fit, found = fitting.Fit(x, size), []
    for times in (1, 2.0**-12):
        weights = fitting.Weights(WEIGHTS.bit * times, WEIGHTS.error * times)
        fit.gradient(latents, twin.flat(net), fitting.Noise(0.2, 0.1, 1), weights)
        moved, mean, square = latents.copy(), np.zeros_like(latents), np.zeros_like(latents)
        fit.step(moved, mean, square, 0.01, 1, weights)
        found.append(moved - latents)
    assert np.abs(found[0]).max() > 0.005
    assert np.allclose(*found, rtol=1e-3, atol=1e-6)


def test_noise_is_normal():
    size = sizes.SIZES["s"]
    x = np.zeros((3, 200, 200), np.float32)
    fit = fitting.Fit(x, size)
    latents = np.full(fit.symbols, 0.5, np.float32)  # a temperature so high that nothing is rounded
    parameters = training.first_parameters(size, 0)
    found = []
    for seed in (1, 2):
        fit.gradient(latents, parameters, fitting.Noise(50.0, 0.1, seed), WEIGHTS)
        found.append((fit.inside()[0] - 0.5) / 0.1)
    a, b = found
    assert abs(a.mean()) < 0.02
    assert a.std() == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(a) < 0.6745) == pytest.approx(0.5, abs=0.02)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.02
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.02


def _photo(sides: tuple[int, int]) -> NDArray[np.float32]:
    rows, columns = sides
    photo = data.astronaut()[100 : 100 + rows, 180 : 180 + columns]
    return np.ascontiguousarray(photo.transpose(2, 0, 1), np.float32) / 255


@pytest.mark.parametrize("shared", [True, False])
def test_training_makes_a_picture(shared: bool):
    x = _photo((96, 80))
    looks = []
    result = training.train(
        x, 0.02, sizes.SIZES["s"], 400, lambda *look: looks.append(look), shared=shared
    )
    flat = training.psnr(float(x.var()))
    assert result.psnr > flat + 8
    assert 0 < result.bits / (96 * 80) < 3
    # After the last look symbols were refined, and networks rounded where they were not.
    assert looks[-1] == pytest.approx((400, result.bits, result.psnr), rel=0.1)
    # What is promised is what the twin makes of it.
    net = twin.Twin(sizes.SIZES["s"])
    twin.load(net, result.parameters)
    grids = [torch.from_numpy(grid).float() for grid in result.grids]
    with torch.no_grad():
        x_hat, bits = net(grids, x.shape[1:], sizes.tile_sides(*x.shape[1:]))
    mse = ((x_hat.clamp(0, 1) - torch.from_numpy(x)) ** 2).mean().item()
    assert result.mse == pytest.approx(mse, rel=1e-4)
    assert result.bits == pytest.approx(bits.sum().item(), rel=1e-3)


@pytest.mark.parametrize("sides", [(1, 1), (1, 7)], ids=str)
def test_smallest_pictures_train(sides: tuple[int, int]):
    result = training.train(_photo(sides), 0.02, sizes.SIZES["m"], 300)
    assert result.psnr > 20
    assert [grid.shape for grid in result.grids] == sizes.grid_shapes(*sides)


def test_threads_and_repeats_change_nothing():
    x = _photo((70, 150))
    results = [
        training.train(x, 0.01, sizes.SIZES["m"], 40, threads=threads, seed=3)
        for threads in (1, 1, 3)
    ]
    for other in results[1:]:
        assert (other.parameters == results[0].parameters).all()
        assert all((a == b).all() for a, b in zip(other.grids, results[0].grids, strict=True))
    other = training.train(x, 0.01, sizes.SIZES["m"], 40, seed=4)
    assert (other.parameters != results[0].parameters).any()


@pytest.mark.parametrize(
    "shared, steps", [(False, 120), (True, 100), (True, 200), (True, 300)], ids=str
)
def test_a_stopped_training_goes_on(tmp_path: Path, shared: bool, steps: int):
    x, size = _photo((40, 60)), sizes.SIZES["s"]
    whole = training.train(x, 0.01, size, 330, shared=shared)
    first = training.Training(x, 0.01, size, 330, shared=shared)
    first.save(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    first.run(stop=lambda: first.step >= steps)
    assert not first.done
    first.save(tmp_path / "state")
    second = training.Training(x, 0.01, size, 330, shared=shared)
    second.load(tmp_path / "state")
    second.run()
    assert second.done
    result = second.result()
    assert (result.parameters == whole.parameters).all()
    assert (result.bits, result.mse) == (whole.bits, whole.mse)
    other = sizes.SIZES["m"]
    for args in ((x, 0.01, size, 300), (x, 0.02, size, 330), (x, 0.01, other, 330)):
        with pytest.raises(ValueError, match="other arguments"):
            training.Training(*args, shared=shared).load(tmp_path / "state")
    with pytest.raises(ValueError, match="other arguments"):
        training.Training(x, 0.01, size, 330, shared=not shared).load(tmp_path / "state")
    with pytest.raises(ValueError, match="another picture"):
        training.Training(x[:, :20], 0.01, size, 330, shared=shared).load(tmp_path / "state")


def test_stopped_at_once_there_is_still_a_picture():
    x = _photo((20, 20))
    result = training.train(x, 0.01, sizes.SIZES["s"], 2000, stop=lambda: True)
    assert result.parameters.shape == (sizes.SIZES["s"].parameters,)


@pytest.mark.parametrize("iterations", [1, 10, 100, 500, 2000, 4000, 10_000, 30_000])
def test_plans_spend_what_they_may(iterations: int):
    plan = training.plan(iterations)
    spent = plan.warm * (plan.starts + 2) if plan.warm else 0
    assert spent + plan.joint == iterations
    assert plan.main > 0
    assert training.plan(iterations, warm=False).joint == iterations


@pytest.mark.parametrize(
    "change",
    [{"height": 0}, {"tile": (63, 64)}, {"neighbours": 13}, {"hidden": 12}, {"threads": 0}],
)
def test_what_does_not_go_together_is_refused(change: dict[str, object]):
    x = np.zeros((3, 8, 8), np.float32)
    asked = {"height": 8, "tile": (64, 64), "neighbours": 12, "hidden": 16, "threads": 1} | change
    with pytest.raises(ValueError, match="go together"):
        networks = (asked["neighbours"], 4, asked["hidden"], 1)
        _fit.create(x, (asked["height"], 8), asked["tile"], networks, asked["threads"], 16)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", sizes.SIZES.values(), ids=lambda size: size.name)
def test_starts_are_worth_their_iterations(size: sizes.Size):
    """From a shared start, 60 iterations give more than 60 from nothing."""
    x, weight = _photo((64, 64)), 0.03
    number = starts.nearest(size, weight)
    values = starts.parameters(size, number)
    assert values.shape == (size.parameters,)
    assert (values == values.astype(np.float16)).all()
    assert np.abs(values).max() < 16
    costs = []
    for shared in (True, False):
        run = training.Training(x, weight, size, 60, shared=shared)
        run.run()
        found = run.result()
        networks = fitting.Loss(found.networks.spreads()[1], 0)
        costs.append(run.cost(fitting.Loss(found.bits, found.mse)) + run.cost(networks))
    assert costs[0] < 0.9 * costs[1]


def test_the_nearest_start_is_taken():
    size = sizes.SIZES["m"]
    numbers = [starts.nearest(size, 0.0005 * 2.0**octave) for octave in range(9)]
    assert len(set(numbers)) > 2
    other = sizes.Size("none", 6, 2, 8, 1)
    assert starts.nearest(other, 0.01) == 0


def test_older_starts_keep_their_numbers(monkeypatch: pytest.MonkeyPatch):
    size = sizes.SIZES["s"]
    weight = np.float32(1 / (1e-2 * training.LEVELS_OF_255))
    held = {"s": np.ones((1, size.parameters)), "s_weights": np.array([weight])}
    make_starts.added(held, "s", {bit: np.full(size.parameters, bit) for bit in (1e-3, 1e-2)})
    monkeypatch.setattr(starts, "_held", lambda: held)
    assert [starts.parameters(size, number)[0] for number in (1, 2, 3)] == [1, 1e-3, 1e-2]
    weights = [1 / (bit * training.LEVELS_OF_255) for bit in (1e-1, 1e-2, 1e-3, 1e-5)]
    assert [starts.nearest(size, weight) for weight in weights] == [3, 3, 2, 2]


def test_a_mosaic_has_a_part_of_each_photo(tmp_path: Path):
    for number in range(40):
        Image.new("RGB", (300, 400 + number), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    x = make_starts.mosaic(sorted(tmp_path.iterdir()))
    assert x.shape == (3, 1024, 1024)
    assert [int(v) for v in x[0, 128::256, 128::256].ravel() * 255 + 0.5] == [
        1 + 2 * place for place in range(16)
    ]


def test_shared_starts_leave_little_to_code():
    """A short training moves networks less far than they are from nothing."""
    x, size = _photo((64, 64)), sizes.SIZES["m"]
    runs = [training.train(x, 0.01, size, 200, shared=shared).networks for shared in (True, False)]
    near, far = (len(networks.payload()) for networks in runs)
    assert runs[0].start and not runs[1].start and near < 0.6 * far
