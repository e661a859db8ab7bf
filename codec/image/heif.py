"""AVIF and HEIF: what Pillow's plugins do not give of them, the colours' nclx and more than 8 bits.

All bits of AVIF come by imagecodecs (26 MB), HEIC by pi-heif, the half of pillow-heif that reads
and is not under the GPL. Both are optional; without the first 8 bits are taken, and that is said.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lictor.codec.errors import UnsupportedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_READERS = ("pi_heif", "pillow_heif")
_LUMINANCE = 10_000
"""Of PNG's units a cd/m²."""


def register(file: IO[bytes]) -> bool:
    """Makes a file that Pillow does not know known to it; False if it is no HEIF.

    Raises UnsupportedImage: what reads it is not installed.
    """
    file.seek(0)
    head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:] not in _BRANDS:
        return False
    reader = next((name for name in _READERS if find_spec(name)), None)
    if reader is None:
        raise UnsupportedImage("is HEIF, for which pi-heif is needed; pip install 'lictor[heif]'")
    import_module(reader).register_heif_opener()
    return True


def read(image: Image.Image, notes: list[str]) -> NDArray[np.uint16] | None:
    """All bits of an AVIF or HEIF picture that was opened, not loaded: (H, W, 1…4).

    None if it has 8 or fewer, or if they cannot be had, of which a note is made.
    """
    bits = _bits(image)
    if bits <= 8:
        return None
    reader, package, extra = (
        (_by_imagecodecs, "imagecodecs", "avif")
        if image.format == "AVIF"
        else (_by_opener, "pi-heif", "heif")
    )
    try:
        pixels = reader(image, bits)
    except ImportError:
        how = f"for all of them {package} is needed, pip install 'lictor[{extra}]'"
    except MemoryError:
        raise
    except Exception as e:
        # Whether the picture is damaged Pillow is to tell, which decodes it next.
        how = f"{package} cannot decode it ({' '.join(str(e).split()) or type(e).__name__})"
    else:
        if pixels.shape[:2] == (image.height, image.width):
            return pixels
        how = f"{package} makes it {pixels.shape[1]}x{pixels.shape[0]} pixels"
    notes.append(f"has {bits} bits a sample, read as 8: {how}")
    return None


def _bits(image: Image.Image) -> int:
    """Bits a sample of what can still be decoded another time."""
    if image.format == "AVIF":
        return bit_depth(_file(image))
    return image.info.get("bit_depth", 8) if image.format == "HEIF" and image.fp else 8  # type: ignore[attr-defined]


def _by_imagecodecs(image: Image.Image, bits: int) -> NDArray[np.uint16]:
    from imagecodecs import avif_decode

    return _full_range(avif_decode(_file(image), index=image.tell()), bits)


def _by_opener(image: Image.Image, bits: int) -> NDArray[np.uint16]:
    """By the package whose plugin opened the picture, which cuts to 8 bits for Pillow only."""
    package: Any = sys.modules[type(image).__module__.partition(".")[0]]
    data = _file(image)
    deep = package.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)[image.tell()]
    if deep.premultiplied_alpha:
        raise ValueError("its alpha is multiplied into its colours")
    return _full_range(np.asarray(deep), bits)


def _full_range(pixels: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Samples of 0…2^bits - 1 as 0…65535; (H, W, C)."""
    if pixels.dtype != np.uint16:
        raise ValueError(f"its samples come as {pixels.dtype}")
    most = 2**bits - 1
    wide = (np.minimum(pixels, most).astype(np.uint32) * 65535 + most // 2) // most
    return np.atleast_3d(wide.astype(np.uint16))


def signalling(image: Image.Image) -> dict[str, Any]:
    """Parts of a Signalling: what the nclx, mdcv and clli of an AVIF or HEIF say, if anything."""
    profile = image.info.get("nclx_profile")
    if image.format == "AVIF":
        return of_boxes(_file(image))
    if not isinstance(profile, dict):
        return {}
    names = ("color_primaries", "transfer_characteristics")
    return _of_nclx(*(int(profile.get(name, 2)) for name in names))


def _of_nclx(primaries: int, transfer: int) -> dict[str, Any]:
    """The samples are RGB of full range by now, whatever matrix and range were used."""
    if (primaries, transfer) == (2, 2) or max(primaries, transfer) > 255:
        return {}
    return {"cicp": (primaries, transfer, 0, 1)}


def _file(image: Image.Image) -> bytes:
    """All of the file of a picture that was not loaded."""
    file: Any = image.fp  # type: ignore[attr-defined]
    if not file or (image.format == "AVIF" and not image.tile):  # type: ignore[attr-defined]
        return b""
    before = file.tell()
    file.seek(0)
    data: bytes = file.read()
    file.seek(before)
    return data


# ---- boxes (ISO/IEC 14496-12, 23008-12)


def bit_depth(data: bytes) -> int:
    """Bits a sample of an AVIF's picture; 8 if nothing tells."""
    found = _properties(data)
    own = found.get(b"pixi", b"")[5:]
    if own:
        return max(own)
    flags = found.get(b"av1C", bytes(4))[2:3]
    return 8 if not flags or not flags[0] & 0x40 else 12 if flags[0] & 0x20 else 10


def of_boxes(data: bytes) -> dict[str, Any]:
    """Parts of a Signalling that the boxes of an AVIF tell; none where they are damaged."""
    found = _properties(data)
    colour = found.get(b"nclx", b"")
    numbers = [int.from_bytes(colour[at : at + 2], "big") if colour else 2 for at in (0, 2)]
    parts = _of_nclx(*numbers)
    mastering, light = found.get(b"mdcv", b""), found.get(b"clli", b"")
    if len(mastering) >= 24:
        # Green, blue, red there; red, green, blue here.
        xy = [int.from_bytes(mastering[at : at + 2], "big") for at in range(0, 16, 2)]
        most, least = (int.from_bytes(mastering[at : at + 4], "big") for at in (16, 20))
        parts["mastering"] = (*xy[4:6], *xy[:4], *xy[6:], most, least)
    if len(light) >= 4:
        values = (int.from_bytes(light[at : at + 2], "big") for at in (0, 2))
        parts["light"] = tuple(value * _LUMINANCE for value in values)
    return parts


def _properties(data: bytes) -> dict[bytes, bytes]:
    """The properties of the file's primary picture, by type; of `colr`, by its own type."""
    with suppress(IndexError, StopIteration):
        meta = next(content for kind, content in _boxes(data) if kind == b"meta")
        boxes = dict(_boxes(meta[4:]))
        wide = boxes[b"pitm"][0] > 0 if b"pitm" in boxes else 0
        primary = int.from_bytes(boxes.get(b"pitm", b"")[4 : 8 if wide else 6], "big")
        properties = list(_boxes(boxes.get(b"iprp", b"")))
        items = [
            item for kind, content in properties if kind == b"ipco" for item in _boxes(content)
        ]
        numbers = [
            number
            for kind, content in properties
            if kind == b"ipma"
            for item, number in _associations(content)
            if item == primary
        ]
        own = [items[number - 1] for number in numbers if 0 < number <= len(items)]
        return dict((c[:4], c[4:]) if kind == b"colr" else (kind, c) for kind, c in reversed(own))
    return {}


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Types and contents, as far as they are whole."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(data)
        if end < at + head or end > len(data):
            return
        yield kind, data[at + head : end]
        at = end


def _associations(content: bytes) -> Iterator[tuple[int, int]]:
    """Items and the numbers of their properties, from 1. Raises IndexError where it ends early."""
    id_size = 4 if content[0] else 2
    wide = content[3] & 1
    at = 8
    for _ in range(int.from_bytes(content[4:8], "big")):
        item = int.from_bytes(content[at : at + id_size], "big")
        count = content[at + id_size]
        at += id_size + 1
        for _ in range(count):
            number = (content[at] & 0x7F) << 8 | content[at + 1] if wide else content[at] & 0x7F
            at += 1 + wide
            yield item, number
