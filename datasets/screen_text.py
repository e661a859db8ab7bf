"""Made-up text: pages, tables, code and headlines, in all ways that screens and scanners show it.

Each kind takes (random, size, photo) and gives an RGB picture of size × size.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lictor.datasets.fonts import average, draw_font, draw_number, draw_words, font
from lictor.datasets.screen_colours import (
    BLACK,
    WHITE,
    Array,
    Colour,
    backdrop,
    brightness,
    draw_colour,
    draw_pair,
    draw_paper,
)

Photo = Image.Image | None

_WAYS, _SHARES = ("gray", "bilevel", "fringed", "fine"), (0.4, 0.25, 0.2, 0.15)
"""Smoothed, with hints; not smoothed; each third of a pixel apart; smoothed, without hints."""
_FINER = {"fringed": 3, "fine": 2}
"""How many times finer letters are set than shown."""


class Sheet:
    """Where text is set: how much ink there is, and its colour, each at any place."""

    def __init__(self, random: np.random.Generator, size: int, ink: Colour, way: str = "") -> None:
        self.way = way or _WAYS[int(np.searchsorted(np.cumsum(_SHARES), random.random()))]
        self.size, self.unit = size, _FINER.get(self.way, 1)
        self.default = ink
        self.mask = Image.new("L", (size * self.unit,) * 2)
        self.inks = Image.new("RGB", (size, size), ink)
        self._mask, self._inks = ImageDraw.Draw(self.mask), ImageDraw.Draw(self.inks)
        self._mask.fontmode = "1" if self.way == "bilevel" else "L"

    def text(
        self, x: float, y: float, words: str, path: str, size: int, ink: Colour | None = None
    ) -> float:
        """Sets the words with their upper left corner at (x, y); says how wide they are."""
        face = font(path, size * self.unit)
        wide = face.getlength(words) / self.unit
        if -wide < x < self.size and -size * 2 < y < self.size:
            self._mask.text((x * self.unit, y * self.unit), words, 255, font=face)
            if ink and ink != self.default:
                self._inks.rectangle((x, y, x + wide, y + size * 1.2), ink)
        return wide

    def rule(self, box: tuple[float, float, float, float]) -> None:
        """A line or a box full of ink."""
        left, top, right, bottom = (round(edge) * self.unit for edge in box)
        if right > left and bottom > top:
            self._mask.rectangle((left, top, right - 1, bottom - 1), 255)

    def upon(self, paper: Image.Image) -> Image.Image:
        """The sheet's ink upon that paper, of its size."""
        if self.way == "fringed":
            return self._fringed(paper)
        paper = paper.copy()
        paper.paste(self.inks, mask=self.mask.reduce(self.unit) if self.unit > 1 else self.mask)
        return paper

    def _fringed(self, paper: Image.Image) -> Image.Image:
        """Red, green and blue each cover a third of a pixel, and a little of their neighbours."""
        cover = np.asarray(self.mask.reduce((1, 3)), np.uint16)
        cover = np.pad(cover, ((0, 0), (1, 1)))
        cover = (cover[:, :-2] + cover[:, 1:-1] + cover[:, 2:]) // 3
        cover = cover.reshape(self.size, self.size, 3).astype(np.int32)
        below, above = (np.asarray(image, np.int32) for image in (paper, self.inks))
        return Image.fromarray((below + (above - below) * cover // 255).astype(np.uint8))


def paragraphs(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A part of a page: lines of text in one column or more, perhaps under a headline."""
    ink, paper = draw_pair(random)
    sheet = Sheet(random, size, ink)
    _page(random, sheet, _letter(random))
    return sheet.upon(draw_paper(random, size, photo, paper))


def table(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """Numbers and names in rows and columns, with rules and striped rows."""
    ink, paper = draw_pair(random)
    sheet, path, letter = Sheet(random, size, ink), draw_font(random), int(random.integers(8, 20))
    below = draw_paper(random, size, photo, paper)
    row, left, top = letter * random.uniform(1.3, 2), *random.uniform(-20, 10, 2)
    names = random.random(8) < 0.3
    widths = random.uniform(3, 8, 8) * letter
    if random.random() < 0.4:
        _stripe(below, top, row, draw_colour(random))
    rules = random.random(2) < 0.5
    for y in np.arange(top, size, row):
        x = left
        for wide, named in zip(widths, names, strict=True):
            said = draw_words(random, path, 1)[0] if named else draw_number(random)
            x += wide
            if x - wide < size:
                start = x - wide if named else x - font(path, letter).getlength(said) - 3
                sheet.text(start + 2, y, said, path, letter)
        if rules[0]:
            sheet.rule((0, y - 2, size, y - 1))
    if rules[1]:
        for x in left + np.cumsum(widths):
            sheet.rule((x, 0, x + 1, size))
    return sheet.upon(below)


def code(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A program or a terminal: equally wide letters, lines indented, words in colours."""
    dark = random.random() < 0.6
    paper = BLACK if dark else WHITE
    if dark and random.random() < 0.7:
        red, green, blue = random.integers(0, 45, 3)
        paper = int(red), int(green), int(blue)
    sheet = Sheet(random, size, WHITE if dark else BLACK)
    path, letter = draw_font(random, fixed=True), int(random.integers(8, 22))
    inks = [draw_colour(random) for _ in range(5)]
    inks = [c for c in inks if abs(brightness(c) - brightness(paper)) > 50] or [sheet.default]
    indent, step = 0, font(path, letter).getlength("n")
    shift, row = random.uniform(-40, 20), letter * random.uniform(1.1, 1.5)
    for y in np.arange(random.uniform(-letter, letter), size, row):
        indent = max(0, min(6, indent + int(random.integers(-1, 2))))
        x = shift + 4 * indent * step
        for word in _statement(random, path):
            if x > size:
                break
            ink = inks[random.integers(len(inks))] if random.random() < 0.4 else None
            x += sheet.text(x, y, word, path, letter, ink)
    return sheet.upon(Image.new("RGB", (size, size), paper))


def headline(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A few letters, large, in many colours, with a shadow or without."""
    ink, paper = draw_pair(random)
    below = draw_paper(random, size, photo, paper)
    sheet, path = Sheet(random, size, ink), draw_font(random)
    y = random.uniform(-20, 10)
    while y < size:
        letter = int(random.integers(22, max(23, min(110, size // 2))))
        words = " ".join(draw_words(random, path, 3))
        sheet.text(random.uniform(-30, 20), y, words, path, letter, draw_colour(random))
        y += letter * random.uniform(1, 1.5)
    if random.random() < 0.3:
        dark = sheet.mask.reduce(sheet.unit) if sheet.unit > 1 else sheet.mask
        reach = int(random.integers(1, 4))
        below.paste(draw_colour(random), (reach, reach), dark)
    return sheet.upon(below)


def captions(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A photo with a few lines over it, perhaps in boxes."""
    below = backdrop(random, size, photo)
    ink, paper = draw_pair(random)
    sheet, path = Sheet(random, size, ink), draw_font(random)
    draw = ImageDraw.Draw(below, "RGBA")
    for _ in range(random.integers(1, 6)):
        letter = _letter(random)
        words = " ".join(draw_words(random, path, int(random.integers(1, 7))))
        x, y = random.uniform(-20, size - 20, 2)
        if random.random() < 0.4:
            wide = font(path, letter).getlength(words)
            opaque = 255 if random.random() < 0.5 else int(random.integers(60, 230))
            draw.rectangle((x - 4, y - 2, x + wide + 4, y + letter * 1.3), (*paper, opaque))
        sheet.text(x, y, words, path, letter)
    return sheet.upon(below)


def scan(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A page as a scanner sees it: blurred, tilted, on paper with grain; or as a fax sends it."""
    sheet = Sheet(random, size, BLACK, "fine" if random.random() < 0.3 else "gray")
    _page(random, sheet, int(random.integers(9, 30)))
    dark, bright = random.uniform(0, 70), random.uniform(190, 256)
    gray = sheet.upon(Image.new("RGB", (size, size), WHITE)).convert("L")
    if random.random() < 0.6:
        gray = gray.rotate(random.uniform(-3, 3), Image.Resampling.BILINEAR, fillcolor=255)
    gray = gray.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.1)))
    seen = dark + np.asarray(gray, np.float32) * ((bright - dark) / 255)
    seen += random.normal(0, random.uniform(0, 9), seen.shape).astype(np.float32)
    if random.random() < 0.3:
        return Image.fromarray(_unsigned(255 * (seen > (dark + bright) / 2))).convert("RGB")
    if random.random() < 0.5:
        return Image.fromarray(_unsigned(seen)).convert("RGB")
    tint = random.uniform(0.75, 1, 3).astype(np.float32)
    return Image.fromarray(_unsigned(seen[..., None] * tint))


def beside(random: np.random.Generator, size: int, photo: Photo) -> Image.Image:
    """A photo and a page side by side, as papers and web pages have them."""
    page = paragraphs(random, size, None if random.random() < 0.9 else photo)
    share = int(size * random.uniform(0.25, 0.75))
    box = (share, 0, size, size) if random.random() < 0.5 else (0, share, size, size)
    if random.random() < 0.4:
        gap = int(size * random.uniform(0.05, 0.3))
        box = (gap, gap, size - gap, size - int(random.integers(0, gap + 1)))
    page.paste(backdrop(random, size, photo).crop(box), box[:2])
    return page


def _page(random: np.random.Generator, sheet: Sheet, letter: int) -> None:
    """Fills the sheet with lines, in columns."""
    path, row = draw_font(random), round(letter * random.uniform(1.05, 1.6))
    wide = letter * random.uniform(12, 40)
    left, gap = random.uniform(-0.3 * wide, 15), random.uniform(8, 25)
    while left < sheet.size:
        _column(random, sheet, (left, left + wide), path, letter, row)
        left += wide + gap


def _column(
    random: np.random.Generator,
    sheet: Sheet,
    edges: tuple[float, float],
    path: str,
    letter: int,
    row: int,
) -> None:
    """Lines between the edges, one below the other, paragraph by paragraph."""
    y = random.uniform(-row, row)
    # What lies beyond the sheet need not be set.
    wide = min(edges[1], sheet.size + letter) - edges[0]
    fits = int(wide / average(path, letter))
    while y < sheet.size:
        if random.random() < 0.05:
            head = letter + int(random.integers(0, letter))
            sheet.text(edges[0], y, " ".join(draw_words(random, path, 3)), path, head)
            y += head * 1.5
        line = " ".join(draw_words(random, path, 2 + fits // 4))[:fits]
        sheet.text(edges[0], y, line.rsplit(" ", 1)[0], path, letter)
        if random.random() < 0.03:
            sheet.rule((edges[0], y + letter * 1.1, edges[1], y + letter * 1.1 + 1))
        y += row * (2 if random.random() < 0.08 else 1)


def _statement(random: np.random.Generator, path: str) -> list[str]:
    """The words and marks of a line of code."""
    marks = (
        " = ",
        "(",
        ")",
        ", ",
        ".",
        " + ",
        ": ",
        "[",
        "] ",
        " {",
        "; ",
        ' "',
        '" ',
        " // ",
        " ",
    )
    words = draw_words(random, path, int(random.integers(0, 8)))
    return [part for word in words for part in (word.lower(), marks[random.integers(len(marks))])]


def _stripe(below: Image.Image, top: float, row: float, colour: Colour) -> None:
    """Colours every other row."""
    draw = ImageDraw.Draw(below)
    for y in np.arange(top, below.height, 2 * row):
        draw.rectangle((0, y - 1, below.width, y + row - 2), colour)


def _letter(random: np.random.Generator) -> int:
    """7…60 pixels, small ones more often."""
    return int(np.exp(random.uniform(np.log(7), np.log(60 if random.random() < 0.4 else 20))))


def _unsigned(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
