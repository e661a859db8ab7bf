"""Quality that varies in space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder
from lictor.models.box import Box
from lictor.models.coding import fixed_point, quality
from lictor.models.coding.quality_ladder import Ladder
from lictor.models.picture.lictor import Lictor
from lictor.models.quality import Quality

SMALL = {"channels": 16, "latent": 32, "side": 8, "prior": 16, "depth": 1}


@pytest.fixture(scope="module")
def model() -> Lictor:
    """A small model, a KLT of the picture it is tried on, its other weights random."""
    torch.manual_seed(0)
    model = Lictor(**SMALL)
    blocks = torch.nn.functional.pixel_unshuffle(picture(512, 512) - 0.5, 16).flatten(2)[0]
    basis, deviation, _ = torch.linalg.svd(blocks, full_matrices=False)
    model.start_from_klt(basis[:, :32].T, deviation[:32] / 32)
    for step in model.context.steps:
        torch.nn.init.normal_(step.heads.weight, std=0.03)
    torch.nn.init.normal_(model.z_scale.rungs, mean=3.0)
    for module in model.modules():
        if isinstance(module, Ladder):
            module.rungs.data += 0.01 * torch.randn(module.rungs.shape)
    for network in (model.g_a, model.g_s):
        torch.nn.init.normal_(network.leave.weight, std=1e-3)
    return model.eval().requires_grad_(False)


def picture(height: int, width: int) -> torch.Tensor:
    from skimage import data

    pixels = torch.from_numpy(data.astronaut()[:height, :width].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


def write(model: Lictor, x: torch.Tensor, q: Quality, effort: int = 0) -> bytes:
    encoder = Encoder()
    if effort:
        model.search(x, q, encoder, effort, None)
    else:
        model.encode(x, q, encoder)
    return encoder.finish()


def read(model: Lictor, shape: tuple[int, int], q: Quality, data: bytes) -> torch.Tensor:
    decoder = Decoder(data)
    out = model.decode(shape, q, decoder)
    decoder.close()
    return out


def flat(rows: int, columns: int, step: int) -> np.ndarray:
    return np.full((rows, columns), step, np.int16)


def checkered(rows: int, columns: int) -> np.ndarray:
    """All kinds of steps beside one another."""
    return np.random.default_rng(1).integers(0, 401, (rows, columns), np.int16)


@pytest.mark.parametrize("step", [0, 37, 200, 400])
def test_a_uniform_map_is_the_number(model: Lictor, step: int):
    """The same bytes, latents and pixels."""
    x, map, one = picture(130, 70), Quality(flat(12, 8, step)), Quality(step)
    data = write(model, x, one)
    assert write(model, x, map) == data
    a, b = (model.pull((130, 70), q, Decoder(data)) for q in (one, map))
    assert torch.equal(a, b)
    assert torch.equal(*(read(model, (130, 70), q, data) for q in (one, map)))
    assert model.estimate(x, map) == model.estimate(x, one)


def test_a_uniform_map_is_the_number_in_a_search(model: Lictor):
    x, map = picture(64, 70), Quality(flat(4, 8, 240))
    assert write(model, x, map, effort=1) == write(model, x, Quality.of(60), effort=1)


@pytest.mark.parametrize("shape", [(1, 1), (63, 65), (200, 100)])
@pytest.mark.parametrize("effort", [0, 1])
def test_decoder_finds_what_the_encoder_had(model: Lictor, shape: tuple[int, int], effort: int):
    x = picture(*shape)
    map = Quality(checkered(*(-(-side // 64) * 4 for side in shape)))
    out = read(model, shape, map, write(model, x, map, effort))
    assert out.shape == x.shape
    padded = torch.nn.functional.pad(x, (0, -shape[1] % 64, 0, -shape[0] % 64), mode="replicate")
    floats = model(padded, quality.condition(map, x)).x_hat[..., : shape[0], : shape[1]]
    assert effort or (out - floats.clamp(0, 1)).square().mean() < 1e-3


def test_quality_is_where_the_map_says(model: Lictor):
    x = picture(128, 128)
    steps = flat(8, 8, 40)
    steps[:, :4] = 360
    map = Quality(steps)
    out = read(model, (128, 128), map, write(model, x, map))
    left, right = ((out - x).square()[..., half].mean() for half in (slice(64), slice(64, None)))
    best, worst = (
        read(model, (128, 128), q, write(model, x, q)) for q in (Quality.of(90), Quality.of(10))
    )
    assert left < 1.1 * (best - x).square()[..., :64].mean()
    assert 0.9 < right / (worst - x).square()[..., 64:].mean() < 1.1
    assert abs(model.estimate(x, map) / 8 - len(write(model, x, map))) < 100


def test_a_search_works_for_what_is_wanted(model: Lictor):
    """At the map's own prices, latents that were searched for are better."""
    x = picture(128, 128)
    steps = flat(8, 8, 100)
    steps[2:6, 2:6] = 300
    map = Quality(steps)
    prices = 0.0005 * 2.0 ** (8 * quality.finer(quality.condition(map, x), 16) / 100)

    def cost(effort: int) -> float:
        data = write(model, x, map, effort)
        error = (read(model, (128, 128), map, data) - x).square().mean(dim=1) * 255**2
        return 8 * len(data) + float((prices * error).sum())

    assert cost(2) < cost(0)


def test_a_tile_sees_the_map_around_it(model: Lictor):
    """The halo's map changes what the analysis gives, as the halo's pixels do."""
    x, steps = picture(224, 224), checkered(14, 14)
    tile = Box(80, 80, 64, 64)
    near, _, own = model._latents(x, Quality(steps), tile)
    other = steps.copy()
    other[4, 4] = 400 - other[4, 4]
    assert own == Quality(steps[5:9, 5:9])
    assert not torch.equal(model._latents(x, Quality(other), tile)[0], near)


def test_ladder_twin_of_a_map():
    ladder = Ladder(5)
    ladder.rungs.data.normal_()
    map = torch.from_numpy(checkered(7, 9)[None].astype(int))
    found = fixed_point.exact(ladder)(map)
    assert found.shape == (1, 7, 9, 5)
    for place in ((0, 0, 0), (0, 3, 4), (0, 6, 8)):
        assert torch.equal(found[place], fixed_point.exact(ladder)(int(map[place]))[0])
    assert torch.allclose(ladder(map / 4), (found / 2**12).float(), atol=1e-3)


def test_coarser_is_the_rounded_mean():
    map = torch.from_numpy(checkered(8, 12)[None].astype(int))
    means = map[0].reshape(2, 4, 3, 4).double().mean(dim=(1, 3))
    assert torch.equal(quality.coarser(map, 4)[0], (means + 0.5).floor().long())
    assert torch.equal(quality.coarser(map.double(), 4)[0], means)
    assert torch.equal(quality.coarser(torch.full((1, 8, 8), 399), 4), torch.full((1, 2, 2), 399))


def test_fitted_repeats_the_edge():
    map = Quality(np.arange(6, dtype=np.int16).reshape(2, 3))
    wide = map.fitted(3, 5).map
    assert wide is not None
    assert wide.tolist() == [[0, 1, 2, 2, 2], [3, 4, 5, 5, 5], [3, 4, 5, 5, 5]]
    assert map.fitted(1, 2) == Quality(np.array([[0, 1]], np.int16))
    assert Quality(200).fitted(3, 5) == Quality(200)


def test_numbers_and_steps():
    assert [float(Quality(step)) for step in (0, 1, 200, 400)] == [0, 0.25, 50, 100]
    assert [Quality.of(number).steps for number in (0, 33.3, 99.9, 100)] == [0, 133, 400, 400]
    for wrong in (-0.01, 100.01, float("nan")):
        with pytest.raises(ValueError, match=r"0…100"):
            Quality.of(wrong)


def test_a_map_has_a_highest_and_a_lowest():
    map = Quality(np.array([[7, 300], [9, 12]], np.int16))
    assert (map.highest, map.lowest, float(map)) == (300, 7, 75.0)
    assert map.part(Box(0, 1, 2, 1)) == Quality(np.array([[300], [12]], np.int16))
    assert map != Quality(300) and map != "quality" and Quality(300).map is None
    assert len({map, Quality(map.map.copy()), Quality(300), Quality(300)}) == 2
