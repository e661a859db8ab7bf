"""plane-hyper on untrained weights: round trips of odd sides, padding, sizes, weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder
from lictor.models import checkpoint, registry
from lictor.models.array.plane_hyper import PlaneHyper, quality_to_lambda
from lictor.models.errors import BadCheckpoint
from lictor.models.quality import Quality


def untrained(channels: int = 10, fold: int = 2) -> PlaneHyper:
    """With random entropy networks, so that scales vary."""
    torch.manual_seed(0)
    model = PlaneHyper(channels, fold, hidden=8, side=8, prior=8, depth=1)
    spread = torch.linspace(2, 0.1, channels * fold**2).double()
    model.start_from_klt(spread.square().diag())
    for step in model.context.steps:
        torch.nn.init.normal_(step.heads.weight, std=0.1)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> PlaneHyper:
    return untrained()


def planes(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def write(model: PlaneHyper, x: torch.Tensor, quality: float) -> bytes:
    encoder = Encoder()
    model.encode(x, Quality.of(quality), encoder)
    return encoder.finish()


def read(model: PlaneHyper, data: bytes, x: torch.Tensor, quality: float) -> torch.Tensor:
    decoder = Decoder(data)
    latents = model.pull((x.shape[2], x.shape[3]), Quality.of(quality), decoder, len(x))
    decoder.close()
    return latents


@pytest.mark.parametrize("shape", [(1, 10, 1, 1), (3, 10, 7, 5), (2, 10, 16, 9)])
@pytest.mark.parametrize("quality", [0.0, 31.25, 100.0])
def test_decoder_finds_what_the_encoder_had(
    model: PlaneHyper, shape: tuple[int, ...], quality: float
):
    x = planes(*shape)
    y, z, inside = model._latents(x, torch.full((len(x),), quality))
    encoder = Encoder()
    y_hat = model.push(y, z, Quality.of(quality), encoder, inside)
    data = encoder.finish()
    assert data == write(model, x, quality)
    latents = read(model, data, x, quality)
    assert torch.equal(latents, y_hat)
    assert ((latents.permute(0, 2, 3, 1) - y).abs() * inside).max() <= 0.5 + 1e-3
    shown = model.reconstruct(latents, Quality.of(quality))
    assert shown.shape[:2] == x.shape[:2] and shown.shape[2] >= x.shape[2]


def test_quality_buys_precision(model: PlaneHyper):
    x, found = planes(2, 10, 8, 8), []
    for quality in (0.0, 50.0, 100.0):
        data = write(model, x, quality)
        error = (
            (model.reconstruct(read(model, data, x, quality), Quality.of(quality)) - x)
            .square()
            .mean()
        )
        found.append((len(data), error.item()))
    sizes, errors = zip(*found, strict=True)
    assert sizes[0] < sizes[1] < sizes[2] and errors[0] > 10 * errors[1] > 100 * errors[2]


def test_padding_is_not_coded(model: PlaneHyper):
    """One value in four squares of padding takes about as much as four of them a value."""
    alone, full = (len(write(model, planes(64, 10, *s), 100.0)) for s in ((2, 2), (8, 8)))
    assert alone < full / 6


def test_size_is_what_the_model_estimates(model: PlaneHyper):
    x = planes(8, 10, 14, 14)
    for quality in (0.0, 50.0, 100.0):
        real, expected = len(write(model, x, quality)), model.estimate(x, Quality.of(quality)) / 8
        assert 0.9 * expected < real < 1.01 * expected + 20


def test_training_sees_what_is_coded(model: PlaneHyper):
    x = planes(3, 10, 7, 5)
    seen = model(x, torch.full((3,), 50.0)).x_hat
    coded = model.reconstruct(read(model, write(model, x, 50.0), x, 50.0), Quality.of(50))
    assert (coded[:, :, :7, :5] - seen).abs().median() < 1e-3


def test_wild_symbols_decode_to_something_finite(model: PlaneHyper):
    class Wild:
        def pull(self, index, tables=None):
            random = np.random.default_rng(0)
            return random.choice(np.array([-(2**31), 2**31 - 1, 0], np.int32), len(index))

    latents = model.pull((7, 9), Quality.of(50), Wild(), 2)
    assert torch.isfinite(latents).all()
    assert torch.isfinite(model.reconstruct(latents, Quality.of(50))).all()


def test_gradients_reach_every_parameter():
    model = untrained().requires_grad_(True).train()
    for part in (model.g_a.leave, model.g_s.leave):
        torch.nn.init.normal_(part.weight, std=0.05)
    out = model(planes(2, 10, 8, 6), torch.tensor([10.0, 90.0]))
    (out.bits.sum() + out.x_hat.square().sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_threads_change_nothing(model: PlaneHyper):
    x, before = planes(4, 10, 14, 14), torch.get_num_threads()
    found = []
    try:
        data = write(model, x, 60.0)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(read(model, data, x, 60.0))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_lambda_doubles():
    weights = quality_to_lambda(torch.tensor([0.0, 10.0, 100.0]))
    assert weights.tolist() == [1.0, 2.0, 1024.0]


@pytest.mark.parametrize(("channels", "fold"), [(10, 2), (3, 1)])
def test_weights_know_their_channels(tmp_path, channels: int, fold: int):
    own = registry.create("plane-hyper").resized(channels, fold).eval()
    path = tmp_path / "plane-hyper.own.safetensors"
    checkpoint.save(own, path, "plane-hyper.own", {})
    loaded = checkpoint.load(str(path))
    assert (loaded.channels, loaded.fold, loaded.cell) == (channels, fold, fold)
    x = planes(1, channels, 5, 5)
    assert write(loaded, x, 50.0) == write(checkpoint.load(str(path)), x, 50.0)


@pytest.mark.parametrize("change", ["no mean", "other mean", "no shortcut"])
def test_weights_of_nothing(tmp_path, change: str):
    from safetensors.torch import save_file

    tensors = registry.create("plane-hyper").resized(6, 2).export()
    if change == "no mean":
        del tensors["mean"]
    elif change == "other mean":
        tensors["mean"] = torch.zeros(7)
    else:
        del tensors["g_a.shortcut.weight"]
    path = tmp_path / "plane-hyper.bad.safetensors"
    save_file(tensors, path, {"format": checkpoint.FORMAT, "name": "plane-hyper.bad"})
    with pytest.raises(BadCheckpoint):
        checkpoint.load(str(path))
