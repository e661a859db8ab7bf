"""What there is of an overfitted picture: its grids, its tiles, and the parameters of its networks.

A picture has seven grids of integers, of 1/1, 1/2 … 1/64 of its sides, and three more, hyper-grids,
that only tell about the others. Source: Cool-Chic (Ladune et al., ICCV 2023, and later versions)
for the parts and what they compute; the sizes are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

LEVELS = 7
"""Grids that samples are made of; grid l has 1 / 2^l of the picture's sides, rounded up."""
HYPER_LEVELS = (4, 5, 6)
"""Of the grids that only the context network sees."""
GRID_LEVELS = (*range(LEVELS), *HYPER_LEVELS)
"""Of all grids, in the order in which they are kept."""
CODING_ORDER = (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
"""Their order in the stream: hyper-grids first, each from coarse to fine."""
GUIDED_LEVELS = 3
"""The finest grids, whose symbols are also told from all grids that came before."""
LEAST_SYMBOL, MOST_SYMBOL = -64, 63
TILE = 512
"""A side of a tile is at most this; contexts end at its borders."""
_TILE_UNIT = 1 << (LEVELS - 1)

# Above and left of a symbol, the nearest first: rows down, columns to the right.
NEIGHBOURS = (
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)),
    *((-2, -1), (-2, 1), (-1, -2), (-1, 2), (0, -3), (-3, 0)),
    *((-2, -2), (-2, 2), (-1, -3), (-1, 3), (-3, -1), (-3, 1)),
)
UP_TAPS, PRE_TAPS = 4, 4
"""Different taps of the symmetric filters: of 8 of the doubling, of 7 before it."""
LOG_SCALE_SHIFT, LOG_SCALE_LIMIT = 4.0, 5.0
"""A Laplace distribution's scale is exp(s - shift held within ±limit), s from the network."""


@dataclass(frozen=True)
class Size:
    """How large the networks of a picture are.

    neighbours, features: inputs of the context network, together a multiple of 8. hidden: of the
    synthesis. filters: its residual 3x3 convolutions.
    """

    name: str
    neighbours: int
    features: int
    hidden: int
    filters: int

    @property
    def inputs(self) -> int:
        """Of the context network, and the width of its layers."""
        return self.neighbours + self.features

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters, by name, in the order in which they are kept, each in C order."""
        d, f, k, r = self.inputs, self.features, self.hidden, self.filters
        found: dict[str, tuple[int, ...]] = {
            "context_1.weight": (d, d),
            "context_1.bias": (d,),
            "context_2.weight": (d, d),
            "context_2.bias": (d,),
            "context_3.weight": (2, d),
            "context_3.bias": (2,),
            "context_linear.weight": (2, d),
        }
        for level in range(GUIDED_LEVELS):
            found[f"features_{level}.weight"] = (f, guides(level))
            found[f"features_{level}.bias"] = (f,)
        found["up.weight"] = (LEVELS - 1, UP_TAPS)
        found["pre.weight"] = (LEVELS - 1, PRE_TAPS)
        found["synthesis_1.weight"] = (k, LEVELS)
        found["synthesis_1.bias"] = (k,)
        found["synthesis_2.weight"] = (3, k)
        found["synthesis_2.bias"] = (3,)
        for number in range(r):
            found[f"filter_{number}.weight"] = (3, 3, 3, 3)
            found[f"filter_{number}.bias"] = (3,)
        found["synthesis_linear.weight"] = (3, LEVELS)
        return found

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(prod(shape) for shape in self.shapes.values())


SIZES = {
    size.name: size
    for size in (Size("s", 6, 2, 8, 1), Size("m", 12, 4, 16, 1), Size("l", 18, 6, 40, 2))
}


MODEL = "overfit"
_DEFAULT = "m"


def named(model: object) -> Size | None:
    """What a model's name asks for: overfit, or overfit-s, -m or -l; None of any other."""
    first, _, name = str(model).partition("-")
    return SIZES.get(name or _DEFAULT) if first == MODEL else None


def guides(level: int) -> int:
    """How many grids tell about one of the finest: those that are coarser, and the hyper-grids."""
    return LEVELS - 1 - level + len(HYPER_LEVELS)


def grid_shape(height: int, width: int, level: int) -> tuple[int, int]:
    """Of a grid of a picture, or of a tile."""
    return -(-height >> level), -(-width >> level)


def grid_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """Of all grids."""
    return [grid_shape(height, width, level) for level in GRID_LEVELS]


def tile_sides(height: int, width: int) -> tuple[int, int]:
    """Height and width of the tiles of a picture: multiples of 64, at most TILE, of like size.

    Those of the last row and column are what is left.
    """
    return _tile_side(height), _tile_side(width)


def _tile_side(side: int) -> int:
    units = -(-side // _TILE_UNIT)
    tiles = -(-units * _TILE_UNIT // TILE)
    return -(-units // tiles) * _TILE_UNIT
