"""TIFF of 16 bits a sample that Pillow does not read: gray with alpha, and channels stored apart.

tifffile does, by numpy alone: uncompressed, Deflate, PackBits. LZW and others take imagecodecs.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lictor.codec.errors import UnsupportedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
"""Photometric interpretations."""
_PREMULTIPLIED, _STRAIGHT = 1, 2
"""Kinds of alpha among the extra samples."""
_ONE = np.uint16(65535)


def is_tiff(file: IO[bytes]) -> bool:
    """By its first bytes."""
    file.seek(0)
    return file.read(4) in _STARTS


def read(file: IO[bytes]) -> NDArray[np.uint16]:
    """The first picture of a file: (H, W, 1…4), alpha last and not multiplied into the colours.

    Raises UnsupportedImage, and what tifffile raises of damaged files.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages.first
        _check(page)
        try:
            pixels = page.asarray()
        except ValueError as e:
            if "imagecodecs" not in str(e):
                raise
            raise UnsupportedImage(
                f"is compressed by {page.compression.name}, for which imagecodecs is needed; "
                "pip install imagecodecs"
            ) from e
        if "S" not in page.axes:
            pixels = pixels[:, :, None]
        elif page.axes[0] == "S":
            pixels = np.moveaxis(pixels, 0, 2)
        colours = 3 if page.photometric == _RGB else 1
        kind = page.extrasamples[0] if page.extrasamples else 0
        alpha = pixels[:, :, colours : colours + 1]
        pixels = pixels[:, :, :colours]
        if page.photometric == _WHITE_IS_ZERO:
            pixels = _ONE - pixels
        if kind == _PREMULTIPLIED:
            pixels = _divided(pixels, alpha)
        return np.dstack([pixels, alpha]) if kind in (_PREMULTIPLIED, _STRAIGHT) else pixels


def _check(page: Any) -> None:
    width, height = page.imagewidth, page.imagelength
    if Image.MAX_IMAGE_PIXELS and width * height > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    if page.dtype != np.uint16:
        raise UnsupportedImage(f"has samples of type {page.dtype}; convert it to 8 or 16 bits")
    known = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
    if page.photometric not in known or page.axes not in ("YX", "YXS", "SYX"):
        raise UnsupportedImage("has a layout that is not read; convert it to RGB or gray first")


def _divided(pixels: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Colours that alpha was multiplied into, without it; none where nothing can be seen."""
    straight = pixels.astype(np.float32) * (65535 / np.maximum(alpha, 1).astype(np.float32))
    return np.where(alpha > 0, np.rint(straight.clip(0, 65535)), 0).astype(np.uint16)
