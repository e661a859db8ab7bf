"""Pillow's colour modes as what is coded: gray or RGB of 8 or 16 bits, with or without alpha.

What a plain conversion serves is converted, and said: YCbCr, HSV, Lab; and numbers, of 32 bits or
floating, where it is known which of them are black and white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from lictor.codec.errors import UnsupportedImage
from lictor.codec.image import pillow_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRAY = ("1", "L", "LA", "La")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_PLAIN = ("1", "L", "P", "RGB", "RGBX", *_ALPHA)
_TRANSFORMS = {"YCbCr": "YCbCr", "HSV": "HSV", "LAB": "CIELAB"}
_NUMBERS = {"I": "32-bit integers", "F": "floating-point numbers"}
_LEAST, _MOST = 340, 341
"""TIFF tags that state the range of samples: SMinSampleValue, SMaxSampleValue."""
_GRAY_LEVELS = {"L;2": 3, "L;4": 15}
"""The largest sample of a PNG of few bits, by what Pillow calls its layout."""


def transparent_gray(image: Image.Image) -> int | None:
    """The gray that is transparent in a PNG, as Pillow will give it; None if there is none.

    Of an image that is not yet loaded: then it is known how many bits the file's samples have, and
    tRNS counts in those.
    """
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", ())
    if image.format != "PNG" or image.mode not in ("1", "L") or not isinstance(key, int):
        return None
    if image.mode == "1":
        return 255 if key else 0
    most = _GRAY_LEVELS.get(next((tile[3] for tile in tiles), "L"), 255)
    return (key & most) * 255 // most  # higher bits do not count


def pixels(image: Image.Image, key: int | None = None) -> tuple[NDArray[Any], list[str]]:
    """The pixels of a loaded image, uint8 or uint16 (H, W, 1…4), and what was converted.

    key: the gray that is transparent, if one is; else as `image.info` says.

    Raises UnsupportedImage.
    """
    if image.mode in _NUMBERS:
        return _numbers(image)
    notes = []
    if image.mode in _TRANSFORMS:
        notes.append(f"is {_TRANSFORMS[image.mode]}; converted to RGB")
        image = _lab_to_srgb(image) if image.mode == "LAB" else _converted(image, "RGB")
    if image.mode not in _PLAIN:
        raise UnsupportedImage(f"has colour mode {image.mode}; convert it to RGB or gray first")
    return _plain(image, key), notes


def _plain(image: Image.Image, key: int | None) -> NDArray[np.uint8]:
    gray = image.mode in _GRAY
    if key is None and isinstance(image.info.get("transparency"), int) and image.mode in ("1", "L"):
        key = image.info["transparency"]
        if image.mode == "1" and key:
            key = 255
    if key is not None:
        levels = np.asarray(_converted(image, "L"))
        return np.dstack([levels, (levels != key) * np.uint8(255)])
    if image.has_transparency_data and image.mode not in ("1", "L"):
        rgba = np.asarray(_converted(image, "RGBA"))
        return rgba[:, :, [0, 3]] if gray else rgba
    mode = "L" if gray else "RGB"
    array = np.asarray(_converted(image, mode))
    return array[:, :, None] if gray else array


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """In another mode; alpha is no longer multiplied in."""
    if image.mode == mode:
        return image
    with pillow_errors.named():
        return (image.convert("LA") if image.mode == "La" else image).convert(mode)


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    with pillow_errors.named():
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # only a conversion in place gives none
    return converted


def _numbers(image: Image.Image) -> tuple[NDArray[Any], list[str]]:
    """Gray of numbers whose range is stated by the file or beyond doubt.

    Integers are taken for samples of 8 bits or, if one is larger, of 16; fractions up to 1 for
    shares of white. Pillow's own conversions from L give such numbers.
    """
    values = np.asarray(image)
    kind = _NUMBERS[image.mode]
    if not np.isfinite(values).all():
        raise UnsupportedImage(f"is of {kind}, some NaN or infinite; replace those first")
    stated = _stated_range(image)
    if stated:
        note = f"is of {kind}; {stated[0]:g} to {stated[1]:g}, as its tags state, become 16 bits"
        return _scaled(values, *stated), [note]
    low, high = values.min(), values.max()
    whole = image.mode == "I" or (high > 1 and bool((values == np.floor(values)).all()))
    for most in (255, 65535) if whole else ():
        if low >= 0 and high <= most:
            bits = most.bit_length()
            samples = values.astype(f"u{bits // 8}")[:, :, None]
            return samples, [f"is of {kind}; taken as samples of {bits} bits, 0 to {most}"]
    if image.mode == "F" and low >= 0 and high <= 1:
        return _scaled(values, 0, 1), [f"is of {kind}; 0 to 1 become 16 bits"]
    raise UnsupportedImage(
        f"is of {kind} from {low:.6g} to {high:.6g}, and nothing states which are black and white; "
        "convert it to 8 or 16 bits first"
    )


def _stated_range(image: Image.Image) -> tuple[float, float] | None:
    tags = getattr(image, "tag_v2", {})
    try:
        low, high = (float(np.ravel(tags[tag])[0]) for tag in (_LEAST, _MOST))
    except (KeyError, ValueError, TypeError, IndexError):
        return None
    return (low, high) if np.isfinite([low, high]).all() and low < high else None


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint16]:
    """Numbers from low to high as 16 bits, what lies beyond as the nearest; (H, W, 1)."""
    share = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1)
    return np.rint(share * 65535).astype(np.uint16)[:, :, None]
