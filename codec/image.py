"""Pictures in and out, by Pillow, as 8-bit RGB or gray arrays.

What is coded is what a viewer shows: EXIF orientation is applied, bilevel and palette pictures
become gray and RGB (without loss), an alpha channel that is opaque everywhere is dropped. Metadata
(EXIF, ICC profile, XMP) is not kept. Every other kind of picture is refused by name.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lictor.codec.errors import (
    CodecError,
    DamagedImage,
    ImageTooLarge,
    NotAnImage,
    UnknownFormat,
    UnsupportedImage,
    UnwritableImage,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 0x0112  # EXIF tag
_DEEP = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_COMMON = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".ppm": "PPM"}
"""Formats that are known without importing every plugin of Pillow."""


def read(source: str | os.PathLike[str] | bytes) -> NDArray[np.uint8]:
    """Read a picture: uint8 (H, W, C), C = 1 (gray) or 3 (RGB).

    Args:
        source: a path, or the bytes of a picture file.

    Raises:
        ImageError: NotAnImage, DamagedImage, UnsupportedImage or ImageTooLarge.
        OSError: the file cannot be opened.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with _pillow_errors(), Image.open(file) as image:
        return to_array(image)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a Pillow image as a viewer shows them: uint8 (H, W, C), C = 1 or 3.

    Raises:
        ImageError: DamagedImage, UnsupportedImage or ImageTooLarge.
    """
    with _pillow_errors():
        _refuse(image)
        image.load()
        pixels = np.asarray(_upright(_plain(image)))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _refuse(image: Image.Image) -> None:
    """Kinds of picture that can be told from the header and are not coded yet."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's MPO is a JPEG with extras behind it
        raise UnsupportedImage(
            f"has {frames} frames or pages; save the one you want as a picture of its own"
        )
    if image.mode in _DEEP or _reduced(image):
        raise UnsupportedImage("has more than 8 bits a sample; convert it to 8 bits first")
    if image.mode == "CMYK":
        raise UnsupportedImage("is CMYK; convert it to RGB first")


def _reduced(image: Image.Image) -> bool:
    """Whether Pillow is about to cut samples of more than 8 bits down (PNG, TIFF, PPM)."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(a, str) and (";16" in a or ";12" in a) for a in arguments):
            return True
        if tile[0] in ("ppm", "ppm_plain") and arguments[-1] > 255:  # the maximum of a sample
            return True
    return False


def _plain(image: Image.Image) -> Image.Image:
    """The same picture as L or RGB."""
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] != 255:
            raise UnsupportedImage("is transparent in places; flatten it onto a background first")
        return rgba.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGB")
    raise UnsupportedImage(f"has colour mode {image.mode}; convert it to RGB or gray first")


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
    except Exception:  # damaged metadata is no reason to refuse the picture
        return image
    if not turned:
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """Pillow's plugins raise whatever damage leads them to; give it the right name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (CodecError, MemoryError):
        raise
    except UnidentifiedImageError as e:
        raise NotAnImage("not a picture that can be read; give a PNG, JPEG, WebP, TIFF…") from e
    except Image.DecompressionBombError as e:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageTooLarge(f"has more than {limit} pixels; cut it into parts first") from e
    except Exception as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise
        raise DamagedImage(f"the picture is damaged ({_one_line(e)}); get another copy") from e


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def format_of(name: str | os.PathLike[str]) -> str:
    """Pillow's name of the format to write under a file name, by its extension.

    Raises:
        UnknownFormat: none is known by it.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in _COMMON:
        return _COMMON[suffix]
    known = Image.registered_extensions()
    if known.get(suffix) not in Image.SAVE:
        what = f"{suffix} is not a picture format" if suffix else "its name has no extension"
        raise UnknownFormat(f"cannot write a picture there: {what}; use .png")
    return known[suffix]


def write(image: Image.Image, file: IO[bytes], format: str = "PNG") -> None:
    """Write a picture in one of Pillow's formats, with Pillow's defaults.

    Raises:
        UnwritableImage: the format does not hold such a picture (its size, mostly).
        OSError: the file cannot be written.
    """
    try:
        image.save(file, format)
    except Exception as e:
        if isinstance(e, MemoryError) or (isinstance(e, OSError) and e.errno is not None):
            raise
        raise UnwritableImage(f"cannot be written as {format} ({_one_line(e)}); use .png") from e


def from_array(pixels: NDArray[Any]) -> Image.Image:
    """uint8 (H, W, 1 or 3) as a Pillow image of mode L or RGB."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
