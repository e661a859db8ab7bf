"""Lossy coding by DCTs of full rank: pixels in, bytes out, and what a decoder makes of them.

What a network with few latents cannot hold at any rate, noise, stripes, halftones, this can. All
that a decoder does is exact in integers (tile.h; LINEAR.md is the specification). One tile at a
time; the coder lets go of the GIL, so that threads may code several at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import CorruptStream
from lictor.models.coding.slope import BITS, slope
from lictor.models.pixels import BLOCK, CHECKSUM, Mask, Pixels, block_count, checksum

_linear: ModuleType | None
try:
    from lictor.models.linear import _linear
except ImportError:  # built without a C compiler
    _linear = None

MOST_SIDE = 1 << 16
"""Longest side of a tile."""
MOST_FINENESS = 31
FINENESS_OCTAVES = 4
"""How many units of fineness halve a step."""
LEAST_STEP, MOST_STEP = 0.25, 255.0
"""On 0…255; beyond the least, levels would not fit."""

_SLOPE = 9.5
"""Bits that the square of a step is worth to the encoder. By theory 26 / 3 = 8.7; a little more is
better, because its choices are greedy (J of 8 Kodak pictures falls by 0.5 %)."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A tile.

    pixels: what the stream decodes to, 0 in blocks that are not coded. bits: of each block,
    float32, without what the stream has for all of them.
    """

    stream: bytes
    pixels: Pixels
    bits: NDArray[np.float32]


def available() -> bool:
    """Whether the C extension is here, which this coder has no twin of."""
    return _linear is not None


def step_of(quality: float, channels: int) -> float:
    """The step, on 0…255, that goes with the lambda of quality 0…100.

    A gray picture has one sample a pixel to bear the lambda of three.
    """
    return float((BITS / (slope(quality) * (3 if channels == 1 else 1))) ** 0.5)


def encode(
    pixels: Pixels,
    step: float,
    mask: Mask | None = None,
    fineness: NDArray[np.uint8] | None = None,
) -> Coded:
    """Code a tile.

    Args:
        pixels: uint8 or uint16 over their full range (H, W, 1 or 3), H and W of 1 to 2¹⁶.
        step: of the quantiser, on 0…255, LEAST_STEP to MOST_STEP.
        mask: (⌈H/64⌉, ⌈W/64⌉): the blocks of 64x64 that are coded; None: all.
        fineness: of its shape, 0…31: their step is 2^(-fineness / 4) times that, LEAST_STEP at
            least; None: 0.

    Raises:
        ValueError: the arguments do not fit one another.
        RuntimeError: the C extension was not built.
        MemoryError: there is too little.
    """
    mask, fineness = _blocks(pixels.shape, mask, fineness)
    if pixels.dtype.name not in ("uint8", "uint16"):
        raise ValueError(f"samples are uint8 or uint16, not {pixels.dtype}")
    if not LEAST_STEP <= step <= MOST_STEP:
        raise ValueError(f"the step is {step}, not {LEAST_STEP} to {MOST_STEP}")
    height, width, channels = pixels.shape
    made, bits = pixels.copy(order="C"), np.zeros(mask.shape, np.float32)
    depth, matrix = 8 * pixels.itemsize, _colours(pixels)
    shape = (height, width, channels, depth)
    stream = _extension().encode(
        made, *shape, mask, fineness.copy(), bits, round(256 * step), matrix, _SLOPE
    )
    _clear(made, mask)
    return Coded(checksum(made) + stream, made, bits)


def decode(
    data: bytes, shape: tuple[int, int, int], depth: int, mask: Mask | None = None
) -> Pixels:
    """Decode a tile.

    Args:
        data: the stream of `encode`.
        shape: (H, W, 1 or 3).
        depth: bits of a sample, 8 or 16.
        mask: as for `encode`.

    Returns:
        uint8 or uint16 (H, W, C), 0 in blocks that are not coded.

    Raises:
        CorruptStream: the bytes are not the stream of such a tile.
        ValueError, RuntimeError, MemoryError: as for `encode`.
    """
    mask, fineness = _blocks(shape, mask, None)
    if depth not in (8, 16):
        raise ValueError(f"samples have 8 or 16 bits, not {depth}")
    pixels: Pixels = np.zeros(shape, np.uint8) if depth == 8 else np.zeros(shape, np.uint16)
    whole = _extension().decode(data[CHECKSUM:], pixels, *shape, depth, mask, fineness) and data[
        :CHECKSUM
    ] == checksum(pixels)
    if not whole:
        raise CorruptStream("the linear tile is damaged, or its shape, depth or mask is another")
    return pixels


def _clear(pixels: Pixels, mask: Mask) -> None:
    """Zeros where nothing is coded."""
    for row, column in np.argwhere(~mask):
        top, left = BLOCK * row, BLOCK * column
        pixels[top : top + BLOCK, left : left + BLOCK] = 0


def _blocks(
    shape: tuple[int, ...], mask: Mask | None, fineness: NDArray[np.uint8] | None
) -> tuple[Mask, NDArray[np.uint8]]:
    if len(shape) != 3 or not all(1 <= side <= MOST_SIDE for side in shape[:2]):
        raise ValueError(f"a tile is (height, width, channels) of sides of 1 to {MOST_SIDE}")
    if shape[2] not in (1, 3):
        raise ValueError(f"a tile has 1 or 3 channels, not {shape[2]}")
    blocks = block_count(*shape[:2])
    mask = np.ones(blocks, np.bool_) if mask is None else mask
    fineness = np.zeros(blocks, np.uint8) if fineness is None else fineness
    if mask.shape != blocks or mask.dtype != np.bool_:
        raise ValueError(f"the mask of this tile is {blocks} of bool")
    if fineness.shape != blocks or fineness.dtype != np.uint8 or fineness.max() > MOST_FINENESS:
        raise ValueError(f"the fineness of this tile is {blocks} of uint8, 0 to {MOST_FINENESS}")
    return np.ascontiguousarray(mask), np.ascontiguousarray(fineness)


_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3.0], [2.0], [6.0]])


def _colours(pixels: Pixels) -> NDArray[np.int16]:
    """The KLT of the differences of neighbours' colours, in 2^-14; of gray, one number.

    It is orthonormal, so that steps and errors are those of the colours.
    """
    if pixels.shape[2] == 1:
        return np.array([1 << 14], np.int16)
    colours = pixels.astype(np.float64)
    steps = [np.diff(colours, axis=axis).reshape(-1, 3) for axis in (0, 1)]
    moved = sum(step.T @ step for step in steps)
    # A little of the usual, for pictures that say nothing.
    usual = _OPPONENTS.T @ np.diag([1.0, 0.05, 0.02]) @ _OPPONENTS
    _, vectors = np.linalg.eigh(moved + usual)
    matrix = vectors.T[::-1] * np.where(vectors.sum(axis=0)[::-1] < 0, -1, 1)[:, None]
    return np.ascontiguousarray(np.rint(matrix * (1 << 14)), np.int16)


def _extension() -> ModuleType:
    if _linear is None:
        raise RuntimeError("the linear method needs the C extension: install with a C compiler")
    return _linear
