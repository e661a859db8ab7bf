"""Size against the ideal and against an independent coder, constriction."""

import numpy as np
import pytest

from lictor.entropy import Decoder, Encoder, gaussian_sigmas, gaussian_tables

constriction = pytest.importorskip("constriction")
special = pytest.importorskip("scipy.special")

COUNT = 250_000
SIGMA = gaussian_sigmas()


@pytest.fixture(scope="module")
def workload():
    """Geometrically distributed tables: 61 % of symbols below sigma 0.5, 5 % above 16."""
    rng = np.random.default_rng(3)
    weights = 0.9494 ** (8 * np.log2(SIGMA / SIGMA[0])) * np.gradient(np.log2(SIGMA))
    index = rng.choice(SIGMA.size, COUNT, p=weights / weights.sum()).astype(np.uint8)
    symbols = np.round(rng.normal(size=COUNT) * SIGMA[index]).astype(np.int32)
    return symbols, index


@pytest.fixture(scope="module")
def ideal(workload):
    """Bytes: -log2 of the true probabilities of the drawn symbols."""
    symbols, index = workload
    right = -np.abs(symbols)
    sigma = SIGMA[index]
    p = special.ndtr((right + 0.5) / sigma) - special.ndtr((right - 0.5) / sigma)
    return -np.log2(p).sum() / 8


def coded(symbols, index):
    encoder = Encoder()
    encoder.push(symbols, index)
    return encoder.finish()


def test_within_a_thousandth_of_the_ideal(workload, ideal):
    stream = coded(*workload)
    assert ideal * 0.9995 < len(stream) < ideal * 1.001
    under_tables = gaussian_tables().cost(*workload).sum() / 8
    assert under_tables * 0.9999 < len(stream) < under_tables * 1.0003 + 3 * 8


def test_against_constriction_gaussian(workload):
    """The same symbols, coded with the true Gaussians in 24-bit precision."""
    symbols, index = workload
    model = constriction.stream.model.QuantizedGaussian(-5000, 5000)
    peer = constriction.stream.stack.AnsCoder()
    peer.encode_reverse(symbols, model, np.zeros(COUNT), SIGMA[index])
    ours, theirs = len(coded(symbols, index)), peer.get_compressed().nbytes
    assert abs(ours / theirs - 1) < 0.001


def test_against_constriction_categorical(workload):
    """The same integer tables in both coders, so only the coders differ; escapes left out."""
    symbols, index = workload
    tables = gaussian_tables()
    keep = (tables.shifts[index] == 0) & (np.abs(symbols) <= -tables.offsets[index])
    symbols, index = symbols[keep], index[keep]
    encoder = constriction.stream.queue.RangeEncoder()
    for i in np.unique(index):
        weights = tables.row(int(i))[:-1].astype(np.float64)
        model = constriction.stream.model.Categorical(weights / weights.sum(), perfect=False)
        encoder.encode(symbols[index == i] - tables.offsets[i], model)
    ours, theirs = len(coded(symbols, index)), encoder.get_compressed().nbytes
    assert abs(ours / theirs - 1) < 0.001


def test_round_trip_in_steps(workload):
    """As a context model would: many pulls, each as large as a step."""
    symbols, index = workload
    decoder = Decoder(coded(symbols, index))
    pulled = [decoder.pull(part) for part in np.array_split(index, 37)]
    decoder.close()
    assert (np.concatenate(pulled) == symbols).all()
