"""Finer steps for what is smooth, in pictures of more than 8 bits a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder
from lictor.models.box import Box
from lictor.models.picture.high_bit_depth import HALVED_FROM, halvings, smooth_latents
from lictor.models.picture.lictor import Lictor
from lictor.models.quality import Quality

SMALL = {"channels": 16, "latent": 32, "side": 8, "prior": 16, "depth": 1}


def photo(height: int, width: int) -> torch.Tensor:
    from skimage import data

    pixels = torch.from_numpy(data.astronaut()[:height, :width].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


def gradient(height: int, width: int) -> torch.Tensor:
    x, y = torch.linspace(0, 1, width), torch.linspace(0, 1, height)[:, None]
    return torch.stack([0.8 * x + 0.1 * y, 0.2 + 0.5 * y * x, 0.9 - 0.5 * y - 0.3 * x])[None]


def slopes() -> torch.Tensor:
    """Constant, across and down, in each colour: (9, 768)."""
    x = torch.linspace(-1, 1, 16)
    planes = [torch.ones(16, 16), x.expand(16, 16), x[:, None].expand(16, 16)]
    return torch.kron(torch.eye(3), torch.stack([p.flatten() / p.norm() for p in planes]))


@pytest.fixture(scope="module")
def model() -> Lictor:
    """A linear codec of slopes, and of what else a photo has; its means vary."""
    torch.manual_seed(0)
    blocks = torch.nn.functional.pixel_unshuffle(photo(512, 512) - 0.5, 16).flatten(2)[0]
    blocks = blocks - slopes().T @ (slopes() @ blocks)
    others, deviation, _ = torch.linalg.svd(blocks, full_matrices=False)
    model = Lictor(**SMALL)
    basis = torch.cat([slopes(), others[:, :23].T])
    model.start_from_klt(basis, torch.cat([torch.full((9,), 4.0), deviation[:23] / 32]))
    for step in model.context.steps:
        torch.nn.init.normal_(step.heads.weight, std=0.03)
    torch.nn.init.normal_(model.z_scale.rungs, mean=3.0)
    return model.eval().requires_grad_(False)


def wanted(quality: float | np.ndarray) -> Quality:
    return Quality(quality) if isinstance(quality, np.ndarray) else Quality.of(quality)


def write(model: Lictor, x: torch.Tensor, quality: Any, tile: Box | None = None) -> bytes:
    encoder = Encoder()
    model.encode(x, wanted(quality), encoder, tile)
    return encoder.finish()


def read(model: Lictor, shape: tuple[int, int], quality: Any, data: bytes) -> torch.Tensor:
    decoder = Decoder(data)
    x_hat = model.decode(shape, wanted(quality), decoder)
    decoder.close()
    return x_hat


def error(model: Lictor, x: torch.Tensor, quality: Any) -> float:
    x_hat = read(model, tuple(x.shape[2:]), quality, write(model, x, quality))
    return float((x_hat - x).square().mean().sqrt())


def test_steps_are_halved_at_high_quality_of_deep_pictures():
    quality = torch.tensor([0.0, 74.75, 75.0, 87.25, 87.5, 93.75])
    assert halvings(quality, torch.ones(6, dtype=bool)).tolist() == [0, 0, 1, 1, 2, 3]
    assert not halvings(quality, torch.zeros(6, dtype=bool)).any()
    mixed = halvings(torch.full((2, 3, 4), 90.0), torch.tensor([False, True]))
    assert mixed.shape == (2, 3, 4)
    assert mixed.flatten(1).sum(1).tolist() == [0, 24]


def test_smooth_latents_are_slopes_and_curvature_of_gray():
    square = torch.linspace(-1, 1, 16).square().expand(16, 16).flatten()
    square = square - square.mean()
    checkers = (torch.arange(16)[:, None] + torch.arange(16)).flatten() % 2 * 2.0 - 1
    red = torch.tensor([1.0, 0, 0])
    rows = [square.repeat(3), checkers.repeat(3), torch.kron(red, square)]
    found = smooth_latents(7 * torch.cat([slopes(), torch.stack(rows)]))
    assert found.tolist() == [1] * 9 + [1, 0, 0]


def test_a_klt_marks_its_smooth_latents(model: Lictor):
    # The photo's own next ones are curvature of gray.
    assert model.smooth[:9].tolist() == [1] * 9
    assert model.smooth.sum() <= 12


@pytest.mark.parametrize("quality", [0.0, 50.0, 74.75])
def test_deep_pictures_are_coded_as_others_below(model: Lictor, quality: float):
    x = photo(64, 128)
    assert write(model.deep(), x, quality) == write(model, x, quality)


@pytest.mark.parametrize("quality", [80.0, 100.0])
def test_gradients_are_nearer_in_deep_pictures(model: Lictor, quality: float):
    x = gradient(128, 192)
    assert error(model.deep(), x, quality) < 0.8 * error(model, x, quality)


@pytest.mark.parametrize("shape", [(1, 1), (70, 130)])
def test_estimate_fits_the_bytes(model: Lictor, shape: tuple[int, int]):
    deep, x = model.deep(), photo(*shape)
    real, expected = len(write(deep, x, 100.0)), deep.estimate(x, Quality.of(100)) / 8
    assert 0.9 * expected < real < 1.005 * expected + 20
    assert expected > model.estimate(x, Quality.of(100)) / 8


def test_forward_sees_what_is_coded(model: Lictor):
    """Of a batch, the deep one alone."""
    x, deep = gradient(64, 128), model.deep()
    quality = torch.tensor([95.0, 95.0])
    out = model(torch.cat([x, x]), quality, torch.tensor([False, True]))
    for i, one in enumerate((model, deep)):
        coded = read(one, (64, 128), 95.0, write(one, x, 95.0))
        torch.testing.assert_close(out.x_hat[i : i + 1].clamp(0, 1), coded, atol=2e-3, rtol=0)
    assert out.bits[1] > out.bits[0]


def test_a_map_of_one_quality_is_that_quality(model: Lictor):
    deep, x = model.deep(), photo(64, 128)
    assert write(deep, x, np.full((4, 8), 360, np.int16)) == write(deep, x, 90.0)


def test_a_map_across_the_qualities_that_halve(model: Lictor):
    deep, x = model.deep(), gradient(64, 128)
    steps = np.full((4, 8), 4 * int(HALVED_FROM[0]) - 4, np.int16)
    steps[:, 4:] = 400
    x_hat = read(deep, (64, 128), steps, write(deep, x, steps))
    off = (x_hat - x).square().mean((0, 1, 2))
    assert off[72:].mean() < off[:56].mean()


def test_tiles_see_the_finer_latents_around(model: Lictor):
    """A tile's stream does not depend on what is coded of its neighbours."""
    deep, x = model.deep(), photo(128, 256)
    tile = Box(0, 128, 128, 128)
    data = write(deep, x, 100.0, tile)
    latents = deep.pull((128, 128), Quality.of(100), Decoder(data))
    whole = deep.pull((128, 256), Quality.of(100), Decoder(write(deep, x, 100.0)))
    # The context stops at the tile's border: means differ there, by less than half a step.
    assert (latents - whole[:, :, :, 8:]).abs().max() < 1


def test_search_of_a_deep_picture(model: Lictor):
    deep, x = model.deep(), gradient(64, 128)
    encoder = Encoder()
    bits = deep.search(x, Quality.of(100), encoder, 3, None)
    data = encoder.finish()
    assert len(data) < 1.01 * bits / 8 + 30
    x_hat = read(deep, (64, 128), 100.0, data)
    assert (x_hat - x).square().mean().sqrt() < 1.3 * error(deep, x, 100.0)


def test_both_share_their_weights_and_twins(model: Lictor):
    deep = model.deep()
    assert deep.is_deep and not model.is_deep
    assert deep.g_s is model.g_s and deep._exact() is model._exact()
