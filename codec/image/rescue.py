"""Picture files that end early or are damaged: which of their pixels are there.

Pillow gives up at the first byte that is missing, but has decoded what came before it. Which pixels
those are shows when the file is decoded twice into memory that was filled differently; of a JPEG,
whose decoder makes up what is missing, when two different endings are put to it.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from lictor.codec.errors import DamagedImage
from lictor.codec.image import pillow_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_END = b"\xff\xd9"
_NOISES = tuple(bytes((first + 83 * i) % 255 for i in range(4096)) for first in (254, 170, 85))
"""Behind its last bit, a JPEG's decoder reads zeros; here ones come first, and ones and zeros by
turns. No 255 is in them, which would be a marker."""
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA
_COEFFICIENTS = 64


class Scan(NamedTuple):
    """Of a JPEG: where its bits begin, and what they are for.

    components: of the picture; own: of this scan. bit: the lowest that it gives.
    """

    start: int
    components: frozenset[int]
    own: bytes
    coefficients: range
    bit: int


class Rescued:
    """What there is of a damaged file.

    image: loads without an error; what is missing is black.
    missing: bool (H, W), as the file stores the picture.
    coarse: whether a progressive JPEG lacks some of its scans.
    """

    def __init__(self, image: Image.Image, missing: NDArray[Any], coarse: bool) -> None:
        self.image, self.missing, self.coarse = image, missing, coarse

    def describe(self) -> str:
        """What is missing, for a message."""
        if self.coarse and not self.missing.any():
            return "finer scans of this progressive JPEG missing"
        if not self.missing.any():
            return "its pixels may be wrong"
        rows = self.missing.all(axis=1)
        if self.missing.sum() == rows.sum() * self.missing.shape[1]:
            return f"{rows.sum()} of its {len(rows)} rows of pixels missing"
        return f"{self.missing.mean():.2%} of its pixels missing"


def of(image: Image.Image) -> Rescued | None:
    """What there is of a file whose image could not be loaded; None if it is nothing."""
    file: Any = getattr(image, "fp", None)
    if file is None or file.closed or image.tell() > 0 or not image.format:
        return None
    file.seek(0)
    return read(file.read(), image.format)


def read(data: bytes, format: str) -> Rescued | None:
    """Decode as much of a file's first picture as there is; None if there is nothing."""
    jpeg = format in ("JPEG", "MPO")
    end = _END if jpeg else b""
    if jpeg:
        data = data.rstrip(b"\xff")  # half of an end mark, or of a byte: one more would be a marker
    image, first = _opened(data + end, format, 0), _decoded(data + end, format, 0)
    if jpeg:
        others = [_decoded(data + noise + end, format, 0) for noise in _NOISES]
    else:
        others = [_decoded(data, format, 255)]
    if image is None or first is None or any(other is None for other in others):
        return None
    differs = np.any([first != other for other in others], axis=0)
    missing, coarse = differs if differs.ndim == 2 else differs.any(axis=2), False
    if jpeg:
        missing, coarse = _missing_blocks(missing, image, data)
    return None if missing.all() else Rescued(image, missing, coarse)


def _opened(data: bytes, format: str, fill: int) -> Image.Image | None:
    try:
        with pillow_errors.quiet():
            image = Image.open(io.BytesIO(data), formats=["JPEG" if format == "MPO" else format])
    except MemoryError:
        raise
    except Exception:  # whatever a plugin makes of damage
        return None
    tolerate(image, fill)
    return image


def _decoded(data: bytes, format: str, fill: int) -> NDArray[Any] | None:
    """Samples as the file has them, (H, W) or (H, W, C)."""
    image = _opened(data, format, fill)
    if image is None:
        return None
    try:
        return np.asarray(image)
    except MemoryError:
        raise
    except Exception:  # nothing could be decoded
        return None


def tolerate(image: Image.Image, fill: int = 0) -> None:
    """Let an image's `load` keep what it could decode, and leave `fill` where nothing was."""
    file: Any = image
    load, prepare = file.load, file.load_prepare

    def prepare_filled() -> None:
        prepare()
        bands = Image.getmodebands(file.im.mode)
        file.im.paste(fill if bands == 1 else (fill,) * bands, (0, 0, *file.im.size))

    def load_partly() -> Any:
        try:
            with pillow_errors.quiet():
                return load()
        except MemoryError:
            raise
        except Exception:  # whatever a plugin makes of damage
            file.tile = []
            return Image.Image.load(file)

    file.load_prepare, file.load = prepare_filled, load_partly


def tolerates(image: Image.Image) -> bool:
    """Whether `tolerate` was called with an image."""
    return "load_prepare" in vars(image)


# ---- JPEG


def _missing_blocks(differing: NDArray[Any], image: Any, data: bytes) -> tuple[NDArray[Any], bool]:
    """Which pixels of a JPEG that was cut are made up, and whether all are coarse.

    In a scan blocks follow one another, so that all from the first that differs are made up.
    """
    scans = list(_scans(data))
    if not scans:
        return np.ones_like(differing), True
    coarse = not _finished(scans)
    differing = differing | _behind_restarts(differing.shape, image, data, scans[-1])
    if len(scans) > 1 and _has_colours(scans[:-1]):
        return np.zeros_like(differing), coarse or bool(differing.any())
    if not differing.any():
        return differing, coarse
    side = 8 * max(layer[2] for layer in image.layer) if len(image.layer) > 1 else 8
    # Smooth upsampling of chroma lets a block show in the row above it.
    band = (int(differing.any(axis=1).argmax()) + 2) // side
    rows = slice(band * side, (band + 1) * side)
    missing = differing.copy()
    columns = differing[rows].any(axis=0)
    if columns.any():
        missing[rows, int(columns.argmax()) :] = True
    missing[rows.stop :] = True
    return missing, coarse


def _behind_restarts(shape: tuple[int, ...], image: Any, data: bytes, scan: Scan) -> NDArray[Any]:
    """Which pixels lie in restart intervals that have not begun: no ending is read in these."""
    missing = np.zeros(shape, bool)
    table = data.rfind(b"\xff\xdd\0\4", 0, scan.start)
    interval = int.from_bytes(data[table + 4 : table + 6], "big") if table > 0 else 0
    if not interval:
        return missing
    begun = 1 + sum(data.count(bytes([0xFF, 0xD0 + n]), scan.start) for n in range(8))
    sampling = {layer[0]: layer[1:3] for layer in image.layer}
    across, down = (max(pair[axis] for pair in sampling.values()) for axis in (0, 1))
    width, height = 8 * across, 8 * down
    if len(scan.own) == 1:  # then units are blocks, of however many pixels
        width //= sampling[scan.own[0]][0]
        height //= sampling[scan.own[0]][1]
    columns = -(-shape[1] // width)
    row, column = divmod(begun * interval, columns)
    missing[row * height : (row + 1) * height, column * width :] = True
    missing[(row + 1) * height :] = True
    return missing


def _scans(data: bytes) -> Iterator[Scan]:
    """The scans that a JPEG has, as their headers say."""
    at, components = 2, b""
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 4:
        marker = data[at + 1]
        if marker in (0, 0xFF) or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if marker in _SOF and len(body) > 5:
            components = body[6 : 6 + 3 * body[5] : 3]
        elif marker == _SOS and body and len(body) >= 4 + 2 * body[0]:
            own, (start, stop, bits) = body[1 : 1 + 2 * body[0] : 2], body[-3:]
            yield Scan(at + 2 + size, frozenset(components), own, range(start, stop + 1), bits & 15)
        at += 2 + size


def _finished(scans: list[Scan]) -> bool:
    """Whether these give every bit of every coefficient."""
    done = {(c, k) for scan in scans if not scan.bit for c in scan.own for k in scan.coefficients}
    return all((c, k) in done for c in scans[0].components for k in range(_COEFFICIENTS))


def _has_colours(scans: list[Scan]) -> bool:
    """Whether these give every component's means of blocks, so that no pixel is missing."""
    return scans[0].components <= {c for scan in scans if 0 in scan.coefficients for c in scan.own}


# ---- PNG


def lacks_end(image: Image.Image) -> bool:
    """Whether a PNG that is not yet loaded ends without the chunk that ends it.

    Raises DamagedImage if the checksum of its pixels is wrong, which Pillow does not look at once
    it has all pixels.
    """
    file: Any = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return False
    before = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[:4], "big")
            if head[4:] == b"IEND":
                return False
            if head[4:] != b"IDAT":
                file.seek(size + 4, os.SEEK_CUR)
                continue
            data, check = file.read(size), file.read(4)
            if len(check) == 4 and zlib.crc32(data, zlib.crc32(b"IDAT")) != int.from_bytes(check):
                raise DamagedImage("the picture is damaged (wrong checksum); get another copy")
        return True
    finally:
        file.seek(before)
