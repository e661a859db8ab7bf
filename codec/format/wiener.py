"""The syntax of a Wiener filter: the payload of the section WIENER."""

from __future__ import annotations

from dataclasses import dataclass, field

from lictor.codec.format.elements import Bytes, Reader, Writer

MAX_CLASSES = 8
MAX_ACTIVITY = 2**18
MAX_TAP = 255
MAX_ORDER = 6
PRECISIONS = range(5, 9)
PAIRS = 4
"""Of places that face each other across a sample."""


@dataclass
class Wiener:
    """Taps that a picture's samples are filtered with, in classes of how much happens around them.

    thresholds: the least activity of each class but the first, rising.
    precision: bits of a tap below 1.
    taps: by class, by the colour that comes out, then those of `taps_of`; in 2^-precision.
    """

    precision: int = PRECISIONS[-1]
    thresholds: list[int] = field(default_factory=list)
    taps: list[int] = field(default_factory=list)


def taps_of(colours: int) -> int:
    """How many taps one colour has: of pairs and of samples of each colour, and a constant."""
    return (PAIRS + 1) * colours + 1


def write(wiener: Wiener) -> bytes:
    """The payload, with the order of the codes that takes the fewest bytes."""
    made = []
    for order in range(MAX_ORDER + 1):
        io = Writer()
        _head(io, wiener, order)
        bits = [bit for tap in wiener.taps for bit in _coded(tap, order)]
        packed = sum(bit << i for i, bit in enumerate(bits))
        made.append(bytes(io.data) + packed.to_bytes(-(-len(bits) // 8), "little"))
    return min(made, key=len)


def parse(payload: Bytes, colours: int) -> Wiener:
    """The payload of a picture of so many colours. Raises CorruptFile."""
    io = Reader(payload)
    wiener = Wiener()
    order = _head(io, wiener, 0)
    bits = _Bits(io)
    for _ in range((len(wiener.thresholds) + 1) * colours * taps_of(colours)):
        wiener.taps.append(bits.tap(order))
    bits.end()
    return wiener


def _head(io: Reader | Writer, wiener: Wiener, order: int) -> int:
    """All before the taps; the order of their codes."""
    count = io.uint("classes of the filter", len(wiener.thresholds) + 1, 1, MAX_CLASSES)
    least, given = 1, [*wiener.thresholds, *[0] * count]
    wiener.thresholds = []
    for threshold in given[: count - 1]:
        value = threshold if isinstance(io, Writer) else least
        least = 1 + io.varint("activity of the filter", value, least, MAX_ACTIVITY)
        wiener.thresholds.append(least - 1)
    own = order | wiener.precision - PRECISIONS[0] << 3
    codes = io.uint("codes of the filter", own, 0, (len(PRECISIONS) << 3) - 1)
    wiener.precision = PRECISIONS[codes >> 3]
    if codes & 7 > MAX_ORDER:
        raise io.complaint("the filter's codes have no such order")
    return codes & 7


def _coded(tap: int, order: int) -> list[int]:
    """Bits, in order: 0, or 1, the sign, and an exp-Golomb code of the magnitude less 1."""
    if not tap:
        return [0]
    value = abs(tap) - 1 + (1 << order)
    count = value.bit_length() - 1
    low = [value >> i & 1 for i in range(count)]
    return [1, int(tap < 0), *[0] * (count - order), 1, *low]


class _Bits:
    """Bits of what is left of a payload, from the lowest of each byte."""

    def __init__(self, io: Reader) -> None:
        self.io, self.data, self.at = io, bytes(io.rest()), 0

    def bit(self) -> int:
        """The next."""
        if self.at >= 8 * len(self.data):
            raise self.io.complaint("the filter has fewer taps than it needs")
        found = self.data[self.at >> 3] >> (self.at & 7) & 1
        self.at += 1
        return found

    def tap(self, order: int) -> int:
        """The next, as `_coded` has it."""
        if not self.bit():
            return 0
        negative, count = self.bit(), order
        while not self.bit():
            count += 1
            if count > MAX_TAP.bit_length():
                raise self.io.complaint("a tap of the filter is too large")
        size = (1 << count | sum(self.bit() << i for i in range(count))) - (1 << order) + 1
        if size > MAX_TAP:
            raise self.io.complaint("a tap of the filter is too large")
        return -size if negative else size

    def end(self) -> None:
        """Nothing but the zeros that fill the last byte may follow."""
        if -(-self.at // 8) != len(self.data) or (self.at & 7 and self.data[-1] >> (self.at & 7)):
            raise self.io.complaint("something follows the taps of the filter")
