"""Layers of the transforms: gates that are held."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from lictor import models
from lictor.models.coding.layers import Block, _Gated


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gates_and_their_gradient_are_those_of_autograd(dtype):
    torch.manual_seed(0)
    value, gate = (torch.randn(2, 5, 4, 3).to(dtype).requires_grad_() for _ in range(2))
    cap = torch.tensor([0.2, 0.5, 1.0, 1.5, torch.inf])
    ours = _Gated.apply(value, gate, cap)
    theirs = value * torch.minimum(F.relu(gate), cap.to(dtype)[:, None, None])
    assert torch.equal(ours, theirs)
    seen = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, (value, gate), seen),
        torch.autograd.grad(theirs, (value, gate), seen),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_a_block_grows_with_its_input_in_proportion_at_most():
    torch.manual_seed(0)
    block = Block(16).requires_grad_(False)
    x = torch.randn(1, 16, 8, 8)
    sizes = [block(x * 10.0**k).abs().max().item() for k in range(1, 13)]
    growth = [after / before for before, after in pairwise(sizes)]
    assert max(growth) < 20
    block.cap.fill_(torch.inf)
    assert block(x * 1e6).abs().max() > 1e4 * block(x * 1e4).abs().max() / 11


def extremes():
    """Pictures that no photo is like."""
    torch.manual_seed(1)
    odd = torch.arange(128) % 2
    yield "stripes", odd.expand(128, 128)
    yield "checks", odd ^ odd[:, None]
    yield "noise", torch.rand(3, 128, 128)
    yield "bilevel noise", torch.rand(128, 128) > 0.5
    yield (
        "colours at random",
        torch.randint(0, 2, (3, 16, 16)).repeat_interleave(8, 1).repeat(1, 1, 8),
    )
    yield "white", torch.ones(128, 128)


@pytest.mark.parametrize("name", [n for n in models.index() if n.startswith("lictor-")])
def test_networks_of_shipped_weights_are_bounded(name):
    """|v| reached 40,000 and pictures were not a number before there were caps."""
    model = models.load(name)
    for what, picture in extremes():
        x = picture.float().expand(1, 3, 128, 128)
        for quality in (0.0, 50.0, 100.0):
            q = torch.tensor([quality])
            v = model.g_a(x - 0.5, q)
            assert v.abs().max() < 100, (what, quality)
            assert model.synthesise(v * 0 + 3000.0, q).isfinite().all(), (what, quality)
            assert model(x, q).x_hat.isfinite().all(), (what, quality)
