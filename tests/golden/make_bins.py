"""Make the golden files of tests/golden/bin from pictures that scikit-image ships.

    python tests/golden/make_bins.py             only those that are not there yet
    python tests/golden/make_bins.py --replace   all, once the shipped weights are other ones

NAME.bin is a file, NAME.png what it, or a part of it, decodes to; index.json has the SHA-256 of the
weights, and of each file's latents, ICC profile and EXIF. tests/codec/test_golden.py decodes them.
Between releases with the same weights they are never replaced: later versions must decode what
earlier ones wrote.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from lictor.codec import decode_picture, encode, info, latents
from lictor.codec.image import pillow
from lictor.codec.image.pillow import Picture
from lictor.models import zoo

FOLDER = Path(__file__).parent / "bin"
INDEX = FOLDER / "index.json"


def photo(name: str, x: int, y: int, width: int, height: int) -> np.ndarray:
    """A part of a picture of scikit-image, uint8: NASA's (public domain) or CC0."""
    spec = importlib.util.find_spec("skimage")
    assert spec and spec.origin
    with Image.open(Path(spec.origin).parent / "data" / name) as picture:
        part = np.array(picture)[y : y + height, x : x + width]
    assert part.shape[:2] == (height, width)
    return part


def sixteen_bits(part: np.ndarray) -> np.ndarray:
    """A quarter of the sides, with the bits that averaging brings, uint16."""
    height, width = (side // 4 for side in part.shape[:2])
    blocks = part[: 4 * height, : 4 * width].astype(np.float64)
    blocks = blocks.reshape(height, 4, width, 4, -1).mean(axis=(1, 3))
    return np.rint(blocks * 257).astype(np.uint16)


def with_alpha(part: np.ndarray) -> np.ndarray:
    """A disc with a soft rim; outside of it, all is transparent."""
    height, width = part.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    alpha = np.clip((min(height, width) / 2 - distance) * 32, 0, 255).astype(np.uint8)
    return np.dstack([part, alpha])


def with_metadata(part: np.ndarray) -> Picture:
    exif = Image.Exif()
    exif[0x010F] = "Lictor"
    exif[0x9286] = "a golden file"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return Picture(part, profile, exif.tobytes().removeprefix(b"Exif\0\0"))


def with_tiles(part: np.ndarray) -> np.ndarray:
    """A large gray picture, with a photo where its tiles meet."""
    picture = np.full((1536, 1536, 3), 128, np.uint8)
    height, width = part.shape[:2]
    top, left = 768 - height // 2, 768 - width // 2
    picture[top : top + height, left : left + width] = part
    return picture


def with_noise(part: np.ndarray) -> np.ndarray:
    """A block of it is noise, which networks cannot hold."""
    picture = part.copy()
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3))
    picture[64:128, 192:256] = noise
    return picture


def spotlight(height: int, width: int) -> np.ndarray:
    """A map with many grays."""
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot((rows - height / 2) / height, (columns - width / 2) / width)
    return np.rint(255 * np.clip(1.2 - 2.4 * distance, 0, 1)).astype(np.uint8)


REGIONS = {
    "tiles": (720, 700, 96, 130),
    "roi-tiles": (690, 700, 130, 96),
    "overfit-tiles": (280, 20, 80, 50),
}
"""Of these, NAME.png has only a part: x, y, width, height."""

RECIPES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "rgb-q0": (lambda: photo("astronaut.png", 160, 20, 129, 95), {"quality": 0}),
    "rgb-q50": (lambda: photo("astronaut.png", 160, 20, 129, 95), {"quality": 50}),
    "rgb-q99.75": (lambda: photo("astronaut.png", 160, 20, 97, 65), {"quality": 99.75}),
    "rgb-wide-q15": (lambda: photo("coffee.png", 100, 100, 300, 130), {"quality": 15}),
    "rgb-effort": (lambda: photo("chelsea.png", 150, 60, 80, 64), {"quality": 60, "effort": 3}),
    "rgba": (lambda: with_alpha(photo("astronaut.png", 180, 40, 75, 50)), {"quality": 40}),
    "gray": (lambda: photo("camera.png", 200, 60, 97, 66), {"quality": 55.5}),
    "gray-alpha": (lambda: with_alpha(photo("camera.png", 220, 70, 33, 40)), {"quality": 70}),
    "rgb16": (lambda: sixteen_bits(photo("coffee.png", 150, 100, 260, 204)), {"quality": 90}),
    "gray16": (lambda: sixteen_bits(photo("camera.png", 100, 40, 260, 260)), {"quality": 100}),
    "metadata": (lambda: with_metadata(photo("rocket.jpg", 280, 100, 64, 48)), {"quality": 30}),
    "point": (lambda: photo("chelsea.png", 200, 100, 1, 1), {"quality": 50}),
    "row": (lambda: photo("chelsea.png", 100, 100, 200, 1), {"quality": 50}),
    "tiles": (lambda: with_tiles(photo("astronaut.png", 160, 20, 200, 160)), {"quality": 45}),
    "roi-box": (
        lambda: photo("astronaut.png", 150, 20, 160, 130),
        {"quality": 75, "roi": [(40, 30, 60, 50)], "roi_drop": 45},
    ),
    "roi-map": (
        lambda: with_alpha(photo("chelsea.png", 120, 60, 130, 90)),
        {"quality": 65.25, "roi": spotlight(60, 80), "effort": 1},
    ),
    "roi-tiles": (
        lambda: with_tiles(photo("chelsea.png", 60, 30, 160, 110)),
        {"quality": 60, "roi": [(740, 720, 60, 300), (0, 0, 100, 100, 0.5)]},
    ),
    "linear": (
        lambda: photo("astronaut.png", 160, 20, 129, 95),
        {"quality": 50, "method": "linear"},
    ),
    "linear-gray16": (
        lambda: sixteen_bits(photo("camera.png", 100, 40, 260, 260)),
        {"quality": 80, "method": "linear"},
    ),
    "linear-map": (
        lambda: with_alpha(photo("chelsea.png", 120, 60, 130, 90)),
        {"quality": 65.25, "roi": spotlight(60, 80), "method": "linear"},
    ),
    "blocks": (
        lambda: with_noise(photo("astronaut.png", 120, 10, 320, 192)),
        {"quality": 30, "method": "auto"},
    ),
    "lossless": (
        lambda: with_alpha(photo("astronaut.png", 180, 40, 67, 45)),
        {"method": "lossless"},
    ),
    "lossless-gray16": (
        lambda: sixteen_bits(photo("camera.png", 100, 40, 260, 260)),
        {"method": "lossless"},
    ),
    "lossless-bilevel": (
        lambda: (photo("page.png", 40, 30, 210, 150) > 140) * np.uint8(255),
        {"method": "lossless"},
    ),
    "overfit": (
        lambda: photo("astronaut.png", 160, 20, 129, 95),
        {"quality": 40, "model": "overfit", "method": "auto", "effort": 1},
    ),
    "overfit-gray16-alpha": (
        lambda: with_alpha(sixteen_bits(photo("camera.png", 100, 40, 300, 260))),
        {"quality": 30, "model": "overfit-s", "method": "auto", "effort": 1},
    ),
    "overfit-tiles": (
        lambda: photo("coffee.png", 10, 150, 580, 90),
        {"quality": 20, "model": "overfit-l", "method": "auto", "effort": 1},
    ),
    "overfit-start": (
        lambda: photo("coffee.png", 200, 100, 110, 80),
        {"quality": 60, "model": "overfit", "method": "auto", "effort": 1},
    ),
    "wiener": (lambda: photo("coffee.png", 60, 60, 192, 128), {"quality": 85, "effort": 1}),
    "wiener-gray16-alpha": (
        lambda: with_alpha(sixteen_bits(photo("camera.png", 40, 0, 360, 320))),
        {"quality": 65, "effort": 1},
    ),
    "column": (lambda: photo("chelsea.png", 200, 50, 2, 131), {"quality": 80}),
}


def describe(name: str, data: bytes) -> dict[str, Any]:
    picture = decode_picture(data)
    return {
        "region": REGIONS.get(name),
        "latents": latents(data).sha256 if info(data).model else None,
        "icc": hashlib.sha256(picture.icc).hexdigest(),
        "exif": hashlib.sha256(picture.exif).hexdigest(),
    }


def main(replace: bool) -> None:
    weights = zoo.index()["lictor-s.mse"].sha256
    index: dict[str, Any] = {"weights": weights, "files": {}}
    if INDEX.exists() and not replace:
        index = json.loads(INDEX.read_text())
        if index["weights"] != weights:
            sys.exit("the golden files were made with other weights; --replace makes all anew")
    FOLDER.mkdir(exist_ok=True)
    for name, (make, options) in RECIPES.items():
        if name in index["files"]:
            continue
        data = encode(make(), **{"model": "lictor-s.mse", "method": "network", **options})
        (FOLDER / f"{name}.bin").write_bytes(data)
        with open(FOLDER / f"{name}.png", "wb") as file:
            pixels = decode_picture(data, region=REGIONS.get(name)).pixels
            pillow.write(Picture(pixels), file)
        index["files"][name] = describe(name, data)
        print(f"{name}: {len(data)} bytes")
    INDEX.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(replace="--replace" in sys.argv[1:])
