"""Integer tables of a factorised prior: cheap, complete, stored exactly. Needs no CompressAI."""

import numpy as np
import pytest
import torch

from lictor.entropy import Decoder, Encoder, Pull, Push
from lictor.models.coding.compressai_prior import Prior


class Logistic:
    """What `Prior` asks of an EntropyBottleneck: the logits of cumulative distributions."""

    def __init__(self, centres, scales):
        self.centres = torch.tensor(centres, dtype=torch.float64)[:, None, None]
        self.scales = torch.tensor(scales, dtype=torch.float64)[:, None, None]

    def _logits_cumulative(self, x, stop_gradient):
        return (x - self.centres) / self.scales

    def masses(self, reach, medians):
        """(C, 2 * reach + 1)."""
        edges = medians[:, None, None] + torch.arange(-reach, reach + 2) - 0.5
        cumulative = self._logits_cumulative(edges.double(), True)[:, 0].sigmoid().numpy()
        return np.diff(cumulative, axis=1)


def made(centres, scales, medians=None):
    medians = torch.tensor(centres if medians is None else medians, dtype=torch.float64)
    bottleneck = Logistic(centres, scales)
    return Prior.from_bottleneck(bottleneck, medians), bottleneck.masses(4000, medians)


def size(prior, symbols):
    encoder = Encoder()
    prior.code(Push(encoder), symbols, symbols.shape[1])
    data = encoder.finish()
    decoder = Decoder(data)
    assert np.array_equal(prior.code(Pull(decoder), None, symbols.shape[1]), symbols)
    decoder.close()
    return len(data)


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 5.0, 20.0, 60.0, 200.0])
def test_tables_cost_little_more_than_the_distribution(scale):
    prior, masses = made([0.3], [scale], [0.1])
    p = masses[0] / masses[0].sum()
    symbols = np.random.default_rng(1).choice(np.arange(-4000, 4001), (1, 40000), p=p)
    ideal = -np.log2(p[symbols + 4000]).sum() / 8
    assert size(prior, symbols.astype(np.int32)) <= 1.003 * ideal + 12


def test_a_channel_that_never_varies_is_almost_free():
    prior, _ = made([7.0], [0.001])
    assert size(prior, np.zeros((1, 10000), np.int32)) < 10


def test_a_median_beside_the_distribution_is_no_harm():
    prior, _ = made([500.0], [2.0], [0.0])
    assert size(prior, np.full((1, 1000), 500, np.int32)) < 1000 * 4 / 8


def test_any_integer_can_be_coded():
    prior, _ = made([0.0, 3.0], [0.01, 60.0])
    symbols = np.array([[0, 1, -1, 2**31 - 1], [5000, -(2**31), -32768, 40000]], np.int32)
    size(prior, symbols)


def test_more_channels_than_one_set_of_tables_holds():
    scales = np.geomspace(0.1, 30, 320)
    prior, _ = made(np.zeros(320).tolist(), scales.tolist())
    symbols = np.random.default_rng(2).logistic(0, scales[:, None], (320, 5)).round()
    size(prior, symbols.astype(np.int32))


def test_stored_tables_are_the_same_tables():
    prior, _ = made(np.zeros(300).tolist(), np.geomspace(0.1, 100, 300).tolist())
    tensors = prior.tensors()
    assert not any(t.is_floating_point() for t in tensors.values())
    again = Prior.from_tensors(tensors, prior.medians)
    assert again._groups == prior._groups
    assert len(prior._groups) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.pop("shifts"),
        lambda t: t.update(lengths=t["lengths"] + 1),
        lambda t: t.update(lengths=-t["lengths"]),
        lambda t: t.update(lengths=t["lengths"][:1]),
        lambda t: t.update(lengths=torch.tensor(3)),
        lambda t: t.update(offsets=t["offsets"].double()),
        lambda t: t.update(offsets=t["offsets"][:1]),
        lambda t: t.update(frequencies=t["frequencies"].flip(0) + 1),
        lambda t: t.update(shifts=t["shifts"] + 100),
    ],
)
def test_damaged_tables_are_refused(damage):
    prior, _ = made([0.0, 1.0], [1.0, 2.0])
    tensors = prior.tensors()
    damage(tensors)
    with pytest.raises(RuntimeError, match="coding table"):
        Prior.from_tensors(tensors, prior.medians)
