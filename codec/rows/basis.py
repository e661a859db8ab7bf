"""A linear transform of rows: what is taken off, and what each component adds.

Only integers are coded: components are computed before they are rounded, and rows after the last
symbol, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.format.picture import Reader, Writer
from lictor.codec.rows import scales
from lictor.codec.rows.block import Expected

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

MOST_COLUMNS = 2**14
_GAUSSIAN, _LAPLACIAN = 3.7, 5.0
"""Kurtosis below which a component is taken for Gaussian, and from which for Laplacian."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Rows x of C columns as mean + y · synthesis, y of R components, the widest first.

    Attributes:
        mean: float32 (C,).
        synthesis: float32 (R, C), R of 1 to C; rows need be neither orthogonal nor of one length.
        expected: scales of components at a step of 1, and their shapes.
    """

    mean: F32
    synthesis: F32
    expected: Expected
    _kept: dict[int, F32] = field(default_factory=dict, repr=False)

    @property
    def rank(self) -> int:
        """How many components."""
        return int(self.synthesis.shape[0])

    @cached_property
    def analysis(self) -> F32:
        """(C, R): components of rows less the mean, the nearest that there are."""
        return np.linalg.pinv(self.synthesis.astype(np.float64)).astype(np.float32)

    def components(self, rows: F32, rank: int) -> F32:
        """The first components of rows, (n, rank)."""
        whole = self.analysis
        if rank < self.rank:
            whole = self._shorter(rank)
        found: F32 = (rows - self.mean) @ whole
        return found

    def _shorter(self, rank: int) -> F32:
        """By the first components alone; another one where rows are not orthogonal."""
        if rank not in self._kept:
            part = self.synthesis[:rank].astype(np.float64)
            self._kept[rank] = np.linalg.pinv(part).astype(np.float32)
        return self._kept[rank]

    def rows(self, levels: npt.NDArray[np.int32], step: float) -> F32:
        """The rows of integers, (n, rank) of the first components."""
        found: F32 = levels.astype(np.float32) @ (
            self.synthesis[: levels.shape[1]] * np.float32(step)
        )
        found += self.mean
        return found


def principal(
    mean: F64, covariance: F64, weight: F64 | None = None, rank: int | None = None
) -> tuple[F64, F64]:
    """Directions of a covariance, widest first: (C, R) to components and (R, C) back.

    weight: (C, C), positive definite: errors e matter as e · weight · e, and components of one step
    then all matter alike. Without one directions are orthogonal (Karhunen-Loève).
    """
    if weight is None:
        _, directions = np.linalg.eigh(covariance)
        forward = directions[:, ::-1][:, :rank]
        return forward, forward.T
    values, axes = np.linalg.eigh(weight)
    roots = np.sqrt(np.maximum(values, values.max() * 1e-9))
    root, inverse = (axes * roots) @ axes.T, (axes / roots) @ axes.T
    _, directions = np.linalg.eigh(root @ covariance @ root)
    directions = directions[:, ::-1][:, :rank]
    return root @ directions, directions.T @ inverse


def made(mean: F64, back: F64, components: npt.NDArray[Any]) -> Basis:
    """A basis, and what it expects, of components that were seen: (n, R)."""
    squares = np.square(components, dtype=np.float64)
    variance = squares.mean(0)
    kurtosis = np.square(squares).mean(0) / np.maximum(np.square(variance), 1e-60)
    shapes = np.full(variance.size, scales.BETWEEN, np.uint8)
    shapes[kurtosis < _GAUSSIAN] = scales.GAUSSIAN
    shapes[kurtosis >= _LAPLACIAN] = scales.LAPLACIAN
    expected = Expected(scales.scale_of(np.sqrt(variance)), shapes)
    return Basis(mean.astype(np.float32), _stored(back.astype(np.float32))[2], expected)


def _stored(back: F32) -> tuple[F32, npt.NDArray[np.float16], F32]:
    """A synthesis as files have it: the largest size in each row, the row less that, and both."""
    largest = np.maximum(np.abs(back).max(1), 1e-30).astype(np.float32)
    halves = (back / largest[:, None]).astype(np.float16)
    return largest, halves, halves.astype(np.float32) * largest[:, None]


def syntax(io: Reader | Writer, given: Basis | None, columns: int, seldom: str = "basis") -> Basis:
    """A basis of so many columns, as it is in a file: float16 rows, each with its size."""
    rank = io.varint(f"rank of a {seldom}", given.rank if given else 1, 1, columns)
    mean = array(io, "mean", given.mean if given else None, "<f4", columns)
    largest, halves, _ = _stored(given.synthesis) if given else (None, None, None)
    sizes = array(io, "sizes", largest, "<f4", rank)
    rows = array(io, "rows", halves, "<f2", rank * columns).reshape(rank, columns)
    own = given.expected.scales if given else None
    found = array(io, "scales", own, "<i2", rank).astype(np.int32)
    shapes = array(io, "shapes", given.expected.shapes if given else None, "u1", rank)
    synthesis = rows.astype(np.float32) * sizes[:, None]
    if not (np.isfinite(mean).all() and np.isfinite(synthesis).all()):
        raise io.complaint(f"a {seldom} has numbers that are not finite")
    if shapes.max(initial=0) >= scales.SHAPES:
        raise io.complaint(f"a {seldom} has a shape that there is not")
    return Basis(mean, synthesis, Expected(found, shapes))


def array(
    io: Reader | Writer, name: str, given: npt.NDArray[Any] | None, dtype: str, size: int
) -> npt.NDArray[Any]:
    """So many numbers as they are, little-endian; a copy in native order."""
    item = np.dtype(dtype)
    data = b"" if given is None else np.ascontiguousarray(given).astype(item).tobytes()
    found = io.raw(name, data, size * item.itemsize)
    return np.frombuffer(bytes(found), item).astype(item.newbyteorder("="))
