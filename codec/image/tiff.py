"""TIFF that Pillow does not read; tifffile does.

Big-endian BigTIFF, gray of 16 bits with alpha, channels stored apart, odd numbers of bits. By numpy
alone: uncompressed, Deflate, PackBits, samples of 1, 8 and 16 bits. Others take imagecodecs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lictor.codec.errors import DamagedImage, UnsupportedImage
from lictor.codec.image import pillow_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS = 0, 1, 2, 3, 5
"""Photometric interpretations."""
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _INKS: 4}
_MOST_SAMPLES = 64
_PREMULTIPLIED, _STRAIGHT = 1, 2
"""Kinds of alpha among the extra samples."""
_COMPRESSION = 259
"""A tag."""
_CMYK = 1
"""The set of inks that is cyan, magenta, yellow and black."""


_RARE = frozenset((34887, 34925, 50000, 50001, 50002))
"""Compressions that libtiff may have been built without: LERC, LZMA, Zstandard, WebP, JPEG XL."""


@dataclass(frozen=True)
class Page:
    """What was read.

    pixels: uint8 or uint16 (H, W, 1…4), alpha last and not multiplied into the colours.
    inks: whether the four channels are CMYK, of 8 bits.
    notes: what was left out, one line each.
    """

    pixels: NDArray[Any]
    inks: bool = False
    notes: tuple[str, ...] = ()


def is_tiff(file: IO[bytes]) -> bool:
    """By its first bytes."""
    file.seek(0)
    return file.read(4) in _STARTS


def is_rare(image: Image.Image) -> bool:
    """Whether it is no surprise that libtiff cannot decode a TIFF."""
    return getattr(image, "tag_v2", {}).get(_COMPRESSION) in _RARE


def read(file: IO[bytes], number: int = 0) -> Page:
    """A page of a file.

    Raises UnsupportedImage, DamagedImage or ImageTooLarge.
    """
    with pillow_errors.named():
        import tifffile

        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page: Any = tiff.pages[number]
            _check(page)
            pixels = page.asarray()
    colours = _COLOURS[page.photometric]
    pixels = _channels_last(pixels, page.axes, colours)
    if page.photometric == _PALETTE:
        return Page(_by_palette(pixels[:, :, 0], page.colormap))
    kind = page.extrasamples[0] if page.extrasamples else 0
    pixels = _full_range(pixels, page.bitspersample)
    extra = pixels[:, :, colours:]
    pixels = pixels[:, :, :colours]
    if page.photometric == _WHITE_IS_ZERO:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if page.photometric == _INKS:
        return _inks(pixels, extra.shape[2])
    alpha = extra[:, :, :1]
    if kind == _PREMULTIPLIED:
        pixels = _divided(pixels, alpha)
    if kind in (_PREMULTIPLIED, _STRAIGHT):
        return Page(np.dstack([pixels, alpha]), notes=_left_out(extra.shape[2] - 1))
    return Page(pixels, notes=_left_out(extra.shape[2]))


def _check(page: Any) -> None:
    width, height = page.imagewidth, page.imagelength
    if Image.MAX_IMAGE_PIXELS and width * height > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    if page.samplesperpixel > _MOST_SAMPLES:
        raise UnsupportedImage(f"has {page.samplesperpixel} channels; give a gray or RGB picture")
    kind = np.dtype(page.dtype) if page.dtype is not None else None
    if kind == np.bool_ and page.samplesperpixel > 1:  # tifffile, 2026.3, mixes them up
        raise UnsupportedImage("has several channels of 1 bit; convert it to 8 bits")
    if kind not in (np.uint8, np.uint16, np.bool_):
        raise UnsupportedImage(f"has samples of type {kind}; convert it to 8 or 16 bits")
    wrong_inks = page.photometric == _INKS and (
        page.tags.valueof("InkSet", _CMYK) != _CMYK or page.samplesperpixel < _COLOURS[_INKS]
    )
    if wrong_inks or page.photometric not in _COLOURS or page.axes not in ("YX", "YXS", "SYX"):
        colours = getattr(page.photometric, "name", page.photometric)
        raise UnsupportedImage(
            f"has a layout that is not read ({colours}, axes {page.axes}); convert it to RGB or "
            "gray first"
        )


def _channels_last(pixels: NDArray[Any], axes: str, colours: int) -> NDArray[Any]:
    """(H, W, C), with at least the channels that the colours need."""
    if "S" not in axes:
        pixels = pixels[..., None]
    elif axes[0] == "S":
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim != 3 or pixels.shape[2] < colours or not pixels.size:
        raise DamagedImage(f"the picture is damaged (samples {pixels.shape}); get another copy")
    return pixels


def _full_range(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Samples of 1 to 16 bits over all of 8 or 16."""
    if bits in (8, 16):
        return samples
    most = 255 if bits < 8 else 65535
    levels = 2**bits - 1
    wide = (samples.astype(np.uint32) * most + levels // 2) // levels
    return wide.astype(np.uint8 if bits < 8 else np.uint16)


def _by_palette(indexes: NDArray[Any], palette: NDArray[Any] | None) -> NDArray[np.uint8]:
    """RGB: palettes have 16 bits, of which the upper 8 are in use, as in Pillow."""
    if palette is None or palette.ndim != 2 or len(palette) != 3:
        raise DamagedImage("the picture is damaged (no palette); get another copy")
    if int(indexes.max()) >= palette.shape[1]:
        raise DamagedImage("the picture is damaged (beyond its palette); get another copy")
    return np.ascontiguousarray((palette.T >> 8).astype(np.uint8)[indexes])


def _inks(pixels: NDArray[Any], others: int) -> Page:
    notes = _left_out(others)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
        notes = ("more than 8 bits a sample are read as 8 in CMYK", *notes)
    return Page(np.ascontiguousarray(pixels), True, notes)


def _left_out(count: int) -> tuple[str, ...]:
    return (f"has {count} channels that are neither colour nor alpha; not kept",) if count else ()


def _divided(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours that alpha was multiplied into, without it; none where nothing can be seen."""
    most = int(np.iinfo(pixels.dtype).max)
    straight = pixels.astype(np.float32) * (most / np.maximum(alpha, 1).astype(np.float32))
    return np.where(alpha > 0, np.rint(straight.clip(0, most)), 0).astype(pixels.dtype)
