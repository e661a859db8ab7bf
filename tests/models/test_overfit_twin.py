"""The overfitted codec's twin: the oracle itself, held against what it is said to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lictor.models.overfit import sizes, twin

SIZE = sizes.SIZES["s"]


@pytest.mark.parametrize("size", sizes.SIZES.values(), ids=lambda size: size.name)
def test_parameters_are_those_of_the_size(size: sizes.Size):
    net = twin.Twin(size)
    assert [(name, tuple(p.shape)) for name, p in net.named_parameters()] == [*size.shapes.items()]
    values = np.arange(size.parameters, dtype=np.float32)
    twin.load(net, values)
    assert (twin.flat(net) == values).all()


@pytest.mark.parametrize("sides", [(1, 1), (1, 90), (33, 17), (65, 130)])
def test_tiles_follow_from_the_sides(sides: tuple[int, int]):
    tile = sizes.tile_sides(*sides)
    assert all(side % 64 == 0 and 0 < side <= sizes.TILE for side in tile)
    assert sizes.grid_shapes(*sides)[6] == (-(-sides[0] // 64), -(-sides[1] // 64))


def test_tiles_are_of_like_size():
    assert sizes.tile_sides(512, 768) == (512, 384)
    assert sizes.tile_sides(513, 1030) == (320, 384)


def test_contexts_end_at_tiles():
    grid = torch.arange(1.0, 17.0).reshape(4, 4)
    left = twin.neighbour(grid, (0, -1), (2, 2))
    assert left.tolist()[0] == [0.0, 1.0, 0.0, 3.0]
    corner = twin.neighbour(grid, (-1, 1), (2, 2))
    assert corner.tolist() == [[0.0] * 4, [2.0, 0.0, 4.0, 0.0], [0.0] * 4, [10.0, 0.0, 12.0, 0.0]]


def test_what_is_later_tells_nothing():
    """A symbol's bits depend on no symbol that comes after it."""
    torch.manual_seed(1)
    net, tile = twin.Twin(SIZE), (64, 64)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    grids = [torch.randn(shape, requires_grad=True) for shape in sizes.grid_shapes(70, 90)]
    order = list(sizes.CODING_ORDER)
    for index in (0, 2, 5, 9):
        mu, scale = net.laplace(grids, index, tile)
        row, column = mu.shape[0] - 1, mu.shape[1] // 2
        seen = mu[row, column] + scale[row, column]
        found = torch.autograd.grad(seen, grids, allow_unused=True, retain_graph=True)
        for other, gradient in enumerate(found):
            if gradient is None:
                continue
            if order.index(other) > order.index(index):
                assert not gradient.any()
            elif other == index:
                assert not gradient[row, column:].any()


def test_filters_keep_what_is_flat_and_cubics_keep_slopes():
    net = twin.Twin(SIZE)
    ramp = torch.arange(20.0)[None, None].repeat(1, 4, 1)
    found = twin.doubled(ramp, net.up.weight[0].detach())
    assert found.shape == (1, 8, 40)
    every_second = found[0, 0, 8:-8][::2]
    assert torch.allclose(every_second.diff(), torch.ones(11), atol=1e-5)
    assert torch.equal(twin.smoothed(ramp, net.pre.weight[0].detach()), ramp)


@torch.no_grad()
def test_bits_are_those_of_the_distribution():
    """Over all symbols probabilities add up to one."""
    torch.manual_seed(2)
    net = twin.Twin(SIZE)
    torch.nn.init.normal_(net.context_3.bias, std=2.0)
    shapes = sizes.grid_shapes(1, 1)
    total = 0.0
    for symbol in range(-300, 301):
        grids = [torch.full(shape, float(symbol)) for shape in shapes]
        total += float(2.0 ** -net.bits(grids, 6, (64, 64)))
    assert 1 <= total < 1 + 601 * twin.FLOOR
