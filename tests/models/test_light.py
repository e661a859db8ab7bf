"""Networks without PyTorch: layers in C, on every path, against numpy and PyTorch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from lictor.models.coding import fixed_point, quality_ladder
from lictor.models.coding.layers import Block as TorchBlock
from lictor.models.errors import InexactWeights
from lictor.models.light import layers, reference, threads
from lictor.models.light.layers import ADD, LEAKY, RELU6, Block, Dense, Depthwise
from lictor.models.light.part import Part

if layers.kernels is reference:
    pytest.skip("there is no C compiler here", allow_module_level=True)

PATHS = range(layers.kernels.BEST + 1)


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(layers.kernels, "BEST", request.param)
    return request.param


def twice(layer: object, *arguments: object, **more: object) -> tuple[np.ndarray, np.ndarray]:
    """What C and what numpy make of it."""
    given = {name: None if a is None else np.copy(a) for name, a in more.items() if name == "out"}
    found = layer(*arguments, **more)
    own, layers.kernels = layers.kernels, reference
    try:
        return found, layer(*arguments, **{**more, **given})
    finally:
        layers.kernels = own


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Activations of exact networks, their limits among them."""
    x = rng.integers(-(2**23), 2**23 + 1, shape).astype(np.float64)
    return np.where(rng.random(shape) < 0.7, np.floor(x / 4096), x)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 13, 8), (2, 24, 4), (1, 30, 50)])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 17), (40, 32), (64, 131)])
@pytest.mark.parametrize("exact", [False, True])
def test_products(path: int, shape: tuple[int, ...], inputs: int, outputs: int, exact: bool):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(outputs, inputs)) / 8, rng.normal(size=outputs)
    layer = Dense(weight, bias, exact)
    x = whole(rng, *shape, inputs) if exact else rng.normal(size=(*shape, inputs)).astype("f4")
    onto = np.floor(rng.normal(size=(*shape, outputs)) * 99).astype(x.dtype)
    compare = np.testing.assert_array_equal if exact else close
    for finish in (0, LEAKY, ADD, ADD | LEAKY) + (() if exact else (RELU6,)):
        compare(*twice(layer, x, finish, out=onto.copy() if finish & ADD else None))
    if shape[1] % 2 == 0 and shape[2] % 2 == 0:
        for phase in product((0, 1), repeat=2):
            found, expected = twice(layer, x, phase=phase)
            compare(found, expected)
            compare(found, layer(np.ascontiguousarray(x[:, phase[0] :: 2, phase[1] :: 2])))


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("channels", [1, 20, 256])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 1), (12, 10)])
def test_exact_depthwise(path: int, shape: tuple[int, int], channels: int):
    rng = np.random.default_rng(1)
    layer = Depthwise(rng.normal(size=(channels, 1, 3, 3)), rng.normal(size=channels), exact=True)
    x = whole(rng, 2, *shape, channels)
    for finish in (0, LEAKY):
        np.testing.assert_array_equal(*twice(layer, x, finish))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("shape", [(2, 2), (14, 8)])
def test_depthwise_as_the_student_has_it(
    path: int, kernel: int, stride: int, shape: tuple[int, int]
):
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(24, 1, kernel, kernel))
    layer = Depthwise(weight, rng.normal(size=24), False, stride, (kernel - stride) // 2)
    close(*twice(layer, rng.normal(size=(2, *shape, 24)).astype("f4"), RELU6))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("shape", "channels"), [((1, 1, 1), 4), ((2, 15, 29), 20)])
def test_blocks_are_those_of_torch(
    path: int, shape: tuple[int, int, int], channels: int, count: int
):
    torch.manual_seed(0)
    theirs = TorchBlock(channels)
    theirs.cap.uniform_(0.1, 1)
    tensors = {name: t.detach().numpy() for name, t in theirs.state_dict().items()}
    ours, x = Block(Part(tensors)), torch.randn(*shape, channels)
    before = threads.count()
    threads.use(count)
    try:
        found, expected = twice(ours, x.numpy())
    finally:
        threads.use(before)
    close(found, expected)
    close(found, theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy())


def test_what_is_no_number_stays_none(path: int):
    """So that it is found at the end."""
    torch.manual_seed(0)
    part = Part({name: t.detach().numpy() for name, t in TorchBlock(8).state_dict().items()})
    x = np.ones((1, 4, 4, 8), np.float32)
    x[0, 2, 2, 3] = np.nan
    assert np.isnan(Block(part)(x)[0, 2, 2]).all()
    assert np.isnan(Dense(np.ones((4, 8)))(x, RELU6)[0, 2, 2]).all()


def test_ladders_are_those_of_torch():
    torch.manual_seed(0)
    ladder = quality_ladder.Ladder(5)
    torch.nn.init.normal_(ladder.rungs)
    twin = fixed_point.exact(ladder)
    steps = np.arange(401).reshape(1, 1, -1)
    rungs = ladder.rungs.detach().numpy()
    exact = layers.ExactLadder(rungs)(steps)
    np.testing.assert_array_equal(exact, twin(torch.from_numpy(steps)).numpy())
    floats = ladder(torch.from_numpy(steps) * 0.25).detach().numpy()
    np.testing.assert_allclose(layers.Ladder(rungs)(steps), floats, atol=4e-6)
    for step in (0, 49, 400):
        one = layers.ExactLadder(rungs)(np.array([step]))
        np.testing.assert_array_equal(one[:, 0, 0], twin(step).numpy())


def test_weights_that_are_too_large_are_refused():
    with pytest.raises(InexactWeights, match="weight decay"):
        Dense(np.full((2, 512), 100.0), exact=True)


def test_arguments_that_do_not_go_together_are_refused():
    """Nothing is read or written beyond a buffer."""
    kernels, f4 = layers.kernels, np.float32
    weight, bias = reference.packed(np.ones((8, 5), f4)), np.zeros(32, f4)
    x, out = np.ones((6, 8), f4), np.ones((6, 5), f4)
    good = [x, 0, 1, 0, 6, 8, 8, weight, bias, 5, out, 0, 0, 0, 0]
    kernels.dense(*good)
    assert (out == 8).all()
    wrong = {1: (1, -1, 2**60), 2: (2**40, -1), 4: (7, 2**62), 5: (9, -8), 6: (9, 2**33)}
    wrong |= {7: (weight[:1],), 8: (bias[:5],), 9: (6, 33, -1, 2**40), 11: (1, -1), 14: (1,)}
    for place, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match="go together"):
                kernels.dense(*good[:place], value, *good[place + 1 :])
    taps = np.ones((9, 8), f4)
    image, made = np.ones((4, 6, 8), f4), np.zeros((4, 6, 8), f4)
    good = [image, 4, 6, 8, 3, 1, 1, taps, bias, made, 4, 6, 0, 4, 0, 0, 0]
    kernels.depthwise(*good)
    wrong = {1: (5, -1), 2: (7,), 3: (9, 2**50), 4: (5, 16), 7: (taps[:8],), 8: (bias[:7],)}
    wrong |= {10: (5,), 11: (7,), 13: (5, -1), 16: (1,)}
    for place, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match="go together"):
                kernels.depthwise(*good[:place], value, *good[place + 1 :])
