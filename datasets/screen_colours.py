"""Colours of made-up screens: inks, papers, gradients, colour maps, and what lies behind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lictor.datasets.smooth import smooth

Colour = tuple[int, int, int]
Array = np.ndarray

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
_INKS = (
    *((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)),
    *((192, 192, 192), (128, 128, 128), (128, 0, 0), (0, 128, 0), (0, 0, 128), (240, 240, 240)),
    *((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    *((13, 110, 253), (220, 53, 69), (25, 135, 84), (255, 193, 7), (33, 37, 41), (248, 249, 250)),
)
"""Colours that programs have by name."""
_MAPS = (
    ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)),
    ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)),
    ((0, 0, 143), (0, 0, 255), (0, 255, 255), (255, 255, 0), (255, 0, 0), (128, 0, 0)),
    ((59, 76, 192), (221, 221, 221), (180, 4, 38)),
    (BLACK, WHITE),
    (BLACK, (255, 0, 0), (255, 255, 0), WHITE),
)


def draw_colour(random: np.random.Generator) -> Colour:
    """Black and white often, colours with a name often, else any."""
    kind = random.random()
    if kind < 0.35:
        return BLACK if kind < 0.17 else WHITE
    if kind < 0.65:
        return _INKS[random.integers(len(_INKS))]
    if kind < 0.75:
        level = int(random.integers(256))
        return level, level, level
    red, green, blue = random.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def draw_pair(random: np.random.Generator, least: int = 60) -> tuple[Colour, Colour]:
    """Ink and paper, `least` levels of brightness apart."""
    kind = random.random()
    if kind < 0.45:
        return (BLACK, WHITE) if kind < 0.33 else (WHITE, BLACK)
    for _ in range(20):
        ink, paper = draw_colour(random), draw_colour(random)
        if abs(brightness(ink) - brightness(paper)) >= least:
            return ink, paper
    return BLACK, WHITE


def brightness(colour: Colour) -> float:
    """0…255, as eyes see it."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def gradient(random: np.random.Generator, size: int, ends: tuple[Colour, Colour]) -> Image.Image:
    """From one colour to the other along some direction, as programs fill with: in few levels."""
    angle = random.integers(8) * np.pi / 4 if random.random() < 0.7 else random.uniform(0, 6.28)
    place = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    along = np.cos(angle) * place + np.sin(angle) * place[:, None]
    along = (along - along.min()) / np.ptp(along)
    return Image.fromarray(mapped(along, ends))


def draw_map(random: np.random.Generator) -> tuple[Colour, ...]:
    """The stops of a colour map: a usual one, or any."""
    if random.random() < 0.7:
        return _MAPS[random.integers(len(_MAPS))]
    return tuple(draw_colour(random) for _ in range(random.integers(2, 6)))


def mapped(field: Array, stops: tuple[Colour, ...]) -> Array:
    """The field, (height, width) in 0…1, in the map's colours, uint8 (height, width, 3)."""
    at = np.linspace(0, 255, len(stops))
    channels = np.array(stops, float).T
    table = np.stack([np.interp(np.arange(256), at, channel) for channel in channels], axis=1)
    return np.rint(table).astype(np.uint8)[np.rint(field * 255).astype(np.uint8)]


def backdrop(random: np.random.Generator, size: int, photo: Image.Image | None) -> Image.Image:
    """The photo brought to that size, or a smooth picture where there is none."""
    if photo is None:
        coarse = smooth(random, max(2, size // 4)).transpose(1, 2, 0)
        made = Image.fromarray(np.rint(coarse * 255).astype(np.uint8))
        return made.resize((size, size), Image.Resampling.BILINEAR)
    if photo.width < size:
        return photo.resize((size, size), Image.Resampling.BICUBIC)
    left, top = random.integers(0, photo.width - size + 1, 2)
    return photo.crop((left, top, left + size, top + size))


def draw_paper(
    random: np.random.Generator, size: int, photo: Image.Image | None, paper: Colour
) -> Image.Image:
    """What text stands on: that colour alone mostly, a gradient, or the photo."""
    kind = random.random()
    if kind < 0.7:
        return Image.new("RGB", (size, size), paper)
    if kind < 0.85:
        other = tuple(int(c) for c in np.clip(np.add(paper, random.integers(-60, 61, 3)), 0, 255))
        return gradient(random, size, (paper, (other[0], other[1], other[2])))
    return backdrop(random, size, photo)
