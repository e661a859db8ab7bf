"""A picture in memory, which files are read into and written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lictor.codec.format.colour import NONE as NO_SIGNALLING
from lictor.codec.format.colour import Signalling

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: uint8 or uint16 (H, W, C), the full range; C = 1 gray, 2 gray and alpha, 3 RGB, 4
            RGBA.
        icc: the ICC profile of the pixels, or nothing.
        exif: EXIF as a TIFF structure, from its byte order mark on, or nothing.
        notes: what was changed on the way that a user should know of, one line each.
        lost: what could not be salvaged of a damaged file, one line each.
        signalling: what is said of the colours beside the profile: PNG's cICP, gAMA and the like.
        uncovered: pixels with the colours that alpha hides, where those of `pixels` are others that
            cost less; else nothing.
    """

    pixels: NDArray[Any]
    icc: bytes = b""
    exif: bytes = b""
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    signalling: Signalling = NO_SIGNALLING
    uncovered: NDArray[Any] | None = None

    @property
    def depth(self) -> int:
        """Bits per sample, 8 or 16."""
        return 8 * self.pixels.itemsize

    @property
    def colours(self) -> NDArray[Any]:
        """The pixels without alpha: (H, W, 1 or 3)."""
        return self.pixels[:, :, : 1 if self.pixels.shape[2] < 3 else 3]

    def eight_bit_colours(self) -> NDArray[np.uint8]:
        """As `colours`, but never more than 8 bits a sample."""
        return self.colours if self.depth == 8 else to_eight_bits(self.colours)

    @property
    def alpha(self) -> NDArray[Any] | None:
        """(H, W), if there is one."""
        return None if self.pixels.shape[2] in (1, 3) else self.pixels[:, :, -1]


def to_eight_bits(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The nearest of 0…255 for each of 0…65535."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
