"""Circuits over patches: exact coding, at the rate that their probabilities promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lictor.entropy import CorruptStream
from lictor.models.lossless import circuit as circuits
from lictor.models.lossless.intervals import IntervalDecoder, encode_intervals


def drawn(count: int, pixels: int, values: int, seed: int = 0) -> np.ndarray:
    """Patches whose neighbouring pixels are often the same."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, values, (count, pixels))
    for pixel in range(1, pixels):
        same = rng.random(count) < 0.8
        patches[same, pixel] = patches[same, pixel - 1]
    return patches.astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "values", "states"), [(1, 2, 1), (3, 2, 2), (9, 17, 5), (4, 256, 3)]
)
def test_round_trip(pixels: int, values: int, states: int):
    patches = drawn(200, pixels, values)
    circuit = circuits.learn(patches, values, states, rounds=3)
    assert sorted(circuit.order) == list(range(pixels))
    strange = np.random.default_rng(1).integers(0, values, (50, pixels)).astype(np.uint8)
    for some in (patches, strange, patches[:1], patches[:0]):
        data = circuits.encode(circuit, some)
        np.testing.assert_array_equal(circuits.decode(circuit, data, len(some)), some)


def test_the_rate_is_that_of_the_probabilities():
    """Against the sum over all hidden states, in floating point."""
    patches = drawn(400, 4, 3)
    circuit = circuits.learn(patches, 3, 2, rounds=10)
    exact = 0.0
    for patch in patches:
        chance = 0.0
        for states in itertools.product(range(2), repeat=4):
            part = 1.0
            for pixel in circuit.order:
                state, parent = states[pixel], circuit.parents[pixel]
                moves = circuit.prior if parent < 0 else circuit.transitions[pixel][states[parent]]
                part *= moves[state] / moves.sum()
                part *= circuit.emissions[pixel][state][patch[pixel]] / circuits.ONE
            chance += part
        exact -= np.log2(chance)
    assert abs(8 * (len(circuits.encode(circuit, patches)) - 12) - exact) < 0.01 * exact + 32


def test_digits_take_less_than_by_pixels_alone():
    data = pytest.importorskip("sklearn.datasets").load_digits().data.astype(np.uint8)
    train, test = data[:1200], data[1200:1500]
    alone, tree = (
        len(circuits.encode(circuits.learn(train, 17, k, rounds=6), test)) for k in (1, 12)
    )
    assert tree < 0.86 * alone


def test_damage_is_noticed():
    patches = drawn(30, 5, 9)
    circuit = circuits.learn(patches, 9, 3, rounds=2)
    data = circuits.encode(circuit, patches)
    for at in range(len(data)):
        for bad in (data[:at], data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]):
            with pytest.raises(CorruptStream):
                circuits.decode(circuit, bad, len(patches))
    for count in (29, 31):
        with pytest.raises(CorruptStream):
            circuits.decode(circuit, data, count)


def test_arguments_are_checked():
    patches = drawn(10, 4, 5)
    circuit = circuits.learn(patches, 5, 2, rounds=1)
    for wrong in (patches[:, :3], patches.astype(np.int64), patches + 5):
        with pytest.raises(ValueError, match=r"circuit|uint8"):
            circuits.encode(circuit, wrong)
    for values, states in ((4, 2), (257, 2), (5, 0)):
        with pytest.raises(ValueError, match=r"values|states"):
            circuits.learn(patches, values, states)


def test_intervals():
    rng = np.random.default_rng(2)
    starts = rng.integers(0, 60000, 500)
    freqs = rng.integers(1, 5000, 500)
    data = encode_intervals(starts.tolist(), freqs.tolist())
    coder = IntervalDecoder(data)
    for start, freq in zip(starts.tolist(), freqs.tolist(), strict=True):
        assert start <= coder.slot() < start + freq
        coder.take(start, freq)
    coder.end()
