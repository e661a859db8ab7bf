"""Random tables and symbols: all implementations agree on every byte, and everything comes back."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lictor.entropy import CorruptStream, Decoder, Encoder, Tables, paths, reference
from lictor.entropy.pmf import TOTAL, quantise

_rans = pytest.importorskip("lictor.entropy._rans")

INT32 = st.integers(-(2**31), 2**31 - 1)


@st.composite
def rows(draw):
    """One table: (frequencies with the escape, offset, shift)."""
    weights = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
    if draw(st.booleans()):
        freqs = quantise(np.array([w + 1e-6 for w in weights] + [1e-6])).tolist()
    else:
        freqs = [*quantise(np.array([w + 1e-6 for w in weights])).tolist(), 0]
    shift = draw(st.integers(0, 16))
    offset = draw(st.integers(-300, 300) | st.integers(-(2**14) + 1, 2**14 - 60))
    return freqs, offset, shift


@st.composite
def streams(draw):
    """(tables, symbols, index), all codable."""
    chosen = draw(st.lists(rows(), min_size=1, max_size=5))
    tables = Tables.from_frequencies(*(list(column) for column in zip(*chosen, strict=True)))
    symbols, index = [], []
    for _ in range(draw(st.integers(0, 60))):
        t = draw(st.integers(0, len(tables) - 1))
        freqs, offset, shift = chosen[t]
        if freqs[-1] and draw(st.integers(0, 3)) == 0:
            symbol = draw(INT32 | st.integers(-40000, 40000))
        else:
            half = (1 << shift) >> 1
            low = (offset << shift) - half
            symbol = draw(st.integers(low, low + (len(freqs) - 1 << shift) - 1))
        symbols.append(symbol)
        index.append(t)
    return tables, np.array(symbols, np.int32), np.array(index, np.uint8)


@pytest.fixture(autouse=True)
def restore_choice(monkeypatch):
    """Hypothesis runs one test many times, so the tests below set the variable themselves."""
    monkeypatch.setenv("LICTOR_CODER", "c")


def each_backend():
    for name in paths():
        os.environ["LICTOR_CODER"] = name
        yield name


def outcome(data, index, tables, cut=0):
    """What a decoder says to these bytes: symbols, or the error's words."""
    try:
        decoder = Decoder(data, tables)
        symbols = decoder.pull(index[:cut]).tolist() + decoder.pull(index[cut:]).tolist()
        decoder.close()
    except CorruptStream as error:
        return str(error)
    return symbols


@settings(max_examples=120, deadline=None, derandomize=True)
@given(streams(), st.data())
def test_round_trip(stream, data):
    tables, symbols, index = stream
    cut = data.draw(st.integers(0, len(symbols)))
    coded = set()
    for _ in each_backend():
        encoder = Encoder(tables)
        encoder.push(symbols[:cut], index[:cut])
        encoder.push(symbols[cut:], index[cut:])
        coded.add(encoder.finish())
    assert len(coded) == 1
    (coded,) = coded
    for _ in each_backend():
        assert outcome(coded, index, tables) == symbols.tolist()
    ideal = tables.cost(symbols, index).sum()
    assert 8 * len(coded) <= ideal * 1.01 + 22 + 8


@settings(max_examples=60, deadline=None, derandomize=True)
@given(streams(), st.sampled_from([4, 8, 32]), st.integers(1, 20), st.data())
def test_lanes(stream, lanes, times, data):
    """Streams that the public interface would code in one lane; also damaged, and cut elsewhere."""
    tables, symbols, index = stream
    symbols, index = np.tile(symbols, times), np.tile(index, times)
    cut = data.draw(st.integers(0, len(symbols)))
    slow = reference.Encoder()
    slow.push(symbols, index, tables.compiled(reference))
    coded = slow.stream(lanes)
    for path in paths()[:-1]:
        fast = _rans.Encoder(path)
        for part in (slice(cut), slice(cut, None)):
            assert fast.push(symbols[part], index[part], tables.compiled(_rans), False) == -1
        assert fast.finish(lanes) == coded
    for _ in each_backend():
        assert outcome(coded, index, tables, cut) == symbols.tolist()
    damaged = bytearray(coded)
    damaged[data.draw(st.integers(0, len(coded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert len({str(outcome(bytes(damaged), index, tables, cut)) for _ in each_backend()}) == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(streams(), st.binary(max_size=200))
def test_noise_has_one_outcome(stream, noise):
    """Any bytes decode to something or are refused, the same way by all."""
    tables, _, index = stream
    assert len({str(outcome(noise, index, tables)) for _ in each_backend()}) == 1


@settings(max_examples=120, deadline=None, derandomize=True)
@given(streams(), st.data())
def test_damage_has_one_outcome(stream, data):
    tables, symbols, index = stream
    encoder = Encoder(tables)
    encoder.push(symbols, index)
    coded = bytearray(encoder.finish())
    for _ in range(data.draw(st.integers(1, 3))):
        coded[data.draw(st.integers(0, len(coded) - 1))] = data.draw(st.integers(0, 255))
    assert len({str(outcome(bytes(coded), index, tables)) for _ in each_backend()}) == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=256).filter(lambda p: sum(p) > 0))
def test_quantise(p):
    freqs = quantise(p)
    assert freqs.dtype == np.uint16 and freqs.sum() == TOTAL and freqs.min() >= 1
