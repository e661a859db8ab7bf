"""Made-up drawings: plots, interfaces, icons, maps.

Each kind takes (random, size, photo) and gives an RGB picture of size × size. Half of them are
drawn twice as large as they are shown, which smooths their edges.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lictor.datasets.fonts import draw_font, draw_number, draw_words, font
from lictor.datasets.screen_colours import (
    BLACK,
    WHITE,
    Array,
    Colour,
    backdrop,
    draw_colour,
    draw_map,
    draw_pair,
    draw_paper,
    mapped,
)

Photo = Image.Image | None
Box = tuple[float, float, float, float]


class Pen:
    """What draws: lengths are those of the picture shown, however large it is drawn."""

    def __init__(self, random: np.random.Generator, ground: Image.Image) -> None:
        self.random, self.size = random, ground.width
        self.unit = 2 if random.random() < 0.5 else 1
        self.image = ground.resize((self.size * self.unit,) * 2, Image.Resampling.NEAREST)
        self.draw = ImageDraw.Draw(self.image)
        self.path = draw_font(random)

    def line(self, points: Array, colour: Colour, width: int = 1) -> None:
        """Through the points, (count, 2)."""
        self.draw.line(self._scaled(points), colour, width * self.unit)

    def polygon(self, points: Array, fill: Colour | None, edge: Colour | None = None) -> None:
        """Around the points, (count, 2)."""
        self.draw.polygon(self._scaled(points), fill, edge)

    def box(
        self, box: Box, fill: Colour | None, edge: Colour | None = None, round_by: float = 0
    ) -> None:
        """A box, perhaps with an edge and rounded corners."""
        edges = self._edges(box)
        side = min(edges[2] - edges[0], edges[3] - edges[1])
        if side < 1:
            return
        # Corners that nearly meet are more than Pillow can draw.
        corner = min(round(round_by * self.unit), side // 2 - 2)
        if corner > 0:
            self.draw.rounded_rectangle(edges, corner, fill, edge, self.unit)
        else:
            self.draw.rectangle(edges, fill, edge, self.unit)

    def disc(self, x: float, y: float, radius: float, fill: Colour, ring: bool = False) -> None:
        """A disc around (x, y), or the ring at its edge."""
        edges = self._edges((x - radius, y - radius, x + radius, y + radius))
        if ring:
            self.draw.ellipse(edges, None, fill, 2 * self.unit)
        else:
            self.draw.ellipse(edges, fill)

    def text(self, x: float, y: float, words: str, size: int, colour: Colour) -> None:
        """The words with their upper left corner at (x, y)."""
        face = font(self.path, size * self.unit)
        self.draw.text((x * self.unit, y * self.unit), words, colour, font=face)

    def word(self) -> str:
        """A word."""
        return draw_words(self.random, self.path, 1)[0]

    def paste(self, image: Image.Image, box: Box) -> None:
        """The image, brought to the size of the box."""
        left, top, right, bottom = self._edges(box)
        if right > left and bottom > top:
            image = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
            self.image.paste(image, (left, top))

    def shade(self, box: Box, reach: int, dark: float) -> None:
        """The shadow of a box, which fades out within the reach."""
        left, top, right, bottom = self._edges(box)
        far = 2 * reach * self.unit
        x, y = max(0, left - far), max(0, top - far)
        wide, high = (min(n + far, self.image.width) - at for n, at in ((right, x), (bottom, y)))
        if min(wide, high) < 1:
            return
        mask = Image.new("L", (wide, high))
        inside = (left - x, top - y, right - x, bottom - y)
        ImageDraw.Draw(mask).rectangle(inside, round(255 * dark))
        mask = mask.filter(ImageFilter.BoxBlur(reach * self.unit / 2))
        self.image.paste(BLACK, (x, y), mask)

    def shown(self) -> Image.Image:
        """What was drawn, at the size it is shown."""
        return self.image.reduce(self.unit) if self.unit > 1 else self.image

    def _scaled(self, points: Array) -> list[float]:
        return (np.asarray(points, float) * self.unit).ravel().tolist()

    def _edges(self, box: Box) -> tuple[int, int, int, int]:
        left, top, right, bottom = (round(edge * self.unit) for edge in box)
        return left, top, right, bottom


def plot(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Axes with ticks and numbers, and lines, points or bars between them."""
    ink, paper = draw_pair(random)
    pen = Pen(random, Image.new("RGB", (size, size), paper))
    left, top, right, bottom = box = (
        random.uniform(-10, 0.2 * size),
        random.uniform(-10, 0.1 * size),
        size * random.uniform(0.85, 1.1),
        size * random.uniform(0.75, 1.1),
    )
    _axes(pen, box, ink, paper)
    for _ in range(random.integers(1, 5)):
        _SERIES[random.integers(len(_SERIES))](pen, box, draw_colour(random))
    if random.random() < 0.5:
        pen.box((left, top, right, bottom), None, ink)
    if random.random() < 0.4:
        _legend(pen, (left + right) / 2, top + 8, ink, paper)
    return pen.shown()


def heat_map(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A field in the colours of a map: smooth, in cells, or in steps with contour lines."""
    cells = size if random.random() < 0.5 else int(random.integers(4, 40))
    field = _bumps(random, cells)
    if cells == size and random.random() < 0.6:
        steps = np.floor(field * (levels := int(random.integers(4, 16))))
        shown = mapped(np.minimum(steps / (levels - 1), 1), draw_map(random))
        if random.random() < 0.6:
            edges = (np.diff(steps, axis=0, append=steps[-1:]) != 0) | (
                np.diff(steps, axis=1, append=steps[:, -1:]) != 0
            )
            shown[edges] = BLACK if random.random() < 0.7 else draw_colour(random)
        return Image.fromarray(shown)
    tiles = Image.fromarray(mapped(field, draw_map(random)))
    pen = Pen(random, tiles.resize((size, size), Image.Resampling.NEAREST))
    if cells < 12 and random.random() < 0.7:
        step, ink = size / cells, draw_colour(random)
        for y in np.arange(cells):
            for x in np.arange(cells):
                pen.text(x * step + 2, (y + 0.3) * step, f"{field[y, x]:.2f}", 9, ink)
    return pen.shown()


def interface(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Windows with titles, buttons, lists, fields and bars, over a desktop."""
    pen = Pen(random, draw_paper(random, size, photo, draw_colour(random)))
    for _ in range(random.integers(1, 4)):
        left, top = random.uniform(-0.4 * size, 0.7 * size, 2)
        right, bottom = (
            left + size * random.uniform(0.4, 1.3),
            top + size * random.uniform(0.4, 1.2),
        )
        _window(pen, (left, top, right, bottom), photo)
    if random.random() < 0.3:
        _bar(pen, (0, size - random.uniform(16, 40), size, size))
    return pen.shown()


def icons(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Rows of small signs, each in a tile or not, with or without a name."""
    ink, paper = draw_pair(random)
    pen = Pen(random, draw_paper(random, size, photo, paper))
    step, fill = random.uniform(16, 80), random.uniform(0.4, 0.9)
    rounded, named, tiled = random.uniform(0, 20), random.random() < 0.4, random.random() < 0.6
    for top in np.arange(random.uniform(-10, 10), size, step):
        for left in np.arange(random.uniform(-10, 10), size, step):
            side = step * fill
            box = (left, top, left + side, top + side)
            if tiled:
                pen.box(box, draw_colour(random), ink if random.random() < 0.2 else None, rounded)
            _sign(pen, box, draw_colour(random))
            if named and step > 36:
                pen.text(left, top + side + 1, pen.word()[:8], 9, ink)
    return pen.shown()


def map_drawing(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Land and water, streets with edges, blocks of houses, and names."""
    pen = Pen(random, Image.new("RGB", (size, size), draw_colour(random)))
    for _ in range(random.integers(1, 7)):
        edge = draw_colour(random) if random.random() < 0.5 else None
        pen.polygon(_outline(random, size), draw_colour(random), edge)
    edge, street = draw_pair(random, 30)
    for _ in range(random.integers(2, 14)):
        points, width = _way(random, size), int(random.integers(1, 9))
        pen.line(points, edge, width + 2)
        pen.line(points, street, width)
    for _ in range(random.integers(0, 8)):
        x, y = random.uniform(0, size, 2)
        pen.text(x, y, pen.word(), int(random.integers(8, 18)), edge)
    return pen.shown()


def line_drawing(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Strokes, circles, boxes joined by right angles: sketches, plans, diagrams."""
    ink, paper = draw_pair(random)
    pen = Pen(random, Image.new("RGB", (size, size), paper))
    width, right_angled = int(random.integers(1, 4)), random.random() < 0.5
    for _ in range(random.integers(6, 50)):
        way = _way(random, size)
        if right_angled:
            grid = np.round(way[:3] / 8) * 8
            way = np.stack([grid[0], (grid[1][0], grid[0][1]), grid[1]])
        if random.random() < 0.7:
            pen.line(way, ink, width)
        else:
            x, y = way[0]
            side = random.uniform(4, 40)
            _sign(pen, (x, y, x + side, y + side), ink)
    return pen.shown()


def collage(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Small photos in frames on a page, as galleries and shops show them."""
    ink, paper = draw_pair(random)
    pen = Pen(random, Image.new("RGB", (size, size), paper))
    shot, step = backdrop(random, size, photo), size / random.integers(1, 5)
    gap, letter = random.uniform(1, 12), int(random.integers(8, 14))
    for top in np.arange(random.uniform(-0.4 * step, gap), size, step):
        for left in np.arange(random.uniform(-0.4 * step, gap), size, step):
            right, bottom = left + step - gap, top + step - gap - letter - 4
            cut = random.integers(0, max(1, size // 2), 2)
            part = shot.crop((*cut, *(cut + size // 2)))
            pen.paste(part, (left, top, right, bottom))
            if random.random() < 0.4:
                pen.box((left, top, right, bottom), None, ink)
            pen.text(left, bottom + 1, pen.word(), letter, ink)
    return pen.shown()


def _axes(pen: Pen, box: Box, ink: Colour, paper: Colour) -> None:
    """A grid or ticks, and numbers, below and left of the box."""
    left, top, right, bottom = box
    grid, letter = pen.random.random() < 0.6, int(pen.random.integers(8, 14))
    faint = (ink[0] + 4 * paper[0]) // 5, (ink[1] + 4 * paper[1]) // 5, (ink[2] + 4 * paper[2]) // 5
    step = pen.random.uniform(18, 60)
    for x in np.arange(left + step, right, step):
        pen.line(np.array([(x, top if grid else bottom - 4), (x, bottom)]), faint if grid else ink)
        pen.text(x - letter, bottom + 3, draw_number(pen.random)[:5], letter, ink)
    for y in np.arange(bottom - step, top, -step):
        pen.line(np.array([(left, y), (right if grid else left + 4, y)]), faint if grid else ink)
        pen.text(left - 3 * letter, y - letter / 2, draw_number(pen.random)[:5], letter, ink)
    pen.line(np.array([(left, top), (left, bottom), (right, bottom)]), ink)


def _curve(pen: Pen, box: Box, colour: Colour) -> None:
    """A line: a walk, or a wave."""
    count = int(pen.random.integers(5, 120))
    heights = np.cumsum(pen.random.normal(size=count))
    if pen.random.random() < 0.4:
        heights = np.sin(np.linspace(0, pen.random.uniform(3, 40), count))
    pen.line(
        _placed(heights, np.linspace(0, 1, count), box), colour, int(pen.random.integers(1, 4))
    )


def _points(pen: Pen, box: Box, colour: Colour) -> None:
    """Points around a line, or in a cloud."""
    count, radius = int(pen.random.integers(10, 150)), pen.random.uniform(0.7, 4)
    x = pen.random.random(count)
    heights = pen.random.normal() * x + pen.random.normal(size=count) * 0.3
    for across, down in _placed(heights, x, box):
        pen.disc(across, down, radius, colour)


def _bars(pen: Pen, box: Box, colour: Colour) -> None:
    """Bars that stand on the axis."""
    count = int(pen.random.integers(3, 30))
    places = _placed(pen.random.gamma(2, size=count), (np.arange(count) + 0.5) / count, box)
    half = (box[2] - box[0]) / count * pen.random.uniform(0.2, 0.5)
    edge = draw_colour(pen.random) if pen.random.random() < 0.4 else None
    for x, y in places:
        pen.box((x - half, y, x + half, box[3]), colour, edge)


_SERIES: tuple[Callable[[Pen, Box, Colour], None], ...] = (_curve, _curve, _points, _bars)


def _placed(heights: Array, across: Array, box: Box) -> Array:
    """Heights brought to the box, at shares of its width; (count, 2)."""
    low, span = heights.min(), max(np.ptp(heights), 1e-9)
    share = 0.05 + 0.9 * (heights - low) / span
    left, top, right, bottom = box
    return np.stack([left + across * (right - left), bottom - share * (bottom - top)], axis=1)


def _legend(pen: Pen, left: float, top: float, ink: Colour, paper: Colour) -> None:
    """A box of names, each after a line of its colour."""
    rows = int(pen.random.integers(1, 5))
    pen.box((left, top, left + 80, top + 14 * rows + 6), paper, ink, 3)
    for y in top + 4 + 14 * np.arange(rows):
        pen.line(np.array([(left + 4, y + 5), (left + 20, y + 5)]), draw_colour(pen.random), 2)
        pen.text(left + 24, y, pen.word()[:8], 10, ink)


def _window(pen: Pen, box: Box, photo: Photo) -> None:
    """A window: its shadow, its title, and what it holds, row by row."""
    random, (left, top, right, bottom) = pen.random, box
    ink, paper = draw_pair(random)
    if random.random() < 0.5:
        pen.shade(box, int(random.integers(2, 12)), random.uniform(0.2, 0.8))
    pen.box(box, paper, ink if random.random() < 0.5 else None, random.uniform(0, 14))
    title = random.uniform(14, 30)
    pen.box((left, top, right, top + title), draw_colour(random))
    pen.text(left + 8, top + 2, pen.word() + " " + pen.word(), int(title * 0.6), ink)
    for place in range(random.integers(0, 4)):
        pen.disc(right - 10 - 16 * place, top + title / 2, 4, draw_colour(random))
    y = top + title + random.uniform(4, 12)
    while y < min(bottom - 12, pen.size):
        high = random.uniform(14, 34)
        held = (left + 8, y, right - 8, min(y + high, bottom - 4))
        _HELD[random.integers(len(_HELD))](pen, held, ink)
        y += high + random.uniform(3, 12)
    if random.random() < 0.2:
        inside = ((left + right) / 2, top + title + 6, right - 8, bottom - 8)
        pen.paste(backdrop(random, 64, photo), inside)


def _bar(pen: Pen, box: Box) -> None:
    """A bar of signs, as below desktops and above menus."""
    pen.box(box, draw_colour(pen.random))
    side = box[3] - box[1] - 6
    for left in np.arange(box[0] + 4, box[2], side * pen.random.uniform(1.2, 2)):
        _sign(pen, (left, box[1] + 3, left + side, box[3] - 3), draw_colour(pen.random))


def _buttons(pen: Pen, box: Box, ink: Colour) -> None:
    """Buttons in a row."""
    left, top, right, bottom = box
    letter, rounded = max(7, int((bottom - top) * 0.5)), pen.random.uniform(0, 10)
    while left < right - 20:
        word = pen.word()[:10]
        wide = font(pen.path, letter).getlength(word) + 16
        label, fill = draw_pair(pen.random)
        pen.box((left, top, min(left + wide, right), bottom), fill, ink, rounded)
        pen.text(left + 8, top + 2, word, letter, label)
        left += wide + 8


def _label(pen: Pen, box: Box, ink: Colour) -> None:
    """A line of text, after a sign or a box to tick."""
    left, top, _, bottom = box
    letter = max(7, int(pen.random.uniform(0.4, 0.75) * (bottom - top)))
    if pen.random.random() < 0.5:
        _sign(pen, (left, top, left + letter, top + letter), ink)
        left += letter + 5
    words = " ".join(draw_words(pen.random, pen.path, int(pen.random.integers(1, 7))))
    pen.text(left, top, words, letter, ink)


def _field(pen: Pen, box: Box, ink: Colour) -> None:
    """A field to fill in."""
    pen.box(box, WHITE, ink, pen.random.uniform(0, 5))
    pen.text(box[0] + 4, box[1] + 2, pen.word(), max(7, int((box[3] - box[1]) * 0.5)), BLACK)


def _progress(pen: Pen, box: Box, ink: Colour) -> None:
    """How far something is, or where a slider stands."""
    left, top, right, bottom = box
    middle, half = (top + bottom) / 2, pen.random.uniform(1, 6)
    reached = left + pen.random.random() * (right - left)
    pen.box((left, middle - half, right, middle + half), draw_colour(pen.random), None, half)
    pen.box((left, middle - half, reached, middle + half), draw_colour(pen.random), None, half)
    if pen.random.random() < 0.5:
        pen.disc(reached, middle, half * 2, ink)


_HELD: tuple[Callable[[Pen, Box, Colour], None], ...] = (
    _buttons,
    _label,
    _label,
    _label,
    _field,
    _progress,
)


def _sign(pen: Pen, box: Box, colour: Colour) -> None:
    """A sign within the box: a disc, a ring, a polygon, a star, bars, a cross, a letter."""
    left, top, right, bottom = box
    x, y, radius = (left + right) / 2, (top + bottom) / 2, max(1.0, (right - left) * 0.35)
    kind = pen.random.integers(7)
    if kind in (0, 1):
        pen.disc(x, y, radius, colour, ring=kind == 1)
    elif kind in (2, 3):
        corners = int(pen.random.integers(3, 9))
        turn = 2 * np.pi * (np.arange(2 * corners) / (2 * corners)) - np.pi / 2
        reach = radius * np.where(np.arange(2 * corners) % 2, 0.45 if kind == 3 else 1, 1)
        pen.polygon(np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], 1), colour)
    elif kind == 4:
        for down in radius * np.array([-0.6, 0, 0.6]):
            pen.line(np.array([(x - radius, y + down), (x + radius, y + down)]), colour, 2)
    elif kind == 5:
        for down in (radius, -radius):
            pen.line(np.array([(x - radius, y - down), (x + radius, y + down)]), colour, 2)
    else:
        pen.text(x - radius, y - radius, pen.word()[0], max(7, int(2 * radius)), colour)


def _bumps(random: np.random.Generator, cells: int) -> Array:
    """A field of a few hills and hollows, float32 (cells, cells), which spans 0…1."""
    place = np.linspace(0, 1, cells, dtype=np.float32)
    field = random.uniform(0, 0.3) * random.standard_normal((cells, cells), np.float32)
    field = field if cells < 100 else np.zeros((cells, cells), np.float32)
    for _ in range(random.integers(2, 7)):
        width, (x, y) = random.uniform(0.1, 0.5), random.random(2)
        across, down = (np.exp(-(((place - at) / width) ** 2)) for at in (x, y))
        field += np.float32(random.normal()) * down[:, None] * across
    return (field - field.min()) / max(np.ptp(field), 1e-9)


def _outline(random: np.random.Generator, size: int) -> Array:
    """The outline of a lake, a park or a country, (count, 2)."""
    count = int(random.integers(3, 40))
    reach = size * random.uniform(0.1, 0.8) * random.uniform(0.7, 1.3, count)
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = random.uniform(0, size, 2)
    return np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)


def _way(random: np.random.Generator, size: int) -> Array:
    """The points of a street or a stroke, (count, 2): straight or winding, at least three."""
    count, heading = int(random.integers(3, 20)), random.uniform(0, 2 * np.pi)
    turns = heading + np.cumsum(random.normal(0, random.choice([0.02, 0.5]), count))
    steps = size * random.uniform(0.03, 0.3) * np.stack([np.cos(turns), np.sin(turns)], 1)
    return random.uniform(-0.1 * size, 1.1 * size, 2) + np.cumsum(steps, axis=0)
