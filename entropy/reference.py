"""The coder of STREAM.md in plain Python: the oracle of the C extension, and its stand-in.

Written to be read next to STREAM.md, not to be fast. `Tables`, `Encoder` and `Decoder` have the
same methods as in the C extension; coder.py checks arguments and words errors for both.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from lictor.entropy.pmf import PRECISION, TOTAL
from lictor.entropy.tables import ESCAPE_BITS, ESCAPE_LONG, Int32Array, UInt8Array

STATE_LOW = 1 << 16
LANES = (1, 4, 8, 32)
LANES_FROM_BYTES = (0, 4096, 6144, 12288)
JOIN_UNIT = 32
JOIN_MOST = 8192


class Tables:
    """Tables as lists: for each its frequencies, their running sums, its offset and its shift."""

    def __init__(
        self,
        frequencies: npt.NDArray[np.uint16],
        lengths: npt.NDArray[np.uint16],
        offsets: Int32Array,
        shifts: UInt8Array,
    ) -> None:
        self.offsets: list[int] = offsets.tolist()
        self.shifts: list[int] = shifts.tolist()
        self.freqs: list[list[int]] = []
        self.starts: list[list[int]] = []
        first = 0
        for length in lengths.tolist():
            row = frequencies[first : first + length].tolist()
            first += length
            self.freqs.append(row)
            self.starts.append([sum(row[:i]) for i in range(length)])

    def is_certain(self, t: int) -> bool:
        """Whether table t has one symbol and no raw bits, so that nothing is coded."""
        return self.freqs[t][0] == TOTAL and self.shifts[t] == 0

    def find(self, t: int, slot: int) -> int:
        """The entry of table t whose frequencies cover slot, 0 <= slot < 2^14."""
        entry = 0
        while slot >= self.starts[t][entry] + self.freqs[t][entry]:
            entry += 1
        return entry


def zigzag(symbol: int) -> int:
    """0, -1, 1, -2, … as 0, 1, 2, 3, …."""
    return 2 * symbol if symbol >= 0 else -2 * symbol - 1


def unzigzag(z: int) -> int:
    """The inverse of zigzag."""
    return -(z >> 1) - 1 if z & 1 else z >> 1


class Encoder:
    """Collects entries and raw bits; codes the entries backwards in finish()."""

    def __init__(self, path: str = "reference") -> None:
        self.checksum = 0  # CRC-32 of the symbols as little-endian int32
        self.entries: list[tuple[int, int]] = []  # frequency and start
        self.raw: list[int] = []  # bits

    def push(
        self, symbols: Int32Array, index: UInt8Array, tables: Tables, checksum: bool = True
    ) -> int:
        """Add symbols; -1, or the position of the first that has no code (nothing is added)."""
        entries: list[tuple[int, int]] = []
        raw: list[int] = []
        for j, (symbol, t) in enumerate(zip(symbols.tolist(), index.tolist(), strict=True)):
            if t >= len(tables.freqs):
                return j
            freqs, starts, shift = tables.freqs[t], tables.starts[t], tables.shifts[t]
            escape = len(freqs) - 1
            biased = symbol + (1 << shift >> 1)
            entry = (biased >> shift) - tables.offsets[t]
            if 0 <= entry < escape:
                raw += to_bits(biased & ((1 << shift) - 1), shift)
            elif freqs[escape] == 0:
                return j
            else:
                entry = escape
                raw += escape_bits(zigzag(symbol))
            if not tables.is_certain(t):
                entries.append((freqs[entry], starts[entry]))
        self.entries += entries
        self.raw += raw
        if checksum:
            self.checksum = zlib.crc32(symbols.astype("<i4").tobytes(), self.checksum)
        return -1

    def finish(self) -> bytes:
        """The stream."""
        stream = self.stream(max(LANES))
        lanes = choose_lanes(len(stream))
        return stream if lanes == max(LANES) else self.stream(lanes)

    def stream(self, lanes: int) -> bytes:
        """The stream in so many lanes, or in one where there is too little for more."""
        states = [STATE_LOW]
        words: list[int] = []  # the last one comes first in the stream
        join = len(self.entries)
        while join and len(words) < lanes - 1 and len(self.entries) - join < JOIN_MOST:
            end = join
            join = (end - 1) // JOIN_UNIT * JOIN_UNIT
            self.code(join, end, states, words)
        if 0 < join < len(self.entries):
            states += [STATE_LOW + (words.pop() if words else 0) for _ in range(1, lanes)]
        self.code(0, join, states, words)
        tail = to_bits(LANES.index(len(states)), 2)
        if len(states) > 1:
            number = join // JOIN_UNIT
            extra = number.bit_length() - 1
            tail += to_bits(extra, 5) + to_bits(number - (1 << extra), extra)
        for x in states:
            extra = x.bit_length() - 17
            tail += to_bits(extra, 4) + to_bits(x - (STATE_LOW << extra), 16 + extra)
        tail += self.raw
        head = b"".join(word.to_bytes(2, "little") for word in reversed(words))
        return head + from_bits(tail)[::-1]

    def code(self, begin: int, end: int, states: list[int], words: list[int]) -> None:
        """Code the entries begin..end-1, the last one first."""
        for j in range(end - 1, begin - 1, -1):
            freq, start = self.entries[j]
            lane = j % len(states)
            x = states[lane]
            if x >= freq << (32 - PRECISION):
                words.append(x & 0xFFFF)
                x >>= 16
            states[lane] = x // freq * TOTAL + start + x % freq


def choose_lanes(size: int) -> int:
    """How many lanes a stream is given that has so many bytes in 32."""
    return max(n for n, least in zip(LANES, LANES_FROM_BYTES, strict=True) if size >= least)


def escape_bits(z: int) -> list[int]:
    """The raw bits of an escaped symbol with zigzag value z."""
    if z < ESCAPE_LONG:
        return to_bits(z, ESCAPE_BITS)
    return to_bits(ESCAPE_LONG, ESCAPE_BITS) + to_bits(z, 32)


def to_bits(value: int, count: int) -> list[int]:
    """The low bits of value, least significant first."""
    return [value >> i & 1 for i in range(count)]


def from_bits(bits: list[int]) -> bytes:
    """Bits as bytes, least significant first; the last byte is filled up with zeros."""
    bits = bits + [0] * (-len(bits) % 8)
    return bytes(
        sum(bit << i for i, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )


class Decoder:
    """Decodes forward. `failed` once more was asked for than the stream holds."""

    def __init__(self, data: bytes, path: str = "reference") -> None:
        self.data = data
        self.checksum = 0  # CRC-32 of the symbols as little-endian int32
        self.failed = False
        self.words = 0  # bytes of words read, from the front
        self.bits = 0  # tail bits read, from the back
        self.joined: list[int] = []  # words that lanes left behind, to be read next
        self.position = 0  # number of the next symbol
        self.states: list[int] = []
        self.join = -1  # number of the symbol before which lanes join
        lanes = LANES[self.tail(2)]
        if lanes > 1:
            extra = self.tail(5)
            self.join = JOIN_UNIT * ((1 << extra) + self.tail(extra))
        for _ in range(lanes):
            extra = self.tail(4)
            self.states.append((STATE_LOW << extra) + self.tail(16 + extra))

    def tail(self, count: int) -> int:
        """The next bits of the tail."""
        if self.bits + count > 8 * len(self.data):
            self.failed = True
            return 0
        value = 0
        for i in range(count):
            at = self.bits + i
            value |= (self.data[len(self.data) - 1 - at // 8] >> at % 8 & 1) << i
        self.bits += count
        return value

    def tail_bytes(self) -> int:
        """Bytes from which a tail bit has been read."""
        return (self.bits + 7) // 8

    def enough(self) -> bool:
        """Whether words and tail, as far as they have been read, do not overlap."""
        return self.words + self.tail_bytes() <= len(self.data)

    def word(self) -> int:
        """The next word."""
        if self.joined:
            return self.joined.pop(0)
        pair = self.data[self.words : self.words + 2]
        self.words += 2
        self.failed = self.failed or not self.enough()
        return int.from_bytes(pair, "little")

    def pull(
        self, index: UInt8Array, tables: Tables, out: Int32Array, checksum: bool = True
    ) -> bool:
        """Decode into out; whether the stream had that many symbols."""
        if index.size and index.max() >= len(tables.freqs):
            raise IndexError("an index is beyond the tables")
        for j, t in enumerate(index.tolist()):
            if self.failed:
                break
            out[j] = self.symbol(t, tables)
        self.failed = self.failed or not self.enough()
        if checksum:
            self.checksum = zlib.crc32(out.astype("<i4").tobytes(), self.checksum)
        return not self.failed

    def symbol(self, t: int, tables: Tables) -> int:
        """Decode one symbol with table t."""
        if tables.is_certain(t):
            return tables.offsets[t]
        if self.position == self.join:
            self.join_lanes()
        lane = self.position % len(self.states)
        self.position += 1
        x = self.states[lane]
        slot = x % TOTAL
        entry = tables.find(t, slot)
        x = tables.freqs[t][entry] * (x // TOTAL) + slot - tables.starts[t][entry]
        if x < STATE_LOW:
            x = x << 16 | self.word()
        self.states[lane] = x
        if entry == len(tables.freqs[t]) - 1:
            z = self.tail(ESCAPE_BITS)
            return unzigzag(self.tail(32) if z == ESCAPE_LONG else z)
        shift = tables.shifts[t]
        biased = (entry + tables.offsets[t] << shift) + self.tail(shift)
        return biased - (1 << shift >> 1)

    def join_lanes(self) -> None:
        """Go on in lane 0 alone; the other lanes' states are words to be read next."""
        self.joined = [x - STATE_LOW for x in self.states[1:]]
        self.failed = self.failed or max(self.joined) >= STATE_LOW or not self.enough()
        self.states = self.states[:1]

    def ended(self) -> tuple[bool, int, int]:
        """Whether all states are final; bytes left over; unused bits that are set."""
        final = not self.failed and not any(self.joined) and self.states == [STATE_LOW]
        left = max(0, len(self.data) - self.words - self.tail_bytes())
        unused = 0
        if self.bits % 8 and not self.failed:
            unused = self.data[len(self.data) - self.tail_bytes()] >> self.bits % 8
        return final, left, unused
