"""The encoder-side search on small pictures: never worse, always decodable, repeatable."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder
from lictor.models import LatentCodec, NoSearch, load
from lictor.models.coding.quality_ladder import quality_to_lambda
from lictor.models.picture.latent_search import iterations
from lictor.models.picture.lictor import Lictor
from lictor.models.picture.visibility import Visible
from lictor.models.quality import Quality


@pytest.fixture(scope="module")
def model() -> LatentCodec:
    return load("lictor-s.mse")


def picture(height: int, width: int) -> torch.Tensor:
    from skimage import data

    pixels = np.ascontiguousarray(data.astronaut()[100 : 100 + height, 150 : 150 + width])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def coded(model, x, quality, effort) -> tuple[bytes, float]:
    """The stream, and the mean squared error of its decoded 8-bit picture."""
    encoder = Encoder()
    if effort:
        model.search(x, Quality.of(quality), encoder, effort, None)
    else:
        model.encode(x, Quality.of(quality), encoder)
    data = encoder.finish()
    decoder = Decoder(data)
    decoded = model.decode(tuple(x.shape[2:]), Quality.of(quality), decoder)
    decoder.close()
    assert decoder.checksum == encoder.checksum
    error = ((decoded * 255).round() - x * 255).square().mean().item()
    return data, error


def price(x, quality, data, error) -> float:
    """Bpp + lambda * MSE."""
    scale = quality_to_lambda(torch.tensor(float(quality))).item()
    return 8 * len(data) / (x.shape[2] * x.shape[3]) + scale * error


@pytest.mark.parametrize("quality", [0, 33.25, 100])
@pytest.mark.parametrize("shape", [(64, 64), (70, 100)])
def test_never_worse_than_plain(model, shape, quality):
    x = picture(*shape)
    plain = price(x, quality, *coded(model, x, quality, 0))
    for effort in (1, 2):
        assert price(x, quality, *coded(model, x, quality, effort)) <= plain


@pytest.mark.parametrize("effort", [1, 3])
def test_weights_for_eyes_gain_what_eyes_see(effort):
    model, x, quality = load("lictor-s.vis"), picture(128, 150), Quality.of(40)
    visible, price = Visible(), quality_to_lambda(torch.tensor(40.0))
    costs = []
    for tried in (0, effort):
        encoder = Encoder()
        if tried:
            model.search(x, quality, encoder, tried, None)
        else:
            model.encode(x, quality, encoder)
        stream = encoder.finish()
        shown = model.decode((128, 150), quality, Decoder(stream))
        seen = visible((shown * 255).round() / 255, x).item()
        costs.append(8 * len(stream) + price * seen * 128 * 150)
    assert costs[1] < 0.97 * costs[0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 65), (3, 2)])
def test_tiny_pictures_for_eyes(shape):
    coded(load("lictor-s.vis"), picture(*shape), 50, 1)


def test_a_map_weighs_what_eyes_see():
    """Where quality is lower, bits are saved, and nothing breaks."""
    steps = np.full((8, 8), 120, np.int16)
    steps[:, 4:] = 20
    encoder = Encoder()
    load("lictor-s.vis").search(picture(128, 128), Quality(steps), encoder, 1, None)
    assert encoder.finish()


def test_a_photo_gains(model):
    x = picture(128, 128)
    plain, found = (price(x, 50, *coded(model, x, 50, effort)) for effort in (0, 3))
    assert found < 0.99 * plain


@pytest.mark.parametrize("shape", [(1, 1), (1, 65), (3, 2)])
def test_tiny_pictures(model, shape):
    coded(model, picture(*shape), 50, 1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_pictures(model, value):
    x = torch.full((1, 3, 64, 64), value)
    plain, found = (price(x, 20, *coded(model, x, 20, effort)) for effort in (0, 1))
    assert found <= plain


def test_same_picture_same_bytes(model):
    x = picture(64, 64)
    state = torch.random.get_rng_state()
    first = coded(model, x, 40, 2)
    torch.rand(3)
    assert coded(model, x, 40, 2) == first
    torch.random.set_rng_state(state)


def test_the_global_random_state_and_the_model_are_left_alone(model):
    before, weights = torch.random.get_rng_state(), model.g_s.enter.weight.clone()
    coded(model, picture(64, 64), 40, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(model.g_s.enter.weight, weights)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_pixels_beyond_the_edge_cost_nothing(model):
    """A column more than 64 doubles the padded picture; the search spends less there."""
    x = picture(64, 65)
    plain, found = (price(x, 80, *coded(model, x, 80, effort)) for effort in (0, 3))
    assert found < 0.99 * plain


def test_expected_bits_are_those_of_the_stream(model):
    encoder = Encoder()
    expected = model.search(picture(128, 128), Quality.of(60), encoder, 2, None)
    assert abs(8 * len(encoder.finish()) - expected) < 0.01 * expected + 200


def test_progress_is_told(model):
    seen: list[tuple[int, int]] = []
    model.search(picture(64, 64), Quality.of(50), Encoder(), 1, lambda *done: seen.append(done))
    assert seen == [(i + 1, iterations(1)) for i in range(iterations(1))]


def test_efforts_are_a_ladder():
    counts = [iterations(effort) for effort in range(1, 10)]
    assert counts[0] <= 10 and counts[-1] >= 200
    assert all(1.4 < b / a < 2.1 for a, b in pairwise(counts))


def test_untrained_weights_that_need_gradients(model):
    torch.manual_seed(0)
    fresh = Lictor(channels=16, latent=32, side=8, prior=16, depth=1).eval()
    fresh.start_from_klt(torch.linalg.qr(torch.randn(768, 32))[0].T, torch.linspace(8, 0.05, 32))
    x = picture(64, 64)
    plain, found = (price(x, 50, *coded(fresh, x, 50, effort)) for effort in (0, 1))
    assert found <= plain
    assert all(parameter.grad is None for parameter in fresh.parameters())


def test_models_without_a_search_say_so():
    other = LatentCodec()
    other.name = "other.model"
    with pytest.raises(NoSearch, match=r"other\.model has no encoder-side search"):
        other.search(picture(8, 8), 50, Encoder(), 1, None)


def test_smooth_pictures_gain_at_low_quality(model):
    """Few bits, many symbols that act together: where steps are too long, nothing is found."""
    from skimage import data

    x = torch.from_numpy(data.chelsea()[:160, :160].copy()).permute(2, 0, 1)[None].float() / 255
    plain, found = (price(x, 10, *coded(model, x, 10, effort)) for effort in (0, 3))
    assert found < 0.97 * plain
