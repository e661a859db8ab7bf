"""Rectangles: where a tile lies in a picture, and what of its surroundings networks see."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """Rows top…top + height − 1 and columns left…left + width − 1."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The first row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column to the right."""
        return self.left + self.width

    @property
    def place(self) -> tuple[slice, slice]:
        """Index of rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, by: int) -> Box:
        """With `by` more on each side."""
        return Box(self.top - by, self.left - by, self.height + 2 * by, self.width + 2 * by)

    def within(self, other: Box) -> Box:
        """What both cover; of no height or width if they do not meet."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, max(bottom - top, 0), max(right - left, 0))

    def seen_from(self, other: Box) -> Box:
        """The same place, counted from the corner of another box."""
        return Box(self.top - other.top, self.left - other.left, self.height, self.width)

    def padded(self, multiple: int) -> Box:
        """Grown downwards and to the right to sides that are multiples."""
        height, width = (-(-side // multiple) * multiple for side in self[2:])
        return Box(self.top, self.left, height, width)

    def in_cells(self, cell: int) -> Box:
        """Divided by `cell`, of which everything must be a multiple."""
        return Box(*(value // cell for value in self))
