import pytest
import torch
from torch import nn

from lictor.training.soap import Soap, cholesky_qr


def correlated_problem():
    """Least squares whose inputs and outputs are mixed: hard for a method that looks at entries."""
    random = torch.Generator().manual_seed(3)
    mix = torch.randn(24, 24, generator=random) * torch.logspace(0, -1.5, 24)
    x = torch.randn(512, 24, generator=random) @ mix
    y = x @ torch.randn(24, 16, generator=random) / 8
    return x, y


def loss_after(optimiser, steps, x, y, **settings):
    torch.manual_seed(0)
    layer = nn.Linear(24, 16)
    optim = optimiser(layer.parameters(), lr=0.02, **settings)
    for step in range(steps):
        for group in optim.param_groups:
            group["lr"] = 0.02 * (1 - step / steps)
        optim.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        optim.step()
    return (layer(x) - y).square().mean().item()


def test_beats_adam_where_entries_are_correlated():
    x, y = correlated_problem()
    adam = loss_after(torch.optim.AdamW, 300, x, y, weight_decay=0.0)
    assert loss_after(Soap, 300, x, y) < 0.3 * adam


def test_vectors_move_as_with_adam():
    start = torch.linspace(-1, 1, 7)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    soap = Soap([ours], lr=0.01, betas=(0.9, 0.98, 0.95), weight_decay=0.1)
    adam = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    for step in range(5):
        for weight, optim in ((ours, soap), (theirs, adam)):
            weight.grad = weight.detach().sin() + step
            optim.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "shape",
    [(5,), (), (12, 10), (12, 3), (12, 10, 2, 2), (12, 1, 3, 3), (4, 12, 10)],
)
def test_every_shape_descends(shape):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(shape))
    before = weight.square().sum().item()
    optim = Soap([weight], lr=0.02)
    for _ in range(25):
        optim.zero_grad()
        weight.square().sum().backward()
        optim.step()
    assert weight.square().sum().item() < before


def test_resumes_exactly():
    def run(weight, optim, steps):
        for _ in range(steps):
            optim.zero_grad()
            ((weight @ weight.T - torch.eye(12)).square().sum()).backward()
            optim.step()

    torch.manual_seed(0)
    start = torch.randn(12, 10)
    whole = nn.Parameter(start.clone())
    run(whole, Soap([whole], lr=0.01), 27)

    first = nn.Parameter(start.clone())
    optim = Soap([first], lr=0.01)
    run(first, optim, 14)
    second = nn.Parameter(first.detach().clone())
    resumed = Soap([second], lr=0.01)
    resumed.load_state_dict(optim.state_dict())
    run(second, resumed, 13)
    assert torch.equal(whole, second)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e15])
def test_first_gradients_of_any_scale_and_rank(scale):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(300, 200))
    weight.grad = scale * torch.randn(300, 1) @ torch.randn(1, 200)
    Soap([weight], lr=0.02).step()
    assert weight.isfinite().all()


def test_gradients_of_few_channels():
    """Gates that are shut leave most of a correlation at exactly zero: LAPACK did not converge."""
    torch.manual_seed(0)
    for heard in (1, 2, 10, 200):
        weight = nn.Parameter(torch.zeros(512, 256))
        weight.grad = torch.zeros(512, 256)
        rows = torch.randperm(512)[:heard]
        weight.grad[rows] = torch.randn(heard, 256) * 10.0 ** -torch.linspace(0, 6, heard)[:, None]
        Soap([weight], lr=0.02).step()
        assert weight.isfinite().all()


@pytest.mark.parametrize("octaves", [0, 5, 15])
def test_cholesky_gives_what_qr_gives(octaves):
    torch.manual_seed(0)
    size = torch.linspace(0, -octaves, 96, dtype=torch.float64).exp2()
    parts = torch.randn(3, 96, 48, dtype=torch.float64) * size[:, None]  # of half the rank
    correlation = parts @ parts.mT
    correlation[2] = 0
    basis = torch.linalg.qr(torch.randn(3, 96, 96, dtype=torch.float64))[0]
    found = cholesky_qr(correlation, basis)
    one = torch.eye(96, dtype=torch.float64)
    assert (found.mT @ found - one).abs().max() < 1e-9
    assert torch.equal(found[2], basis[2])
    wanted = torch.linalg.qr(correlation[:2] @ basis[:2])[0]
    along = (wanted * found[:2]).sum(-2).abs()[:, :48]
    assert (along > 1 - 1e-6).all()


def test_weights_of_one_shape_move_as_alone():
    torch.manual_seed(0)
    together = [nn.Parameter(torch.randn(12, 10)) for _ in range(3)]
    alone = [nn.Parameter(weight.detach().clone()) for weight in together]
    optims = [Soap(together, lr=0.01)] + [Soap([weight], lr=0.01) for weight in alone]
    for _ in range(25):
        for weight, single in zip(together, alone, strict=True):
            weight.grad = torch.randn(12, 10)
            single.grad = weight.grad.clone()
        for optim in optims:
            optim.step()
    torch.testing.assert_close(together, alone)
