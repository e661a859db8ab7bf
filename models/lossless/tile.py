"""A tile of a picture as the lossless coders take it: its shape, depth and mask, checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lictor.models.pixels import Mask, Pixels, block_count, inside

MOST_SIDE = 1 << 15
"""Longest side of a tile."""

MOST_PIXELS = 1 << 24


@dataclass(frozen=True)
class TileShape:
    """What encoder and decoder must agree on.

    Args:
        shape: (H, W, C), sides of 1 to 2¹⁵, at most 2²⁴ pixels, C of 1 to 4.
        depth: bits of a sample, 1 to 16.
        mask: bool (⌈H/64⌉, ⌈W/64⌉), the blocks that are coded; None: all.

    Raises:
        ValueError: They are not as said.
    """

    shape: tuple[int, ...]
    depth: int
    mask: Mask | None = None

    def __post_init__(self) -> None:
        sides = self.shape[:2]
        if len(self.shape) != 3 or not all(1 <= side <= MOST_SIDE for side in sides):
            raise ValueError(f"a tile is (height, width, channels) of sides of 1 to {MOST_SIDE}")
        if sides[0] * sides[1] > MOST_PIXELS:
            raise ValueError(f"a tile has at most {MOST_PIXELS} pixels: cut it into several")
        if not 1 <= self.shape[2] <= 4:
            raise ValueError(f"a tile has 1 to 4 channels, not {self.shape[2]}")
        if not 1 <= self.depth <= 16:
            raise ValueError(f"samples have 1 to 16 bits, not {self.depth}")
        wanted = self.blocks, np.bool_
        if self.mask is not None and (self.mask.shape, self.mask.dtype) != wanted:
            raise ValueError(f"the mask of this tile is {self.blocks} of bool")

    @property
    def blocks(self) -> tuple[int, int]:
        """(⌈H/64⌉, ⌈W/64⌉)."""
        return block_count(*self.shape[:2])

    @property
    def dtype(self) -> np.dtype:
        """uint8 for depths to 8, else uint16."""
        return np.dtype(np.uint8 if self.depth <= 8 else np.uint16)

    def arguments(self) -> tuple[int, int, int, int, Mask | None]:
        """Height, width, channels, depth and mask, as the C extensions take them."""
        mask = None if self.mask is None else np.ascontiguousarray(self.mask)
        height, width, channels = self.shape
        return height, width, channels, self.depth, mask

    def empty(self) -> Pixels:
        """Zeros to decode into."""
        return np.zeros(self.shape, self.dtype)

    def blanked(self, pixels: Pixels) -> Pixels:
        """The pixels with 0 in blocks that are not coded."""
        if self.mask is None:
            return pixels
        return pixels * inside(self.mask, *self.shape[:2])[:, :, None]

    def checked(self, pixels: Pixels) -> Pixels:
        """The pixels in one piece of memory.

        Args:
            pixels: (H, W, C) as the shape says.

        Returns:
            The same, contiguous.

        Raises:
            ValueError: They have another dtype than their depth asks for, or larger values.
        """
        if pixels.dtype != self.dtype:
            raise ValueError(f"samples of {self.depth} bits are {self.dtype}, not {pixels.dtype}")
        if pixels.max() >> self.depth:
            raise ValueError(f"there are samples of {self.depth} bits that are {pixels.max()}")
        return pixels if pixels.flags.c_contiguous else pixels.copy()
