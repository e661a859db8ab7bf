"""Vectors to bytes and back: `encode`, `decode`, `searchable`, `info`."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.dtypes import as_array, bits_of, from_float64, to_float64
from lictor.codec.arrays.lossless import pack, pack_patch, unpack, unpack_patch
from lictor.codec.arrays.quantiser import rounding_of
from lictor.codec.embeddings import form
from lictor.codec.embeddings.form import Axes, File
from lictor.codec.errors import (
    CorruptFile,
    InvalidOption,
    InvalidTarget,
    SelfCheckFailed,
    UnsupportedArray,
)
from lictor.codec.format.arrays import block as bytes_block
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.rows import block
from lictor.codec.rows.arguments import positive, whole
from lictor.codec.rows.basis import MOST_COLUMNS
from lictor.entropy import CorruptStream, Decoder, Encoder

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

BLOCK = 2048
BITS = 2.5
"""A value, of the file, unless a target is given."""
_SHARE = 0.3
"""Of the error that the step makes, what rounding the axes may add."""
_WEIGHT, _LEAST_SPREAD = 0.75, 1e-3
"""Steps of axes go with this power of the deviation there, down to some part of the mean variance:
what is searched for has most of its length along the wide ones, and so errors there matter most."""
_REACH = 4
"""Deviations that int8 has to hold, as far as steps of one size would."""
_JUDGED = 512
"""Vectors by which ways are compared."""
_FINEST, _COARSEST = 20.0, -12.0
"""Octaves of the step below the deviation of the values."""
_HALVES = 14
_DRAWN = 0.06
_USUAL = 0.98
"""Of the values, those whose rounding to their type a bound's step leaves room for."""


@dataclass(frozen=True)
class EmbeddingInfo:
    """What a file of embeddings says of itself.

    Attributes:
        vectors, columns, bytes: how many. dtype: of the values.
        bits: of the file, a value. block: vectors that decode together.
        way: "axes", "grid" or "exact". axes: how many are coded; None without. step: of them.
        bound: no value is further off; 0 if none was promised.
        error: root of the squared errors' share of the squared values. largest: error of a value.
    """

    vectors: int
    columns: int
    bytes: int
    dtype: str
    bits: float
    block: int
    way: str
    axes: int | None
    step: float
    bound: float
    error: float
    largest: float


@dataclass(frozen=True)
class SearchRows:
    """Vectors as int8, to be searched without making floats of them.

    The inner product of a vector and a query q is about `levels @ turned(q) + offset(q)`.

    Attributes:
        levels: int8 (vectors, axes). axes: float32 (axes, columns), a step each.
        mean: float32 (columns,), of all vectors.
    """

    levels: npt.NDArray[np.int8]
    axes: F32
    mean: F32

    def turned(self, query: npt.NDArray[Any]) -> F32:
        """A query, (columns,) or (columns, queries), for the levels.

        Args:
            query: floats.
        """
        found: F32 = self.axes @ np.asarray(query, np.float32)
        return found

    def offset(self, query: npt.NDArray[Any]) -> Any:
        """What the mean adds to a query's products, which changes no order.

        Args:
            query: floats, as for `turned`.
        """
        return self.mean @ np.asarray(query, np.float32)


def encode(
    vectors: Any,
    *,
    bits: float | None = None,
    max_error: float | None = None,
    step: float | None = None,
    lossless: bool = False,
    chunk: int = BLOCK,
) -> bytes:
    """Encode vectors.

    Args:
        vectors: (vectors, columns), float16, bfloat16 or float32, all finite; numpy or torch.
        bits: a value, of the file, at most; 2.5 if nothing is given. Axes are sought if there are
            more vectors than columns, and taken if inner products with vectors like these come
            nearer.
        max_error: no value is further off, after rounding to its type. Where that is too small for
            integers, every bit comes back.
        step: of the axes' components, in deviations of the values, in place of bits.
        lossless: every bit comes back.
        chunk: vectors that are coded together, and decode without the others.

    Returns:
        The file.

    Raises:
        CodecError: UnsupportedArray for what are no such vectors; InvalidTarget for a target that
            is none, or cannot be reached; InvalidOption for another chunk.
    """
    dtype, raw = bits_of(vectors)
    if dtype not in form.DTYPES or raw.ndim != 2 or 0 in raw.shape:
        raise UnsupportedArray(
            f"vectors are (vectors, columns) of {', '.join(form.DTYPES)}, not {dtype} of shape "
            f"{tuple(raw.shape)}"
        )
    if raw.shape[1] > MOST_COLUMNS:
        raise UnsupportedArray(f"{raw.shape[1]} columns are more than {MOST_COLUMNS}")
    values = to_float64(dtype, raw)
    if not np.isfinite(values).all():
        raise UnsupportedArray("a vector has NaN or infinities; take it out, or encode as arrays")
    given = {"bits": bits, "max_error": max_error, "step": step}
    targets = {name: positive(name, v) for name, v in given.items() if v is not None}
    if len(targets) + bool(lossless) > 1:
        raise InvalidTarget("give one of lossless, bits, max_error and step, not several")
    file = File(
        dtype, len(raw), raw.shape[1], min(whole("chunk", chunk, 1, form.MOST_BLOCK), len(raw))
    )
    file.power, file.reach = float(np.square(values).sum()), float(np.abs(values).max())
    if not lossless:
        found = _Encoder(file, raw, values).file(targets)
    if lossless or found is None:
        found = _exact(file, raw)
    return form.written(found)


def _exact(file: File, raw: npt.NDArray[Any]) -> File:
    """Every bit kept."""
    file.way = form.EXACT
    for low in range(0, file.rows, file.block):
        part = np.ascontiguousarray(raw[low : low + file.block])
        file.blocks.append(_sum_of(part) + pack(part))
        if _unpacked(file, file.blocks[-1], len(part)).tobytes() != part.tobytes():
            raise SelfCheckFailed("vectors do not come back as they were; please report it")
    return file


def _sum_of(rows: npt.NDArray[Any]) -> bytes:
    """CRC-32 of values, little-endian."""
    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(little.tobytes()).to_bytes(4, "little")


def _unpacked(file: File, data: Bytes, count: int) -> npt.NDArray[Any]:
    """The rows of an exact block. Raises CorruptFile."""
    rows = unpack(data[4:], file.dtype, (count, file.columns))
    if _sum_of(rows) != bytes(data[:4]):
        raise CorruptFile("a block does not decode to what was encoded; get another copy of it")
    return rows


class _Encoder:
    """Vectors of one file. raw: as given; values: in float64."""

    def __init__(self, file: File, raw: npt.NDArray[Any], values: F64) -> None:
        self._file, self._raw, self._values = file, raw, values
        self._deviation = max(float(values.std()), file.reach / 8) or 1.0
        self._mean = values.mean(0).astype(np.float32)
        self._like = values[:: -(-len(values) // _JUDGED)]
        self._principal: tuple[F64, F64] | None = None
        if len(raw) > raw.shape[1]:
            centred = values - self._mean
            spread, directions = np.linalg.eigh(centred.T @ centred / len(raw))
            self._principal = np.maximum(spread[::-1], 0), directions.T[::-1]

    def file(self, targets: dict[str, float]) -> File | None:
        """The one that keeps a target; None where a bound is too small for integers."""
        if "max_error" in targets:
            return self._bounded(targets["max_error"])
        if "step" in targets:
            tried = self._tried(targets["step"] * self._deviation)
            if not tried:
                raise InvalidTarget("the step is too small for these values")
            return min(tried, key=self._far)
        wanted = targets.get("bits", BITS) * self._values.size / 8
        fine, coarse = _FINEST, _COARSEST  # as octaves below the deviation
        best: File | None = None
        for _ in range(_HALVES):
            middle = (fine + coarse) / 2
            fits = [
                f
                for f in self._tried(self._deviation * 2.0**-middle)
                if len(form.written(f)) <= wanted
            ]
            if fits:
                coarse, best = middle, min(fits, key=self._far)
            else:
                fine = middle
        if best is None:
            raise InvalidTarget(f"{8 * wanted / self._values.size:g} bits are too few for these")
        return best

    def _tried(self, step: float) -> list[File]:
        """On a grid, and on axes where there are some."""
        plain = replace(self._file, step=step)
        found = [self._coded(plain, self._values / step)]
        if self._principal:
            axes = self._axes(step)
            whole = np.linalg.pinv(axes.directions.astype(np.float64))
            own = replace(self._file, step=step, way=form.AXES, axes=axes)
            found.append(self._coded(own, (self._values - axes.mean) @ whole / step))
        return [file for file in found if file]

    def _far(self, file: File) -> float:
        """How far products with vectors like these are off, of some of them."""
        size = min(_JUDGED, file.block, file.rows)
        _, _, levels, _ = next(_levels(file, 0, size))
        off = to_float64(file.dtype, _rows_of(file, levels[:size])) - self._values[:size]
        return float(np.square(off @ self._like.T).sum())

    def _axes(self, step: float) -> Axes:
        """Those that a step leaves something of, rounded so that it hardly adds to the error."""
        assert self._principal
        spread, directions = self._principal
        sizes = np.maximum(spread / max(spread.mean(), 1e-300), _LEAST_SPREAD) ** (-_WEIGHT / 2)
        sizes = np.maximum(sizes, np.minimum(np.sqrt(spread) * _REACH / (127 * step), 1))
        rank = max(1, int((spread > (step * sizes) ** 2 / 12).sum()))
        deviations = np.sqrt(np.maximum(spread[:rank], 1e-300))
        fine = math.sqrt(_SHARE / rank) * step / deviations
        octaves = np.ceil(-np.log2(np.minimum(fine, 1.0)) * form.PER_OCTAVE).clip(0, 100)
        steps = 2.0 ** (-octaves / form.PER_OCTAVE)
        levels = np.rint((sizes[:rank] / steps)[:, None] * directions[:rank]).astype(np.int32)
        kept = levels.any(1)
        kept[0] = True
        if not levels[0].any():
            levels[0, 0] = 1
        return Axes(self._mean, levels[kept], octaves[kept].astype(np.uint8))

    def _bounded(self, bound: float) -> File | None:
        """On a grid; what rounding to the type takes beyond it is put right."""
        usual = float(np.quantile(np.abs(self._values), _USUAL))
        rounding = rounding_of(usual, self._file.dtype)
        step = 2 * (bound - rounding if rounding < bound / 2 else bound) * (1 - 2.0**-40)
        wide = max(self._deviation / step, 1e-9)
        shift = min(max(0, math.ceil(math.log2(wide / 48))), 12)
        file = replace(self._file, step=step, bound=bound, shift=shift)
        return self._coded(file, self._values / step)

    def _coded(self, file: File, components: F64) -> File | None:
        """Every block coded, decoded, held against what it was; None if a level is too large."""
        if not max(-components.min(), components.max()) < block.MOST:
            return None
        levels = np.rint(components)
        if file.axes:  # what is nearly half is drawn to 0, which saves more than it costs
            levels = np.sign(components) * np.floor(np.abs(components) + (0.5 - _DRAWN))
        levels = levels.astype(np.int32)
        blocks: list[Bytes] = []
        gone = 0.0
        for low in range(0, file.rows, file.block):
            part = slice(low, low + file.block)
            encoder, aside = Encoder(), Writer()
            block.push(encoder, levels[part], form.expected(levels.shape[1], file.shift))
            back = _rows_of(file, levels[part])
            if file.bound:
                off = np.abs(to_float64(file.dtype, back) - self._values[part])
                patch = pack_patch(self._raw[part], ~(off <= file.bound))
                bytes_block(aside, "patch", patch)
                unpack_patch(patch, back)
            off = np.abs(to_float64(file.dtype, back) - self._values[part])
            gone, file.largest = gone + float(np.square(off).sum()), max(file.largest, off.max())
            stream = encoder.finish()
            blocks.append(encoder.checksum.to_bytes(4, "little") + bytes(aside.data) + stream)
        file.blocks, file.error, file.largest = blocks, gone, float(file.largest)
        return file


def decode(data: Bytes, *, rows: tuple[int, int] | None = None) -> Any:
    """Decode vectors.

    Args:
        data: the file.
        rows: from … to before …; None for all. Only blocks that they lie in are decoded.

    Returns:
        What went in, (vectors, columns); torch for bfloat16, numpy else.

    Raises:
        CodecError: a FileError for what is no such file, or damaged; InvalidOption for rows that
            there are not.
    """
    file = form.read(data)
    first, last = _asked(file, rows)
    found = np.empty((last - first, file.columns), _kind(file.dtype))
    with np.errstate(all="ignore"):  # of files that no encoder wrote
        for low, high, back in _rows(file, first, last):
            start, end = max(first, low), min(last, high)
            found[start - first : end - first] = back[start - low : end - low]
    return as_array(file.dtype, found)


def searchable(data: Bytes, *, rows: tuple[int, int] | None = None) -> SearchRows:
    """Vectors as int8, straight from the symbols: no vector is made.

    Args:
        data: the file.
        rows: as for `decode`.

    Returns:
        Their levels, held within ±127, and what a query is multiplied with.

    Raises:
        CodecError: as for `decode`; InvalidOption if steps are so fine that int8 says too little:
            levels of more than ±127 in one of a hundred places.
    """
    file = form.read(data)
    first, last = _asked(file, rows)
    if file.way == form.EXACT:
        raise InvalidOption("the file keeps every bit, not int8; encode it in fewer bits")
    found, beyond = [], 0
    for low, high, levels, _ in _levels(file, first, last):
        part = levels[max(first, low) - low : min(last, high) - low]
        beyond += int((np.abs(part) > 127).sum())
        found.append(part.clip(-127, 127).astype(np.int8))
    whole = np.concatenate(found)
    if beyond > whole.size // 100:
        raise InvalidOption("the file has steps too fine for int8; encode it in fewer bits")
    if file.axes is None:
        axes, mean = np.eye(file.columns, dtype=np.float32), np.zeros(file.columns, np.float32)
    else:
        axes, mean = file.axes.directions, file.axes.mean
    return SearchRows(whole, axes * np.float32(file.step), mean)


def info(data: Bytes) -> EmbeddingInfo:
    """What a file of embeddings says of itself.

    Args:
        data: the file.

    Raises:
        FileError: it is none, or damaged.
    """
    f = form.read(data)
    return EmbeddingInfo(
        vectors=f.rows,
        columns=f.columns,
        bytes=len(data),
        dtype=f.dtype,
        bits=8 * len(data) / (f.rows * f.columns),
        block=f.block,
        way=form.WAYS[f.way],
        axes=len(f.axes.levels) if f.axes else None,
        step=f.step,
        bound=f.bound,
        error=math.sqrt(f.error / f.power) if f.power > 0 else 0.0,
        largest=f.largest,
    )


def _blocks(file: File, first: int, last: int) -> Iterator[tuple[int, int, Bytes]]:
    """Of each block that is needed: its first row, the one behind it, its bytes."""
    for n in range(first // file.block, -(-last // file.block)):
        yield n * file.block, min((n + 1) * file.block, file.rows), file.blocks[n]


def _rows(file: File, first: int, last: int) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Likewise, with its rows."""
    if file.way == form.EXACT:
        for low, high, data in _blocks(file, first, last):
            yield low, high, _unpacked(file, data, high - low)
        return
    for low, high, levels, patch in _levels(file, first, last):
        back = _rows_of(file, levels)
        unpack_patch(patch, back)
        yield low, high, back


def _levels(
    file: File, first: int, last: int
) -> Iterator[tuple[int, int, npt.NDArray[np.int32], Bytes]]:
    """Likewise, with its integers and its patch."""
    columns = len(file.axes.levels) if file.axes else file.columns
    for low, high, data in _blocks(file, first, last):
        io = Reader(data)
        checksum = int.from_bytes(io.raw("checksum", b"", 4), "little")
        patch = bytes_block(io, "patch", b"") if file.bound else b""
        try:
            decoder = Decoder(io.rest())
            levels = block.pull(decoder, high - low, form.expected(columns, file.shift))
            decoder.close()
        except CorruptStream as e:
            raise CorruptFile(f"a block is damaged: {e}") from e
        if decoder.checksum != checksum:
            raise CorruptFile("a block does not decode to what was encoded; get another copy of it")
        yield low, high, levels, patch


def _rows_of(file: File, levels: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """The rows of integers: of a grid the same on every machine."""
    if file.axes is None:
        return from_float64(file.dtype, levels * file.step)
    rows = levels.astype(np.float32) @ (file.axes.directions * np.float32(file.step))
    return from_float64(file.dtype, (rows + file.axes.mean).astype(np.float64))


def _kind(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def _asked(file: File, rows: tuple[int, int] | None) -> tuple[int, int]:
    first, last = (0, file.rows) if rows is None else rows
    if not 0 <= first < last <= file.rows:
        raise InvalidOption(f"rows {first} to {last} are not in the file's 0 to {file.rows}")
    return first, last
