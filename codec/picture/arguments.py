"""What callers give, made into what the codec works with, or refused in one line."""

from __future__ import annotations

import operator
import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import (
    ImageTooLarge,
    InvalidMethod,
    InvalidOption,
    InvalidRegion,
    InvalidRoi,
    NotALictorFile,
    NotAnImage,
    PictureWarning,
    UnsupportedImage,
)
from lictor.codec.format.picture import MAX_PIXELS, MAX_SIDE
from lictor.codec.quality import LOSSLESS
from lictor.codec.quality import effort as effort
from lictor.models.box import Box
from lictor.models.overfit import sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.codec.format.picture import Header
    from lictor.codec.image.pillow import Picture
    from lictor.models.overfit.sizes import Size

AUTO = "auto"
METHODS = (AUTO, "network", "linear", LOSSLESS)
"""What `encode` takes as method."""
REDUCTIONS = (1, 2, 4, 8, 16)
"""How many pixels a side may become one in a decoded picture."""


def picture(image: Any, salvage: bool = False, exact: bool = False) -> Picture:
    """Whatever `encode` accepts; where nothing can be seen, with colours that cost little.

    exact: with all colours as they are.

    What changes on the way is a PictureWarning, about a line of the caller's caller.
    """
    import numpy as np
    from PIL import Image

    from lictor.codec.image.pillow import Picture, from_pillow

    if isinstance(image, (str, bytes, os.PathLike)):
        raise NotAnImage(
            f"a picture is needed, not a {type(image).__name__}; open it with PIL.Image.open first"
        )
    if isinstance(image, Image.Image):
        _check_size(image.width, image.height)
        found = from_pillow(image, salvage)
        for note in (*found.lost, *found.notes):
            warnings.warn(f"the picture {note}", PictureWarning, stacklevel=3)
        return found if exact else _covered(found)
    found = image if isinstance(image, Picture) else Picture(image)
    if not isinstance(found.pixels, np.ndarray):
        raise NotAnImage(f"a Pillow image or a numpy array is needed, not {type(image).__name__}")
    pixels = _as_pixels(found.pixels)
    found = replace(found, pixels=pixels)
    return found if exact else _covered(found)


def _covered(picture: Picture) -> Picture:
    """With colours that cost little where nothing can be seen."""
    from lictor.codec.image import hidden

    pixels = hidden.covered(picture.pixels)
    if pixels is picture.pixels:
        return picture
    return replace(picture, pixels=pixels, uncovered=picture.pixels)


def _as_pixels(array: NDArray[Any]) -> NDArray[Any]:
    """An array as uint8 or uint16 (H, W, 1…4)."""
    import numpy as np

    if array.dtype.name not in ("uint8", "uint16"):
        raise UnsupportedImage(
            f"the array has type {array.dtype}; convert it to uint8 (0…255) or uint16 (0…65535)"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise UnsupportedImage("the array is masked; fill it, or give the mask as alpha")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise UnsupportedImage(
            f"the array has shape {array.shape}; (H, W) or (H, W, 1 to 4) is needed"
        )
    _check_size(array.shape[1], array.shape[0])
    return array


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise UnsupportedImage(f"the picture has no pixels ({width}x{height})")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageTooLarge(
            f"{width}x{height} is more than the format holds ({MAX_SIDE} a side, {MAX_PIXELS} "
            "pixels); cut it into parts first"
        )


def method(given: Any, quality: Any, **others: Any) -> str:
    """The method; "lossless" too where that is the quality.

    others: arguments that a lossless file has no use for, by name; None or 0 if not given.

    Raises:
        InvalidMethod: there is no such, or the rest does not go with it.
    """
    if given not in METHODS:
        raise InvalidMethod(f"method is {given!r}; give one of {', '.join(METHODS)}")
    if isinstance(quality, str) and quality == LOSSLESS:
        if given not in (AUTO, LOSSLESS):
            raise InvalidMethod(f"the method {given} is not lossless; leave it or the quality out")
        given, quality = LOSSLESS, None
    if given == "linear" and others.get("effort"):
        raise InvalidMethod("effort is for networks; leave it out with the method linear")
    if given == LOSSLESS:
        for name, value in {**others, "quality": quality}.items():
            if value is not None and value is not False and not (name == "effort" and value == 0):
                raise InvalidMethod(f"a lossless file has no {name}; leave it out")
    return str(given)


def overfit(model: Any, method: str, roi: Any = None, tune: str | None = None) -> Size | None:
    """The size of networks of the picture's own, if the model is named so and is needed.

    Raises:
        InvalidMethod, InvalidRoi, InvalidOption: the rest does not go with it.
    """
    found = sizes.named(model)
    if found is None or method in ("linear", LOSSLESS):
        return None
    if method != AUTO:
        raise InvalidMethod(f"{model} is no network of the method {method}; leave the method out")
    whole = f"{model} has one quality for all of a picture; leave"
    if roi is not None:
        raise InvalidRoi(f"{whole} the region out")
    if tune == "eyes":
        raise InvalidOption(f"{whole} tune={tune} out")
    return found


def reduction(given: Any) -> int:
    """How many pixels a side become one. Raises InvalidOption."""
    found = next((by for by in REDUCTIONS if by == given), None)
    if found is None:
        raise InvalidOption(f"reduce is {given!r}; give one of {', '.join(map(str, REDUCTIONS))}")
    return found


def reduction_for(size: tuple[int, int], wanted: tuple[int, int]) -> int:
    """The most by which a picture of (width, height) stays as large as is wanted on both sides."""
    most = min(side // max(least, 1) for side, least in zip(size, wanted, strict=True))
    return max(by for by in REDUCTIONS if by <= max(most, 1))


def box(region: Any, h: Header, reduce: int = 1) -> Box:
    """The part of the picture to decode: (x, y, width, height), or all. Raises InvalidRegion.

    reduce: of which its corner is a multiple.
    """
    if region is None:
        return Box(0, 0, h.height, h.width)
    try:
        x, y, width, height = (operator.index(value) for value in region)
    except (TypeError, ValueError):
        raise InvalidRegion(
            f"region is {region!r}; give four whole numbers: x, y, width and height"
        ) from None
    part = Box(y, x, height, width)
    if width < 1 or height < 1 or part.within(Box(0, 0, h.height, h.width)) != part:
        raise InvalidRegion(
            f"region {x},{y},{width},{height} (x, y, width, height) is not inside the "
            f"{h.width}x{h.height} pixels of the picture"
        )
    if x % reduce or y % reduce:
        raise InvalidRegion(
            f"region {x},{y},{width},{height} begins at no multiple of {reduce} pixels; reduced by "
            f"that, x and y must be such"
        )
    return part


def file_bytes(data: Any) -> memoryview:
    """Whatever holds bytes. Raises NotALictorFile."""
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        raise NotALictorFile(
            f"the bytes of a file are needed, not {type(data).__name__}; read the file first"
        ) from None
