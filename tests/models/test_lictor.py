"""The flagship's coding path on untrained weights: round trips, sizes, threads, odd symbols."""

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder
from lictor.models import registry
from lictor.models.picture.lictor import Lictor
from lictor.models.quality import Quality

SMALL = {"channels": 16, "latent": 32, "side": 8, "prior": 16, "depth": 1}


@pytest.fixture(scope="module")
def model() -> Lictor:
    """A small model with random entropy networks, so that means and scales vary."""
    torch.manual_seed(0)
    model = Lictor(**SMALL)
    basis = torch.linalg.qr(torch.randn(768, 32))[0].T
    model.start_from_klt(basis, torch.linspace(8, 0.05, 32))
    for step in model.context.steps:
        torch.nn.init.normal_(step.heads.weight, std=0.03)
    torch.nn.init.normal_(model.z_scale.rungs, mean=3.0)
    return model.eval().requires_grad_(False)


def picture(height: int, width: int) -> torch.Tensor:
    from skimage import data

    pixels = np.ascontiguousarray(data.astronaut()[:height, :width])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def write(model, x, quality) -> bytes:
    encoder = Encoder()
    model.encode(x, Quality.of(quality), encoder)
    return encoder.finish()


def read(model, shape, quality, data) -> torch.Tensor:
    decoder = Decoder(data)
    out = model.decode(shape, Quality.of(quality), decoder)
    decoder.close()
    return out


@pytest.mark.parametrize("shape", [(1, 1), (1, 130), (63, 65), (64, 64), (200, 100)])
@pytest.mark.parametrize("quality", [0.0, 31.25, 100.0])
def test_decoder_finds_what_the_encoder_had(model, shape, quality):
    x = picture(*shape)
    data = write(model, x, quality)
    out = read(model, shape, quality, data)
    assert out.shape == x.shape
    assert out.min() >= 0
    assert out.max() <= 1
    # The forward pass on floats sees the same latents, save for fixed-point rounding of the means.
    padded = torch.nn.functional.pad(x, (0, -shape[1] % 64, 0, -shape[0] % 64), mode="replicate")
    float_out = model(padded, torch.tensor([quality])).x_hat[..., : shape[0], : shape[1]]
    assert (out - float_out.clamp(0, 1)).square().mean() < 1e-3


def test_higher_quality_is_nearer_and_larger(model):
    x = picture(128, 128)
    sizes, errors = [], []
    for quality in (0, 25, 50, 75, 100):
        data = write(model, x, quality)
        sizes.append(len(data))
        errors.append((read(model, (128, 128), quality, data) - x).square().mean().item())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_size_is_what_the_model_estimates(model):
    x = picture(256, 256)
    for quality in (0, 50, 100):
        real, expected = len(write(model, x, quality)), model.estimate(x, Quality.of(quality)) / 8
        # Untrained, outliers abound; the tables code them cheaper than a Gaussian would.
        assert 0.9 * expected < real < 1.005 * expected + 20


def test_threads_change_nothing(model):
    x = picture(192, 192)
    threads = torch.get_num_threads()
    try:
        results = []
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            data = write(model, x, 60.0)
            results.append((data, read(model, (192, 192), 60.0, data)))
    finally:
        torch.set_num_threads(threads)
    decoded = [out for _, out in results]
    # The encoder's float analysis may round a tie elsewhere; what is decoded may not differ.
    again = read(model, (192, 192), 60.0, results[0][0])
    assert torch.equal(again, decoded[0])
    for n in (1, 4):
        torch.set_num_threads(n)
        assert torch.equal(
            (read(model, (192, 192), 60.0, results[0][0]) * 255).round(), (decoded[0] * 255).round()
        )
    torch.set_num_threads(threads)


def test_wild_symbols_decode_to_something_finite(model):
    class Wild:
        def pull(self, index, tables=None):
            random = np.random.default_rng(0)
            return random.choice(np.array([-(2**31), 2**31 - 1, 0], np.int32), len(index))

    out = model.decode((70, 70), Quality.of(50), Wild())
    assert torch.isfinite(out).all()


def test_training_mode_forgets_the_twins(model):
    model._exact()
    assert model._twins
    model.train()
    assert model._twins is None
    model.eval()


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = Lictor(**SMALL).train()
    model.start_from_klt(torch.eye(768)[:32], torch.ones(32))
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        model.h_a.body[-1].weight *= 10  # some z that do not round to zero
    out = model(torch.rand(2, 3, 128, 64), torch.tensor([10.0, 90.0]))
    (out.bits.sum() + out.x_hat.square().sum()).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_registered_sizes():
    assert "lictor-s" in registry.architectures()
    with torch.device("meta"):
        model = registry.create("lictor-s")
    assert model.sizes.latent >= 256
    assert model.sizes.channels >= 192


def test_name_taken_twice_is_an_error():
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("lictor-s")(Lictor)


def test_flagship_keeps_to_its_budget():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        registry.create("lictor-s").eval()(torch.zeros(1, 3, 256, 256), torch.zeros(1))
    multiplications_per_pixel = counter.get_total_flops() / 2 / 256**2
    assert 15_000 < multiplications_per_pixel < 25_000
