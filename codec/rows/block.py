"""A block of rows of integers: each column by the table of its scale, which the block corrects.

Order of symbols: of each column the scale less the one that is expected; where nothing is expected,
also the integer that is its middle; then the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.rows import scales
from lictor.entropy import Decoder, Encoder, gaussian_tables

Levels = npt.NDArray[np.int32]

MOST = 2**24
"""No integer is further from 0: float32 has them all."""
_SCALE_TABLE, _MIDDLE_TABLE = 72, 104
"""Of the Gaussian family: for corrections of scales (deviation 3.5), and for middles (56)."""
_FAR = 2**10
"""No correction is further from 0; scales beyond the range are held in it."""


@dataclass(frozen=True)
class Expected:
    """What is known of columns before a block: scales (columns,) int32, shapes (columns,) uint8.

    Without a calibration nothing is: `unknown`. shift: integers are 2^shift times as wide as scales
    say.
    """

    scales: npt.NDArray[np.int32]
    shapes: npt.NDArray[np.uint8]
    middles: bool = False
    shift: int = 0

    @property
    def columns(self) -> int:
        """How many."""
        return int(self.scales.size)

    def finer(self, eighths: int) -> Expected:
        """With a step that is so many eighths of an octave smaller."""
        return replace(self, scales=self.scales + np.int32(eighths))

    def first(self, columns: int) -> Expected:
        """Of the first columns only."""
        return replace(self, scales=self.scales[:columns], shapes=self.shapes[:columns])


def unknown(columns: int, shift: int = 0, shape: int = scales.BETWEEN) -> Expected:
    """Of columns that no calibration tells of."""
    middle = np.full(columns, scales.SCALES // 2, np.int32)
    return Expected(middle, np.full(columns, shape, np.uint8), True, shift)


def push(encoder: Encoder, levels: Levels, expected: Expected) -> None:
    """Add a block to a stream. levels: (rows, columns), at least one row, within ±MOST."""
    middles = np.zeros(expected.columns, np.int32)
    if expected.middles:
        middles = np.rint(levels.mean(0)).astype(np.int32) >> expected.shift << expected.shift
    rest = levels - middles
    deviations = np.sqrt(np.square(rest, dtype=np.float64).mean(0) + 1e-4)
    own = scales.scale_of(deviations / 2**expected.shift).clip(0, scales.SCALES - 1)
    _push_list(encoder, own - expected.scales.clip(-_FAR, _FAR), _SCALE_TABLE)
    if expected.middles:
        _push_list(encoder, middles >> expected.shift, _MIDDLE_TABLE)
    table = np.broadcast_to(scales.index(own, expected.shapes), levels.shape)
    encoder.push(
        np.ascontiguousarray(rest).reshape(-1),
        np.ascontiguousarray(table).reshape(-1),
        scales.tables(expected.shift),
    )


def pull(decoder: Decoder, rows: int, expected: Expected) -> Levels:
    """The block of so many rows. Raises CorruptStream."""
    own = _pull_list(decoder, expected.columns, _SCALE_TABLE).clip(-_FAR, _FAR)
    own = own + expected.scales.clip(-_FAR, _FAR)
    middles = _pull_list(decoder, expected.columns, _MIDDLE_TABLE) if expected.middles else None
    table = np.broadcast_to(scales.index(own, expected.shapes), (rows, expected.columns))
    levels = decoder.pull(
        np.ascontiguousarray(table).reshape(-1), scales.tables(expected.shift)
    ).reshape(rows, -1)
    if middles is not None:
        with np.errstate(over="ignore"):  # of streams that no encoder wrote
            levels += middles << expected.shift
    return levels


def _push_list(encoder: Encoder, values: npt.NDArray[Any], table: int) -> None:
    symbols = values.astype(np.int32)
    encoder.push(symbols, np.full(symbols.size, table, np.uint8), gaussian_tables())


def _pull_list(decoder: Decoder, size: int, table: int) -> Levels:
    return decoder.pull(np.full(size, table, np.uint8), gaussian_tables())
