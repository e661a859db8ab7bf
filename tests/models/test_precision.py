"""Under autocast, what is rounded next keeps all its bits."""

import pytest
import torch

from lictor.models import registry


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    made = registry.create("lictor-s")
    basis = torch.linalg.qr(torch.randn(768, made.sizes.latent))[0].T
    made.start_from_klt(basis, torch.full((made.sizes.latent,), 0.1))
    return made


def test_latents_means_and_pictures_are_float32(model):
    x, quality = torch.rand(1, 3, 64, 64), torch.tensor([90.0])
    seen = {}

    def note(name):
        return lambda module, given, out: seen.update({name: out.dtype})

    watched = {"g_a": model.g_a, "h_a": model.h_a, "g_s": model.g_s}
    watched |= {"heads": model.context.steps[1].heads, "blocks": model.g_a.blocks16}
    hooks = [module.register_forward_hook(note(name)) for name, module in watched.items()]
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x, quality)
    for hook in hooks:
        hook.remove()
    assert seen.pop("blocks") == torch.bfloat16
    assert set(seen.values()) == {torch.float32}
    assert out.bits.dtype == torch.float32


def test_training_sees_what_evaluation_sees(model):
    x, quality = torch.rand(1, 3, 64, 64), torch.tensor([50.0])
    trained, rated = model.train()(x, quality), model.eval()(x, quality)
    assert torch.equal(trained.bits, rated.bits)
    assert torch.equal(trained.x_hat, rated.x_hat)
