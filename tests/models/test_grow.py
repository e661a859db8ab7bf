"""A large model that starts as a small one codes as that does."""

import pytest
import torch

from lictor.models import ModelError, registry
from lictor.models.picture.lictor import Lictor
from lictor.models.picture.widen import grow

SMALL = {"channels": 16, "latent": 32, "side": 8, "prior": 16, "depth": 1}
LARGE = {"channels": 24, "latent": 48, "side": 8, "prior": 24, "depth": 3}


@pytest.fixture(scope="module")
def klt() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.linalg.qr(torch.randn(768, 768))[0], 8 * 0.8 ** torch.arange(768)


def trained(klt, **sizes: int) -> Lictor:
    """Weights without a zero, as after a training."""
    model = Lictor(**sizes)
    basis, deviation = klt
    model.start_from_klt(basis[: sizes["latent"]], deviation[: sizes["latent"]])
    with torch.no_grad():
        for value in model.parameters():
            value += 0.02 * torch.randn_like(value)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("more", [{}, {"latent": 48}, {"side": 16}, LARGE])
def test_a_grown_model_does_as_before(klt, more):
    """Of a picture that has only what the small model's shortcut sees: new latents are zero."""
    small = trained(klt, **SMALL)
    large = Lictor(**{**SMALL, **more})
    grow(small, large, *klt)
    large.eval().requires_grad_(False)
    quality = torch.tensor([0.0, 40.0])
    rows = small.g_a.shortcut.weight.flatten(1)
    blocks = torch.einsum("nmhw,mc->nchw", torch.randn(2, SMALL["latent"], 8, 8), rows)
    x = torch.nn.functional.pixel_shuffle(blocks / 8, 16) + 0.5
    before, after = small(x, quality), large(x, quality)
    assert torch.allclose(before.x_hat, after.x_hat, atol=1e-3)
    new = (large.sizes.latent - SMALL["latent"]) * 64 + (large.sizes.side - SMALL["side"]) * 4
    assert (after.bits >= before.bits - 1).all()
    assert (after.bits <= before.bits + 6 * new + 1).all()  # zeros of wide Gaussians


def test_new_latents_see_what_the_old_do_not(klt):
    small, large = trained(klt, **SMALL), Lictor(**LARGE)
    grow(small, large, *klt)
    rows = small.g_a.shortcut.weight.flatten(1)
    groups = large.g_a.shortcut.weight.detach().flatten(1).reshape(4, 12, 768)
    assert torch.equal(groups[:, :8].flatten(0, 1), rows)
    new = groups[:, 8:].flatten(0, 1)
    assert torch.allclose(new @ new.T, torch.eye(16), atol=1e-4)
    assert (new @ rows.T).abs().max() < 1e-4
    # Nothing but what they see: a constant would cost bits and colour the picture.
    assert not large.g_a.leave.bias.detach().reshape(4, 12)[:, 8:].any()


def test_new_parts_learn(klt):
    large = Lictor(**LARGE)
    grow(trained(klt, **SMALL), large, *klt)
    out = large.train()(torch.rand(2, 3, 128, 128), torch.tensor([50.0, 100.0]))
    (out.bits.mean() / 128**2 + 100 * (out.x_hat - 0.5).square().mean()).backward()
    still = [n for n, p in large.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in still if "leave" in name or "project" in name]


def test_only_smaller_models_of_the_same_kind(klt):
    with pytest.raises(ModelError, match="does not fit"):
        grow(trained(klt, **LARGE), Lictor(**SMALL), *klt)
    pytest.importorskip("compressai")
    with pytest.raises(ModelError, match="another kind"):
        grow(registry.create("bmshj2018-factorized"), Lictor(**SMALL), *klt)
