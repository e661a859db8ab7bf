"""A matrix as the product of two smaller ones, each a grid, and a grid of what is left.

All that is multiplied are whole numbers, so that every machine has the same sums; one product with
the step follows. Of the singular vectors those are kept that save more error than their bits are
worth. Steps make errors of all factors' values count the same, so that vectors of small singular
values have coarse steps, and most of them are zeros. Where no product is better than the tensor's
own grid, error and real bytes together, it is that grid.

Source: A. Kaushal, T. Vaidhya, I. Rish, "LORD: Low rank decomposition of monolingual code LLMs for
one-shot compression", 2023 (arXiv:2309.14021); the rest beside it is sparse where it pays.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile, SelfCheckFailed
from lictor.codec.format import weights as form
from lictor.codec.format.elements import Bytes
from lictor.codec.format.weights import MAX_VALUES, STREAM, Chunk, Factors, Grid
from lictor.codec.weights import grid, trellis
from lictor.codec.weights.chunks import check_coded, check_decoded
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.grid import Mapped, Quantised
from lictor.codec.weights.quantisers import POINTS, RATE, Coded, Known, in_trellis, quantiser

Array = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Halves = npt.NDArray[np.int8]
_EXACT = 2.0**53
"""Sums of whole numbers below this are exact as float64, in any order."""
_MOST = 2**26
"""Values of both factors together, which a decoder holds as float64."""


def _part(tensor: Tensor, rows: int, columns: int) -> Tensor:
    return Tensor(tensor.name, "F32", (rows, columns), 0, 4 * rows * columns)


@dataclass(frozen=True)
class Product:
    """Two factors, and what is added to their product.

    left: (rows, rank), without steps of columns. right: (rank, columns), steps of rows even and not
    below 0: powers of two. rest: of the tensor's shape, or None.
    """

    left: Quantised
    right: Quantised
    rest: Quantised | None = None

    def decoded(self, tensor: Tensor) -> Floats:
        """The values that a decoder gives. Raises OverflowError for sums that are not exact."""
        left, right = _integers(points(self.left), points(self.right), self.right.rows)
        found = _product(left, right, _step(self.left.step, self.right.step))
        _scaled(found, self.left.rows, self.right.columns)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.rest:
                found += grid.decoded(_part(tensor, *found.shape), self.rest)
        raw = grid.stored(found.reshape(-1), tensor.dtype)
        return grid.floats(raw, tensor.dtype).reshape(found.shape)

    def encode(self, tensor: Tensor, mapped: Mapped[Any, Any]) -> tuple[Factors, list[bytes]]:
        """The record of a tensor, and its chunks; it was decoded, and held against `decoded`."""
        rows, columns = grid.matrix(tensor)
        rank = self.left.levels.shape[1]
        left, data = grid.encode(_part(tensor, rows, rank), self.left, mapped)
        right, more = grid.encode(_part(tensor, rank, columns), self.right, mapped)
        data += more
        _, values = trellis.layout(rows, columns)
        record = Factors(rank=rank, left=left, right=right, values=values)
        if self.rest:
            record.rest, more = grid.encode(_part(tensor, rows, columns), self.rest, mapped)
            data += more
        raw = grid.stored(self.decoded(tensor).reshape(-1), tensor.dtype)
        step = values * grid.ITEMS[tensor.dtype]
        parts = [raw[at : at + step] for at in range(0, raw.size, step)]
        record.product = [Chunk(STREAM, 0, 0, zlib.crc32(part.data)) for part in parts]
        record.chunks = [c for g in record.grids for c in g.chunks] + record.product
        opened = Opened(record, b"".join(data), tensor)
        for number, part in enumerate(parts):
            back = np.empty_like(part)
            opened.chunk(number, back)
            if not np.array_equal(back, part):
                raise SelfCheckFailed("a product decodes to other values; please report it")
        return record, data


def points(given: Quantised) -> npt.NDArray[np.int32]:
    """Steps of a grid, in a trellis or not."""
    if not given.trellis:
        return given.levels
    odd = trellis.odd_of_matrix(given.levels)
    return trellis.points(given.levels.reshape(-1), odd).reshape(given.levels.shape)


def _integers(left: Any, right: Any, halves: Any) -> tuple[Doubles, Doubles]:
    """Both factors, powers of two in the left one. Raises OverflowError: sums might not be exact.

    halves: half octaves of each row of the right one; None for none.
    """
    a, b = left.astype(np.float64), right.astype(np.float64)
    if halves is not None:
        a *= np.ldexp(1.0, halves.astype(np.int32) // 2)
    if np.abs(a).max(0) @ np.abs(b).max(1) >= _EXACT:  # rounded or not: of what is less, it is less
        raise OverflowError
    return a, b


def _product(left: Doubles, right: Doubles, step: np.float32) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        found: Floats = (left @ right).astype(np.float32) * step
    return found


def _scaled(found: Floats, rows: Halves | None, columns: Halves | None) -> None:
    """Values by the half octaves of their columns and rows, in place."""
    with np.errstate(over="ignore", invalid="ignore"):
        if columns is not None:
            found *= grid.factors(columns)
        if rows is not None:
            found *= grid.factors(rows)[:, None]


def _step(left: float, right: float) -> np.float32:
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(np.float32(left) * np.float32(right))


# ---- decoding


class Opened:
    """A record of which rows can be decoded; its factors are. Raises CorruptFile.

    step: bytes of the values of each chunk but the last. count: of chunks.
    """

    def __init__(self, record: Factors, chunks: Bytes, tensor: Tensor) -> None:
        rows, columns = _checked(record, tensor)
        self._record, self._dtype, self._columns = record, tensor.dtype, columns
        self._data = memoryview(chunks)
        left = self._pulled(record.left, _part(tensor, rows, record.rank), 0)
        at = record.left.size
        right = self._pulled(record.right, _part(tensor, record.rank, columns), at)
        halves = _shifts(record.right, record.rank)
        try:
            self._left, self._right = _integers(left, right, halves)
        except OverflowError:
            raise CorruptFile("a product has sums that are too large; get another copy") from None
        steps = [float(np.uint32(g.step).view(np.float32)) for g in (record.left, record.right)]
        self._step = _step(*steps)
        self._by_rows = grid.steps_of(record.left.row_steps, rows)
        self._by_columns = grid.steps_of(record.right.column_steps, columns)
        rest = record.rest
        self._rest = grid.coding_of(rest, _part(tensor, rows, columns)) if rest else None
        at += record.right.size
        self._starts = np.cumsum([at, *(c.size for c in rest.chunks)]).tolist() if rest else []
        self.step, self.count = record.values * grid.ITEMS[tensor.dtype], len(record.product)

    def _pulled(self, record: Grid, part: Tensor, at: int) -> npt.NDArray[np.int32]:
        coding, found, start = grid.coding_of(record, part), np.empty(part.values, np.int32), 0
        for chunk in record.chunks:
            data = self._data[at : at + chunk.size]
            check_coded(chunk, data)
            own = found[start : start + record.values]
            own[:] = grid.pull(coding, data, start, own.size)
            at, start = at + chunk.size, start + own.size
        return found.reshape(part.shape)

    def chunk(self, number: int, out: Array) -> None:
        """The values of a chunk. Raises CorruptFile."""
        start = number * self._record.values
        count = out.size // grid.ITEMS[self._dtype]
        first, last = start // self._columns, (start + count) // self._columns
        square = _product(self._left[first:last], self._right, self._step)
        _scaled(
            square, None if self._by_rows is None else self._by_rows[first:last], self._by_columns
        )
        found = square.reshape(-1)
        if self._rest and self._record.rest:
            chunk = self._record.rest.chunks[number]
            data = self._data[self._starts[number] : self._starts[number + 1]]
            check_coded(chunk, data)
            points = grid.pull(self._rest, data, start, count)
            with np.errstate(over="ignore", invalid="ignore"):
                found += self._rest.values(points, start)
        out[:] = grid.stored(found, self._dtype)
        check_decoded(self._record.product[number], out)


def _checked(record: Factors, tensor: Tensor) -> tuple[int, int]:
    """Rows and columns of a tensor. Raises CorruptFile unless it can have that record."""
    rows, columns = grid.matrix(tensor)
    rest, size = record.rest, record.rank * (rows + columns)
    whole = tensor.dtype in grid.TYPES and tensor.values and size <= min(_MOST, 2 * tensor.values)
    chunks = whole and record.values % columns == 0
    chunks = chunks and len(record.product) == -(-tensor.values // record.values)
    chunks = chunks and (rest is None or rest.values == record.values)
    if not chunks or len(record.left.column_steps):
        raise CorruptFile("the factors of a tensor do not go together; get another copy")
    return rows, columns


def _shifts(record: Grid, rank: int) -> npt.NDArray[np.int8] | None:
    """Half octaves of rows. Raises CorruptFile for what are no powers of two from 1 on."""
    found = grid.steps_of(record.row_steps, rank)
    if found is not None and ((found & 1) | (found < 0)).any():
        raise CorruptFile("a product has steps that it cannot have; get another copy")
    return found


# ---- which factors


@quantiser("factors")
def factored(values: Floats, known: Known) -> Coded | None:
    """A product, with a rest or without one, where it is better than "trellis", else that."""
    whole = in_trellis(values, known)
    rows, columns = values.shape
    if whole is None or min(rows, columns) < 2 or columns > MAX_VALUES // 16:
        return whole
    step = known.step * known.unknown
    worth = RATE * (step / POINTS) ** 2
    tensor = Tensor(known.name, "F32", known.shape, 0, 4 * values.size)
    left, sizes, right = singular(values)
    best: tuple[float, Coded] = figure(values, whole, tensor, worth), whole
    for rank, hoped, rest in ranks(sizes, values.shape, step, worth):
        if not rank or hoped > HOPE * best[0]:
            continue
        own = _product_of(values, left[:, :rank], sizes[:rank], right[:rank], step, rest)
        if own is not None:
            best = min(best, (figure(values, own, tensor, worth), own), key=lambda pair: pair[0])
    return best[1]


HOPE = 1.05
"""Estimates are so much off that a product is tried that looks worse by this."""


def figure(values: Floats, own: Coded, tensor: Tensor, worth: float) -> float:
    """Bits, and the squared error in what bits are worth."""
    error = float(np.square(own.decoded(tensor) - values, dtype=np.float64).sum())
    return error / worth + coded_bits(own, tensor)


def coded_bits(own: Coded, tensor: Tensor) -> int:
    """Those of a record, and of its chunks."""
    record, chunks = own.encode(tensor, map)
    return 8 * (len(form.write_head(record)) + sum(map(len, chunks)))


def singular(values: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Singular vectors of the shorter side: left ones times the singular values, these, right."""
    w = values.astype(np.float64)
    tall = w.shape[0] >= w.shape[1]
    squares, vectors = np.linalg.eigh(w.T @ w if tall else w @ w.T)
    sizes = np.sqrt(np.maximum(squares[::-1], 0))
    vectors = vectors[:, ::-1]
    if tall:
        return w @ vectors, sizes, vectors.T
    return vectors * sizes, sizes, vectors.T @ w / np.maximum(sizes, 1e-300)[:, None]


def _bits(spread: Any) -> Any:
    """About those of a value whose deviation is so many steps."""
    return 0.5 * np.log2(1 + np.pi * np.e / 6 * np.square(spread))


def ranks(
    sizes: Doubles, shape: tuple[int, ...], step: float, worth: float
) -> list[tuple[int, float, bool]]:
    """Ranks worth a try, without a rest and with one, and about what figures they have."""
    rows, columns = shape
    most = rows * columns // (rows + columns)
    own = sizes[: max(most, 1)]
    bits = rows * _bits(own / step / np.sqrt(rows)) + columns * _bits(own / step / np.sqrt(columns))
    noise = step**2 / 12 * (rows + columns)
    square = np.square(sizes)
    total = np.concatenate([[0], np.cumsum(bits)])
    left = square.sum() - np.concatenate([[0], np.cumsum(square[: own.size])])
    left = np.maximum(left, 0)
    alone = (left + noise * np.arange(own.size + 1)) / worth + total
    count = rows * columns
    rest = total + count * (_bits(np.sqrt(left / count) / step) + step**2 / 12 / worth)
    return [(int(np.argmin(x)), float(x.min()), kind) for x, kind in ((alone, False), (rest, True))]


def _product_of(
    values: Floats, left: Doubles, sizes: Doubles, right: Doubles, step: float, rest: bool
) -> Product | None:
    """Right vectors in steps by their singular values; left ones make up for that."""
    fine = step / POINTS
    shifts = np.rint(np.log2(sizes[0] / np.maximum(sizes, sizes[0] * 2.0**-20))).astype(np.int8)
    own = np.float32(fine / sizes[0])
    if not np.isfinite(own) or own < TINIEST:
        return None
    b = in_steps((right / (float(own) * 2.0 ** shifts[:, None])).astype(np.float32))
    if b is None:
        return None
    given = Quantised(b, float(own), rows=2 * shifts, trellis=True)
    back = points(given) * (float(own) * 2.0 ** shifts[:, None])
    fitted = np.linalg.lstsq(back.T, values.T.astype(np.float64), rcond=1e-9)[0].T
    a = in_steps((fitted / fine).astype(np.float32))
    if a is None:
        return None
    made = Product(Quantised(a, fine, trellis=True), given)
    tensor = Tensor("", "F32", values.shape, 0, 4 * values.size)
    try:
        found = made.decoded(tensor)
    except OverflowError:
        return None
    if not rest:
        return made
    more = in_steps((values - found) / np.float32(fine))
    return None if more is None else Product(made.left, given, Quantised(more, fine, trellis=True))


TINIEST = 1e-30


def in_steps(scaled: Floats) -> npt.NDArray[np.int32] | None:
    """Levels in a trellis, of values in steps; None for what is too large."""
    if not np.abs(scaled).max() < grid.MOST:
        return None
    return trellis.of_matrix(scaled, RATE)
