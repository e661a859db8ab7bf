"""Boxes, and what transforms see beyond a tile: no less than the model says, and no more."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from lictor.models import LatentCodec
from lictor.models.base import crop
from lictor.models.box import Box
from lictor.models.picture.lictor import Lictor
from lictor.models.quality import Quality

SIZES = {"channels": 16, "latent": 32, "side": 8, "prior": 16, "depth": 2}
QUALITY = Quality.of(40)


def test_boxes():
    box = Box(2, 3, 4, 5)
    assert (box.bottom, box.right) == (6, 8)
    assert box.place == (slice(2, 6), slice(3, 8))
    assert box.grown(2) == Box(0, 1, 8, 9)
    assert box.within(Box(0, 0, 5, 4)) == Box(2, 3, 3, 1)
    assert box.within(Box(6, 0, 9, 9))[2:] == (0, 5)
    assert box.within(Box(0, 9, 9, 9))[3] == 0
    assert box.seen_from(Box(1, 1, 9, 9)) == Box(1, 2, 4, 5)
    assert Box(64, 128, 65, 64).padded(64) == Box(64, 128, 128, 64)
    assert Box(64, 128, 128, 64).in_cells(16) == Box(4, 8, 8, 4)


def small(depth: int = 2) -> LatentCodec:
    """An untrained flagship in which every layer does something."""
    torch.manual_seed(0)
    model = Lictor(**SIZES | {"depth": depth})
    model.start_from_klt(torch.linalg.qr(torch.randn(768, 32))[0].T, torch.linspace(8, 0.05, 32))
    for layer in (model.g_a.leave, model.g_s.leave):
        torch.nn.init.normal_(layer.weight, std=0.2)
    return model.eval().requires_grad_(False)


def foreign(name: str, **widths: int) -> LatentCodec:
    if importlib.util.find_spec("compressai") is None:
        pytest.skip("needs CompressAI")
    from lictor.models.picture import compressai_adapter

    torch.manual_seed(0)
    return getattr(compressai_adapter, name)(**widths).eval().requires_grad_(False)


MAKERS = {
    "lictor": small,
    "lictor, deep": lambda: small(4),
    "factorized": lambda: foreign("FactorizedPrior", N=8, M=8),
    "hyperprior": lambda: foreign("ScaleHyperprior", N=8, M=8),
    "cheng2020": lambda: foreign("Cheng2020Anchor", N=8),
}


@pytest.fixture(scope="module", params=MAKERS)
def model(request) -> LatentCodec:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    from skimage import data

    pixels = np.tile(data.astronaut(), (2, 2, 1))[:640, :712]
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def latents(model: LatentCodec, x: torch.Tensor, tile: Box | None) -> list[torch.Tensor]:
    """Y and z as they are coded, NCHW."""
    if isinstance(model, Lictor):
        y, z, _ = model._latents(x, QUALITY, tile)
        return [y.permute(0, 3, 1, 2), z.permute(0, 3, 1, 2)]
    return list(model._latents(x, tile))  # type: ignore[operator]


TILES = [Box(192, 256, 128, 128), Box(0, 0, 256, 192), Box(576, 640, 64, 72)]


@pytest.mark.parametrize("tile", TILES)
def test_latents_of_a_tile_are_those_of_the_whole(model, picture, tile: Box):
    whole = Box(0, 0, 640, 712)
    seen = tile.grown(model.analysis_halo).within(whole)
    padded = tile.padded(64)
    found = latents(model, crop(picture, seen), tile.seen_from(seen))
    for own, of_all in zip(found, latents(model, picture, None), strict=True):
        factor = 640 // of_all.shape[2]
        expected = crop(of_all, padded.in_cells(factor))
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tile", TILES)
def test_pixels_of_a_tile_are_those_of_the_whole(model, picture, tile: Box):
    y = latents(model, picture, None)[0].float()
    whole = model.reconstruct(y, QUALITY)
    padded = tile.padded(64)
    seen = padded.grown(model.synthesis_halo).within(Box(0, 0, *whole.shape[2:]))
    part = model.reconstruct(crop(y, seen.in_cells(16)), QUALITY)
    torch.testing.assert_close(
        crop(part, padded.seen_from(seen)), crop(whole, padded), rtol=0, atol=1e-4
    )


def reach(function, x: torch.Tensor, inner: Box) -> int:
    """How far from a box a change of x still changes what the function gives there."""
    plain = function(x)
    distance = 0
    for beyond in range(0, 256, 16):
        box = inner.grown(beyond)
        changed = 1 - x
        changed[:, :, box.place[0], box.place[1]] = x[:, :, box.place[0], box.place[1]]
        if all(torch.equal(a, b) for a, b in zip(function(changed), plain, strict=True)):
            return beyond
        distance = beyond
    return distance + 16


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_flagship_sees_no_further_than_it_says(depth: int):
    model = small(depth)
    torch.manual_seed(1)
    x = torch.rand(1, 3, 576, 576)
    inner = Box(256, 256, 64, 64)

    def analysed(x: torch.Tensor) -> list[torch.Tensor]:
        y, z = latents(model, x, None)
        return [crop(y, inner.in_cells(16)), crop(z, inner.in_cells(64))]

    assert reach(analysed, x, inner) == model.analysis_halo
    y = torch.randn(1, 32, 36, 36)

    def synthesised(y: torch.Tensor) -> list[torch.Tensor]:
        return [crop(model.synthesise(y, torch.tensor([float(QUALITY)])), inner)]

    def in_cells(y: torch.Tensor, cells: int) -> bool:
        box = inner.in_cells(16).grown(cells)
        changed = -y
        changed[:, :, box.place[0], box.place[1]] = y[:, :, box.place[0], box.place[1]]
        return torch.equal(synthesised(changed)[0], synthesised(y)[0])

    cells = model.synthesis_halo // 16
    assert in_cells(y, cells) and not in_cells(y, cells - 1)
