"""Made-up patterns: stripes, checks, dither, halftone, noise, pixel art.

Each kind takes (random, size, photo) and gives an RGB picture of size × size.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lictor.datasets.screen_colours import (
    Array,
    backdrop,
    draw_colour,
    draw_pair,
    gradient,
)

Photo = Image.Image | None

_INKS = ((0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0))
_ANGLES = (15, 75, 0, 45)
"""Degrees that cyan, magenta, yellow and black are printed at."""


def stripes(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Stripes of any period from 1 pixel on, any angle and duty, with hard or soft edges."""
    period, angle = _period(random), random.choice([0, np.pi / 2, np.pi / 4])
    if random.random() < 0.5:
        angle = random.uniform(0, np.pi)
    turns = (_along(size, angle) / period + random.random()) % 1
    if random.random() < 0.25:
        return _between(random, 0.5 + 0.5 * np.sin(2 * np.pi * turns))
    # Few periods have all duties: of one of 2 pixels, half is the only one.
    duty = 0.5 if random.random() < 0.5 else random.uniform(0.1, 0.9)
    if random.random() < 0.5:
        return _between(random, (turns < duty).astype(np.float32))
    edge = np.abs(turns - duty / 2)
    edge = np.minimum(edge, 1 - edge)
    return _between(random, np.clip((duty / 2 - edge) * period + 0.5, 0, 1))


def checks(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A board of two colours, or a patchwork of many, with cells from 1 pixel on."""
    high, wide = (max(1, int(random.choice([1, 1, 2, 3, 4, 8, 16, 40]))) for _ in range(2))
    wide = high if random.random() < 0.7 else wide
    shift = random.integers(0, 40, 2)
    rows, columns = ((np.arange(size) + s) // n for s, n in zip(shift, (high, wide), strict=True))
    if random.random() < 0.75:
        return _between(random, ((rows[:, None] + columns) % 2).astype(np.float32))
    palette = _palette(random, int(random.integers(2, 9)))
    cells = random.integers(0, len(palette), (rows[-1] + 1, columns[-1] + 1))
    return Image.fromarray(palette[cells[rows[:, None], columns]])


def boxes(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A few boxes, each of one colour: large uniform regions and straight edges."""
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = draw_colour(random)
    for _ in range(random.integers(0, 12)):
        (top, left), (high, wide) = random.integers(0, size, 2), random.integers(1, size, 2)
        canvas[top : top + high, left : left + wide] = draw_colour(random)
    return Image.fromarray(canvas)


def dither_ordered(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """By Bayer's thresholds, to two levels of each colour or a few."""
    tones, levels = _tones(random, size, photo), int(random.choice([1, 1, 2, 3, 5]))
    thresholds = _bayer(int(random.integers(1, 4)))
    tiled = np.tile(thresholds, (-(-size // len(thresholds)),) * 2)[:size, :size, None]
    return _shown(random, np.floor(tones * levels + tiled) / levels)


def dither_random(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """By noise, to two levels of each colour or a few."""
    tones, levels = _tones(random, size, photo), int(random.choice([1, 1, 2, 4]))
    noise = random.random(tones.shape, np.float32)
    return _shown(random, np.floor(tones * levels + noise * 0.999) / levels)


def dither_diffused(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """By Floyd and Steinberg, to black and white or to a palette, its own or any."""
    image = _scene(random, size, photo)
    if random.random() < 0.5:
        two = np.asarray(image.convert("L").convert("1"), np.float32)
        return _between(random, two)
    count = int(random.integers(2, 33))
    if random.random() < 0.6:
        palette = _own_palette(image, count)
    else:
        palette = Image.new("P", (1, 1))
        palette.putpalette(_palette(random, count).tobytes())
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")


def posterised(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """In few colours, without dither."""
    image = _scene(random, size, photo)
    count = int(random.integers(2, 40))
    if random.random() < 0.5:
        own = _own_palette(image, count)
        return image.quantize(palette=own, dither=Image.Dither.NONE).convert("RGB")
    levels = int(random.integers(1, 6))
    return _shown(random, np.rint(np.asarray(image, np.float32) / 255 * levels) / levels)


def halftone(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Dots that grow with the tone, of one ink or of the four of print, sharp or smoothed."""
    period, steep = random.uniform(2.5, 12), random.choice([1e6, 1.5, 3])
    scene = _scene(random, size, photo)
    if random.random() < 0.5:
        ink = _dots(np.asarray(scene.convert("L"), np.float32) / 255, period, 45, steep)
        return _between(random, ink)
    paper = np.asarray(scene, np.float32) / 255
    black = paper.max(axis=2)
    parts = [*np.moveaxis(paper / np.maximum(black, 1 / 255)[..., None], 2, 0), black]
    shown = np.full((size, size, 3), 255, np.float32)
    for tone, ink_colour, angle in zip(parts, _INKS, _ANGLES, strict=True):
        left = _dots(tone, period, angle, steep)[..., None]
        shown *= left + (1 - left) * (np.array(ink_colour, np.float32) / 255)
    return Image.fromarray(_unsigned(shown))


def noise(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """White, gray or coloured, of any spread and shape, in blocks of one pixel or more."""
    block = int(random.choice([1, 1, 1, 2, 3, 4, 8, 16]))
    shape = (-(-size // block), -(-size // block), 3 if random.random() < 0.6 else 1)
    kind = random.integers(4)
    if kind == 0:
        made = random.random(shape, np.float32) * 255
    elif kind == 1:
        made = 255.0 * (random.random(shape, np.float32) < random.uniform(0.05, 0.95))
    else:
        made = random.standard_normal(shape, np.float32) * random.uniform(1, 80)
        made = made + np.array(draw_colour(random), np.float32)[: shape[2]]
    if kind == 3 and block == 1:
        # Coarse noise below: as film and old sensors have it.
        made = made + np.roll(made, 1, 0) + np.roll(made, 1, 1) - 2 * made.mean()
    made = np.repeat(np.repeat(made, block, 0), block, 1)[:size, :size]
    return Image.fromarray(_unsigned(np.broadcast_to(made, (size, size, 3))))


def salt_and_pepper(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A photo or a flat colour, of which some pixels are black or white, or are noisy."""
    below = np.array(_scene(random, size, photo))
    if random.random() < 0.4:
        spread = random.uniform(3, 50)
        return Image.fromarray(
            _unsigned(below + spread * random.standard_normal(below.shape, np.float32))
        )
    drawn = random.random((size, size), np.float32)
    share = np.exp(random.uniform(np.log(0.002), np.log(0.3)))
    below[drawn < share / 2] = 0
    below[drawn > 1 - share / 2] = 255
    return Image.fromarray(below)


def pixel_art(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Tiles and mirrored figures in few colours, each pixel shown as 1…8."""
    zoom, side = int(random.integers(1, 9)), int(random.choice([8, 12, 16]))
    palette = _palette(random, int(random.integers(3, 12)))
    tiles = np.stack([_tile(random, side, len(palette)) for _ in range(random.integers(2, 7))])
    across = -(-size // (zoom * side)) + 1
    laid = random.integers(0, len(tiles), (across, across))
    if random.random() < 0.6:
        # Most places have the ground, which is one colour or nearly so.
        tiles[0] = tiles[0, 0, 0]
        laid[random.random(laid.shape) < 0.6] = 0
    art = tiles[laid].transpose(0, 2, 1, 3).reshape(across * side, -1)
    top, left = random.integers(0, side, 2)
    need = -(-size // zoom)
    return enlarged(Image.fromarray(palette[art[top : top + need, left : left + need]]), zoom, size)


def pixelated(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A photo in large pixels, perhaps in few colours."""
    zoom = int(random.integers(2, 9))
    image = _scene(random, size, photo).reduce(zoom)
    if random.random() < 0.5:
        image = image.quantize(int(random.integers(2, 33))).convert("RGB")
    return enlarged(image, zoom, size)


def enlarged(image: Image.Image, zoom: int, size: int) -> Image.Image:
    """Each pixel shown as zoom × zoom, cut to the size."""
    large = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
    return large.crop((0, 0, size, size))


def _tile(random: np.random.Generator, side: int, colours: int) -> Array:
    """A figure: half of it random, the other half its mirror image; indices (side, side)."""
    half = random.integers(0, colours, (side, side // 2))
    ground = random.random(half.shape) < random.uniform(0.2, 0.8)
    half[ground] = random.integers(colours)
    if random.random() < 0.5:
        half = np.repeat(np.repeat(half[: side // 2, : side // 4], 2, 0), 2, 1)
    return np.concatenate([half, half[:, ::-1]], axis=1)


def _scene(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """What is shown in few levels: a photo mostly, or a gradient of full range."""
    if random.random() < 0.75:
        return backdrop(random, size, photo)
    return gradient(random, size, draw_pair(random))


def _tones(random: np.random.Generator, size: int, photo: Photo) -> Array:
    """The scene in gray or in colour, float32 (size, size, 1 or 3) in 0…1."""
    scene = _scene(random, size, photo)
    scene = scene.convert("L") if random.random() < 0.5 else scene
    return np.asarray(scene, np.float32).reshape(size, size, -1) / 255


def _shown(random: np.random.Generator, levels: Array) -> Image.Image:
    """Levels in 0…1: one channel between two colours, three as they are."""
    if levels.shape[2] == 1:
        return _between(random, levels[..., 0])
    return Image.fromarray(_unsigned(levels * 255))


def _between(random: np.random.Generator, share: Array) -> Image.Image:
    """From one colour, where the share is 0, to another, where it is 1."""
    pair = np.array(draw_pair(random), np.float32)
    # By a table, as every share of a colour is one of 256.
    table = pair[0] + (pair[1] - pair[0]) * (np.arange(256, dtype=np.float32) / 255)[:, None]
    return Image.fromarray(_unsigned(table)[_unsigned(share * 255)])


def _dots(tone: Array, period: float, angle: float, steep: float) -> Array:
    """What the dots leave of the paper, 0…1; a tone of 1 leaves all."""
    turn = np.radians(angle)
    across, down = (_along(len(tone), turn + right) for right in (0, np.pi / 2))
    scale = np.float32(2 * np.pi / period)
    threshold = (np.cos(across * scale) + np.cos(down * scale)) / 4 + 0.5
    return np.clip((tone - threshold) * steep * period / 2 + 0.5, 0, 1)


def _bayer(order: int) -> Array:
    """Thresholds in 0…1, each of 4 ** order once."""
    matrix = np.zeros((1, 1), np.float32)
    for _ in range(order):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size


def _period(random: np.random.Generator) -> float:
    """Pixels: whole and small ones often, else 1…80."""
    if random.random() < 0.5:
        return float(random.choice([2, 2, 2, 3, 4, 5, 6, 8, 10, 16]))
    return float(np.exp(random.uniform(0, np.log(80))))


def _own_palette(image: Image.Image, count: int) -> Image.Image:
    """That many colours of the image: of a thumbnail, as all pixels take long."""
    return image.resize((48, 48)).quantize(count, Image.Quantize.MEDIANCUT)


def _palette(random: np.random.Generator, count: int) -> Array:
    """That many colours, uint8 (count, 3); the first two are ink and paper."""
    colours = [*draw_pair(random), *(draw_colour(random) for _ in range(count - 2))]
    return np.array(colours, np.uint8)


def _along(size: int, angle: float) -> Array:
    """Distance in pixels along the angle, float32 (size, size)."""
    place = np.arange(size, dtype=np.float32)
    # Along an axis, without the 1e-17 that would blur where stripes end.
    along, down = (np.float32(round(f(angle), 9)) for f in (np.cos, np.sin))
    return along * place + down * place[:, None]


def _unsigned(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
