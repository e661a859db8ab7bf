"""The coder of entropy/adaptive.h in Python: symbols that each bring their own interval of 2¹⁶."""

from __future__ import annotations

from lictor.entropy import CorruptStream

BITS = 16
_LOW = 1 << 32


def encode_intervals(starts: list[int], freqs: list[int]) -> bytes:
    """Code symbols by their intervals [start, start + freq) of 2¹⁶.

    Args:
        starts: of each symbol, in the order of decoding.
        freqs: likewise, 1 to 65535.

    Returns:
        The stream, 8 bytes at least.
    """
    state, words = _LOW, []
    for start, freq in zip(reversed(starts), reversed(freqs), strict=True):
        if state >= freq << 48:
            words.append((state & 0xFFFFFFFF).to_bytes(4, "little"))
            state >>= 32
        state = (state // freq << BITS) + start + state % freq
    return state.to_bytes(8, "little") + b"".join(reversed(words))


class IntervalDecoder:
    """Reads what encode_intervals() wrote.

    Args:
        data: the stream.

    Raises:
        CorruptStream: It is too short to be one.
    """

    def __init__(self, data: bytes) -> None:
        self._state = int.from_bytes(data[:8], "little")
        self._data, self._at = data, 8
        if len(data) < 8 or self._state < _LOW:
            raise CorruptStream("the stream of intervals is damaged or cut short")

    def slot(self) -> int:
        """The number below 2¹⁶ that lies in the next symbol's interval."""
        return self._state & 0xFFFF

    def take(self, start: int, freq: int) -> None:
        """Leave the symbol behind whose interval slot() is in."""
        state = freq * (self._state >> BITS) + (self._state & 0xFFFF) - start
        if state < _LOW:
            word = self._data[self._at : self._at + 4]
            if len(word) < 4:
                raise CorruptStream("the stream of intervals is damaged or cut short")
            state = state << 32 | int.from_bytes(word, "little")
            self._at += 4
        self._state = state

    def end(self) -> None:
        """Raise CorruptStream unless the stream ends here, as an encoder ends it."""
        if self._state != _LOW or self._at != len(self._data):
            raise CorruptStream("the stream of intervals is damaged: it does not end as it should")
