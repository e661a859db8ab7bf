"""Screens and scans by other means than datasets/screens.py: to judge what was trained on those.

Nothing here uses that generator, its fonts or its words, though some show what it shows too:
stripes, checks, noise, text. Sizes are odd on purpose.
`python other_makes.py FOLDER` writes them as PNG files.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = np.ndarray
Makes = dict[str, Callable[[], Array]]

MADE: Makes = {}
"""What needs NumPy and Pillow alone."""
NEEDED: dict[str, tuple[str, Callable[[], Array]]] = {}
"""What needs another package, and its name."""

_PROSE = """The harbour master wrote the tides into a ledger every morning, in pencil first and in
ink when the boats were back. High water 04:17, 3.82 m; low water 10:31, 0.64 m. Nobody read it but
the gulls, he said, and they only for the fish. In March the pier lost two planks (nos. 18 & 19) and
a lamp; the bill came to 41.60, which the council paid in June. "Better late than wet!" - so it
stands there, underlined twice. Foggy: 7 days. Clear: 16 days. Storm: the rest of it."""


def _make(make: Callable[[], Array]) -> Callable[[], Array]:
    MADE[make.__name__] = make
    return make


def _needs(package: str) -> Callable[[Callable[[], Array]], Callable[[], Array]]:
    def keep(make: Callable[[], Array]) -> Callable[[], Array]:
        NEEDED[make.__name__] = package, make
        return make

    return keep


def pictures() -> dict[str, Array]:
    """All pictures by name, uint8 (height, width, 3), always the same; says what is left out.

    Those of absent packages, or of data that such a package would have to fetch, are left out.
    """
    made = {name: _coloured(make()) for name, make in MADE.items()}
    for name, (package, make) in NEEDED.items():
        try:
            made[name] = _coloured(make())
        except (ImportError, OSError) as error:
            print(f"{name} is left out: {package}: {error}", file=sys.stderr)
    return made


def _coloured(picture: Array) -> Array:
    """As uint8 (height, width, 3): of bools, of 0…1, or of levels; gray or in colour."""
    if picture.dtype == bool:
        picture = picture * np.uint8(255)
    elif picture.dtype != np.uint8:
        picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return np.ascontiguousarray(picture[..., :3])


def _random(name: str) -> np.random.Generator:
    """A generator of its own for each picture, so that one more changes no other."""
    return np.random.default_rng(list(name.encode()))


def _grid(height: int, width: int) -> tuple[Array, Array]:
    """Rows and columns, counted from the middle."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    return rows - height / 2, columns - width / 2


def _canvas(
    width: int, height: int, paper: str = "white"
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), paper)
    return image, ImageDraw.Draw(image)


def _wrapped(columns: int) -> Iterator[str]:
    """The prose over and over, in lines of at most so many letters."""
    line = ""
    while True:
        for word in _PROSE.split():
            if len(line) + len(word) >= columns:
                yield line
                line = ""
            line += word + " "


# Gratings, charts and noise.


@_make
def stripes_of_1_across() -> Array:
    rows, _ = np.mgrid[:181, :203]
    return rows % 2 == 0


@_make
def stripes_of_1_down() -> Array:
    _, columns = np.mgrid[:203, :181]
    return columns % 2 == 0


@_make
def stripes_of_1_slanted() -> Array:
    rows, columns = np.mgrid[:190, :190]
    return (rows + columns) % 3 == 0


@_make
def stripes_red_on_blue() -> Array:
    rows, columns = np.mgrid[:150, :217]
    return (
        np.where(((rows * 2 + columns) // 5 % 2 == 0)[..., None], (255, 0, 0), (0, 0, 255)) / 255.0
    )


@_make
def checkers_of_1() -> Array:
    return np.indices((149, 187)).sum(0) % 2 == 0


@_make
def checkers_of_2() -> Array:
    return (np.indices((187, 149)) // 2).sum(0) % 2 == 0


@_make
def checkers_of_3_coloured() -> Array:
    odd = (np.indices((170, 211)) // 3).sum(0) % 2
    return np.array([(255, 214, 10), (0, 53, 102)], np.uint8)[odd]


@_make
def zone_plate() -> Array:
    rows, columns = _grid(301, 301)
    return 0.5 + 0.5 * np.cos(np.pi * (rows**2 + columns**2) / 301)


@_make
def zone_plate_bilevel() -> Array:
    rows, columns = _grid(233, 257)
    return np.cos(np.pi * (rows**2 + columns**2) / 120) > 0


@_make
def siemens_star() -> Array:
    rows, columns = _grid(270, 310)
    return np.sin(48 * np.arctan2(rows, columns)) > 0


@_make
def siemens_star_coloured() -> Array:
    turn = np.arctan2(*_grid(230, 230))
    return np.stack([0.5 + 0.5 * np.sin(n * turn) for n in (18, 24, 30)], axis=2)


@_make
def resolution_chart() -> Array:
    """Bars that get finer, lying and standing, as on lens charts."""
    chart = np.ones((300, 330), bool)
    left = 10
    for width in (8, 6, 5, 4, 3, 2, 1):
        for bar in range(5):
            start = left + 2 * width * bar
            chart[20:130, start : start + width] = False
            chart[
                160 + 2 * width * bar : 160 + 2 * width * bar + width, left : left + 9 * width
            ] = False
        left += 10 * width + 4
    return chart


@_make
def chirp() -> Array:
    """A wave that gets faster to the right and fainter to the bottom."""
    rows, columns = np.mgrid[:180, :401]
    return 0.5 + 0.5 * (1 - rows / 180) * np.sin(columns**2 / 255.0)


@_make
def moire() -> Array:
    """Two gratings, one turned a little, upon each other."""
    rows, columns = _grid(240, 250)
    lines = [np.sin(columns * np.cos(a) + rows * np.sin(a)) > 0 for a in (0.0, 0.1)]
    return lines[0] ^ lines[1]


@_make
def cosines_of_8() -> Array:
    """The patterns of an 8 × 8 cosine transform, one block of each, at twice the size."""
    place = (np.arange(8) + 0.5) * np.pi / 8
    waves = np.cos(np.arange(8)[:, None] * place)
    blocks = 0.5 + 0.5 * np.einsum("ui,vj->uivj", waves, waves).reshape(64, 64)
    return np.kron(blocks, np.ones((3, 3)))


@_make
def white_noise() -> Array:
    return _random("gray").random((173, 229))


@_make
def white_noise_coloured() -> Array:
    return _random("colours").random((229, 173, 3))


@_make
def white_noise_bilevel() -> Array:
    return _random("bits").random((157, 199)) < 0.5


@_make
def grain_on_flat() -> Array:
    return 0.5 + _random("grain").normal(0, 0.03, (211, 249)) + np.zeros((211, 249))


@_make
def film_grain_coloured() -> Array:
    """Grain of some pixels' width, other in each colour, on a warm gray."""
    rough = _random("film").normal(0, 1, (220, 240, 3))
    soft = sum(np.roll(rough, (y, x), (0, 1)) for y in (0, 1, 2) for x in (0, 1, 2)) / 3
    return np.array([0.62, 0.55, 0.47]) + 0.05 * soft


@_make
def palette_boxes() -> Array:
    random = _random("boxes")
    palette = random.integers(0, 256, (14, 3)).astype(np.uint8)
    return palette[np.kron(random.integers(0, 14, (23, 19)), np.ones((11, 13), int))]


# Mathematics.


@_make
def mandelbrot() -> Array:
    rows, columns = np.mgrid[-1.2:1.2:241j, -2.1:0.7:281j]
    start = columns + 1j * rows
    value, steps = np.zeros_like(start), np.zeros(start.shape)
    for _ in range(48):
        inside = abs(value) < 2
        value[inside] = value[inside] ** 2 + start[inside]
        steps += inside
    return np.stack([(steps * n % 49) / 48 for n in (1, 5, 11)], axis=2)


@_make
def rule_30() -> Array:
    cells = np.zeros(391, bool)
    cells[195] = True
    rows = []
    for _ in range(196):
        rows.append(cells)
        cells = np.roll(cells, 1) ^ (cells | np.roll(cells, -1))
    return ~np.array(rows)


@_make
def game_of_life() -> Array:
    """After forty steps, each cell as 3 × 3 pixels, with lines between."""
    cells = _random("life").random((62, 74)) < 0.3
    for _ in range(40):
        near = sum(
            np.roll(cells, (y, x), (0, 1)).astype(int)
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
            if y or x
        )
        cells = (near == 3) | (cells & (near == 2))
    return np.kron(cells, [[1, 1, 0], [1, 1, 0], [0, 0, 0]]) * 0.9 + 0.1


@_make
def voronoi() -> Array:
    random = _random("voronoi")
    seeds, rows, columns = random.uniform(0, 270, (60, 2)), *np.mgrid[:233, :267]
    far = (rows[..., None] - seeds[:, 0]) ** 2 + (columns[..., None] - seeds[:, 1]) ** 2
    two = np.sort(np.sqrt(far), axis=2)[..., :2]
    shown = random.integers(40, 256, (60, 3)).astype(np.uint8)[far.argmin(2)]
    shown[two[..., 1] - two[..., 0] < 1.5] = 0
    return shown


@_make
def sierpinski() -> Array:
    rows, columns = np.mgrid[:251, :251]
    return (rows & columns) != 0


@_make
def xor_texture() -> Array:
    rows, columns = np.mgrid[:260, :300]
    return np.stack([rows ^ columns, (rows * 2) ^ columns, rows ^ (columns * 3)], 2).astype(
        np.uint8
    )


@_make
def labyrinth() -> Array:
    """Walls that lean to either side at random, as a line of BASIC draws them."""
    slash = np.eye(12, dtype=bool) | np.eye(12, k=1, dtype=bool) | np.eye(12, k=-1, dtype=bool)
    lean = _random("maze").random((17, 21)) < 0.5
    walls = np.where(lean[:, None, :, None], slash[:, None], slash[:, ::-1][:, None])
    return (
        np.where(walls.reshape(17 * 12, 21 * 12)[..., None], (124, 112, 218), (64, 50, 133)) / 255
    )


# Screens.


@_make
def terminal() -> Array:
    """A listing of files in a fixed bitmap font, green on black."""
    image, draw = _canvas(417, 251, "#001000")
    face, random = ImageFont.load_default_imagefont(), _random("terminal")
    for row in range(21):
        size, day = random.integers(100, 99999), random.integers(1, 29)
        line = f"-rw-r--r-- 1 root wheel {size:>6} Mar {day:>2} 0{row % 9}:{row + 21} f{row:02}.tar"
        draw.text((3, 3 + 12 * row), line, "#33ff66" if row % 5 else "#ffffff", font=face)
    return np.asarray(image)


@_make
def spreadsheet() -> Array:
    """Cells with heads and figures aligned to the right; one is chosen."""
    image, draw = _canvas(389, 277)
    face, random = ImageFont.load_default(11), _random("cells")
    draw.rectangle((0, 0, 389, 18), "#e6e6e6")
    draw.rectangle((0, 0, 28, 277), "#e6e6e6")
    for column in range(6):
        draw.text((28 + 61 * column + 30, 9), "ABCDEF"[column], "#444444", face, anchor="mm")
        draw.line((28 + 61 * column, 0, 28 + 61 * column, 277), "#c0c0c0")
    for row in range(15):
        y = 18 + 18 * row
        draw.line((0, y, 389, y), "#c0c0c0")
        draw.text((24, y + 9), str(row + 1), "#444444", face, anchor="rm")
        for column in range(6):
            value = random.normal(0, 900)
            ink = "#c00000" if value < 0 else "black"
            draw.text((28 + 61 * column + 57, y + 9), f"{value:,.2f}", ink, face, anchor="rm")
    draw.rectangle((150, 90, 211, 108), None, "#1a73e8", 2)
    return np.asarray(image)


@_make
def web_page() -> Array:
    """A bar, cards with shadows, gradients as style sheets have them, and prose."""
    image, draw = _canvas(451, 333, "#f5f7fa")
    ramp = np.linspace(0, 1, 451)[:, None] * [(102 - 118), (126 - 75), (234 - 162)] + (118, 75, 162)
    image.paste(Image.fromarray(np.tile(np.rint(ramp).astype(np.uint8), (52, 1, 1))))
    draw.text((20, 26), "Harbour & Tides", "white", ImageFont.load_default(22), anchor="lm")
    prose = _wrapped(24)
    for card in range(3):
        left = 15 + 145 * card
        shadow = Image.new("L", image.size)
        ImageDraw.Draw(shadow).rounded_rectangle((left, 76, left + 130, 310), 9, 90)
        image.paste("black", mask=shadow.filter(ImageFilter.GaussianBlur(5)))
        draw.rounded_rectangle((left, 72, left + 130, 306), 9, "white")
        for row in range(10):
            draw.text((left + 8, 84 + 17 * row), next(prose), "#333333", ImageFont.load_default(11))
        draw.rounded_rectangle(
            (left + 8, 270, left + 80, 294), 12, ("#e63946", "#2a9d8f", "#264653")[card]
        )
        draw.text((left + 44, 282), "Read on", "white", ImageFont.load_default(12), anchor="mm")
    return np.asarray(image)


@_make
def conic_and_radial_gradients() -> Array:
    rows, columns = _grid(211, 402)
    turn = (np.arctan2(rows, columns + 100) / (2 * np.pi)) % 1
    reach = np.clip(np.hypot(rows, columns - 100) / 105, 0, 1)
    left = np.stack([np.clip(abs((turn * 6 - n) % 6 - 3) - 1, 0, 1) for n in (0, 2, 4)], 2)
    right = (1 - reach[..., None]) * (1, 0.84, 0.2) + reach[..., None] * (0.12, 0.1, 0.35)
    return np.where((columns < 0)[..., None], left, right)


@_make
def chess_diagram() -> Array:
    """Two-coloured squares with outlined discs for men."""
    image, draw = _canvas(258, 258)
    for place in range(64):
        y, x = divmod(place, 8)
        draw.rectangle(
            (1 + 32 * x, 1 + 32 * y, 32 * x + 32, 32 * y + 32),
            "#f0d9b5" if (x + y) % 2 == 0 else "#b58863",
        )
        if place % 7 in (1, 4):
            draw.ellipse(
                (7 + 32 * x, 7 + 32 * y, 26 + 32 * x, 26 + 32 * y),
                "white" if y > 3 else "black",
                "gray",
                2,
            )
    return np.asarray(image)


@_make
def colour_bars() -> Array:
    """Those of television's test pictures."""
    bars = np.zeros((177, 287, 3))
    for place in range(7):
        bars[:120, place * 41 : place * 41 + 41] = [
            0.75 * (6 - place + 1 >> n & 1) for n in (1, 2, 0)
        ]
    bars[120:145, ::] = np.repeat(np.linspace(0, 1, 41), 7)[:, None]
    bars[145:, :96] = 1
    return bars


@_make
def seven_segments() -> Array:
    """A digital clock, drawn by its segments, with those that are off still faint."""
    image, draw = _canvas(327, 131, "#1a0505")
    lit = {
        "1": "cf",
        "2": "acdeg",
        "3": "acdfg",
        "7": "acf",
        "9": "abcdfg",
        "0": "abcefg",
        "5": "abdfg",
    }
    at = {"a": (8, 0, 42, 7), "d": (8, 47, 42, 54), "g": (8, 94, 42, 101), "b": (0, 8, 7, 46)}
    at |= {"c": (43, 8, 50, 46), "e": (0, 55, 7, 93), "f": (43, 55, 50, 93)}
    for place, digit in enumerate("27095"):
        for name, (left, top, right, bottom) in at.items():
            ink = "#ff2a1a" if name in lit[digit] else "#2c0a0a"
            draw.rectangle(
                (9 + 64 * place + left, 15 + top, 9 + 64 * place + right, 15 + bottom), ink
            )
    return np.asarray(image)


# Paper.


@_make
def prose_page() -> Array:
    """Two justified columns: words are spread until each line is full."""
    image, draw = _canvas(413, 507)
    face, prose = ImageFont.load_default(12), _wrapped(34)
    for left in (17, 217):
        for row in range(31):
            words = next(prose).split()
            free = 180 - sum(face.getlength(word) for word in words)
            x = float(left)
            for word in words:
                draw.text((round(x), 14 + 15.5 * row), word, "black", face)
                x += face.getlength(word) + free / max(1, len(words) - 1)
    return np.asarray(image)


@_make
def fax() -> Array:
    """The page in black and white alone, with pixels that are wider than high, and specks."""
    page = Image.fromarray(prose_page()).convert("L").crop((0, 0, 300, 260))
    bits = np.asarray(page.rotate(0.7, Image.Resampling.BICUBIC, fillcolor=255)) > 150
    bits = np.repeat(bits[::2], 2, axis=0)
    return bits ^ (_random("fax").random(bits.shape) < 0.002)


@_make
def photocopy() -> Array:
    """A page out of focus, with a dark edge and uneven light."""
    page = Image.fromarray(prose_page()).convert("L").crop((190, 120, 413, 407))
    page = page.filter(ImageFilter.GaussianBlur(0.9))
    rows, columns = _grid(*np.asarray(page).shape)
    light = 0.9 - 0.25 * np.clip(np.hypot(rows / 180, columns / 140) - 0.3, 0, 1)
    shown = np.asarray(page) / 255 * light + 0.04
    shown[:, -9:] *= 0.25
    return shown + _random("copy").normal(0, 0.02, shown.shape)


@_make
def jpeg_of_text() -> Array:
    """A page that was a JPEG before: ringing and blocks around the letters."""
    kept = io.BytesIO()
    Image.fromarray(prose_page()).crop((0, 60, 323, 291)).save(kept, "JPEG", quality=25)
    return np.asarray(Image.open(kept).convert("RGB"))


@_make
def sheet_music() -> Array:
    """Staves of five lines, heads, stems, beams and bars."""
    image, draw = _canvas(467, 301)
    random = _random("music")
    for top in (25, 125, 225):
        for line in range(5):
            draw.line((12, top + 9 * line, 455, top + 9 * line), "black")
        for bar in range(12, 456, 111):
            draw.line((bar, top, bar, top + 36), "black", 2)
        for x in range(30, 440, 27):
            y = top + 36 - 4.5 * int(random.integers(0, 9))
            draw.ellipse(
                (x, y - 4, x + 11, y + 4), "black" if random.random() < 0.7 else None, "black", 2
            )
            draw.line((x + 11, y, x + 11, y - 29), "black")
            if random.random() < 0.3:
                draw.line((x + 11, y - 29, x + 38, y - 24), "black", 4)
    return np.asarray(image)


@_make
def matrix_code() -> Array:
    """Modules of 5 pixels with the three marks that scanners look for; it says nothing."""
    cells = _random("code").random((37, 37)) < 0.5
    mark = np.pad(np.pad(np.pad(np.ones((3, 3), bool), 1), 1, constant_values=True), 1)
    cells[:8, :8] = mark[1:, 1:]
    cells[:8, -8:] = mark[1:, :-1]
    cells[-8:, :8] = mark[:-1, 1:]
    return ~np.kron(np.pad(cells, 3), np.ones((5, 5), bool))


@_make
def bar_code() -> Array:
    """Bars of one to four units, with figures below."""
    image, draw = _canvas(283, 143)
    x = 14
    for place, width in enumerate(_random("bars").integers(1, 5, 53)):
        if place % 2 == 0:
            draw.rectangle((x, 12, x + 2 * width - 1, 110), "black")
        x += 2 * int(width)
    draw.text((141, 126), "2 468013 579024", "black", ImageFont.load_default(17), anchor="mm")
    return np.asarray(image)


@_make
def circuit() -> Array:
    """A board from above: pads, tracks at 45 degrees, green mask."""
    image, draw = _canvas(277, 219, "#0b5d2a")
    random = _random("board")
    for _ in range(60):
        x, y = (int(n) * 9 for n in random.integers(1, 30, 2))
        reach, bend = (int(n) * 9 for n in random.integers(-7, 8, 2))
        draw.line((x, y, x + reach, y, x + reach + bend, y + abs(bend)), "#15803d", 3)
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), "#d4af37")
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), "black")
    return np.asarray(image)


@_make
def hatches() -> Array:
    """Regions filled by lines of several directions, as plans and engravings have them."""
    rows, columns = np.mgrid[:232, :318]
    region = (np.hypot(rows - 90, columns - 110) < 70) + 2 * (columns > 190) + 4 * (rows > 150)
    fills = [rows % 9 > 0, (rows + columns) % 6 > 0, (rows - columns) % 5 > 0, columns % 4 > 0]
    fills += [
        (rows % 7 > 0) & (columns % 7 > 0),
        (rows + 2 * columns) % 11 > 2,
        rows % 3 > 0,
        rows < 0,
    ]
    return np.choose(region, fills)


# Of other packages.


def _figure(draw: Callable[..., None], inches: tuple[float, float], **how: object) -> Array:
    """What matplotlib draws, without its state for all: (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=93)
    canvas = FigureCanvasAgg(figure)
    draw(figure.add_subplot(**how))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@_needs("matplotlib")
def figure_lines() -> Array:
    def draw(axes: object) -> None:
        x = np.linspace(0, 12, 300)
        for n in range(1, 6):
            axes.plot(x, np.sin(x + n) * np.exp(-x / 9) / n, label=f"mode {n}")
        axes.set(title="Damped modes", xlabel="time (s)", ylabel="height (m)")
        axes.grid(True, alpha=0.4)
        axes.legend()

    return _figure(draw, (4.4, 3.3))


@_needs("matplotlib")
def figure_contours() -> Array:
    def draw(axes: object) -> None:
        y, x = np.mgrid[-3:3:80j, -3:3:90j]
        height = (1 - x / 2 + x**5 + y**3) * np.exp(-(x**2) - y**2)
        axes.contourf(x, y, height, 12, cmap="plasma")
        axes.clabel(axes.contour(x, y, height, 8, colors="k", linewidths=0.7), fontsize=7)

    return _figure(draw, (3.9, 3.1))


@_needs("matplotlib")
def figure_polar() -> Array:
    def draw(axes: object) -> None:
        turn = np.linspace(0, 2 * np.pi, 17)[:-1]
        bars = axes.bar(turn, _random("polar").random(16) + 0.2, width=0.35)
        for n, bar in enumerate(bars):
            bar.set_facecolor((n / 16, 0.3, 1 - n / 16))

    return _figure(draw, (3.3, 3.3), projection="polar")


@_needs("matplotlib")
def figure_scatter_dark() -> Array:
    def draw(axes: object) -> None:
        random = _random("scatter")
        axes.set_facecolor("#10131a")
        axes.scatter(*random.normal(size=(2, 500)), s=random.random(500) * 30, c=random.random(500))
        axes.set_title(r"$\int_0^\infty e^{-x^2}\,dx = \sqrt{\pi}/2$")

    return _figure(draw, (3.7, 2.9))


def _scikit(name: str) -> Array:
    from skimage import data

    return np.asarray(getattr(data, name)())


for _name in ("page", "text", "clock", "horse", "checkerboard", "colorwheel", "logo"):
    NEEDED[f"scikit_{_name}"] = "scikit-image", lambda name=_name: _scikit(name)


@_needs("scikit-image")
def scikit_blobs() -> Array:
    from skimage import data

    return data.binary_blobs(253, blob_size_fraction=0.06, rng=3)


@_needs("scikit-image")
def photo_in_dots() -> Array:
    """Round dots on a square grid, whose area is the darkness, drawn one by one."""
    gray = Image.fromarray(_scikit("camera")).resize((52, 52), Image.Resampling.BOX)
    image, draw = _canvas(52 * 5, 52 * 5)
    for (y, x), level in np.ndenumerate(np.asarray(gray)):
        reach = 3.4 * np.sqrt(1 - level / 255)
        draw.ellipse(
            (5 * x + 2 - reach, 5 * y + 2 - reach, 5 * x + 2 + reach, 5 * y + 2 + reach), "black"
        )
    return np.asarray(image)


@_needs("scikit-image")
def photo_diffused_by_atkinson() -> Array:
    """Atkinson's diffusion, which spreads six eighths of the error: another than Pillow's."""
    gray = np.asarray(Image.fromarray(_scikit("camera")).resize((230, 214))).astype(float)
    gray = np.pad(gray, ((0, 2), (1, 2)))
    shown = np.zeros((214, 230), bool)
    for y, x in np.ndindex(shown.shape):
        shown[y, x] = gray[y, x + 1] > 127
        error = (gray[y, x + 1] - 255 * shown[y, x]) / 8
        for down, across in ((0, 1), (0, 2), (1, -1), (1, 0), (1, 1), (2, 0)):
            gray[y + down, x + 1 + across] += error
    return shown


@_needs("scikit-image")
def photo_in_web_colours() -> Array:
    return np.asarray(
        Image.fromarray(_scikit("coffee")).resize((347, 233)).convert("P").convert("RGB")
    )


@_needs("scikit-image")
def photo_with_subtitles() -> Array:
    """Two lines with an outline, over a photo with bars above and below."""
    shot = Image.fromarray(_scikit("astronaut")).resize((371, 371)).crop((0, 50, 371, 280))
    image, draw = _canvas(371, 289, "black")
    image.paste(shot, (0, 30))
    face = ImageFont.load_default(20)
    for row, line in enumerate(("- Is anybody out there?", "- Only the harbour master.")):
        draw.text(
            (185, 215 + 25 * row),
            line,
            "#ffff66",
            face,
            anchor="mm",
            stroke_width=2,
            stroke_fill="black",
        )
    return np.asarray(image)


@_needs("scikit-image")
def photo_as_glyphs() -> Array:
    """Signs of a bitmap font whose ink stands for the tone."""
    tones = np.asarray(Image.fromarray(_scikit("camera")).resize((60, 32))) // 26
    image, draw = _canvas(363, 355, "black")
    for y, row in enumerate(tones):
        line = "".join(" .:-=+*#%@"[tone] for tone in row)
        draw.text((1, 1 + 11 * y), line, "white", font=ImageFont.load_default_imagefont())
    return np.asarray(image)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for _name, _pixels in pictures().items():
        Image.fromarray(_pixels).save(folder / f"{_name}.png")
