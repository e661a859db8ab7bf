"""The bytes of streams: literal ones, and the way there and back."""

import hashlib

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
    symbols, index = draw(lanes, 40, 40, 72)
    stream = bytes.fromhex(GOLDEN_LANES[lanes])
    assert decode(stream, index).tolist() == symbols.tolist()
    if backend == "reference":
        monkeypatch.setattr(reference, "choose_lanes", lambda bits: lanes)
        assert encode(symbols, index) == stream


@pytest.mark.parametrize("lanes", [1, 4, 8, 32])
def test_long_streams(use, lanes):
    """A stream of each number of lanes, equal from both encoders, and known for ever."""
    symbols, index = draw(lanes, {1: 1000, 4: 20000, 8: 50000, 32: 300000}[lanes])
    use("c")
    stream = encode(symbols, index)
    assert (1, 4, 8, 32)[stream[-1] & 3] == lanes
    assert hashlib.sha256(stream).hexdigest()[:16] == GOLDEN_LONG[lanes]
    assert (decode(stream, index) == symbols).all()
    use("reference")
    assert encode(symbols, index) == stream
    if lanes < 32:
        assert (decode(stream, index) == symbols).all()


@pytest.mark.parametrize("size", [8190, 8200, 24570, 24580, 131066, 131080])
def test_lanes_by_size(backend, size):
    """The encoder changes the number of lanes at the stated sizes, not elsewhere."""
    if backend == "reference" and size > 30000:
        pytest.skip("slow; test_long_streams compares such streams")
    tables = Tables.from_frequencies([[64] * 255 + [64]], offsets=0)
    symbols = np.random.default_rng(1).integers(0, 255, size).astype(np.int32)
    stream = encode(symbols, np.zeros(size, np.uint8), tables)
    lanes = 1 if size < 8192 else 4 if size < 24576 else 8 if size < 131072 else 32
    assert (1, 4, 8, 32)[stream[-1] & 3] == lanes
    assert size + 2 * lanes < len(stream) <= size + 3 * lanes + 2


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 1000])
def test_certain_symbols_are_free(backend, mixed, count):
    assert encode([7] * count, [2] * count, mixed) == bytes(3)
    assert decode(bytes(3), [2] * count, mixed).tolist() == [7] * count


def test_certain_symbols_between_others(backend, mixed):
    """They take a place in a lane, but no bits."""
    alone = encode([0, 1, 1, 0] * 9, [1] * 36, mixed)
    between = encode([0, 7, 1, 7, 1, 7, 0, 7] * 9, [1, 2] * 36, mixed)
    assert len(between) == len(alone)


@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_cuts_do_not_matter(backend, lanes):
    symbols, index = draw(7, {1: 1000, 4: 20000, 8: 50000}[lanes])
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
    4: "14191bcceff1aeb8143dc6f44db90bd2d419a5ba4415",
    8: "4b3a105f158566bc5a37f3caf82834fb8a94f6df6d96b718b0a853b311670be2",
    32: (
        "00d4a8177d680ef7447109cc957a22423a4b3e38a53745181621f7e4b75d00f22e2e6a70aea40821"
        "81a77d6801754581ffa5c725b2139d09a95028eccc606e415a70e47095c52dc7c4eec652dd36c261"
        "427319d1c84d93aa46408f"
    ),
}
GOLDEN_LONG = {
    1: "b66f584740b2b383",
    4: "42e81f7969c0b8bf",
    8: "2aeac647ac568985",
    32: "a023ad42ba845852",
}
