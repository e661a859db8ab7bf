"""Coded without loss, by context models in exact integers, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.codec.errors import CorruptFile, MissingPackage, UnsupportedFeature
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import LOSSLESS
from lictor.codec.picture.methods.overlay import CodedTile, Piece, TileMethod, need

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Lossless(TileMethod):
    """The section LOSSLESS; models/lossless tells of its streams, which have checksums inside."""

    kind, name = LOSSLESS, "lossless"

    def encode_tile(self, colours: NDArray[Any], piece: Piece) -> CodedTile:
        """Whatever the quality."""
        import numpy as np

        from lictor.codec.picture import blocks
        from lictor.models import lossless

        need(lossless.available(), MissingPackage)
        stream = lossless.encode(np.ascontiguousarray(colours), piece.depth, piece.blocks)
        shares = blocks.changes(colours) * piece.blocks
        return CodedTile(stream, 0, shares * (8 * len(stream) / shares.sum()))

    def decode_tile(self, stream: Bytes, piece: Piece) -> tuple[NDArray[Any], int]:
        """What was encoded."""
        from lictor.entropy import CorruptStream
        from lictor.models import lossless

        need(lossless.available(), UnsupportedFeature)
        shape = piece.height, piece.width, piece.channels
        try:
            return lossless.decode(bytes(stream), shape, piece.depth, piece.blocks), 0
        except (CorruptStream, ValueError) as e:
            raise CorruptFile(f"{e}; get another copy of the file") from e
