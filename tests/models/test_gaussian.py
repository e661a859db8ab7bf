"""Bits of symbols, and the gradients that training follows."""

import pytest
import torch

from lictor.models.coding import gaussian


def test_symbol_bits_are_those_of_the_nearest_integer():
    residual = torch.tensor([-2.6, -0.5, -0.2, 0.0, 0.4, 1.5, 7.1], requires_grad=True)
    scale = torch.tensor([3.0, 0.0, 1.0, 2.0, 5.0, 4.0, 6.0], requires_grad=True)
    bits = gaussian.symbol_bits(residual, scale)
    assert torch.equal(bits, gaussian.bits(residual.round(), scale))
    (to_scale,) = torch.autograd.grad(bits.sum(), scale)
    (wanted,) = torch.autograd.grad(gaussian.bits(residual.round(), scale).sum(), scale)
    assert torch.equal(to_scale, wanted)


@pytest.mark.parametrize(("value", "low"), [(-2.6, -3), (-0.3, -1), (0.0, 0), (0.3, 0), (4.0, 4)])
def test_the_slope_is_that_between_the_two_neighbours(value, low):
    residual, scale = torch.tensor([value], requires_grad=True), torch.tensor([4.5])
    (slope,) = torch.autograd.grad(gaussian.symbol_bits(residual, scale).sum(), residual)
    ends = gaussian.bits(torch.tensor([low, low + 1.0]), scale.expand(2))
    assert slope.item() == pytest.approx((ends[1] - ends[0]).item(), rel=1e-5)


def test_narrow_gaussians_do_not_drown_the_rest():
    residual = torch.tensor([0.4, -0.4], requires_grad=True)
    (slope,) = torch.autograd.grad(gaussian.symbol_bits(residual, torch.zeros(2)).sum(), residual)
    assert slope.tolist() == [8, -8]
