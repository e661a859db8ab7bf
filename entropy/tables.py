"""Integer probability tables, the only thing encoder and decoder must share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.entropy.pmf import PRECISION, TOTAL, quantise

MAX_TABLES = 256
MAX_ENTRIES = 256
MAX_SHIFT = 16
MAX_OFFSET = 1 << 30
ESCAPE_BITS = 16
ESCAPE_LONG = 0xFFFF

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
Int32Array = npt.NDArray[np.int32]
Float64Array = npt.NDArray[np.float64]


_LIMITS: dict[type, Any] = {kind: np.iinfo(kind) for kind in (np.uint8, np.uint16, np.int32)}


def _vector(values: Any, dtype: type, name: str, length: int | None = None) -> npt.NDArray[Any]:
    """A read-only 1-D copy of integers in the wanted dtype; refuses values that would change."""
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be a 1-D array of integers")
    if length is not None and array.size == 1 and np.ndim(values) == 0:
        array = np.repeat(array, length)
    if length is not None and array.size != length:
        raise ValueError(f"{name} has {array.size} values for {length} tables")
    limits = _LIMITS[dtype]
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise ValueError(f"{name} holds a value outside {limits.min}..{limits.max}")
    copy: npt.NDArray[Any] = array.astype(dtype)
    copy.setflags(write=False)
    return copy


class Tables:
    """Up to 256 immutable tables of 14-bit integer frequencies.

    Table t codes the symbols `offsets[t] … offsets[t] + lengths[t] - 2`, one entry each, followed
    by one entry for its escape. An escaped symbol is written out in 16 bits (48 if it is outside
    -32768..32766), so that a table with an escape codes every int32. With `shifts[t]` = k > 0 the
    table sees (symbol + 2^(k-1)) >> k, and the k low bits of symbol + 2^(k-1) are written raw.
    A table of one symbol, [2^14, 0] without a shift, is certain: such symbols take neither bits nor
    time.
    Nothing here is derived from floating point at run time: store the four arrays, and
    `Tables(*arrays)` makes the same tables on any machine.

    Args:
        frequencies: all tables' entries one after the other, integers; each table's add up to
            2^14. Only an escape, a table's last entry, may be 0: the table then has no escape,
            and pushing a symbol outside its range is a ValueError.
        lengths: entries of each table, escape included, 2..256.
        offsets: first symbol of each table, after the shift; -2^30..2^30.
        shifts: raw low bits of each table, 0..16; one number stands for all tables.

    Raises:
        ValueError: the arrays do not describe such tables.
    """

    def __init__(
        self,
        frequencies: npt.ArrayLike,
        lengths: npt.ArrayLike,
        offsets: npt.ArrayLike,
        shifts: npt.ArrayLike = 0,
    ) -> None:
        self._lengths: UInt16Array = _vector(lengths, np.uint16, "lengths")
        count = self._lengths.size
        if not 1 <= count <= MAX_TABLES:
            raise ValueError(f"{count} tables given, allowed are 1 to {MAX_TABLES}")
        self._frequencies: UInt16Array = _vector(frequencies, np.uint16, "frequencies")
        self._offsets: Int32Array = _vector(offsets, np.int32, "offsets", count)
        self._shifts: UInt8Array = _vector(shifts, np.uint8, "shifts", count)
        if int(self._lengths.sum(dtype=np.int64)) != self._frequencies.size:
            raise ValueError("the lengths do not add up to the number of frequencies")
        self._first = np.cumsum(self._lengths, dtype=np.int64) - self._lengths
        for t in range(count):
            self._check(t)
        self._compiled: dict[str, Any] = {}

    def _check(self, t: int) -> None:
        row = self.row(t)
        offset, shift = int(self._offsets[t]), int(self._shifts[t])
        if not 2 <= row.size <= MAX_ENTRIES:
            raise ValueError(
                f"table {t} has {row.size} entries, allowed are 2 to {MAX_ENTRIES} with the escape;"
                " code a wider range with a shift or by escapes"
            )
        if (row[:-1] == 0).any():
            raise ValueError(f"table {t} has a symbol of frequency 0; only the escape may be 0")
        if row.sum(dtype=np.int64) != TOTAL:
            raise ValueError(f"the frequencies of table {t} do not add up to {TOTAL}")
        if shift > MAX_SHIFT:
            raise ValueError(f"table {t} has shift {shift}, allowed are 0 to {MAX_SHIFT}")
        half = (1 << shift) >> 1
        low, high = (offset << shift) - half, ((offset + row.size - 1) << shift) - half
        if abs(offset) > MAX_OFFSET or low <= -(2**31) or high >= 2**31:
            raise ValueError(f"table {t} with offset {offset} and shift {shift} leaves int32")

    @classmethod
    def from_frequencies(
        cls,
        frequencies: Sequence[npt.ArrayLike],
        offsets: npt.ArrayLike,
        shifts: npt.ArrayLike = 0,
    ) -> Tables:
        """The tables with these rows of frequencies; the last of a row is the escape.

        Args:
            frequencies: T rows, each of shape (n,): n = 2..256 integers that add up to 2^14.
            offsets: (T,) first symbol of each table; one number stands for all tables.
            shifts: (T,) raw low bits, 0..16; one number stands for all tables.

        Raises:
            ValueError: see the class.
        """
        rows = [_vector(row, np.uint16, f"table {t}") for t, row in enumerate(frequencies)]
        flat = np.concatenate(rows) if rows else np.zeros(0, np.uint16)
        return cls(flat, [row.size for row in rows], offsets, shifts)

    @classmethod
    def from_pmf(
        cls,
        pmfs: Sequence[npt.ArrayLike],
        offsets: npt.ArrayLike,
        shifts: npt.ArrayLike = 0,
        *,
        escape: bool = True,
    ) -> Tables:
        """The tables nearest to probabilities: 14 bits, rounded at the least extra cost.

        The result depends on floating point: make it once, and store the integers.

        Args:
            pmfs: T rows, each of shape (n,): n of at most 255 probabilities, at least 0, adding up
                to at most 1. What is missing to 1 is the probability of an escape.
            offsets: (T,) the symbol of each row's first probability (after the shift); one number
                stands for all tables.
            shifts: (T,) raw low bits, 0..16; one number stands for all tables.
            escape: give each table an escape (frequency at least 1), so that it codes every
                int32. Without it what is missing to 1 is spread over the symbols.

        Raises:
            ValueError: a row is no distribution, or see the class.
        """
        rows = []
        for t, pmf in enumerate(pmfs):
            p = np.asarray(pmf, dtype=np.float64)
            if p.ndim != 1 or not 1 <= p.size < MAX_ENTRIES:
                raise ValueError(f"table {t} must have 1 to {MAX_ENTRIES - 1} probabilities")
            total = float(p.sum())
            if not (p >= 0).all() or not 0 < total <= 1 + 1e-6:
                raise ValueError(f"the probabilities of table {t} are no distribution")
            if escape:
                rows.append(quantise(np.append(p, max(0.0, 1 - total))))
            else:
                rows.append(np.append(quantise(p), np.uint16(0)))
        return cls.from_frequencies(rows, offsets, shifts)

    @property
    def frequencies(self) -> UInt16Array:
        """All tables' entries one after the other, uint16, read-only."""
        return self._frequencies

    @property
    def lengths(self) -> UInt16Array:
        """Entries of each table with its escape, uint16 (T,), read-only."""
        return self._lengths

    @property
    def offsets(self) -> Int32Array:
        """First symbol of each table after the shift, int32 (T,), read-only."""
        return self._offsets

    @property
    def shifts(self) -> UInt8Array:
        """Raw low bits of each table, uint8 (T,), read-only."""
        return self._shifts

    def row(self, t: int) -> UInt16Array:
        """The frequencies of a table, escape last, uint16 (lengths[t],).

        Args:
            t: number of the table, 0..T-1.
        """
        first = int(self._first[t])
        return self._frequencies[first : first + int(self._lengths[t])]

    def __len__(self) -> int:
        return int(self._lengths.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tables) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"Tables({len(self)} tables, {self._frequencies.size} entries)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Tables, (self._frequencies, self._lengths, self._offsets, self._shifts)

    @cached_property
    def _digest(self) -> bytes:
        sha = hashlib.sha256(f"lictor tables, {len(self)}\n".encode())
        for array, dtype in (
            (self._lengths, "<u2"),
            (self._offsets, "<i4"),
            (self._shifts, "u1"),
            (self._frequencies, "<u2"),
        ):
            sha.update(array.astype(dtype).tobytes())
        return sha.digest()

    def digest(self) -> bytes:
        """The SHA-256 of the tables, 32 bytes: equal digests, equal tables.

        It covers the line "lictor tables, T" with its newline, then lengths (uint16), offsets
        (int32), shifts (uint8) and frequencies (uint16), little-endian.
        """
        return self._digest

    def cost(self, symbols: npt.ArrayLike, index: npt.ArrayLike) -> Float64Array:
        """Bits that an ideal coder spends on each symbol under these integer tables.

        Args:
            symbols: (n,) integers in the range of int32.
            index: (n,) the table of each symbol.

        Returns:
            float64 (n,), raw and escape bits included; infinity for a symbol without a code.
        """
        s = np.asarray(symbols, dtype=np.int64)
        i = np.asarray(index, dtype=np.int64)
        shift = self._shifts[i].astype(np.int64)
        entry = ((s + ((1 << shift) >> 1)) >> shift) - self._offsets[i]
        escape = self._lengths[i].astype(np.int64) - 1
        escaped = (entry < 0) | (entry >= escape)
        freq = self._frequencies[self._first[i] + np.where(escaped, escape, entry)]
        with np.errstate(divide="ignore"):
            bits = PRECISION - np.log2(freq.astype(np.float64))
        zigzag = np.where(s < 0, -2 * s - 1, 2 * s)
        escape_bits = np.where(zigzag < ESCAPE_LONG, ESCAPE_BITS, ESCAPE_BITS + 32)
        return bits + np.where(escaped, escape_bits, shift)

    def compiled(self, backend: Any) -> Any:
        """The form of these tables that a coder implementation works with, made once.

        Args:
            backend: a module with a name and a type `Tables`.
        """
        name = backend.__name__
        if name not in self._compiled:
            self._compiled[name] = backend.Tables(
                self._frequencies, self._lengths, self._offsets, self._shifts
            )
        return self._compiled[name]
