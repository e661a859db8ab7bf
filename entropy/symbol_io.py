"""One direction of a stream of symbols, so that the order of symbols is written once for all.

What codes is given an `io` and the symbols that it would have coded; it goes on with what `io`
gives back. An encoder has Push, a decoder Pull, an estimate Price.

>>> def pair(io, values):
...     return io.code(values, np.array([5, 30], np.uint8))
>>> encoder = Encoder()
>>> _ = pair(Push(encoder), np.array([0, -2], np.int32))
>>> pair(Pull(Decoder(encoder.finish())), None)
array([ 0, -2], dtype=int32)
"""

from __future__ import annotations

from typing import Protocol

from lictor.entropy.coder import Decoder, Encoder
from lictor.entropy.gaussian import gaussian_tables
from lictor.entropy.tables import Int32Array, Tables, UInt8Array


class SymbolIo(Protocol):
    """Codes symbols in one direction.

    Attributes:
        decoding: whether the symbols come from the stream; what they should be is then not known.
    """

    decoding: bool

    def code(
        self, symbols: Int32Array | None, index: UInt8Array, tables: Tables | None = None
    ) -> Int32Array:
        """Code the next symbols.

        Args:
            symbols: int32 (n,), contiguous; None of a decoder, which does not look at them.
            index: uint8 (n,), contiguous; the table of each.
            tables: used for these symbols instead of the coder's own.

        Returns:
            int32 (n,), what the decoder has of them.

        Raises:
            CorruptStream: a decoder's stream has fewer symbols.
            TypeError, ValueError: as for `Encoder.push` and `Decoder.pull`.
        """
        ...


class Push:
    """Into an encoder; a `SymbolIo`.

    Args:
        encoder: what the symbols are pushed to.

    Attributes:
        decoding: False.
    """

    decoding = False

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def code(
        self, symbols: Int32Array | None, index: UInt8Array, tables: Tables | None = None
    ) -> Int32Array:
        """As `SymbolIo.code`."""
        known = _known(symbols)
        self.encoder.push(known, index, *_given(tables))
        return known


class Pull:
    """Out of a decoder; a `SymbolIo`.

    Args:
        decoder: what the symbols are pulled from.

    Attributes:
        decoding: True.
    """

    decoding = True

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def code(
        self, symbols: Int32Array | None, index: UInt8Array, tables: Tables | None = None
    ) -> Int32Array:
        """As `SymbolIo.code`."""
        return self.decoder.pull(index, *_given(tables))


class Price:
    """Into nothing; a `SymbolIo`.

    Attributes:
        decoding: False.
        bits: what the symbols would have cost so far, without what ends a stream.
    """

    decoding = False

    def __init__(self) -> None:
        self.bits = 0.0

    def code(
        self, symbols: Int32Array | None, index: UInt8Array, tables: Tables | None = None
    ) -> Int32Array:
        """As `SymbolIo.code`."""
        known = _known(symbols)
        tables = gaussian_tables() if tables is None else tables
        self.bits += float(tables.cost(known, index).sum())
        return known


def _given(tables: Tables | None) -> tuple[Tables, ...]:
    """As arguments; whoever listens in need not know of tables where there are none."""
    return () if tables is None else (tables,)


def _known(symbols: Int32Array | None) -> Int32Array:
    if symbols is None:
        raise ValueError("there are no symbols to code; only a decoder goes without")
    return symbols
