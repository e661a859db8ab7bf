"""Made-up screens and scans: what photos lack, and people code all the same.

Text in many fonts, smoothed and not; stripes, checks, dither, halftone; plots, interfaces, icons,
pixel art, maps; noise; photos with text beside or over them. Photos alone teach a network none of
it. Zone plates, stars, fractals, cells, barcodes and hatches are left out on purpose: the pictures
of tests/datasets/other_makes.py have them, to judge by what was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops

from lictor.datasets import screen_drawings as drawings
from lictor.datasets import screen_patterns as patterns
from lictor.datasets import screen_text as text

Photo = Image.Image | None


class Kind(NamedTuple):
    """What makes an RGB picture of size × size of (random, size, photo), and how often it does."""

    make: Callable[[np.random.Generator, int, Photo], Image.Image]
    weight: float


KINDS: dict[str, Kind] = {
    "paragraphs": Kind(text.paragraphs, 12),
    "table": Kind(text.table, 4),
    "code": Kind(text.code, 6),
    "headline": Kind(text.headline, 4),
    "captions": Kind(text.captions, 5),
    "scan": Kind(text.scan, 7),
    "beside": Kind(text.beside, 5),
    "plot": Kind(drawings.plot, 7),
    "heat_map": Kind(drawings.heat_map, 3),
    "interface": Kind(drawings.interface, 9),
    "icons": Kind(drawings.icons, 4),
    "map_drawing": Kind(drawings.map_drawing, 3),
    "line_drawing": Kind(drawings.line_drawing, 4),
    "collage": Kind(drawings.collage, 3),
    "stripes": Kind(patterns.stripes, 4),
    "checks": Kind(patterns.checks, 3),
    "boxes": Kind(patterns.boxes, 2),
    "dither_ordered": Kind(patterns.dither_ordered, 3),
    "dither_random": Kind(patterns.dither_random, 1.5),
    "dither_diffused": Kind(patterns.dither_diffused, 3),
    "posterised": Kind(patterns.posterised, 2),
    "halftone": Kind(patterns.halftone, 3),
    "noise": Kind(patterns.noise, 3),
    "salt_and_pepper": Kind(patterns.salt_and_pepper, 2),
    "pixel_art": Kind(patterns.pixel_art, 3),
    "pixelated": Kind(patterns.pixelated, 1.5),
}
"""All kinds by name."""

_BOUNDS = np.cumsum([kind.weight for kind in KINDS.values()])


def screen(random: np.random.Generator, size: int, photo: np.ndarray | None = None) -> np.ndarray:
    """A made-up screen or scan, uint8 (3, size, size): a function of the generator's state.

    Args:
        random: Draws it. Which fonts are installed matters too.
        size: Height and width, at least 16 pixels.
        photo: A part of a photo, uint8 (3, height, width), both at least 16; what mixes photos in
            takes it. Without one it makes up a smooth picture.

    Raises:
        ValueError: The size or the photo is none of these.
    """
    return screen_of(KINDS[_draw(random)], random, size, photo)


def screen_of(
    kind: Kind, random: np.random.Generator, size: int, photo: np.ndarray | None = None
) -> np.ndarray:
    """As `screen`, of one kind: mostly as made; or enlarged, shrunk, inverted, turned, mirrored."""
    if size < 16:
        raise ValueError(
            f"a screen of {size} pixels is too small to show anything; 16 is the least"
        )
    shot = None if photo is None else _image(photo)
    image = _sized(kind, random, size, shot)
    if random.random() < 0.06:
        image = ImageChops.invert(image)
    pixels = np.asarray(image).transpose(2, 0, 1)
    if random.random() < 0.12:
        pixels = np.rot90(pixels, random.integers(4), axes=(1, 2))
        pixels = pixels[..., ::-1] if random.random() < 0.5 else pixels
    return np.ascontiguousarray(pixels)


def _draw(random: np.random.Generator) -> str:
    """The name of a kind, by weight."""
    place = np.searchsorted(_BOUNDS, random.random() * _BOUNDS[-1], side="right")
    return list(KINDS)[min(place, len(KINDS) - 1)]


def _sized(kind: Kind, random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """The picture as made; or with each pixel shown as 2 × 2 or 3 × 3; or shrunk, which blurs."""
    way = random.random()
    if way < 0.08 and size >= 48:
        zoom = int(random.integers(2, 4))
        return patterns.enlarged(kind.make(random, -(-size // zoom), photo), zoom, size)
    if way < 0.14:
        larger = int(size * random.uniform(1.05, 1.4))
        image = kind.make(random, larger, photo)
        return image.resize((size, size), Image.Resampling.BICUBIC)
    return kind.make(random, size, photo)


def _image(photo: np.ndarray) -> Image.Image:
    if photo.dtype != np.uint8 or photo.ndim != 3 or len(photo) != 3 or min(photo.shape[1:]) < 16:
        raise ValueError(
            f"a photo is uint8 (3, height, width), both at least 16, and not "
            f"{photo.dtype} {photo.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(photo.transpose(1, 2, 0)))
