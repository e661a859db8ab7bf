"""How a picture is cut into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lictor.codec.format.picture import BLOCK, Header, Table, tile_count
from lictor.models.box import Box

SIDE = 1024
"""What a side of a tile is near.

Each border costs rate, for the context stops there. Six photos put together (2400x2160), against
one piece: nine tiles of 832x768 1.1 % at quality 10, 0.8 % at 50, 0.5 % at 90; 25 of 512x448
3.0, 1.7 and 1.1 %; 90 of 256x256 8.4, 4.2 and 2.4 %. But what a region, a thread or damage takes is
a tile, too.
"""


@dataclass(frozen=True)
class Grid:
    """A picture of width x height pixels in tiles, row by row.

    Tiles of the last row and column may be smaller.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int

    @classmethod
    def for_picture(cls, width: int, height: int) -> Grid:
        """What an encoder takes: about SIDE² pixels a tile, and tiles of like size.

        A picture of up to 1.4 SIDE on both sides, or as many pixels, stays in one piece.
        """
        wide, high = _blocks(width), _blocks(height)
        side = SIDE // BLOCK
        tile_high = _even(high, max(side, side * side // wide))
        tile_wide = _even(wide, max(side, side * side // tile_high))
        return cls(width, height, tile_wide * BLOCK, tile_high * BLOCK)

    @classmethod
    def of_file(cls, header: Header, table: Table | None) -> Grid:
        """What a file says."""
        if table is None:
            sides = (_blocks(side) * BLOCK for side in (header.width, header.height))
            return cls(header.width, header.height, *sides)
        return cls(header.width, header.height, table.width, table.height)

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.tile_width)

    @property
    def picture(self) -> Box:
        """All of it."""
        return Box(0, 0, self.height, self.width)

    def __len__(self) -> int:
        return tile_count(self.width, self.height, self.tile_width, self.tile_height)

    def tile(self, number: int) -> Box:
        """Where a tile lies, without padding."""
        row, column = divmod(number, self.columns)
        full = Box(
            row * self.tile_height, column * self.tile_width, self.tile_height, self.tile_width
        )
        return full.within(self.picture)

    def touching(self, box: Box) -> Iterator[int]:
        """The tiles that have pixels in the box, in order."""
        box = box.within(self.picture)
        if not box.height or not box.width:
            return
        for row in range(box.top // self.tile_height, -(-box.bottom // self.tile_height)):
            for column in range(box.left // self.tile_width, -(-box.right // self.tile_width)):
                yield row * self.columns + column


def describe(box: Box) -> str:
    """For messages: size and place of a tile."""
    return f"of {box.width}x{box.height} pixels at {box.left},{box.top}"


def _blocks(side: int) -> int:
    return -(-side // BLOCK)


def _even(blocks: int, near: int) -> int:
    """The side of tiles, in blocks, that is nearest to `near` when all are of like size."""
    return -(-blocks // max(1, round(blocks / near)))
