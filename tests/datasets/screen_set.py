"""Twenty screenshots, plots, scans and icons on which lossless coders are held against each other.

`python screen_set.py FOLDER` writes them as PNG files: pages as headless Chromium shows them,
a terminal and an editor as Pillow and Pygments draw them, plots of Matplotlib, pictures that come
with scikit-image, and what is made of those for few colours. Nothing here uses the generator of
training pictures in datasets/. Without Chromium the five pages are left out, and said to be.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[2]
MADE: dict[str, Callable[[], Image.Image]] = {}

_STYLE = """body { font: 15px "DejaVu Sans", sans-serif; margin: 0; background: BACK; color: INK }
header { background: linear-gradient(90deg, #1d4e89, #00b2ca); color: white; padding: 18px 40px;
  font-size: 24px; box-shadow: 0 3px 12px #0006 }
main { padding: 10px 40px; max-width: 980px } code, pre { font: 13px "DejaVu Sans Mono", monospace }
pre { background: BOX; padding: 12px; border-radius: 8px } a { color: #2a7ae2 }
td, th { border: 1px solid #8888; padding: 3px 9px; text-align: right } table { border-collapse:
  collapse } img { border-radius: 12px; margin: 8px; box-shadow: 2px 4px 10px #0008 }
button { background: #2a7ae2; color: white; border: 0; border-radius: 6px; padding: 8px 20px }"""


def _make(make: Callable[[], Image.Image]) -> Callable[[], Image.Image]:
    MADE[make.__name__] = make
    return make


def _browser() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _page(body: str, dark: bool = False, size: tuple[int, int] = (1280, 900)) -> Image.Image:
    """What headless Chromium shows of a page."""
    colours = ("#1b1e26", "#d7dae0", "#262b36") if dark else ("#ffffff", "#222222", "#f2f4f7")
    style = _STYLE
    for word, colour in zip(("BACK", "INK", "BOX"), colours, strict=True):
        style = style.replace(word, colour)
    browser = _browser()
    assert browser
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        page.write_text(f"<meta charset=utf-8><style>{style}</style>{body}", "utf-8")
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        where = (f"--window-size={size[0]},{size[1]}", f"--screenshot={shot}", page.as_uri())
        command = (browser, *flags, f"--user-data-dir={folder}/profile", *where)
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(shot) as image:
            return image.convert("RGB")


def _document(name: str) -> str:
    import markdown

    text = (ROOT / "docs" / name).read_text("utf-8")
    return markdown.markdown(text, extensions=["tables", "fenced_code"])


@_make
def page_document() -> Image.Image:
    return _page(f"<header>Targets</header><main>{_document('targets.md')}</main>")


@_make
def page_dark() -> Image.Image:
    return _page(f"<header>Command line</header><main>{_document('command-line.md')}</main>", True)


@_make
def page_table() -> Image.Image:
    random = np.random.default_rng(1)
    rows = "".join(
        f"<tr><td>{i}</td>" + "".join(f"<td>{v:.3f}</td>" for v in random.normal(50, 20, 11))
        for i in range(60)
    )
    return _page(f"<main><h2>Measurements</h2><table>{rows}</table></main>")


@_make
def page_icons() -> Image.Image:
    import material

    folder = Path(material.__file__).parent / "templates" / ".icons" / "material"
    marks = [path.read_text("utf-8") for path in sorted(folder.glob("*.svg"))[::18]][:384]
    shades = ("#222", "#c0392b", "#2980b9", "#27ae60")
    spans = (
        f'<span style="display:inline-block;width:32px;margin:4px;fill:{shades[i % 4]}">{m}</span>'
        for i, m in enumerate(marks)
    )
    return _page("".join(spans), size=(1024, 700))


@_make
def page_photos() -> Image.Image:
    import base64

    from skimage import data

    pictures = ""
    for name, width in (("astronaut", 300), ("coffee", 400), ("chelsea", 260)):
        stream = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(stream, "JPEG", quality=88)
        code = base64.b64encode(stream.getvalue()).decode()
        pictures += f'<img width={width} src="data:image/jpeg;base64,{code}">'
    return _page(
        f"<header>Gallery</header><main>{pictures}<p>Three pictures that come with "
        f"scikit-image.</p><button>Next</button> <button>Back</button>{_document('report.md')}"
    )


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSansMono-Bold.ttf" if bold else "DejaVuSansMono.ttf"
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size)


@_make
def terminal() -> Image.Image:
    image = Image.new("RGB", (1100, 720), (12, 12, 20))
    pen = ImageDraw.Draw(image)
    palette = ((220, 220, 220), (90, 220, 120), (250, 200, 80), (110, 170, 250), (240, 90, 90))
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines()[:48]
    for i, line in enumerate(lines):
        left = f"{1000 + 7 * i:5d} "
        pen.text((6, 4 + 15 * i), left, palette[3], _font(13))
        pen.text((60, 4 + 15 * i), line[:120], palette[(i // 3) % 5], _font(13, i % 7 == 0))
    return image


def _code(path: str, style: str, lines: int) -> Image.Image:
    from pygments import highlight
    from pygments.formatters import ImageFormatter
    from pygments.lexers import get_lexer_for_filename

    text = "\n".join((ROOT / path).read_text("utf-8").splitlines()[:lines])
    pixels = highlight(
        text,
        get_lexer_for_filename(path),
        ImageFormatter(font_name="DejaVu Sans Mono", font_size=14, style=style),
    )
    with Image.open(io.BytesIO(pixels)) as image:
        return image.convert("RGB")


@_make
def editor_dark() -> Image.Image:
    return _code("entropy/rans.h", "monokai", 60)


@_make
def editor_light() -> Image.Image:
    return _code("entropy/reference.py", "friendly", 52)


def _plot(
    draw: Callable[..., None], size: tuple[float, float] = (9, 6), **kind: str
) -> Image.Image:
    from matplotlib.figure import Figure

    figure = Figure(size, dpi=100)
    draw(figure.add_subplot(**kind), np.random.default_rng(2))
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    with Image.open(stream) as image:
        return image.convert("RGB")


@_make
def plot_lines() -> Image.Image:
    def draw(axes, random):
        for i in range(6):
            axes.plot(random.normal(size=300).cumsum(), label=f"walk {i}")
        axes.grid()
        axes.legend()
        axes.set(title="Random walks", xlabel="step", ylabel="where")

    return _plot(draw)


@_make
def plot_scatter() -> Image.Image:
    def draw(axes, random):
        x, y = random.normal(size=(2, 900))
        axes.scatter(x, y, 60 * random.random(900), x * y, alpha=0.6)
        axes.set_title("Scatter")

    return _plot(draw)


@_make
def plot_bars() -> Image.Image:
    def draw(axes, random):
        for i in range(3):
            axes.bar(np.arange(14) + 0.27 * i, random.integers(3, 40, 14), 0.25, label=f"set {i}")
        axes.legend()
        axes.set(title="Bars", ylabel="count")

    return _plot(draw)


@_make
def plot_contours() -> Image.Image:
    def draw(axes, random):
        y, x = np.mgrid[-3:3:200j, -3:3:200j]
        field = np.sin(x * y) + np.exp(-(x**2) - y**2)
        axes.contourf(x, y, field, 14, cmap="viridis")
        axes.clabel(axes.contour(x, y, field, 14, colors="k", linewidths=0.6))

    return _plot(draw)


@_make
def plot_surface() -> Image.Image:
    def draw(axes, random):
        y, x = np.mgrid[-3:3:60j, -3:3:60j]
        axes.plot_surface(x, y, np.sin(np.hypot(x, y) * 2), cmap="coolwarm")

    return _plot(draw, projection="3d")


@_make
def scan_gray() -> Image.Image:
    from skimage import data

    return Image.fromarray(data.page())


@_make
def scan_bilevel() -> Image.Image:
    from skimage import data

    page = Image.fromarray(data.page()).resize((1152, 573), Image.Resampling.BICUBIC)
    pixels = np.asarray(page).astype(int)
    local = np.asarray(page.resize((18, 9)).resize(page.size)).astype(int)
    return Image.fromarray(pixels > local - 18)


def _photo(width: int) -> Image.Image:
    from skimage import data

    image = Image.fromarray(data.coffee())
    return image.resize((width, width * image.height // image.width), Image.Resampling.LANCZOS)


@_make
def dithered() -> Image.Image:
    return _photo(600).convert("1")


@_make
def halftone() -> Image.Image:
    gray = np.asarray(_photo(640).convert("L")).astype(float)
    y, x = np.indices(gray.shape)
    screen = np.sin((x + y) * np.pi / 4) + np.sin((x - y) * np.pi / 4)
    return Image.fromarray(gray > 128 + 62 * screen)


@_make
def palette_16() -> Image.Image:
    return _photo(400).quantize(16, dither=Image.Dither.FLOYDSTEINBERG)


@_make
def pixel_art() -> Image.Image:
    small = _photo(120).quantize(24, dither=Image.Dither.NONE)
    return small.resize((480, 320), Image.Resampling.NEAREST)


@_make
def icons_alpha() -> Image.Image:
    import matplotlib

    sheet = Image.new("RGBA", (400, 240))
    paths = sorted(Path(matplotlib.get_data_path(), "images").glob("*.png"))
    for i, path in enumerate(paths):
        with Image.open(path) as icon:
            sheet.paste(icon.convert("RGBA"), (8 + 56 * (i % 7), 8 + 56 * (i // 7 % 4)))
    return sheet


def main() -> None:
    """Write the pictures into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MADE.items():
        if name.startswith("page_") and not _browser():
            print(f"{name}: left out, there is no chromium", file=sys.stderr)
            continue
        make().save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
