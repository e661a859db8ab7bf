"""Symbols that are changed by one after fitting, where it pays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from lictor.models.overfit import fitting, refining, sizes, training, twin

WEIGHTS = fitting.Weights(bit=3e-6, error=1e-3)
SIDES = [(1, 1), (1, 40), (65, 33), (3, 530), (130, 70)]


def _problem(
    name: str, sides: tuple[int, int]
) -> tuple[fitting.Fit, refining.Floats, refining.Floats]:
    """A photo, symbols of chance, and networks where everything takes part."""
    rng = np.random.default_rng(sides[1])
    torch.manual_seed(sides[0])
    net = twin.Twin(sizes.SIZES[name])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    photo = np.resize(data.astronaut().transpose(2, 0, 1), (3, *sides)) / np.float32(255)
    fit = fitting.Fit(photo.astype(np.float32), sizes.SIZES[name])
    return fit, np.rint(rng.normal(0, 1.5, fit.symbols)).astype(np.float32), twin.flat(net)


def _loss(fit: fitting.Fit, symbols: refining.Floats, parameters: refining.Floats) -> float:
    found = fit.loss(symbols, parameters)
    return 3 * fit.pixels * WEIGHTS.error * found.mse + WEIGHTS.bit * found.bits


@pytest.mark.parametrize("name", sizes.SIZES)
def test_contexts_tell_what_the_twin_says(name: str):
    fit, symbols, parameters = _problem(name, (130, 70))
    means, scales, _ = fit.told(symbols, parameters)
    net = twin.Twin(sizes.SIZES[name])
    twin.load(net, parameters)
    grids = [torch.from_numpy(grid).float() for grid in fit.grids(symbols)]
    tile = sizes.tile_sides(130, 70)
    said = [net.laplace(grids, index, tile) for index in range(len(grids))]
    expected = torch.cat([mean.ravel() for mean, _ in said]).detach().numpy()
    assert np.abs(means - expected).max() < 1e-4
    spread = torch.cat([scale.ravel() for _, scale in said]).detach().numpy()
    limit = sizes.LOG_SCALE_LIMIT
    ours = np.exp((scales - sizes.LOG_SCALE_SHIFT).clip(-limit, limit))
    assert np.allclose(ours, spread, rtol=1e-3)
    bits = refining.own_bits(symbols, means, scales).sum()
    assert bits == pytest.approx(fit.loss(symbols, parameters).bits, rel=1e-4)


@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("name", ["s", "l"])
def test_the_loss_falls(name: str, sides: tuple[int, int]):
    fit, symbols, parameters = _problem(name, sides)
    given = symbols.copy()
    found = refining.refined(fit, symbols, parameters, WEIGHTS, 4)
    assert (symbols == given).all()
    assert np.abs(found - symbols).max() <= 1
    before, after = (_loss(fit, which, parameters) for which in (symbols, found))
    assert after <= before
    if min(sides) > 60:
        assert after < before


def test_symbols_stay_within_their_range():
    fit, symbols, parameters = _problem("s", (70, 70))
    symbols = np.where(np.arange(symbols.size) % 2, 63, -64).astype(np.float32)
    found = refining.refined(fit, symbols, parameters, fitting.Weights(0, 1), 4)
    assert found.min() >= sizes.LEAST_SYMBOL
    assert found.max() <= sizes.MOST_SYMBOL


def test_a_training_ends_with_it():
    """What `result` gives costs less than the best of its looks, which only rounds."""
    x = data.astronaut()[100:164, 200:264].transpose(2, 0, 1).astype(np.float32) / 255
    fitted = training.Training(x, 0.01, sizes.SIZES["s"], 60)
    fitted.run()
    found = fitted.result()
    assert fitted.best
    rounded = fitted.fit.loss(np.rint(fitted.best[0]), found.parameters)
    assert fitted.cost(fitting.Loss(found.bits, found.mse)) < fitted.cost(rounded)
