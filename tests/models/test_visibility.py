"""What eyes see of errors: of blocks without torch as of pictures with it."""

import numpy as np
import pytest
import torch

from lictor.models import visibility
from lictor.models.picture.visibility import Visibility, Visible


def pictures(channels: int, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    """A photo's blocks (N, 64, 64, C), and the same with errors."""
    from skimage import data

    x = data.astronaut()[:256, :192, :channels].reshape(4, 64, 3, 64, channels)
    x = x.transpose(0, 2, 1, 3, 4).reshape(12, 64, 64, channels)
    noise = np.random.default_rng(0).normal(0, 9, x.shape)
    x_hat = (x + noise).round().clip(0, 255)
    most = np.iinfo(dtype).max // 255
    return x_hat.astype(dtype) * dtype(most), x.astype(dtype) * dtype(most)


def tensor(x: np.ndarray) -> torch.Tensor:
    scaled = x.astype(np.float32) / np.iinfo(x.dtype).max
    return torch.from_numpy(scaled).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_blocks_are_seen_as_pictures_are(channels: int, dtype: type):
    x_hat, x = pictures(channels, dtype)
    found = visibility.of_blocks(x_hat, x)
    wanted = Visibility()(tensor(x_hat), tensor(x)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert not visibility.of_blocks(x, x).any()


def test_what_counts_nowhere_is_not_seen():
    x_hat, x = map(tensor, pictures(3))
    whole, none = torch.ones(12, 1, 64, 64), torch.zeros(12, 1, 64, 64)
    visible = Visible()
    torch.testing.assert_close(visible(x_hat, x, whole), visible(x_hat, x))
    assert (visible(x_hat, x, none).abs() < 1e-3).all()


def test_squares_of_signed_sums_are_the_curvature():
    """Of one pixel's lightness, over many signs: half of the second difference."""
    _, x = map(tensor, pictures(3))
    x, visible = x[:1], Visible()
    generator = torch.Generator().manual_seed(0)

    def signs(like: torch.Tensor) -> torch.Tensor:
        return torch.randint(0, 2, like.shape, generator=generator).to(like) * 2 - 1

    squares = []
    for _ in range(40):
        x_hat = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(visible.signed(x_hat, x, signs), x_hat)
        squares.append(slope.square())
    diagonal = 2 * torch.stack(squares).mean(0).mean()
    step = 0.01
    noise = signs(x)
    second = sum(visible(x + s * step * noise, x) for s in (1, -1)).sum() / step**2
    assert 0.5 < float(diagonal * x.numel() / second) < 2
