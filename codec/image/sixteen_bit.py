"""Pictures of 16 bits a sample, in and out.

Pillow has no 16-bit RGB: its decoders keep the high byte of each sample. So a file is decoded
twice, once as it is and once as if its bytes were in the other order, which gives the low bytes.
That takes 0.14 s a megapixel; pypng, in pure Python, six times that, and imagecodecs and OpenCV
would be 26 and 61 MB more to install. PNG is written chunk by chunk, TIFF by tifffile (0.2 MB).
"""

from __future__ import annotations

import io
import sys
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from lictor.codec.errors import DamagedImage, UnsupportedImage
from lictor.codec.format.colour import Signalling
from lictor.codec.image import pillow_errors, png_chunks, rescue, tiff

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLANES = {"RGB", "RGBA", "RGBX", "R", "G", "B", "A"}
"""Kinds of 16-bit samples whose halves Pillow can take."""
_OPPOSITE = {"16B": "16L", "16L": "16B", "16N": "16L" if sys.byteorder == "big" else "16B"}
_SGI = "SGI16"
"""A decoder that has one order of bytes, whatever it is told."""
_J2K_START, _J2K_HEAD, _J2K_DEPTH = b"\xff\x4f\xff\x51", 2**20, 38
"""Of a JPEG 2000 codestream: its start, within so many bytes, and its depth behind that."""
_BITS, _PLANAR = 258, 284
"""TIFF tags."""
_PNG_COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's colour type, by channels."""


def read(image: Image.Image) -> NDArray[np.uint16] | None:
    """All bits of a picture that was opened, not loaded: (H, W, 1…4); None if it has 8 or fewer."""
    if image.mode in ("F", "I") and not is_reduced(image):
        return None
    if _has_deep_planes(image):
        return tiff.read(image.fp, image.tell()).pixels  # type: ignore[attr-defined]
    if _is_deep_and_premultiplied(image):
        try:
            return tiff.read(image.fp, image.tell()).pixels  # type: ignore[attr-defined]
        except UnsupportedImage:  # then 8 bits, by Pillow
            return None
    if image.mode.startswith("I"):
        return _gray(image)
    if not is_reduced(image) or image.mode == "CMYK":
        return None
    tiles = image.tile  # type: ignore[attr-defined]
    if tiles[0][0] == "ppm":
        return _ppm(image) if image.mode == "RGB" else None
    modes = {_raw_mode(tile).partition(";")[0] for tile in tiles}
    if modes == {"LA"}:
        # Four bytes a pixel, the high ones first, whatever Pillow calls them.
        halves = _decoded(image, lambda mode: "RGBA")
        return np.ascontiguousarray(halves).view(">u2").astype(np.uint16)
    if not modes <= _PLANES or tiles[0][0] == _SGI:
        return None
    low = _decoded(image, _swapped).astype(np.uint16)
    with pillow_errors.named():
        image.load()
    high = np.asarray(image).astype(np.uint16)
    return _with_key((high << 8 | low).astype(np.uint16), image)


def is_reduced(image: Image.Image) -> bool:
    """Whether Pillow is about to cut samples of more than 8 bits down."""
    tiles: Any = getattr(image, "tile", ())
    if image.format == "JPEG2000" and tiles:
        return not image.mode.startswith("I") and _bits_of_jpeg2000(image) > 8
    for tile in tiles:
        kind, _, bits = _raw_mode(tile).partition(";")
        if bits[:2] in ("12", "16") and not kind.startswith("BGR"):  # BGR;16 is 5, 6 and 5 bits
            return True
        if tile[0] in ("ppm", "ppm_plain") and isinstance(tile[3], tuple) and tile[3][-1] > 255:
            return True  # the last argument is the maximum of a sample
    return False


def _bits_of_jpeg2000(image: Image.Image) -> int:
    """Of its first component, by the SIZ segment behind the start of its codestream."""
    file: Any = image.fp  # type: ignore[attr-defined]
    before = file.tell()
    file.seek(0)
    _, _, size = file.read(_J2K_HEAD).partition(_J2K_START)
    file.seek(before)
    return (size[_J2K_DEPTH] & 0x7F) + 1 if len(size) > _J2K_DEPTH else 0


def _has_deep_planes(image: Image.Image) -> bool:
    """Whether a TIFF has 16-bit channels stored apart, which Pillow misreads."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS)
    if not isinstance(bits, tuple) or len(bits) == 1:
        return False
    return tags.get(_PLANAR) == 2 and max(bits) > 8


def _is_deep_and_premultiplied(image: Image.Image) -> bool:
    """Whether a TIFF has 16-bit colours that alpha was multiplied into: Pillow makes 8 of them."""
    tiles = getattr(image, "tile", ())
    return any(_raw_mode(tile).startswith("RGBa;16") for tile in tiles)


def _raw_mode(tile: Any) -> str:
    """What Pillow calls the layout of a tile's samples."""
    arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    return next((a for a in arguments if isinstance(a, str)), "")


def _swapped(mode: str) -> str:
    kind, _, order = mode.partition(";")
    return f"{kind};{_OPPOSITE[order]}"


def _decoded(image: Image.Image, change: Any) -> NDArray[np.uint8]:
    """The samples of the file under another name for their layout."""
    file: Any = image.fp  # type: ignore[attr-defined]
    before = file.tell()
    file.seek(0)
    data = io.BytesIO(file.read())
    file.seek(before)
    with pillow_errors.named(), Image.open(data, formats=[str(image.format)]) as twin:
        if image.tell():
            twin.seek(image.tell())
        if rescue.tolerates(image):
            rescue.tolerate(twin)
        twin.tile = [_renamed(tile, change) for tile in twin.tile]
        twin.load()
        return np.asarray(twin)


def _renamed(tile: Any, change: Any) -> Any:
    mode = _raw_mode(tile)
    arguments = tile[3]
    if isinstance(arguments, tuple):
        return tile._replace(args=tuple(change(a) if a == mode else a for a in arguments))
    return tile._replace(args=change(mode))


def _with_key(pixels: NDArray[np.uint16], image: Image.Image) -> NDArray[np.uint16]:
    """With the alpha that a transparent colour stands for (PNG's tRNS)."""
    key = image.info.get("transparency")
    if key is None:
        return pixels
    opaque = (pixels != np.asarray(key, np.uint16)).any(axis=2)
    return np.dstack([pixels, opaque * np.uint16(65535)])


def _gray(image: Image.Image) -> NDArray[np.uint16]:
    tiles = getattr(image, "tile", ())
    twelve = any(";12" in _raw_mode(tile) for tile in tiles)
    if any(_raw_mode(tile).endswith("S") for tile in tiles):
        raise UnsupportedImage("has signed samples; convert it to 8 or 16 bits")
    with pillow_errors.named():
        image.load()
    pixels: NDArray[np.uint16] = np.asarray(image).astype(np.uint16)[:, :, None]
    if twelve:
        pixels = (pixels << 4 | pixels >> 8).astype(np.uint16)
    return _with_key(pixels, image)


def _ppm(image: Image.Image) -> NDArray[np.uint16]:
    """A PPM of two bytes a sample: they follow its header as they are."""
    file: Any = image.fp  # type: ignore[attr-defined]
    _, _, offset, arguments = image.tile[0]  # type: ignore[attr-defined]
    size = 6 * image.width * image.height
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        if not rescue.tolerates(image):
            raise DamagedImage("the picture ends early; get another copy")
        data = data.ljust(size, b"\0")
    most = arguments[-1]
    values = np.minimum(np.frombuffer(data, ">u2"), most).astype(np.uint32)
    pixels = ((values * 65535 + most // 2) // most).astype(np.uint16)
    return pixels.reshape(image.height, image.width, 3)


def write_png(
    file: IO[bytes], pixels: NDArray[np.uint16], icc: bytes, exif: bytes, said: Signalling
) -> None:
    """A PNG of uint16 (H, W, 1…4), each row filtered by the one above it."""
    height, width, channels = pixels.shape
    chunk = PngImagePlugin.putchunk
    file.write(b"\x89PNG\r\n\x1a\n")
    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunk(file, b"IHDR", sizes + bytes([16, _PNG_COLOUR[channels], 0, 0, 0]))
    png_chunks.write(file, said, with_profile=bool(icc))
    if icc:
        chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if exif:
        chunk(file, b"eXIf", exif)
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    up = np.full((height, 1), 2, np.uint8)
    chunk(file, b"IDAT", zlib.compress(np.hstack([up, rows]).tobytes(), 6))
    chunk(file, b"IEND")


def write_tiff(file: IO[bytes], pixels: NDArray[np.uint16], icc: bytes) -> None:
    """A TIFF of uint16 (H, W, 1…4)."""
    import tifffile

    channels = pixels.shape[2]
    tifffile.imwrite(
        file,
        pixels if channels > 1 else pixels[:, :, 0],
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        iccprofile=icc or None,
        metadata=None,
        software=False,
    )
