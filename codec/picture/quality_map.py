"""The quality map of a file: packed into its section, and unpacked.

A map has a value for each 16x16 pixels of the padded picture: how many units a place is below the
quality of the header. What is coded are differences to the neighbours, so that flat parts and boxes
cost next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lictor.codec.errors import CorruptFile
from lictor.codec.format import quality_map as map_form
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import Header
from lictor.codec.format.quality_map import MAX_LOG, MapCode
from lictor.entropy import CorruptStream, compress, decompress
from lictor.entropy.fitted import Shape, tables
from lictor.models.quality import Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack(quality: Quality, header: Header) -> bytes:
    """The payload of the section.

    quality: a map, with the header's quality and at most MAX_LEVELS − 1 others when counted in
        their common unit.
    """
    assert quality.map is not None
    below = header.step - quality.map.astype(np.int64)
    unit = int(np.gcd.reduce(below.ravel()))
    levels = below // unit
    count = int(levels.max()) + 1
    codes = [_code(levels, unit, count, way) for way in range(4)]
    return min((map_form.write(code, header) for code in codes), key=len)


def unpack(payload: Bytes, header: Header) -> Quality:
    """The map. Raises CorruptFile."""
    code = map_form.parse(header, payload)
    shape = map_form.shape(header)
    table = tables([Shape(code.offset, 0, [*code.logs, -1])])
    try:
        symbols = decompress(code.stream, np.zeros(shape[0] * shape[1], np.uint8), table)
    except CorruptStream as e:
        raise CorruptFile(
            f"the quality map does not decode ({e}); the file is damaged, get another copy of it"
        ) from e
    levels = symbols.reshape(shape).astype(np.int64)
    for axis in _axes(code.way):
        levels = levels.cumsum(axis=axis)
    if levels.min() != 0 or levels.max() != code.levels - 1:
        raise CorruptFile(
            f"the quality map does not span its {code.levels} levels; the file is damaged, get "
            "another copy of it"
        )
    return Quality((header.step - code.unit * levels).astype(np.int16))


def _code(levels: NDArray[np.int64], unit: int, count: int, way: int) -> MapCode:
    """With differences taken along the axes that `way` says."""
    symbols = levels
    for axis in _axes(way):
        symbols = np.diff(symbols, axis=axis, prepend=0)
    flat = symbols.ravel().astype(np.int32)
    offset = int(flat.min())
    shape = Shape(offset, 0, [*_logs(np.bincount(flat - offset)), -1])
    stream = compress(flat, np.zeros(flat.size, np.uint8), tables([shape]))
    return MapCode(unit, count, way, offset, shape.logs[:-1], stream)


def _axes(way: int) -> list[int]:
    return [axis for axis in (0, 1) if way >> axis & 1]


def _logs(counts: NDArray[np.int64]) -> list[int]:
    """Logarithms of the frequencies, in steps of a quarter octave."""
    share = counts * (2**14 / counts.sum())
    return [int(log) for log in np.rint(4 * np.log2(np.maximum(share, 1))).clip(0, MAX_LOG)]
