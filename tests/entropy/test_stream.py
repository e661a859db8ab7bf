"""The bytes of streams: literal ones, and the way there and back."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest

from lictor.entropy import Decoder, Encoder, Tables, gaussian_sigmas, gaussian_tables, reference

SYMBOLS = np.array([0, -1, 1, 3, 0, 0, -5, 40, -300, 2**31 - 1, -(2**31), 32767], np.int32)
INDEX = np.array([5, 20, 31, 30, 8, 0, 40, 60, 95, 0, 90, 12], np.uint8)


def encode(symbols, index, tables=None):
    encoder = Encoder(tables)
    encoder.push(np.asarray(symbols, np.int32), np.asarray(index, np.uint8))
    return encoder.finish()


def decode(data, index, tables=None):
    decoder = Decoder(data, tables)
    symbols = decoder.pull(np.asarray(index, np.uint8))
    decoder.close()
    return symbols


def draw(seed, count, low=0, high=128):
    """Gaussian symbols for tables low..high-1."""
    rng = np.random.RandomState(seed)  # frozen, unlike default_rng: golden streams hang on it
    index = rng.randint(low, high, count).astype(np.uint8)
    symbols = np.round(rng.normal(size=count) * gaussian_sigmas()[index]).astype(np.int32)
    return symbols, index


def test_nothing(backend):
    assert Encoder().finish() == bytes(3)
    assert decode(bytes(3), []).shape == (0,)


def test_one_symbol(backend):
    """22 bits of tail, the first state of the lane in it, and nothing else."""
    tables = Tables.from_frequencies([[4096, 8192, 4095, 1]], offsets=-1)
    # x = 2^16 // 8192 * 2^14 + 4096 = 135168 = 2^17 + 4096: e = 1, m = 4096.
    tail = 0 | 1 << 2 | 4096 << 6
    assert encode([0], [0], tables) == tail.to_bytes(3, "big")
    assert decode(tail.to_bytes(3, "big"), [0], tables).tolist() == [0]


def test_golden_gaussian(backend):
    stream = bytes.fromhex(GOLDEN_GAUSSIAN)
    assert encode(SYMBOLS, INDEX) == stream
    assert decode(stream, INDEX).tolist() == SYMBOLS.tolist()


def test_golden_mixed(backend, mixed):
    symbols = [-2, 0, 1, 7, -64, -80, 79, 80, 123456, 0, 2, -2, 1, 7]
    index = [0, 1, 1, 2, 3, 3, 3, 3, 4, 4, 0, 0, 0, 2]
    stream = bytes.fromhex(GOLDEN_MIXED)
    assert encode(symbols, index, mixed) == stream
    assert decode(stream, index, mixed).tolist() == symbols


@pytest.mark.parametrize("lanes", [4, 8, 32])
def test_golden_lanes(backend, monkeypatch, lanes):
    """Decoders take any number of lanes; encoders would code so few symbols in one."""
    symbols, index = draw(lanes, {4: 100, 8: 120, 32: 300}[lanes], 40, 72)
    stream = bytes.fromhex(GOLDEN_LANES[lanes])
    assert decode(stream, index).tolist() == symbols.tolist()
    if backend == "reference":
        monkeypatch.setattr(reference, "choose_lanes", lambda size: lanes)
        assert encode(symbols, index) == stream


@pytest.mark.parametrize("lanes", [1, 4, 8, 32])
def test_long_streams(use, lanes):
    """A stream of each number of lanes, equal from both encoders, and known for ever."""
    symbols, index = draw(lanes, {1: 1000, 4: 9000, 8: 15000, 32: 50000}[lanes])
    use("c")
    stream = encode(symbols, index)
    assert (1, 4, 8, 32)[stream[-1] & 3] == lanes
    assert hashlib.sha256(stream).hexdigest()[:16] == GOLDEN_LONG[lanes]
    assert (decode(stream, index) == symbols).all()
    use("reference")
    assert encode(symbols, index) == stream
    assert (decode(stream, index) == symbols).all()


@pytest.mark.parametrize("size", [4065, 4090, 6113, 6138, 12257, 12282])
def test_lanes_by_size(backend, size):
    """The encoder changes the number of lanes at the stated sizes, not elsewhere."""
    tables = Tables.from_frequencies([[64] * 255 + [64]], offsets=0)
    symbols = np.random.default_rng(1).integers(0, 255, size).astype(np.int32)
    stream = encode(symbols, np.zeros(size, np.uint8), tables)
    in_32 = size + 20  # within a few bytes
    lanes = 1 if in_32 < 4096 else 4 if in_32 < 6144 else 8 if in_32 < 12288 else 32
    assert (1, 4, 8, 32)[stream[-1] & 3] == lanes
    assert size < len(stream) <= size + lanes // 2 + 5  # half a byte a lane, and where they join


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 1000])
def test_certain_symbols_are_free(backend, mixed, count):
    assert encode([7] * count, [2] * count, mixed) == bytes(3)
    assert decode(bytes(3), [2] * count, mixed).tolist() == [7] * count


def test_certain_symbols_between_others(backend, mixed):
    """They are not in the stream, so that nothing of it changes."""
    alone = encode([0, 1, 1, 0] * 900, [1] * 3600, mixed)
    between = encode([0, 7, 1, 7, 1, 7, 0, 7] * 900, [1, 2] * 3600, mixed)
    assert between == alone


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_certain_symbols_anywhere(backend, share):
    """In long runs and short ones, cut anywhere, with 256 tables and symbols beyond int16."""
    rng = np.random.default_rng(int(100 * share))
    rows = [[16384, 0] if t % 3 else [4096] * 3 + [4095, 1] for t in range(256)]
    tables = Tables.from_frequencies(rows, rng.integers(-(2**17), 2**17, 256))
    index = rng.integers(0, 256, 9000) // 3 * 3
    index += (rng.random(9000) < share) * rng.integers(1, 3, 9000)
    index[4000:5000] = 7
    index = np.minimum(index, 255).astype(np.uint8)
    symbols = tables.offsets[index] + rng.integers(0, 4, 9000, dtype=np.int32) * (index % 3 == 0)
    uncertain = index % 3 == 0
    whole = encode(symbols, index, tables)
    assert whole == encode(symbols[uncertain], index[uncertain], tables)
    encoder, decoder = Encoder(tables), Decoder(whole, tables)
    cuts = [0, *sorted(rng.integers(0, 9000, 20).tolist()), 9000]
    for at, end in pairwise(cuts):
        encoder.push(symbols[at:end], index[at:end])
        assert (decoder.pull(index[at:end]) == symbols[at:end]).all()
    decoder.close()
    assert encoder.finish() == whole
    assert encoder.checksum == decoder.checksum


@pytest.mark.parametrize("position", [0, 1, 31, 33, 4095, 4097, 4999])
def test_a_certain_symbol_that_is_another(backend, mixed, position):
    """It is refused, wherever it stands, and nothing is added."""
    symbols, index = np.full(5000, 7, np.int32), np.full(5000, 2, np.uint8)
    symbols[position] = 8
    encoder = Encoder(mixed)
    with pytest.raises(ValueError, match=f"symbol 8 at position {position} is outside table 2"):
        encoder.push(symbols, index)
    assert encoder.finish() == bytes(3)


def test_lanes_without_words(backend):
    """The last symbols are almost certain, so that most lanes begin with nothing."""
    tables = Tables.from_frequencies([[64] * 256, [16382, 1, 1]], offsets=0)
    index = (np.arange(30000) >= 13000).astype(np.uint8)
    symbols = np.where(index, 0, np.random.default_rng(3).integers(0, 255, 30000)).astype(np.int32)
    stream = encode(symbols, index, tables)
    assert stream[-1] & 3 == 3 and 13000 < len(stream) < 13090
    assert (decode(stream, index, tables) == symbols).all()


def test_too_little_for_lanes(backend):
    """Raw bits alone: the other lanes would have no words to begin with."""
    tables = Tables.from_frequencies([[16384, 0]], offsets=0, shifts=16)
    symbols = np.random.default_rng(2).integers(-(2**15), 2**15, 8000).astype(np.int32)
    stream = encode(symbols, np.zeros(8000, np.uint8), tables)
    assert stream[-1] & 3 == 0 and len(stream) == 16003
    assert (decode(stream, np.zeros(8000, np.uint8), tables) == symbols).all()


@pytest.mark.parametrize("lanes", [1, 4, 8, 32])
def test_cuts_do_not_matter(backend, lanes):
    symbols, index = draw(7, {1: 1000, 4: 9000, 8: 15000, 32: 30000}[lanes])
    whole = encode(symbols, index)
    assert (1, 4, 8, 32)[whole[-1] & 3] == lanes
    rng = np.random.default_rng(0)
    sizes = (0, 1, 2, 3, 7, 8, 9, 31, 255, 256, 257, 600)
    encoder, decoder = Encoder(), Decoder(whole)
    at = 0
    while at < len(symbols):
        cut = slice(at, at + int(rng.choice(sizes)))
        encoder.push(symbols[cut], index[cut])
        at = cut.stop
    assert encoder.finish() == whole
    at = 0
    while at < len(symbols):
        cut = slice(at, at + int(rng.choice(sizes)))
        assert (decoder.pull(index[cut]) == symbols[cut]).all()
        at = cut.stop
    decoder.close()
    assert decoder.checksum == encoder.checksum


def test_tables_for_one_push(backend, mixed):
    encoder = Encoder()
    first, second = draw(1, 50), draw(2, 50)
    encoder.push(*first)
    encoder.push(np.array([7, 1], np.int32), np.array([2, 1], np.uint8), mixed)
    encoder.push(np.array([1], np.int32), np.array([1], np.uint8), tables=mixed)
    encoder.push(*second, gaussian_tables())
    decoder = Decoder(encoder.finish())
    assert (decoder.pull(first[1]) == first[0]).all()
    assert decoder.pull(np.array([2], np.uint8), mixed).tolist() == [7]
    assert decoder.pull(np.array([1, 1], np.uint8), tables=mixed).tolist() == [1, 1]
    assert (decoder.pull(second[1]) == second[0]).all()
    decoder.close()


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)])
def test_decoder_takes_bytes_of_any_kind(backend, kind):
    assert decode(kind(encode(SYMBOLS, INDEX)), INDEX).tolist() == SYMBOLS.tolist()


def test_decoder_keeps_a_copy(backend):
    data = bytearray(encode(SYMBOLS, INDEX))
    decoder = Decoder(data)
    data[:] = bytes(len(data))
    data.clear()
    assert decoder.pull(INDEX).tolist() == SYMBOLS.tolist()


def test_small_streams_are_small(backend):
    """At most 22 bits, and filling up to a byte, more than the ideal; from 1 symbol to 200."""
    tables = gaussian_tables()
    for count in range(1, 200, 9):
        symbols, index = draw(count, count, 0, 90)
        ideal = tables.cost(symbols, index).sum()
        assert 8 * len(encode(symbols, index)) < ideal * 1.0005 + 22 + 8


# Made by the reference; never to be changed, or old files do not decode any more.
GOLDEN_GAUSSIAN = "a546ff3fff3fff3fff3fff3ffffefffffffffffffffffffeffff02570050000943797a28"
GOLDEN_MIXED = "0240ffcfffffff7f0040fd7f000009000000078901fffe0140013c08200004"
GOLDEN_LANES = {
    4: ("1348ebb5a36585c8d2bd89236de45b8c16b4917987c92150428644ef4130e23983f005"),
    8: (
        "62091cbb4963d9d4c99dfee84b67c5d210304209272fafc8576c2cefc3d70ec38fb7ad38d0078d83"
        "25c56e67947c06"
    ),
    32: (
        "7634970cbc52bc6db7a60dfc6861746a88daa7c78c5c4c98e8d29a0b1acd8f27bd34976a3213117c"
        "aab74009e501e508250943978a78d0e8c604cccce9d36122224013b8310704898ef2bd735cc1320e"
        "5e9be663c2e149751024e5cabfe8d87a2b5293b81ae68627339b42d6a007"
    ),
}
GOLDEN_LONG = {
    1: "b66f584740b2b383",
    4: "a3682e1ccfe7c0fd",
    8: "70f5a0fd3afd9ca6",
    32: "065632b51f21f9cc",
}
