"""Coded by a linear transform of full rank: DCTs, exact in integers, without a network.

It holds what latents cannot at any rate: noise, stripes, halftones. The quality of a block is that
of the highest of its places; how its step follows, the stream says itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.codec.errors import CorruptFile, MissingPackage, UnsupportedFeature
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import BLOCK, LINEAR
from lictor.codec.picture.methods.overlay import CodedTile, Piece, TileMethod, need
from lictor.models.quality import PLACE, STEPS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.models.linear.coder import Coded
    from lictor.models.quality import Quality

_CHECK = slice(0, 4)
_EVERY = 25
"""Steps of quality for each unit of fineness: in 100 that of the quantiser is halved."""


class Linear(TileMethod):
    """The section LINEAR; models/linear/LINEAR.md tells of its streams."""

    kind, name = LINEAR, "linear"

    def encode_tile(self, colours: NDArray[Any], piece: Piece) -> CodedTile:
        """At the quality of each block."""
        made = code(colours, piece.blocks, piece.quality)
        checksum = int.from_bytes(made.stream[_CHECK], "little")
        return CodedTile(made.stream, checksum, made.bits, made.pixels)

    def decode_tile(self, stream: Bytes, piece: Piece) -> tuple[NDArray[Any], int]:
        """At the steps that the stream has."""
        from lictor.entropy import CorruptStream
        from lictor.models.linear import coder

        need(coder.available(), UnsupportedFeature)
        shape = piece.height, piece.width, piece.channels
        data = bytes(stream)
        try:
            pixels = coder.decode(data, shape, piece.depth, piece.blocks)
        except CorruptStream as e:
            raise CorruptFile(f"{e}; get another copy of the file") from e
        return pixels, int.from_bytes(data[_CHECK], "little")


def code(colours: NDArray[Any], blocks: NDArray[np.bool_], quality: Quality) -> Coded:
    """What the coder makes of a tile.

    Args:
        colours: uint8 or uint16 (H, W, 1 or 3).
        blocks: as for `Piece`.
        quality: of its places; above 100, finer yet.
    """
    import numpy as np

    from lictor.models.linear import coder

    need(coder.available(), MissingPackage)
    rows, columns = blocks.shape
    highest = np.full(blocks.shape, quality.highest, np.int16)
    if quality.map is not None:
        cells = BLOCK // PLACE
        highest = quality.map.reshape(rows, cells, columns, cells).max(axis=(1, 3))
    lowest = int(highest[blocks].min())
    finer = (highest.clip(lowest) - lowest) / _EVERY
    fineness = np.ceil(finer - 1e-6).clip(0, coder.MOST_FINENESS).astype(np.uint8)
    step = coder.step_of(lowest * 100 / STEPS, colours.shape[2])
    step = min(max(step, coder.LEAST_STEP), coder.MOST_STEP)
    return coder.encode(np.ascontiguousarray(colours), step, blocks, fineness)
