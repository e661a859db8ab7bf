"""How rows of a cache become integers and again rows: as they are, on a basis, on a grid.

A way pushes the rows of one matrix into a stream; what is no symbol goes aside, into a block of
bytes of its own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.dtypes import from_float64, to_float64
from lictor.codec.arrays.lossless import pack_patch, unpack_patch
from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import ITEM_BYTES, block
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.kv import form
from lictor.codec.kv.calibration import Calibration, Matrix
from lictor.codec.kv.form import Header
from lictor.codec.rows import bits
from lictor.codec.rows.block import MOST, Expected, pull, push, unknown
from lictor.entropy import Decoder, Encoder

Raw = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]

_PARTS = 8
"""Rows of a small factor, or the largest part of that number that divides the columns."""
_FACTOR = 2**14
"""A small factor's entries are multiples of 1 / _FACTOR."""


class Uncodable(Exception):
    """What a way cannot code: it is kept as it is."""


@dataclass(frozen=True)
class Place:
    """Which rows: of keys (side 0) or values (1) of a layer, from a position on."""

    layer: int
    side: int
    position: int
    dim: int


class Way(ABC):
    """One for all rows of a stream."""

    @abstractmethod
    def push(self, encoder: Encoder, aside: Writer, raw: Raw, place: Place) -> None:
        """Add rows, (n, columns), at least one. Raises Uncodable."""

    @abstractmethod
    def pull(self, decoder: Decoder, aside: Reader, rows: int, columns: int, place: Place) -> Raw:
        """The next rows. Raises CorruptFile, CorruptStream."""

    def divergence(self, raw: Raw, back: Raw, place: Place) -> float:
        """What an error is expected to cost, summed over tokens; NaN where nothing says so."""
        return math.nan


def chosen(h: Header, calibration: Calibration | None) -> Way:
    """That of a stream whose rows are not all exact."""
    if h.way == form.BASIS:
        assert calibration is not None
        return OnBasis(h, calibration)
    return Tensor(h) if h.way == form.TENSOR else OnGrid(h)


class Exact(Way):
    """Bit by bit. models: keys' and values' tables for each layer."""

    def __init__(self, dtype: str, models: list[tuple[bits.Model, bits.Model]]) -> None:
        self._dtype, self._models = dtype, models

    def push(self, encoder: Encoder, aside: Writer, raw: Raw, place: Place) -> None:
        """Lower halves of float32 aside, where they are not all zeros."""
        top, low = bits.halves(self._dtype, raw)
        if low is not None:
            block(aside, "lower halves", low.astype("<u2").tobytes() if low.any() else b"")
        bits.push(encoder, top, self._models[place.layer][place.side])

    def pull(self, decoder: Decoder, aside: Reader, rows: int, columns: int, place: Place) -> Raw:
        """As it went in."""
        low = None
        if self._dtype == "float32":
            data = bytes(block(aside, "lower halves", b""))
            if len(data) not in (0, 2 * rows * columns):
                raise CorruptFile("lower halves of another number; get another copy of the file")
            low = np.frombuffer(data, "<u2").reshape(rows, columns) if data else None
        top = bits.pull(decoder, rows, self._models[place.layer][place.side])
        return bits.whole(self._dtype, top, low)


class Plain(Way):
    """Bytes aside, where no tables are known."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def push(self, encoder: Encoder, aside: Writer, raw: Raw, place: Place) -> None:
        """As they are."""
        aside.raw("rows", packed(raw), raw.nbytes)

    def pull(self, decoder: Decoder, aside: Reader, rows: int, columns: int, place: Place) -> Raw:
        """As they are."""
        size = rows * columns * ITEM_BYTES[self._dtype]
        return unpacked(aside.raw("rows", b"", size), self._dtype, (rows, columns))


class OnBasis(Way):
    """Components of the calibration's basis, with one step for all."""

    def __init__(self, h: Header, calibration: Calibration) -> None:
        self._dtype, self._rank = h.dtype, h.rank
        self._step = 2.0 ** (-h.quality / 8)
        self._quality = h.quality
        self._calibration = calibration

    def _matrix(self, place: Place) -> tuple[Matrix, int]:
        matrix = self._calibration.layers[place.layer][place.side]
        return matrix, min(self._rank, matrix.basis.rank)

    def _known(self, matrix: Matrix, rank: int) -> Expected:
        return matrix.basis.expected.first(rank).finer(self._quality)

    def _components(self, raw: Raw, place: Place, rank: int) -> F32:
        rows = to_float32(self._dtype, raw)
        if place.side == 0 and self._calibration.rope:
            rows = self._calibration.rope.turned(rows, place.dim, place.position, back=True)
        return self._matrix(place)[0].basis.components(rows, rank)

    def push(self, encoder: Encoder, aside: Writer, raw: Raw, place: Place) -> None:
        """Rounded to the nearest."""
        matrix, rank = self._matrix(place)
        levels = _rounded(self._components(raw, place, rank) * np.float32(1 / self._step))
        push(encoder, levels, self._known(matrix, rank))

    def pull(self, decoder: Decoder, aside: Reader, rows: int, columns: int, place: Place) -> Raw:
        """In float32, which machines may round in another way."""
        matrix, rank = self._matrix(place)
        levels = pull(decoder, rows, self._known(matrix, rank))
        found = matrix.basis.rows(levels, self._step)
        if place.side == 0 and self._calibration.rope:
            found = self._calibration.rope.turned(found, place.dim, place.position)
        return from_float32(self._dtype, found)

    def divergence(self, raw: Raw, back: Raw, place: Place) -> float:
        """By the basis, if gradients weighted it."""
        if not self._calibration.weighted:
            return math.nan
        rank = self._matrix(place)[0].basis.rank
        gone = self._components(raw, place, rank) - self._components(back, place, rank)
        return float(np.square(gone, dtype=np.float64).sum()) / 2


class OnGrid(Way):
    """Multiples of one step. What is further off than the bound, if there is one, goes aside."""

    def __init__(self, h: Header) -> None:
        self._dtype, self._step, self._bound = h.dtype, h.step, h.bound

    def push(self, encoder: Encoder, aside: Writer, raw: Raw, place: Place) -> None:
        """Rounded to the nearest."""
        values = to_float64(self._dtype, raw)
        levels = _rounded(values / self._step)
        push(encoder, levels, unknown(raw.shape[1]))
        if self._bound:
            back = to_float64(self._dtype, self._values(levels))
            block(aside, "patch", pack_patch(raw, ~(np.abs(back - values) <= self._bound)))

    def _values(self, levels: npt.NDArray[np.int32]) -> Raw:
        return from_float64(self._dtype, levels * self._step)

    def pull(self, decoder: Decoder, aside: Reader, rows: int, columns: int, place: Place) -> Raw:
        """The same on every machine."""
        found = self._values(pull(decoder, rows, unknown(columns)))
        if self._bound:
            unpack_patch(block(aside, "patch", b""), found)
        return found


class Tensor(Way):
    """A small and a large factor of each matrix: the small one as it is, the large one on a grid.

    Columns are seen as 8 parts of columns that turn together; the small factor has the directions
    of these parts. Source: DecoQuant (P. Liu et al., 2024, arXiv:2405.12591), where few bits hurt
    the large factor least.
    """

    def __init__(self, h: Header) -> None:
        self._dtype, self._step = h.dtype, h.step

    def push(self, encoder: Encoder, aside: Writer, raw: Raw, place: Place) -> None:
        """The small factor aside."""
        values = to_float64(self._dtype, raw)
        if not np.isfinite(values).all():
            raise Uncodable
        parts = math.gcd(raw.shape[1], _PARTS)
        own = values.reshape(len(raw), parts, -1)
        gram = np.einsum("tac,tbc->ab", own, own)
        small = np.rint(np.linalg.eigh(gram)[1] * _FACTOR).astype("<i2")
        aside.raw("factor", small.tobytes(), small.nbytes)
        turned = np.einsum("tac,ab->tbc", own, small / _FACTOR).reshape(raw.shape)
        push(encoder, _rounded(turned / self._step), unknown(raw.shape[1]))

    def pull(self, decoder: Decoder, aside: Reader, rows: int, columns: int, place: Place) -> Raw:
        """Both multiplied."""
        parts = math.gcd(columns, _PARTS)
        data = bytes(aside.raw("factor", b"", 2 * parts * parts))
        small = np.frombuffer(data, "<i2").reshape(parts, parts) / _FACTOR
        large = pull(decoder, rows, unknown(columns)).reshape(rows, parts, -1) * self._step
        found = np.einsum("tbc,ab->tac", large, small).reshape(rows, columns)
        return from_float64(self._dtype, found)


def _rounded(levels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """To integers. Raises Uncodable where they are too large, or none."""
    largest = max(float(levels.max()), -float(levels.min()))
    if not largest < MOST:  # nor is nan
        raise Uncodable
    return np.rint(levels).astype(np.int32)


def to_float32(dtype: str, raw: Raw) -> F32:
    """Values of a type as float32, exact."""
    if dtype == "bfloat16":
        return np.left_shift(raw, 16, dtype=np.uint32).view(np.float32)
    return raw.astype(np.float32)


def from_float32(dtype: str, values: F32) -> Raw:
    """Values rounded to a type, to nearest, halves to even."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    wide = values.view(np.uint32)
    up = wide >> 16
    up &= 1
    up += wide
    up += 0x7FFF
    up >>= 16
    return up.astype(np.uint16)


def packed(raw: Raw) -> bytes:
    """Values as bytes, little-endian."""
    return raw.astype(raw.dtype.newbyteorder("<"), copy=False).tobytes()


def unpacked(data: Bytes, dtype: str, shape: tuple[int, ...]) -> Raw:
    """The other way."""
    kind = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    found = np.frombuffer(bytes(data), kind.newbyteorder("<")).astype(kind)
    return found.reshape(shape)
