"""The synthesis and its gradients in C and numpy against those of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lictor.models.light import gradients, layers, reference
from lictor.models.picture.quick_synthesis import QuickSynthesis, quick
from lictor.models.picture.transforms import Synthesis


@pytest.fixture(scope="module")
def g_s() -> Synthesis:
    """Of few channels, with weights such that every part matters, and caps that are reached."""
    torch.manual_seed(1)
    made = Synthesis(24, 40, 2)
    with torch.no_grad():
        for name, own in made.named_parameters():
            own.normal_(0, 0.3 if "weight" in name else 0.1)
        for name, own in made.named_buffers():
            if name.endswith("cap"):
                own.fill_(0.4)
    return made.requires_grad_(False)


def both_ways(g_s, v: Tensor, quality: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    v = v.clone().requires_grad_()
    x = g_s(v, quality) + (0 if isinstance(g_s, QuickSynthesis) else 0.5)
    (found,) = torch.autograd.grad(x, v, by)
    return x.detach(), found


@pytest.mark.parametrize("path", ["C", "numpy"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (13, 9)])
@pytest.mark.parametrize("mapped", [False, True])
def test_as_pytorch_has_them(monkeypatch, g_s, path, shape, mapped):
    if path == "numpy":
        monkeypatch.setattr(layers, "kernels", reference)
        monkeypatch.setattr(gradients, "kernels", reference)
    draw = torch.Generator().manual_seed(2)
    v = torch.randn(1, 40, *shape, generator=draw)
    by = torch.randn(1, 3, *(16 * side for side in shape), generator=draw)
    quality = torch.rand(1, *(shape if mapped else ()), generator=draw) * 100
    expected = both_ways(g_s, v, quality, by)
    for one, other in zip(both_ways(QuickSynthesis(g_s), v, quality, by), expected, strict=True):
        assert one.shape == other.shape
        # A gate that rounds to the other side of its cap changes gradients a little.
        assert (one - other).norm() < 2e-3 * other.norm()
        assert (one - other).abs().median() < 1e-4 * other.abs().median()


def test_threads_change_nothing(g_s):
    draw = torch.Generator().manual_seed(3)
    v, by = torch.randn(1, 40, 24, 24, generator=draw), torch.randn(1, 3, 384, 384, generator=draw)
    before, found = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(both_ways(QuickSynthesis(g_s), v, torch.tensor([40.0]), by))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_without_a_compiler_pytorch_does_it(monkeypatch, g_s):
    from lictor.models.picture import quick_synthesis

    monkeypatch.setattr(quick_synthesis, "kernels", reference)
    assert quick(g_s) is None
    assert quick(g_s.to("meta")) is None


@pytest.mark.parametrize("name", ["back_to_spatial", "back_to_input"])
def test_c_refuses_what_does_not_go_together(name):
    module = pytest.importorskip("lictor.models.light._kernels", reason="no C compiler")

    def of(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    matrix, wide = reference.packed(of(8, 8)), reference.packed(of(16, 8))
    if name == "back_to_spatial":
        given = [of(6, 16), of(6, 8), 2, 3, 8, matrix, wide, matrix, of(8), of(6, 8), of(6, 8)]
    else:
        given = [of(6, 8), of(6, 8), 2, 3, 8, of(9, 8), of(8), matrix, of(6, 8)]
    places = [0, 6, module.BEST]
    getattr(module, name)(*given, *places)
    for i, one in enumerate(given):
        wrong = [one[:-1]] if isinstance(one, np.ndarray) else [one + 1, -1, 1 << 40]
        for other in wrong:
            with pytest.raises(ValueError, match="go together"):
                getattr(module, name)(*given[:i], other, *given[i + 1 :], *places)
    with pytest.raises(ValueError, match="go together"):
        getattr(module, name)(*given, 0, 7, module.BEST)
