"""One photo at equal bytes: the original, Lictor, AVIF and JPEG, side by side.

    python examples/equal_bytes.py docs/equal-bytes.jpg
    python examples/equal_bytes.py out.png --bytes 6000 --box 120,20,170,170

The photo is scikit-image's astronaut (NASA, public domain). Lictor aims at --bytes; AVIF (libaom,
speed 6, 4:4:4) and JPEG (progressive, 4:2:0) get the highest quality whose file is not larger than
Lictor's. Shown is a part of it, enlarged; under each, the bytes of the file and the PSNR of the
whole picture.
"""

from __future__ import annotations

import argparse
import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from lictor.codec import decode, encode

ZOOM = 2
CAPTION = 44
PEERS: dict[str, dict[str, Any]] = {
    "AVIF": {"format": "AVIF", "speed": 6, "subsampling": "4:4:4"},
    "JPEG": {"format": "JPEG", "progressive": True, "optimize": True, "subsampling": "4:2:0"},
}


def written(picture: Image.Image, options: dict[str, Any]) -> bytes:
    """A picture as a file of Pillow's."""
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()


def largest(picture: Image.Image, limit: int, options: dict[str, Any]) -> bytes:
    """The file of the highest quality that is not larger than `limit`."""
    files = (written(picture, {**options, "quality": q}) for q in range(100, 0, -1))
    return next(file for file in files if len(file) <= limit)


def psnr(a: Image.Image, b: Image.Image) -> float:
    """Over all samples, dB."""
    error = np.square(np.asarray(a, float) - np.asarray(b, float)).mean()
    return float(10 * np.log10(255**2 / error))


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--bytes", type=int, default=9000)
    parser.add_argument("--box", default="130,10,180,200", help="X,Y,WIDTH,HEIGHT of what is shown")
    arguments = parser.parse_args()
    x, y, width, height = map(int, arguments.box.split(","))

    original = Image.fromarray(data.astronaut())
    lictor = encode(original, size=arguments.bytes)
    panels = [("original", original, len(written(original, {"format": "PNG"})))]
    panels.append(("Lictor", decode(lictor), len(lictor)))
    for name, options in PEERS.items():
        file = largest(original, len(lictor), options)
        panels.append((name, Image.open(io.BytesIO(file)).convert("RGB"), len(file)))

    step = width * ZOOM
    sheet = Image.new("RGB", (step * len(panels), height * ZOOM + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(17)
    for i, (name, picture, size) in enumerate(panels):
        part = picture.crop((x, y, x + width, y + height))
        sheet.paste(part.resize((step, height * ZOOM), Image.Resampling.LANCZOS), (i * step, 0))
        more = "" if picture is original else f", {psnr(original, picture):.1f} dB"
        text = f"{name}: {size:,} bytes{more}"
        print(text)
        draw.text((i * step + 8, height * ZOOM + 12), text, "black", font)
    sheet.save(arguments.out, quality=88)


if __name__ == "__main__":
    main()
