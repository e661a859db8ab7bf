"""The overfitted codec in integers: as its twin says, and the same by every path."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lictor.entropy import CorruptStream
from lictor.models.box import Box
from lictor.models.overfit import coder, parameters, sizes, starts, twin
from lictor.models.overfit.parameters import Quantised
from lictor.models.overfit.sizes import SIZES, Size

pytestmark = pytest.mark.skipif(not coder.available(), reason="the C extension was not built")

PATHS = range(coder.extension().paths) if coder.available() else range(1)
SHAPES = [(1, 1), (1, 90), (97, 1), (17, 33), (70, 200)]
FINE = (10, 9, 10, 9, 9, 12, 10, 9, 14, 12, 12)
EVERY_SIZE = pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: size.name)


def networks(size: Size, seed: int = 1) -> twin.Twin:
    """Such as training makes, but for what they say."""
    torch.manual_seed(seed)
    net = twin.Twin(size)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            kind = name.partition(".")[0]
            if kind in ("up", "pre"):
                parameter.add_(0.02 * torch.randn_like(parameter))
            elif kind.startswith(("context", "features")):
                parameter.normal_(std=0.1)
            elif kind.startswith("filter"):
                parameter.normal_(std=0.03)
            elif kind in ("synthesis_2", "synthesis_linear"):
                parameter.normal_(std=0.02)
        net.context_3.bias[1] = 3.5
        net.synthesis_2.bias.fill_(0.5)
    return net


def drawn(shape: tuple[int, int], seed: int = 2) -> list[np.ndarray]:
    """Grids of small symbols, and a few large ones."""
    rng = np.random.default_rng(seed)
    grids = []
    for sides in sizes.grid_shapes(*shape):
        grid = np.rint(rng.laplace(0, 1.0, sides)).clip(-64, 63)
        grid[rng.random(sides) < 0.01] = rng.integers(-64, 64)
        grids.append(grid.astype(np.int8))
    return grids


def wild(size: Size, seed: int) -> Quantised:
    """Parameters that no training makes."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-(2**15), 2**15, size.parameters).astype(np.int16)
    numbers[rng.random(size.parameters) < 0.3] = 32767
    return Quantised(size, tuple(int(e) for e in rng.integers(1, 16, 11)), numbers)


def round_trip(payload: bytes, grids: list[np.ndarray], shape: tuple[int, int]) -> bytes:
    """The stream of a tile, which is the same by every path, and so is what it decodes to."""
    streams = {coder.encode(payload, grids, shape, path) for path in PATHS}
    assert len(streams) == 1
    (stream,) = streams
    for path in PATHS:
        found = coder.decode(payload, stream, shape, path)
        assert all((a == b).all() for a, b in zip(found, grids, strict=True))
    return stream


def samples(
    payload: bytes, grids: list[np.ndarray], shape: tuple[int, int], kind: type, channels: int
) -> np.ndarray:
    """By all paths, all alike."""
    symbols, found = coder.joined(grids), []
    for path in PATHS:
        out = np.full((*shape, channels), 77, kind)
        coder.synthesize(payload, symbols, shape, Box(0, 0, *shape), out, path)
        found.append(out)
    assert all((out == found[0]).all() for out in found)
    return found[0]


@EVERY_SIZE
def test_networks_come_back(size: Size):
    found = parameters.quantised(size, twin.flat(networks(size)), FINE)
    payload = found.payload()
    again = parameters.read(payload)
    assert again.size == size and again.exponents == FINE
    assert (again.numbers == found.numbers).all() and again.payload() == payload
    assert np.abs(found.values - twin.flat(networks(size))).max() <= 1.2 * 2.0**-10
    _, bits = found.spreads()
    assert bits / 8 < len(payload) < bits / 8 + 32


@EVERY_SIZE
def test_networks_near_a_start_take_fewer_bytes(size: Size):
    assert starts.count(size) > 0
    values = starts.parameters(size, 1) + np.float32(0.003)
    alone, near = (parameters.quantised(size, values, FINE, start) for start in (0, 1))
    assert np.abs(alone.numbers - near.numbers).max() <= 1
    assert parameters.read(near.whole()).start == 0
    assert (parameters.read(near.whole()).numbers == near.numbers).all()
    again = parameters.read(near.payload())
    assert again.start == 1 and (again.numbers == near.numbers).all()
    assert len(near.payload()) < 0.8 * len(alone.payload())
    unknown = near.payload()[:2] + b"\xff\xff" + near.payload()[4:]
    with pytest.raises(CorruptStream, match="not here"):
        parameters.read(unknown)
    with pytest.raises(ValueError, match="no networks"):
        coder.encode(near.payload(), drawn((5, 5)), (5, 5))


@EVERY_SIZE
def test_parameters_are_pulled_to_their_start_by_what_they_cost(size: Size):
    start = starts.parameters(size, 1)
    away = np.random.default_rng(1).laplace(0, 0.1, size.parameters)
    values = (start + away).astype(np.float32)
    assert not parameters.slope(size, start, 1).any()
    slope = parameters.slope(size, values, 1, FINE)
    assert (np.sign(slope) == np.sign(values - start)).all()
    # A step along it changes the bits by as much as it says.
    step = 1e-3 * np.sign(slope)
    bits = [
        parameters.quantised(size, values + sign * step, FINE, 1).spreads()[1] for sign in (1, -1)
    ]
    assert bits[0] - bits[1] == pytest.approx(2 * float(np.vdot(slope, step)), rel=0.2)


@pytest.mark.parametrize("seed", range(3))
def test_any_networks_come_back(seed: int):
    size = list(SIZES.values())[seed]
    found = wild(size, seed)
    assert (parameters.read(found.payload()).numbers == found.numbers).all()


@EVERY_SIZE
@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_those_that_the_twin_expects(size: Size, shape: tuple[int, int]):
    found = parameters.quantised(size, twin.flat(networks(size)), FINE)
    grids = drawn(shape)
    stream = round_trip(found.payload(), grids, shape)
    net = networks(size)
    twin.load(net, found.values)
    tile = tuple(-(-side // 64) * 64 for side in shape)
    with torch.no_grad():
        _, bits = net([torch.from_numpy(grid).float() for grid in grids], shape, tile)
    expected = float(bits.sum()) / 8
    assert expected * 0.998 - 1 < len(stream) < expected * 1.002 + 8


@EVERY_SIZE
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_are_those_of_the_twin(size: Size, shape: tuple[int, int]):
    found = parameters.quantised(size, twin.flat(networks(size)), FINE)
    grids, payload = drawn(shape), found.payload()
    net = networks(size)
    twin.load(net, found.values)
    with torch.no_grad():
        out, _ = net([torch.from_numpy(grid).float() for grid in grids], shape, (64, 64))
    x = out.clamp(0, 1).permute(1, 2, 0).numpy()
    fine = samples(payload, grids, shape, np.uint16, 3)
    assert np.abs(fine / 65535 - x).max() < 0.004
    assert math.sqrt(np.square(fine / 65535 - x).mean()) < 0.0007
    coarse = samples(payload, grids, shape, np.uint8, 3)
    assert np.abs(coarse - fine / 257).max() <= 0.51
    gray = samples(payload, grids, shape, np.uint8, 1)
    mean = np.clip(out.permute(1, 2, 0).numpy().mean(axis=2), 0, 1)
    assert np.abs(gray[:, :, 0] - 255 * mean).max() < 1.6


@EVERY_SIZE
def test_a_part_is_that_of_the_whole(size: Size):
    shape = (150, 600)
    payload = parameters.quantised(size, twin.flat(networks(size)), FINE).payload()
    grids = drawn(shape)
    whole, symbols = samples(payload, grids, shape, np.uint8, 3), coder.joined(grids)
    for box in (Box(0, 0, 1, 1), Box(149, 599, 1, 1), Box(3, 250, 140, 17), Box(61, 1, 7, 598)):
        out = np.zeros((box.height, box.width, 3), np.uint8)
        coder.synthesize(payload, symbols, shape, box, out)
        assert (out == whole[box.place]).all()


def test_what_is_out_of_reach_changes_nothing():
    shape, far = (64, 1024), 576 - coder.REACH
    payload = parameters.quantised(SIZES["l"], twin.flat(networks(SIZES["l"])), FINE).payload()
    one, other = drawn(shape, 2), drawn(shape, 3)
    for grid, part in zip(one, other, strict=True):
        at = 576 * grid.shape[1] // shape[1]
        grid[:, :at] = part[:, :at]
    a, b = (samples(payload, grids, shape, np.uint8, 3) for grids in (one, other))
    assert (a[:, :far] == b[:, :far]).all() and (a != b).any()


@pytest.mark.parametrize("seed", range(6))
def test_wild_networks_do_the_same_everywhere(seed: int):
    size, shape = list(SIZES.values())[seed % 3], (40, 70)
    payload, grids = wild(size, seed).payload(), drawn(shape, seed)
    round_trip(payload, grids, shape)
    samples(payload, grids, shape, np.uint8, 3)
    samples(payload, grids, shape, np.uint16, 1)


def test_the_extremes_of_symbols():
    size, shape = SIZES["m"], (20, 20)
    payload = parameters.quantised(size, twin.flat(networks(size)), FINE).payload()
    for value in (-64, 63):
        grids = [np.full(sides, value, np.int8) for sides in sizes.grid_shapes(*shape)]
        round_trip(payload, grids, shape)
    grids[3][0, 0] = 64
    with pytest.raises(ValueError, match="-64 to 63"):
        coder.encode(payload, grids, shape)


def test_damage_is_found_or_harmless():
    """Whatever the bytes: a typed error, or symbols in their range."""
    size, shape = SIZES["s"], (30, 20)
    payload = parameters.quantised(size, twin.flat(networks(size)), FINE).payload()
    stream = coder.encode(payload, drawn(shape), shape)
    rng, refused = np.random.default_rng(5), 0
    damaged = [stream[:cut] for cut in (0, 1, 7, 8, 9, len(stream) - 1)]
    damaged += [stream + b"\0", rng.bytes(len(stream)), bytes(len(stream)), b"\xff" * 40]
    for at in range(0, len(stream), 7):
        damaged.append(stream[:at] + bytes([stream[at] ^ 1 << at % 8]) + stream[at + 1 :])
    for data in damaged:
        try:
            found = coder.decode(payload, data, shape)
        except CorruptStream:
            refused += 1
            continue
        assert all(grid.min() >= -64 and grid.max() <= 63 for grid in found)
    assert refused > 0.99 * len(damaged)


def test_damaged_networks_are_refused_or_others():
    payload = parameters.quantised(SIZES["s"], twin.flat(networks(SIZES["s"])), FINE).payload()
    refused = 0
    damaged = [payload[:cut] for cut in range(0, len(payload), 5)]
    damaged += [payload + b"\0", b"", b"\3\1\0\0" + payload[4:], b"\0\2\0\0" + payload[4:]]
    for at in range(4, len(payload), 3):
        damaged.append(payload[:at] + bytes([payload[at] ^ 4]) + payload[at + 1 :])
    for data in damaged:
        try:
            parameters.read(data)
        except CorruptStream:
            refused += 1
    assert refused > 0.9 * len(damaged)  # the section has a checksum; others are none


def test_coarse_steps_are_taken_where_they_pay():
    size, shape = SIZES["s"], (64, 64)
    values, grids = twin.flat(networks(size)), drawn(shape)

    def bits(found: Quantised) -> float:
        return 8.0 * len(coder.encode(found.payload(), grids, shape))

    exact = samples(parameters.quantised(size, values, FINE).payload(), grids, shape, np.uint16, 3)

    def loss(found: Quantised) -> float:
        made = samples(found.payload(), grids, shape, np.uint16, 3)
        return float(np.square((made.astype(float) - exact) / 257).sum())

    fine = parameters.quantised(size, values, FINE)
    best = parameters.chosen(size, values, bits, loss)
    cost = [bits(q) + loss(q) + q.spreads()[1] for q in (fine, best)]
    assert len(best.payload()) < 0.8 * len(fine.payload()) and cost[1] < cost[0]


def test_arguments_that_do_not_go_together_are_refused():
    size, shape = SIZES["s"], (20, 20)
    payload = parameters.quantised(size, twin.flat(networks(size)), FINE).payload()
    symbols = coder.joined(drawn(shape))
    code = coder.extension()
    out = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="go together"):
        code.encode(payload, symbols[1:].copy(), *shape, 0)
    with pytest.raises(ValueError, match="go together"):
        code.encode(payload, symbols, *shape, len(PATHS))
    with pytest.raises(ValueError, match="no networks"):
        code.encode(payload[:-1], symbols, *shape, 0)
    for box in ((0, 0, 21, 20), (0, 0, 0, 20), (-1, 0, 20, 20), (0, 0, 10, 20)):
        with pytest.raises(ValueError, match="go together"):
            code.synthesize(payload, symbols, *shape, *box, out, 3, 8, 0)
