"""The main job on a real photo: encode, decode, and compare with JPEG at the same size.

`make demo` runs this. The photo is one that scikit-image ships.
"""

from __future__ import annotations

import io
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lictor.codec import decode, encode
from lictor.codec.distortion import psnr
from lictor.codec.runtime.threads import wait_briefly

OUT = Path("out")
QUALITY = 25.0


def main() -> None:
    """Write out/photo.bin, out/photo.png and out/side-by-side.png, and say what they measure."""
    wait_briefly()
    from skimage import data

    pixels = data.coffee()
    OUT.mkdir(exist_ok=True)
    encode(pixels[:64, :64])  # loads the model, so that the times below are those of the work

    start = perf_counter()
    coded = encode(pixels, quality=QUALITY)
    encoded = perf_counter()
    decoded = np.asarray(decode(coded))
    done = perf_counter()

    (OUT / "photo.bin").write_bytes(coded)
    Image.fromarray(decoded).save(OUT / "photo.png")
    jpeg_size, jpeg = jpeg_no_larger(pixels, len(coded))
    panels = [
        ("original", pixels),
        (f"lictor {len(coded)} bytes", decoded),
        (f"jpeg {jpeg_size} bytes", jpeg),
    ]
    side_by_side(panels).save(OUT / "side-by-side.png")

    height, width = pixels.shape[:2]
    bpp = 8 * len(coded) / (height * width)
    print(f"photo    {width}x{height}, scikit-image's coffee, quality {QUALITY:g}")
    print(f"lictor   {len(coded)} bytes  {bpp:.3f} bpp  {psnr(pixels, decoded):.2f} dB PSNR")
    print(f"jpeg     {jpeg_size} bytes  {8 * jpeg_size / (height * width):.3f} bpp  ", end="")
    print(f"{psnr(pixels, jpeg):.2f} dB PSNR")
    print(f"time     encode {encoded - start:.3f} s  decode {done - encoded:.3f} s")
    print(f"see      {OUT}/side-by-side.png  {OUT}/photo.bin  {OUT}/photo.png")


def jpeg_no_larger(pixels: NDArray[np.uint8], limit: int) -> tuple[int, NDArray[np.uint8]]:
    """Bytes and picture of the best progressive JPEG within limit bytes, or of the smallest."""
    for quality in range(95, 0, -1):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(
            buffer, "JPEG", quality=quality, optimize=True, progressive=True
        )
        if buffer.tell() <= limit:
            break
    return buffer.tell(), np.asarray(Image.open(buffer))


def side_by_side(panels: list[tuple[str, NDArray[np.uint8]]]) -> Image.Image:
    """The pictures in a row, each with its caption below."""
    height, width = panels[0][1].shape[:2]
    sheet = Image.new("RGB", (len(panels) * width, height + 16), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (caption, pixels) in enumerate(panels):
        sheet.paste(Image.fromarray(pixels), (i * width, 0))
        draw.text((i * width + 4, height + 2), caption, fill="black")
    return sheet


if __name__ == "__main__":
    main()
