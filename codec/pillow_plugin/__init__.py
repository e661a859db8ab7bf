"""Lictor for Pillow, and so for all that reads pictures by Pillow.

    import lictor.pillow
    from PIL import Image

    image = Image.open("photo.bin")  # size, mode and metadata; no network runs
    image.save("again.lictor", quality=40)

Opening reads the header and the metadata; the picture is decoded when its pixels are first asked
for. In the wheel, and in an editable installation, this folder is the package `lictor.pillow`.
"""

from __future__ import annotations

import warnings
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from lictor.codec.errors import CodecError, FileError, OutOfMemory, PictureWarning
from lictor.codec.format import names
from lictor.codec.format.arrays import MAGIC as ARRAYS_MAGIC
from lictor.codec.format.picture import MAGIC

if TYPE_CHECKING:
    from lictor.codec.format.picture import Header

__all__ = ["FORMAT", "LictorImageFile"]

FORMAT = "LICTOR"
"""What `Image.open(…, formats=[FORMAT])` and `image.save(…, format=FORMAT)` take."""
_OPTIONS = frozenset(("quality", "model", "effort", "strip", "roi", "roi_drop", "tune")).union(
    ("progress", "device", "method", "size", "bpp", "psnr", "ssim", "models", "runtime")
)
"""Parameters of `save` that `lictor.codec.encode` takes."""


class LictorImageFile(ImageFile.ImageFile):
    """A Lictor picture as Pillow opens it: mode L, LA, RGB, RGBA, or I;16 for gray of 16 bits.

    Other pictures of 16 bits are read as 8, since Pillow has no modes for them;
    `lictor.codec.decode_picture` gives all bits. `info` has icc_profile, exif, and what else is
    said of the colours, as `lictor.codec.decode` gives them.
    """

    format = FORMAT
    format_description = "Lictor picture"
    _data: bytes
    _reduce = 1

    def _open(self) -> None:
        from lictor.codec.image.pillow import info
        from lictor.codec.picture.outline import outline

        assert self.fp is not None
        data = self.fp.read()
        try:
            found = outline(data)
        except FileError as e:
            raise UnidentifiedImageError(str(e)) from e
        self._data = data
        self._size = (found.header.width, found.header.height)
        self._mode = _mode(found.header)
        gray = found.header.channels < 3
        self.info.update(info(found.icc, found.signalling, found.exif, gray))
        self.tile = [ImageFile._Tile("lictor", (0, 0, *self.size), 0, None)]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode a preview in place of the picture, by 1/2, 1/4, 1/8 or 1/16, as of JPEG.

        Args:
            mode: whatever is given, the mode stays.
            size: the preview is at least as large, if the picture is.

        Returns:
            The mode, and what of the preview the picture is: its last row and column may be more
            than there is. None if the picture is decoded already, or chosen to be.
        """
        from lictor.codec.picture.arguments import reduction_for

        if not self.tile or self._reduce > 1 or size is None:
            return None
        by = self._reduce = reduction_for(self.size, size)
        width, height = self.size
        self._size = (-(-width // by), -(-height // by))
        self.tile = [ImageFile._Tile("lictor", (0, 0, *self.size), 0, None)]
        return self.mode, (0, 0, width / by, height / by)

    def verify(self) -> None:
        """That the file is whole and all its checksums are right.

        Raises:
            OSError: it is not. As for other formats, open it anew to load it.
        """
        from lictor.codec.picture import file

        try:
            file.read(self._opened())
        except CodecError as e:
            raise OSError(str(e)) from e
        self._data = b""
        super().verify()

    def load(self) -> Any:
        """Decode the picture, if that was not done yet.

        With `ImageFile.LOAD_TRUNCATED_IMAGES`, what is damaged is painted over, and a
        PictureWarning says what that was.

        Raises:
            OSError: the file is damaged, or its weights are not here.
            MemoryError: the picture needs more memory than there is.
        """
        if self.tile:
            self._decode()
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Nothing to be done; by it, Pillow's `Parser` knows that we read files whole."""

    def _opened(self) -> bytes:
        if self.fp is None:
            raise ValueError("Operation on closed image")
        return self._data

    def _decode(self) -> None:
        from lictor.codec import api
        from lictor.codec.image.pillow import to_pillow

        data = self._opened()
        try:
            salvage = ImageFile.LOAD_TRUNCATED_IMAGES
            picture = api.decode_picture(data, reduce=self._reduce, salvage=salvage)
        except OutOfMemory as e:
            raise MemoryError(str(e)) from e
        except CodecError as e:
            raise OSError(str(e)) from e
        for lost in picture.lost:
            warnings.warn(lost, PictureWarning, stacklevel=4)
        image = to_pillow(picture)
        self.im, self.readonly = image.im, image.readonly
        self.tile, self._data = [], b""
        if self._exclusive_fp and self.fp:
            self.fp.close()
        self.fp = None


def _mode(header: Header) -> str:
    """The mode that the decoded picture has."""
    if header.channels == 1:
        return "I;16" if header.depth == 16 else "L"
    return {2: "LA", 3: "RGB", 4: "RGBA"}[header.channels]


def _accept(prefix: bytes) -> bool | str:
    if prefix.startswith(ARRAYS_MAGIC):
        return "a Lictor file that holds arrays, no picture; lictor.codec.decode gives them"
    return prefix.startswith(MAGIC)


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """What `image.save` calls. Parameters: those of `encode`, lossless, icc_profile and exif."""
    from lictor.codec import api

    given = im.encoderinfo
    options = {name: value for name, value in given.items() if name in _OPTIONS}
    if given.get("lossless") and options.setdefault("quality", "lossless") != "lossless":
        raise ValueError("lossless and quality say different things; leave one out")
    try:
        data = api.encode(_described(im, given), **options)
    except CodecError as e:
        if isinstance(e, ValueError):  # an argument, as Pillow has it
            raise
        raise OSError(f"cannot write as {FORMAT}: {e}") from e
    fp.write(data)


def _described(im: Image.Image, given: dict[str, Any]) -> Image.Image:
    """The image with the metadata that `save` was given, in place of its own."""
    if not {"icc_profile", "exif"} & given.keys():
        return im
    from lictor.codec.image.colour import SAID

    im = im.copy()
    if "icc_profile" in given:  # it alone tells the colours now
        im.info = {key: value for key, value in im.info.items() if key not in SAID}
        im.info["icc_profile"] = given["icc_profile"]
    if "exif" in given:
        exif = given["exif"]
        im.info["exif"] = exif.tobytes() if isinstance(exif, Image.Exif) else exif or b""
    return im


Image.register_open(FORMAT, LictorImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extensions(FORMAT, list(reversed(names.SUFFIXES)))
Image.register_mime(FORMAT, names.PICTURE_TYPE)
