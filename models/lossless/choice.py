"""A tile without loss, by the coder that suits it: `screen`, `photo`, or each for its blocks.

A stream is a byte that says which, then the coder's stream. Where both take part it is

    | 2 | blocks of `screen`, a bit each, row by row, first in the lowest bit, 0 to a whole byte |
    | bytes of its stream, 4 bytes, little-endian | its stream | the stream of `photo` |

Which coder is worth trying is read off the pixels that are the same as the one to the left or the
one above: nearly all are on screens, nearly none in photos.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import CorruptStream
from lictor.models.lossless import photo, screen
from lictor.models.lossless.tile import TileShape
from lictor.models.pixels import Mask, Pixels, sums

SCREEN, PHOTO, BOTH = 0, 1, 2

FLAT = 0.6
"""A tile with so large a share of pixels that repeat is no photo as a whole."""
ROUGH = 1 / 3
"""One with a smaller share is a photo: trying `screen`, too, took three times as long on Kodak,
whose shares go up to 0.31, for 0.4 %."""
DIVIDE = 0.6
"""Where both coders take part, blocks with a smaller share go to `photo`."""


def available() -> bool:
    """Whether the C extensions are here, which these coders have no twins of."""
    return screen.available() and photo.available()


def encode(pixels: Pixels, depth: int, mask: Mask | None = None) -> bytes:
    """Code a tile without loss, in the fewest bytes of a few ways.

    Args:
        pixels: (H, W, C), C of 1 to 4 (gray, gray and alpha, RGB, RGBA), at most 2²⁴ pixels:
            uint8 for depths to 8, else uint16; each below 2^depth.
        depth: bits of a sample, 1 to 16.
        mask: bool (⌈H/64⌉, ⌈W/64⌉): the blocks of 64×64 that are coded; None: all.

    Returns:
        The stream. It does not hold shape, depth, or mask.

    Raises:
        ValueError: The arguments do not fit one another.
        RuntimeError: The C extensions were not built.
    """
    tile = TileShape(pixels.shape, depth, mask)
    pixels = tile.checked(pixels)
    repeats = block_means(repeating(pixels))
    coded = np.ones(repeats.shape, np.bool_) if mask is None else mask
    share = float(repeats[coded].mean()) if coded.any() else 1.0
    streams = []
    if share >= ROUGH:
        streams.append(bytes([SCREEN]) + screen.encode(pixels, depth, mask))
    if share < FLAT:
        streams.append(bytes([PHOTO]) + photo.encode(pixels, depth, mask))
    drawn = coded & (repeats >= DIVIDE)
    taken = coded & ~drawn
    if drawn.any() and taken.any():
        streams.append(_encode_both(pixels, depth, drawn, taken))
    return min(streams, key=len)


def decode(
    data: bytes, shape: tuple[int, int, int], depth: int, mask: Mask | None = None
) -> Pixels:
    """Decode a tile.

    Args:
        data: what encode() gave.
        shape: (H, W, C) of the pixels.
        depth: bits of a sample.
        mask: the mask that encode() was given.

    Returns:
        (H, W, C), uint8 for depths to 8, else uint16; 0 in blocks that are not coded.

    Raises:
        CorruptStream: The bytes are not the stream of such a tile.
        ValueError: The arguments do not fit one another.
        RuntimeError: The C extensions were not built.
    """
    which, body = data[:1], data[1:]
    if which == bytes([SCREEN]):
        return screen.decode(body, shape, depth, mask)
    if which == bytes([PHOTO]):
        return photo.decode(body, shape, depth, mask)
    if which == bytes([BOTH]):
        return _decode_both(body, shape, depth, mask)
    raise CorruptStream("the lossless tile is damaged: no coder has its number")


def repeating(pixels: Pixels) -> NDArray[np.bool_]:
    """Which pixels are the same as the one to the left or the one above.

    Args:
        pixels: (H, W, C).

    Returns:
        (H, W).
    """
    same = np.zeros(pixels.shape[:2], np.bool_)
    left, above = same[:, 1:], same[1:]
    left |= (pixels[:, 1:] == pixels[:, :-1]).all(2)
    above |= (pixels[1:] == pixels[:-1]).all(2)
    return same


def block_means(values: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of true ones in each block of 64×64.

    Args:
        values: (H, W).

    Returns:
        (⌈H/64⌉, ⌈W/64⌉), 0 to 1.
    """
    return sums(values) / sums(np.ones_like(values))


def _encode_both(pixels: Pixels, depth: int, drawn: Mask, taken: Mask) -> bytes:
    first = screen.encode(pixels, depth, drawn)
    blocks = np.packbits(drawn.ravel(), bitorder="little").tobytes()
    head = bytes([BOTH]) + blocks + len(first).to_bytes(4, "little")
    return head + first + photo.encode(pixels, depth, taken)


def _decode_both(body: bytes, shape: tuple[int, int, int], depth: int, mask: Mask | None) -> Pixels:
    tile = TileShape(shape, depth, mask)
    coded = np.ones(tile.blocks, np.bool_) if mask is None else mask
    size = -(-coded.size // 8)
    bits = np.unpackbits(np.frombuffer(body[:size], np.uint8), bitorder="little")
    if len(body) < size + 4 or bits[coded.size :].any():
        raise CorruptStream("the lossless tile is damaged: its blocks are not all there")
    drawn = bits[: coded.size].reshape(coded.shape).astype(np.bool_)
    if (drawn & ~coded).any():
        raise CorruptStream("the lossless tile is damaged, or its mask is another")
    streams = body[size + 4 :]
    length = int.from_bytes(body[size : size + 4], "little")
    pixels = screen.decode(streams[:length], shape, depth, drawn)
    pixels |= photo.decode(streams[length:], shape, depth, coded & ~drawn)
    return pixels
