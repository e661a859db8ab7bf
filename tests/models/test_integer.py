"""The exact twins: integers only, any order of summation, and close to the float networks."""

import pytest
import torch

from lictor.models.coding import fixed_point
from lictor.models.coding.hyperprior import HyperSynthesis
from lictor.models.coding.layers import Depthwise, Leaky, Pointwise
from lictor.models.coding.quadtree import Heads, Quadtree, from_cells, group_of_phase, to_cells
from lictor.models.coding.quality_ladder import Ladder

UNIT = 2.0**fixed_point.FRACTION


def randomised(module):
    torch.manual_seed(1)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return module


def fixed(*shape):
    torch.manual_seed(2)
    return fixed_point.to_fixed(torch.randn(shape))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(Pointwise(8, 5), (2, 4, 6, 8)), (Depthwise(8), (2, 4, 6, 8)), (Heads(8, 6), (4, 10, 8))],
)
def test_twin_is_integer_and_close(layer, shape):
    layer, x = randomised(layer), fixed(*shape)
    out = fixed_point.exact(layer)(x)
    assert out.dtype == torch.float64
    assert torch.equal(out, out.round())
    expected = layer((x / UNIT).float())
    assert (out / UNIT - expected).abs().max() < 1.5 / UNIT + 8 * 4 * 2.0**-fixed_point.WEIGHT


def test_depthwise_twin_equals_int64_convolution():
    layer, x = randomised(Depthwise(3)), fixed(1, 5, 4, 3)
    weight = (layer.weight.double() * 2**fixed_point.WEIGHT + 0.5).floor().long()
    bias = (
        (layer.bias.double() * 2 ** (fixed_point.WEIGHT + fixed_point.FRACTION) + 0.5)
        .floor()
        .long()
    )
    padded = torch.nn.functional.pad(x.long(), (0, 0, 1, 1, 1, 1))
    expected = torch.empty_like(x, dtype=torch.int64)
    for r in range(5):
        for c in range(4):
            for k in range(3):
                window = padded[0, r : r + 3, c : c + 3, k]
                total = int((window * weight[k, 0]).sum() + bias[k])
                expected[0, r, c, k] = (total + 2 ** (fixed_point.WEIGHT - 1)) >> fixed_point.WEIGHT
    assert torch.equal(fixed_point.exact(layer)(x).long(), expected)


def test_leaky_rounds_half_up():
    x = torch.tensor([-12.0, -8.0, -4.0, -3.0, 0.0, 7.0], dtype=torch.float64)
    out = fixed_point.exact(Leaky())(x)
    assert out.tolist() == [-1.0, -1.0, 0.0, 0.0, 0.0, 7.0]


def test_ladder_twin_at_and_between_rungs():
    ladder = Ladder(2)
    with torch.no_grad():
        ladder.rungs.copy_(torch.arange(9.0)[:, None] * torch.tensor([1.0, -2.0]))
    twin = fixed_point.exact(ladder)
    assert twin(0).tolist() == [[0.0, 0.0]]
    assert twin(50).tolist() == [[UNIT, -2 * UNIT]]
    assert twin(400).tolist() == [[8 * UNIT, -16 * UNIT]]
    assert twin(25).tolist() == [[UNIT / 2, -UNIT]]
    quality = torch.tensor([73.25])
    assert torch.allclose(ladder(quality), (twin(293) / UNIT).float(), atol=1 / UNIT)


def test_too_large_weights_are_refused():
    layer = Pointwise(4, 4)
    with torch.no_grad():
        layer.weight.fill_(2.0**20)
    with pytest.raises(fixed_point.InexactWeights, match="too large"):
        fixed_point.exact(layer)


def test_order_of_summation_does_not_matter():
    layer, x = randomised(Pointwise(64, 32)), fixed(1, 3, 3, 64) * 100
    shuffle = torch.randperm(64)
    other = Pointwise(64, 32)
    with torch.no_grad():
        other.weight.copy_(layer.weight[:, shuffle])
        other.bias.copy_(layer.bias)
    assert torch.equal(fixed_point.exact(layer)(x), fixed_point.exact(other)(x[..., shuffle]))


def test_networks_stay_close_to_float():
    network = randomised(HyperSynthesis(8, 16))
    z = torch.randint(-3, 4, (1, 2, 3, 8)).double()
    out = fixed_point.exact(network)(z * UNIT, 200) / UNIT
    expected = network(z.float(), torch.tensor([50.0]))
    assert (out - expected).abs().max() < 0.02 * expected.abs().max()


def test_cells_and_groups():
    y = torch.arange(2 * 4 * 6 * 8).reshape(2, 4, 6, 8)
    cells = to_cells(y)
    assert torch.equal(from_cells(cells), y)
    # Phase 1 is the upper right of a cell; group 2 of eight channels is channels 4 and 5.
    assert torch.equal(cells[1, 2, 0, 1, 2], y[0, 2, 5, 4:6])
    seen = {(f, int(g)) for k in range(4) for f, g in enumerate(group_of_phase(k))}
    assert len(seen) == 16
    for k in range(4):
        assert sorted(group_of_phase(k).tolist()) == [0, 1, 2, 3]


def test_quadtree_steps_have_twins():
    twin = fixed_point.exact(randomised(Quadtree(8, 16, 8)))
    p, known = fixed(1, 4, 4, 8), fixed(1, 4, 4, 16)
    for k, step in enumerate(twin.steps):
        out = step(p, None if k == 0 else known)
        assert out.shape == (4, 1, 2, 2, 8)
        assert torch.equal(out, out.round())


def test_ladder_twin_is_integer_division_at_every_quality():
    """Halves are rounded up, of whatever sign: what a device makes of x / 50 plays no part."""
    torch.manual_seed(3)
    ladder = Ladder(64)
    with torch.no_grad():
        ladder.rungs.uniform_(-40, 40)
    twin = fixed_point.exact(ladder)
    rungs = [[int(v) for v in row] for row in twin.rungs.tolist()]
    halves = 0
    for step in range(401):
        low = min(step // 50, 7)
        t = step - 50 * low
        mixed = [a * (50 - t) + b * t for a, b in zip(rungs[low], rungs[low + 1], strict=True)]
        halves += sum(m % 50 == 25 for m in mixed)
        assert twin(step).tolist() == [[(2 * m + 50) // 100 for m in mixed]]
    assert halves > 100


def test_powers_of_two_are_exact():
    exponents = torch.arange(-1000.0, 1001.0)
    expected = [2.0**e for e in range(-1000, 1001)]
    assert fixed_point.power_of_two(exponents).tolist() == expected
    assert fixed_point.power_of_two(exponents).dtype == torch.float64
