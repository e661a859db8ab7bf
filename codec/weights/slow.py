"""words.h in numpy, for where there is no C compiler; words.py says what is what."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]


def split(
    words: Any, item: int, raw: int, sign: int, low: int, symbols: IntArray, planes: IntArray
) -> None:
    """Words to symbols and planes."""
    v = np.frombuffer(words, f"<u{item}").astype(np.uint64)
    own, last = np.uint64(raw - sign), np.uint64(8 * item - 1)
    signs = v >> last if sign else np.zeros_like(v)
    tops = ((v & ~(signs << last)) >> own).astype(np.int64)
    shifted = tops - low
    symbols[:] = np.where(tops, shifted + (shifted >= 0), 0)
    rest = v & ((np.uint64(1) << own) - np.uint64(1)) | signs << own
    for row, plane in enumerate(planes):
        plane[:] = (rest >> np.uint64(8 * row) & np.uint64(255)).astype(np.uint8)


def join(
    symbols: IntArray, planes: IntArray, item: int, raw: int, sign: int, low: int, words: IntArray
) -> None:
    """Symbols and planes to words."""
    wide = symbols.astype(np.int64)
    tops = np.where(wide, wide + low - (wide > 0), 0) & (1 << (8 * item - raw)) - 1
    own = np.uint64(raw - sign)
    rest = np.zeros(symbols.size, np.uint64)
    for row, plane in enumerate(planes):
        rest |= plane.astype(np.uint64) << np.uint64(8 * row)
    v = tops.astype(np.uint64) << own | rest & ((np.uint64(1) << own) - np.uint64(1))
    if sign:
        v |= (rest >> own & np.uint64(1)) << np.uint64(8 * item - 1)
    words[:] = np.frombuffer(v.astype(f"<u{item}").tobytes(), np.uint8)


def pack(values: IntArray, width: int, packed: IntArray) -> None:
    """The low bits of bytes, close together."""
    bits = np.unpackbits(values[:, None], axis=1, bitorder="little")[:, :width].ravel()
    whole = np.packbits(bits, bitorder="little")
    packed[:] = 0
    packed[: whole.size] = whole


def unpack(packed: Any, width: int, values: IntArray) -> None:
    """What pack made, as bytes."""
    given = np.frombuffer(packed, np.uint8)
    bits = np.unpackbits(given, bitorder="little").reshape(-1, width)[: values.size]
    values[:] = np.packbits(bits, axis=1, bitorder="little")[:, 0]


def contexts(
    rows: IntArray, columns: IntArray, start: int, least: int, most: int, out: IntArray
) -> None:
    """Levels of rows and columns together."""
    places = np.arange(start, start + out.size)
    sums = rows[places // columns.size] + columns[places % columns.size]
    out[:] = np.minimum(np.maximum(sums, np.uint8(least)), np.uint8(most)) - np.uint8(least)


def tally(symbols: IntArray, contexts: IntArray, width: int, counts: IntArray) -> None:
    """Count symbols by their contexts."""
    last = width - 1
    inside = np.where((symbols >= 0) & (symbols < last), symbols, last)
    flat = np.bincount(contexts.astype(np.int64) * width + inside, minlength=counts.size)
    counts += flat.reshape(counts.shape)


def sums(symbols: IntArray, mask: int, start: int, rows: IntArray, columns: IntArray) -> None:
    """Sums of symbols by rows and columns."""
    places = np.arange(start, start + symbols.size)
    values = np.where(symbols < 0, 0, symbols & mask)
    np.add.at(rows, places // columns.size, values)
    np.add.at(columns, places % columns.size, values)
