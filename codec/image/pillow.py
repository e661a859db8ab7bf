"""Pictures in and out, by Pillow.

What is coded is what a viewer shows: upright, palettes and bilevel pictures as RGB and gray without
loss, CMYK converted to sRGB by its profile, other modes plainly (modes.py), of an animation
the frame that an image stands on. 16 bits stay 16 bits. Alpha that is opaque everywhere is dropped.
The ICC profile, what else is said of the colours, and EXIF come along. A cut file is taken if its
pixels are all there.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lictor.codec.errors import (
    CodecError,
    DamagedImage,
    NotAnImage,
    UnknownFormat,
    UnsupportedImage,
    UnwritableImage,
)
from lictor.codec.format.colour import NONE as NO_SIGNALLING
from lictor.codec.format.colour import Signalling
from lictor.codec.format.picture import MAX_METADATA
from lictor.codec.image import (
    colour,
    colour_space,
    frames,
    heif,
    hidden,
    pillow_errors,
    png_chunks,
    rescue,
    sixteen_bit,
    tiff,
    written,
)
from lictor.codec.image import modes as colour_modes
from lictor.codec.image.picture import Picture, to_eight_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION, _ICC = 0x0112, 0x8773  # EXIF and TIFF tags
_EXIF_PREFIX = b"Exif\0\0"
_TIFF_STRUCTURE = frozenset(
    (0x00FE, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117)
).union(
    (0x011A, 0x011B, 0x0128, 0x011C, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x0152),
    (0x0153, 0x015B, 0x8773),
)
"""Tags of a TIFF file that tell how its pixels are stored and printed, or hold the ICC profile."""
_PNG_LEVEL = 4
"""Of deflate. Pillow's own, 6, takes twice as long, for 1 % fewer bytes of photos."""
_KEEP_ALL = frozenset(("JPEG", "PNG", "TIFF", "WEBP"))
"""Formats that keep whatever Pillow writes into them, or refuse it."""
_NO_END = "ends without its end mark; all of its pixels are there"
_COMMON = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".ppm": "PPM"}
"""Formats that are known without importing every plugin of Pillow."""


def read(source: str | os.PathLike[str] | bytes, salvage: bool = False) -> Picture:
    """Read a picture.

    Args:
        source: a path, or the bytes of a picture file.
        salvage: take what is there of a file that is cut or damaged, and paint over what is not;
            `lost` then says what that is.

    Raises:
        ImageError: NotAnImage, DamagedImage, UnsupportedImage or ImageTooLarge.
        OSError: the file cannot be opened.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        try:
            with _opened(file) as image:
                return from_pillow(image, salvage)
        except (NotAnImage, UnsupportedImage, DamagedImage) as e:
            return _by_tifffile(file, e)


def _opened(file: IO[bytes]) -> Image.Image:
    try:
        with pillow_errors.named():
            return Image.open(file)
    except NotAnImage:
        if not heif.register(file):
            raise
    with pillow_errors.named():
        return Image.open(file)


def _by_tifffile(file: IO[bytes], error: CodecError) -> Picture:
    """A TIFF that Pillow does not read; if it is none or tifffile does not either, a true error."""
    if tiff.is_tiff(file):
        try:
            return _from_tiff(file)
        except CodecError as e:
            told = isinstance(error, UnsupportedImage) and "imagecodecs" in str(e)
            raise (e if told or isinstance(error, NotAnImage) else error) from error
    if isinstance(error, NotAnImage):
        raise pillow_errors.of_unidentified(file) or error
    raise error


def from_pillow(image: Image.Image, salvage: bool = False) -> Picture:
    """A Pillow image as a viewer shows it: the frame that it stands on.

    salvage: as for `read`, if the image was not loaded.

    Raises:
        ImageError: DamagedImage, UnsupportedImage or ImageTooLarge.
    """
    notes = frames.notes(image)
    with pillow_errors.named():
        signalling = colour.read(image, notes)  # all is only known before it is loaded
    try:
        return _picture(image, notes, signalling)
    except DamagedImage as e:
        if tiff.is_rare(image):
            raise UnsupportedImage("is compressed in a way that libtiff lacks here") from e
        return _rescued(image, notes, signalling, e, salvage)


def _picture(
    image: Image.Image,
    notes: list[str],
    signalling: Signalling,
    missing: NDArray[Any] | None = None,
) -> Picture:
    """missing: which pixels are to be painted over."""
    notes = list(notes)
    if missing is None and rescue.lacks_end(image):
        notes.append(_NO_END)
    key = colour_modes.transparent_gray(image)
    with pillow_errors.named():
        pixels: NDArray[Any] | None = heif.read(image, notes)
    if pixels is None:
        pixels = sixteen_bit.read(image)
    if pixels is None:
        if sixteen_bit.is_reduced(image):
            notes.append("more than 8 bits a sample are read as 8 in this kind of file")
        with pillow_errors.named():
            image.load()
        screen, converted = _in_srgb(image)
        pixels, more = colour_modes.pixels(screen, key)
        notes += converted + more
    if missing is not None and missing.any():
        pixels = pixels.copy()
        hidden.fill(pixels, ~missing)
    exif, orientation = _exif(image)
    icc = b"" if image.mode in ("CMYK", "LAB") else image.info.get("icc_profile") or b""
    icc = colour.foreign(icc, signalling)
    icc, exif = (_of_bearable_size(data, notes) for data in (icc, exif))
    pixels = _without_opaque_alpha(_upright(pixels, orientation))
    return Picture(pixels, icc, exif, tuple(notes), signalling=signalling)


def _rescued(
    image: Image.Image,
    notes: list[str],
    signalling: Signalling,
    error: DamagedImage,
    salvage: bool,
) -> Picture:
    """What there is of a picture whose file turned out damaged.

    If that is all but the file's last bytes, which mark its end, it is taken anyway. Raises `error`
    or one that says what is missing.
    """
    found = rescue.of(image)
    if found is None:
        raise error
    whole = pillow_errors.is_cut(error) and not found.missing.any() and not found.coarse
    if not whole and not salvage:
        raise DamagedImage(
            f"{str(error).rpartition(';')[0]}: {found.describe()}; get another copy, or take the "
            "rest with --salvage (salvage=True)"
        ) from error
    with found.image:
        picture = _picture(found.image, notes, signalling, found.missing)
    if whole:
        return replace(picture, notes=(*picture.notes, _NO_END))
    how = "ends early" if pillow_errors.is_cut(error) else "is damaged"
    painted = ", and painted over" if found.missing.any() else ""
    return replace(picture, lost=(f"{how}: {found.describe()}{painted}",))


def _from_tiff(file: IO[bytes]) -> Picture:
    """A TIFF that Pillow does not know."""
    with pillow_errors.named():
        tags = Image.Exif()
        file.seek(0)
        tags.load_from_fp(file)
        icc = bytes(tags.get(_ICC, b""))
        exif, orientation = _upright_exif(tags, _TIFF_STRUCTURE)
    found = tiff.read(file)
    notes: list[str] = list(found.notes)
    pixels = found.pixels
    if found.inks:
        inks = Image.fromarray(pixels, "CMYK")
        inks.info["icc_profile"], icc = icc, b""
        screen, converted = _in_srgb(inks)
        pixels, notes = np.asarray(screen), notes + converted
    icc, exif = (_of_bearable_size(data, notes) for data in (icc, exif))
    return Picture(_without_opaque_alpha(_upright(pixels, orientation)), icc, exif, tuple(notes))


def _in_srgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """A CMYK picture as RGB, by its profile if it has one; others as they are."""
    if image.mode != "CMYK":
        return image, []
    converted = _by_profile(image)
    how = "by its colour profile" if converted else "without a colour profile"
    return converted or image.convert("RGB"), [f"is CMYK; converted to sRGB {how}"]


def _by_profile(image: Image.Image) -> Image.Image | None:
    """An RGB or CMYK image in sRGB; None if it has no profile that can be used."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        return ImageCms.profileToProfile(
            image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return None


def _without_opaque_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    channels = pixels.shape[2]
    if channels in (2, 4) and pixels[:, :, -1].min() == np.iinfo(pixels.dtype).max:
        pixels = pixels[:, :, :-1]
    return np.ascontiguousarray(pixels)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _exif(image: Image.Image) -> tuple[bytes, int]:
    """EXIF for upright pixels, and the orientation that it had."""
    try:
        with pillow_errors.quiet():
            exif = image.getexif()
            orientation = exif.get(_ORIENTATION, 1)
        data = image.info.get("exif", b"")
        if data and orientation == 1:
            return data.removeprefix(_EXIF_PREFIX), 1
        return _upright_exif(exif, _TIFF_STRUCTURE if image.format == "TIFF" else frozenset())
    except Exception:  # damaged metadata is no reason to refuse the picture
        return b"", 1


def _upright_exif(exif: Image.Exif, others: frozenset[int]) -> tuple[bytes, int]:
    """EXIF without orientation and other tags, and the orientation that it had."""
    orientation = exif.get(_ORIENTATION, 1)
    for tag in dict(exif):
        if tag == _ORIENTATION or tag in others:
            del exif[tag]
    return exif.tobytes().removeprefix(_EXIF_PREFIX) if len(exif) else b"", orientation


def _of_bearable_size(data: bytes, notes: list[str]) -> bytes:
    if len(data) <= MAX_METADATA:
        return data
    notes.append(f"has {len(data)} bytes of metadata, more than {MAX_METADATA}; not kept")
    return b""


def stripped(picture: Picture) -> Picture:
    """The picture without EXIF, profile and signalling; its colours become sRGB if they can."""
    bare = replace(picture, icc=b"", exif=b"", signalling=NO_SIGNALLING)
    said = colour.meant(picture.icc, picture.signalling)
    if not said:
        return _converted_by_profile(picture, bare) if picture.icc else bare
    space = colour_space.of_signalling(said)
    if space is None:
        what = f"its colours are {said.name}, which are not converted"
        note = f"{what}; without saying so they look different"
        return replace(bare, notes=(*bare.notes, note)) if said.name else bare
    if space.is_srgb:
        return bare
    return _with_colours(bare, colour_space.to_srgb(picture.colours, space))


def _converted_by_profile(picture: Picture, bare: Picture) -> Picture:
    converted = None
    if picture.depth == 8:
        colours = np.ascontiguousarray(picture.colours)
        image = Image.fromarray(colours if colours.shape[2] == 3 else colours[:, :, 0])
        image.info["icc_profile"] = picture.icc
        converted = _by_profile(image)
    if converted is None:
        note = "its colour profile is dropped; its colours may look different"
        return replace(bare, notes=(*bare.notes, note))
    return _with_colours(bare, np.asarray(converted)[:, :, : picture.colours.shape[2]])


def _with_colours(picture: Picture, colours: NDArray[Any]) -> Picture:
    alpha = [] if picture.alpha is None else [picture.alpha]
    pixels = np.ascontiguousarray(np.dstack([colours, *alpha]))
    return replace(picture, pixels=pixels, uncovered=None)


def middle(pixels: NDArray[np.uint8], side: int, margin: float = 1 / 7) -> NDArray[np.uint8]:
    """What a classifier is shown: the square in the middle, resized to side x side (bicubic).

    Of the shorter side it takes 1 / (1 + margin), as networks of 224 pixels are tested with: 224 of
    256. Pixels (H, W, 3).
    """
    image = Image.fromarray(pixels)
    left, top, part = middle_square(image.width, image.height, margin)
    box = (left, top, left + part, top + part)
    # A copy, since torch wants to be able to write.
    return np.array(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def middle_square(width: int, height: int, margin: float) -> tuple[float, float, float]:
    """Which part of a picture `middle` shows: left, top and side."""
    part = min(width, height) / (1 + margin)
    return (width - part) / 2, (height - part) / 2, part


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


def write(picture: Picture, file: IO[bytes], format: str = "PNG") -> tuple[str, ...]:
    """Write a picture in one of Pillow's formats, with Pillow's defaults.

    Returns:
        What the format could not keep, one line each.

    Raises:
        UnwritableImage: the format does not hold such a picture (its size or alpha, mostly).
        OSError: the file cannot be written.
    """
    said = picture.signalling
    lost: tuple[str, ...] = ()
    if format != "PNG":
        gray = picture.pixels.shape[2] < 3
        icc, lost = colour.for_format(picture.icc, said, format, gray)
        said, picture = NO_SIGNALLING, replace(picture, icc=icc)
    whole = io.BytesIO()
    try:
        if picture.depth == 16 and format == "PNG":
            sixteen_bit.write_png(file, picture.pixels, picture.icc, picture.exif, said)
            return ()
        if picture.depth == 16 and format == "TIFF":
            sixteen_bit.write_tiff(file, picture.pixels, picture.icc)
            exif_lost = ("EXIF is not written into a TIFF of 16 bits",) if picture.exif else ()
            return (*exif_lost, *lost)
        image = to_pillow(replace(picture, signalling=NO_SIGNALLING), depth=8)
        options = {str(key): value for key, value in image.info.items()}
        if format == "ICO":  # or Pillow writes other sizes only
            options["sizes"] = [image.size]
        kept = format in _KEEP_ALL
        if format == "PNG":
            png_chunks.save(image, file, said, compress_level=_PNG_LEVEL, **options)
        else:
            image.save(file if kept else whole, format, **options)
    except Exception as e:
        if isinstance(e, MemoryError) or (isinstance(e, OSError) and e.errno is not None):
            raise
        raise UnwritableImage(
            f"cannot be written as {format} ({pillow_errors.one_line(e)}); use .png"
        ) from e
    notes = [f"has 16 bits a sample; written as {format} with 8"] if picture.depth == 16 else []
    notes += lost
    if not kept:
        file.write(whole.getbuffer())
        notes += _not_kept(picture, whole.getvalue(), format)
    return tuple(notes)


def _not_kept(picture: Picture, data: bytes, format: str) -> list[str]:
    """What a file lacks of the picture that was written into it, found by reading it."""
    try:
        again = read(data)
    except CodecError:
        return [f"written as {format}, which cannot be read back here to see whether all is kept"]
    pixels = picture.pixels if picture.depth == 8 else to_eight_bits(picture.pixels)
    if again.depth == 16:
        again = replace(again, pixels=to_eight_bits(again.pixels))
    asked = replace(picture, pixels=_without_opaque_alpha(pixels))
    return written.not_kept(asked, again, format)


def to_pillow(picture: Picture, depth: int = 16) -> Image.Image:
    """As mode L, LA, RGB or RGBA; or as I;16, if it is gray of 16 bits and `depth` allows them."""
    pixels = picture.pixels
    if picture.depth == 16 and (depth == 8 or pixels.shape[2] > 1):
        pixels = to_eight_bits(pixels)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    gray = pixels.shape[2] < 3
    image.info.update(info(picture.icc, picture.signalling, picture.exif, gray))
    return image


def info(icc: bytes, signalling: Signalling, exif: bytes, gray: bool) -> dict[str, Any]:
    """What the `info` of a Pillow image says of a picture with such metadata."""
    found = colour.info(icc, signalling, gray=gray)
    return found | ({"exif": _EXIF_PREFIX + exif} if exif else {})
