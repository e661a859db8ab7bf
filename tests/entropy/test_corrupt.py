"""Hostile streams: a typed error or a result, from all implementations alike."""

import os
import time
from itertools import chain

import numpy as np
import pytest

from lictor.entropy import CorruptStream, Decoder, Encoder, Tables, paths, reference


def outcome(data, index, tables, pieces=1):
    try:
        decoder = Decoder(data, tables)
        symbols = [decoder.pull(piece).tolist() for piece in np.array_split(index, pieces)]
        decoder.close()
    except CorruptStream as error:
        return str(error)
    return list(chain.from_iterable(symbols))


def same_outcome(data, index, tables):
    """The one outcome of all implementations, however the pulls are cut."""
    results = []
    for name in paths():
        os.environ["LICTOR_CODER"] = name
        results += [outcome(data, index, tables), outcome(data, index, tables, 3)]
    assert all(result == results[0] for result in results)
    return results[0]


@pytest.fixture(autouse=True)
def restore_choice(monkeypatch):
    monkeypatch.setenv("LICTOR_CODER", "c")


@pytest.fixture(params=[1, 4, 8, 32])
def short_stream(request, monkeypatch, mixed):
    """(data, index, tables, symbols) with words, escapes, shifts, and a place where lanes join."""
    rng = np.random.default_rng(5)
    tables = Tables.from_frequencies(
        [*map(mixed.row, range(5)), [61, 67] * 128], [*mixed.offsets, -100], [*mixed.shifts, 0]
    )
    index = np.append(np.tile(np.arange(5), 14), np.full(3 * request.param, 5)).astype(np.uint8)
    count = index.size
    symbols = np.select(
        [index == 0, index == 1, index == 2, index == 3, index == 4],
        [
            rng.integers(-3, 3, count),
            rng.integers(0, 2, count),
            7,
            rng.integers(-90, 90, count),
            rng.integers(-50000, 50000, count),
        ],
        rng.integers(-100, 155, count),
    ).astype(np.int32)
    monkeypatch.setenv("LICTOR_CODER", "reference")
    with monkeypatch.context() as patch:
        patch.setattr(reference, "choose_lanes", lambda size: request.param)
        encoder = Encoder(tables)
        encoder.push(symbols, index)
        data = encoder.finish()
    assert (1, 4, 8, 32)[data[-1] & 3] == request.param
    return data, index, tables, symbols.tolist()


def test_intact(short_stream):
    data, index, tables, symbols = short_stream
    assert same_outcome(data, index, tables) == symbols


def test_every_truncation(short_stream):
    data, index, tables, symbols = short_stream
    for cut in range(len(data)):
        assert same_outcome(data[:cut], index, tables) != symbols
        assert same_outcome(data[len(data) - cut :], index, tables) != symbols


def test_every_flip(short_stream):
    data, index, tables, _ = short_stream
    refused = 0
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            refused += isinstance(same_outcome(bytes(damaged), index, tables), str)
    assert refused > 3 * len(data)  # the rest are other raw bits, and other symbols for them


def test_every_first_and_last_byte(short_stream):
    data, index, tables, _ = short_stream
    for value in range(256):
        same_outcome(bytes([value]) + data[1:], index, tables)
        same_outcome(data[:-1] + bytes([value]), index, tables)


def test_bytes_added(short_stream):
    data, index, tables, _ = short_stream
    for at in (0, len(data) // 2, len(data)):
        for extra in (b"\0", b"\xff", bytes(100)):
            result = same_outcome(data[:at] + extra + data[at:], index, tables)
            assert isinstance(result, str)


def test_symbols_missing_or_too_many(short_stream):
    data, index, tables, symbols = short_stream
    assert isinstance(same_outcome(data, index[:-1], tables), str)
    assert isinstance(same_outcome(data, index[:0], tables), str)
    assert isinstance(same_outcome(data, np.append(index, index), tables), str)
    # One certain symbol more cannot be noticed, and does no harm.
    assert same_outcome(data, np.append(index, np.uint8(2)), tables) == [*symbols, 7]


def test_other_tables(short_stream, mixed):
    data, index, _, _ = short_stream
    other = Tables.from_frequencies([[2**13, 2**13 - 1, 1]] * 6, [0] * 6)
    assert isinstance(same_outcome(data, index, other), str)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_shorter_than_a_state(backend, size):
    with pytest.raises(CorruptStream, match="too short to hold even its states"):
        Decoder(bytes(size))


@pytest.mark.parametrize("last, need", [(0, 3), (1, 11), (2, 21), (3, 81)])
def test_states_must_fit(backend, last, need):
    """Zero states of N lanes take 2 + 20 N bits."""
    Decoder(bytes(need - 1) + bytes([last]))
    with pytest.raises(CorruptStream, match="too short to hold even its states"):
        Decoder(bytes(need - 2) + bytes([last]))


def test_end_of_stream_is_checked(backend, mixed):
    two = np.array([1, 1], np.uint8)
    encoder = Encoder(mixed)
    encoder.push(np.array([0, 1], np.int32), two)
    data = encoder.finish()
    decoder = Decoder(data, mixed)
    with pytest.raises(CorruptStream, match="does not end as streams do"):
        decoder.close()
    decoder.pull(two)
    decoder.close()
    with pytest.raises(CorruptStream, match="4 bytes of the stream are left over"):
        Decoder(bytes(4) + bytes(3), mixed).close()
    with pytest.raises(CorruptStream, match="does not end as streams do"):
        Decoder(b"\x80" + bytes(2), mixed).close()  # a bit that fills up the tail's last byte


def test_a_failed_decoder_stays_failed(backend, mixed):
    decoder = Decoder(bytes(3), mixed)
    with pytest.raises(CorruptStream, match="ends before its symbols do"):
        decoder.pull(np.ones(3, np.uint8))
    for _ in range(2):
        with pytest.raises(CorruptStream, match="ends before its symbols do"):
            decoder.pull(np.full(1, 2, np.uint8))
        with pytest.raises(CorruptStream, match="ends before its symbols do"):
            decoder.close()


def test_many_symbols_from_few_bytes(mixed):
    """What is asked for bounds time and memory, not what the stream claims."""
    start = time.perf_counter()
    decoder = Decoder(bytes(3), mixed)
    assert (decoder.pull(np.full(1_000_000, 2, np.uint8)) == 7).all()
    for noise in (b"\xff" * 100, bytes(100), bytes(range(100))):
        with pytest.raises(CorruptStream):
            Decoder(noise, mixed).pull(np.ones(1_000_000, np.uint8))
    assert time.perf_counter() - start < 5


def joined_early():
    """(symbols, index, tables) whose lanes join long before the end."""
    rng = np.random.default_rng(6)
    tables = Tables.from_frequencies([[64] * 256, [16382, 1, 1]], [0, 0])
    index = (np.arange(28000) >= 15000).astype(np.uint8)
    return np.where(index, 0, rng.integers(0, 255, 28000)).astype(np.int32), index, tables


def test_a_refused_pull_undoes_joining(backend):
    """The lanes' words were put back into the stream; what they lay on is there again."""
    symbols, index, tables = joined_early()
    encoder = Encoder(tables)
    encoder.push(symbols, index)
    data = encoder.finish()
    assert data[-1] & 3 == 3
    decoder = Decoder(data, tables)
    wrong = index.copy()
    wrong[-1] = 2
    with pytest.raises(ValueError, match="index 2 is beyond"):
        decoder.pull(wrong)
    assert (decoder.pull(index) == symbols).all()
    decoder.close()


def test_joined_lanes_are_checked(backend):
    """States that are no words, words not read, and symbols that end before the lanes join."""
    tables = Tables.from_frequencies([[64] * 256, [16384, 0]], [0, 0], [0, 1])
    # 4 lanes that join before symbol 32, all states 2^16, but lane 2's is 2^17.
    fields = [(1, 2), (0, 5), (0, 4), (0, 16), (0, 4), (0, 16), (1, 4), (0, 17), (0, 4), (0, 16)]
    raw = np.ones(33, np.uint8)
    with pytest.raises(CorruptStream, match="ends before"):
        Decoder(stream_of([*fields, (0, 33)]), tables).pull(raw)
    fields[6:8] = [(0, 4), (5, 16)]
    decoder = Decoder(stream_of([*fields, (0, 33)]), tables)
    decoder.pull(raw)
    with pytest.raises(CorruptStream, match="does not end as streams do"):
        decoder.close()
    fields[6:8] = [(0, 4), (0, 16)]
    for count in (32, 33):
        decoder = Decoder(stream_of([*fields, (0, count)]), tables)
        decoder.pull(raw[:count])
        if count == 33:
            decoder.close()
            continue
        with pytest.raises(CorruptStream, match="does not end as streams do"):
            decoder.close()


def stream_of(fields):
    """A stream of no words, and these (value, bits) in its tail."""
    bits = list(chain.from_iterable(reference.to_bits(*field) for field in fields))
    return reference.from_bits(bits)[::-1]
