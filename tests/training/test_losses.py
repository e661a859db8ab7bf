"""Losses are zero where nothing is wrong, and lead downhill."""

import sys

import pytest
import torch

from lictor.models.base import Output
from lictor.models.coding.quality_ladder import quality_to_lambda
from lictor.training.config import Config
from lictor.training.losses import LOSSES, Criterion, squared_error

CPU = torch.device("cpu")
NEEDS = {
    "ms-ssim": "pytorch_msssim",
    "perceptual": "efficientnet_lite_pytorch",
    "recognition": "efficientnet_lite_pytorch",
}


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    from skimage import data

    return torch.tensor(data.astronaut()[:192, :192]).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "none"])
def test_each_distortion(name, photo):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    make, weight = LOSSES[name]
    of = make(CPU)
    both = torch.cat([photo, photo.flip(-1)])
    assert of(both, both).tolist() == pytest.approx([0, 0], abs=1e-3)
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(1)) * 0.03
    worse = (photo + noise).requires_grad_()
    cost = of(worse, photo)
    assert cost.shape == (1,)
    # On the scale of the squared error, whose ladder of lambdas it uses.
    assert 0.1 < weight * cost.item() / squared_error(worse, photo).item() < 10
    cost.sum().backward()
    assert of(worse - 1e-3 * worse.grad.sign(), photo) < cost


def test_errors_of_deep_crops_count_more(photo):
    both = torch.cat([photo, photo])
    out, quality = Output(both + 0.01, torch.zeros(2)), torch.tensor([90.0, 90.0])
    loss, _, mse = Criterion(Config(), CPU)(out, both, quality, torch.tensor([False, True]))
    assert (loss[1] / loss[0]).item() == pytest.approx(64)
    assert mse[0] == mse[1]


def test_the_criterion_weighs_rate_and_distortion(photo):
    out = Output(photo + 0.1, torch.tensor([192 * 192 * 0.5]))
    quality = torch.tensor([60.0])
    loss, bpp, mse = Criterion(Config(), CPU)(out, photo, quality)
    lagrange = quality_to_lambda(quality)
    assert bpp.item() == pytest.approx(0.5)
    assert mse.item() == pytest.approx(25.5**2, rel=1e-3)
    wanted = (bpp + lagrange * mse) * (0.01 / lagrange).sqrt()
    assert loss.item() == pytest.approx(wanted.item())


def test_a_task_of_your_own(photo, tmp_path, monkeypatch):
    (tmp_path / "my_task.py").write_text(
        "import torch\n"
        "def darkness(x_hat, x):\n    return (x - x_hat).flatten(1).mean(1)\n"
        "class Edges(torch.nn.Module):\n"
        "    def forward(self, x_hat, x):\n"
        "        return (x_hat - x).diff(dim=-1).square().flatten(1).mean(1)\n"
        "edges = Edges()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out, quality = Output(photo - 0.25, torch.zeros(1)), torch.tensor([0.0])
    alone = Config(loss="none", task="my_task:darkness", task_weight=10.0)
    loss, _, _ = Criterion(alone, CPU)(out, photo, quality)
    lagrange = quality_to_lambda(quality)
    assert loss.item() == pytest.approx((0.01 * lagrange).sqrt().item() * 2.5, rel=1e-4)
    added = Criterion(Config(task="my_task:edges"), CPU)
    assert added(out, photo, quality)[0] >= Criterion(Config(), CPU)(out, photo, quality)[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(loss="vmaf"), "loss is 'vmaf'; there are mse"),
        (Config(loss="none"), "needs a task"),
        (Config(task="nothing"), "write MODULE:NAME"),
        (Config(task="no_such_module_here:f"), "No module named"),
        (Config(task="math:no_such_function"), "no_such_function"),
    ],
)
def test_wrong_losses(config, message):
    with pytest.raises(ValueError, match=message):
        Criterion(config, CPU)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(ValueError, match=r"pip install 'lictor\[train\]'"):
        Criterion(Config(loss="ms-ssim"), CPU)


def test_ms_ssim_wants_larger_crops():
    pytest.importorskip("pytorch_msssim")
    small = torch.zeros(1, 3, 64, 64)
    criterion = Criterion(Config(loss="ms-ssim"), CPU)
    with pytest.raises(ValueError, match="crop=192"):
        criterion(Output(small, torch.zeros(1)), small, torch.zeros(1))


def test_errors_hide_behind_contrast(photo):
    visible = LOSSES["visible"][0](CPU).visibility
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(1)) * 0.02
    wall = torch.full_like(photo, 0.5)
    grass = wall + 0.2 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(2))
    assert visible(wall + noise, wall) > 5 * visible(grass + noise, grass)


def test_fine_colour_is_not_seen_as_well_as_fine_light(photo):
    visible = LOSSES["visible"][0](CPU).visibility
    rows, columns = torch.meshgrid(torch.arange(192), torch.arange(192), indexing="ij")
    checks = ((rows + columns) % 2 * 2 - 1) * 0.05
    wall = torch.full_like(photo, 0.5)
    light, colour = wall.clone(), wall.clone()
    light += checks
    colour[:, 0] += checks  # red up where blue goes down
    colour[:, 2] -= checks
    assert visible(light, wall) > 10 * visible(colour, wall)


def test_visible_errors_have_finite_slopes_where_there_is_nothing():
    visible = LOSSES["visible"][0](CPU)
    for value in (0.0, 1.0):
        x = torch.full((1, 3, 64, 64), value)
        x_hat = (x - 0.1).requires_grad_()  # below black, too
        cost = visible(x_hat, x)
        cost.sum().backward()
        assert cost.isfinite().all() and x_hat.grad.isfinite().all()
        x_hat = x.clone().requires_grad_()
        visible(x_hat, x).sum().backward()
        assert x_hat.grad.isfinite().all()
