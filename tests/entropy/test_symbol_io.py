"""One order of symbols, three directions."""

from __future__ import annotations

import numpy as np
import pytest

from lictor.entropy import Decoder, Encoder, Price, Pull, Push, SymbolIo, Tables, gaussian_tables

TABLES = Tables.from_frequencies([[8192, 4096, 4096]], 0)


def two_calls(io: SymbolIo, symbols: np.ndarray | None) -> np.ndarray:
    """The second call's tables follow from what the first gives back."""
    first = io.code(None if symbols is None else symbols[:3], np.array([5, 30, 40], np.uint8))
    index = np.array([abs(first[0]) % 50, 7], np.uint8)
    second = io.code(None if symbols is None else symbols[3:5], index)
    third = io.code(None if symbols is None else symbols[5:], np.zeros(1, np.uint8), TABLES)
    return np.concatenate([first, second, third])


@pytest.mark.parametrize("values", [[0, -2, 7, 3, -1, 1], [49, 2**31 - 1, -(2**31), 0, 40000, -9]])
def test_a_decoder_gets_what_an_encoder_was_given(values: list[int]) -> None:
    symbols = np.array(values, np.int32)
    encoder = Encoder()
    assert np.array_equal(two_calls(Push(encoder), symbols), symbols)
    decoder = Decoder(encoder.finish())
    pulled = two_calls(Pull(decoder), None)
    decoder.close()
    assert pulled.dtype == np.int32 and np.array_equal(pulled, symbols)
    assert decoder.checksum == encoder.checksum


def test_a_price_is_what_the_stream_costs() -> None:
    random = np.random.default_rng(0)
    index = random.integers(0, 60, 20000).astype(np.uint8)
    symbols = random.integers(-3, 4, index.size).astype(np.int32)
    price, encoder = Price(), Encoder()
    for io in (price, Push(encoder)):
        assert np.array_equal(io.code(symbols[:7], index[:7]), symbols[:7])
        io.code(symbols[7:], index[7:])
    assert price.bits == pytest.approx(gaussian_tables().cost(symbols, index).sum())
    assert price.bits == pytest.approx(8 * len(encoder.finish()), rel=0.01)


@pytest.mark.parametrize("io", [Push(Encoder()), Price()])
def test_only_a_decoder_goes_without_symbols(io: SymbolIo) -> None:
    with pytest.raises(ValueError, match="no symbols to code"):
        io.code(None, np.zeros(3, np.uint8))
