"""A file to a picture, to its latents, or to what a classifier makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lictor.codec.errors import CorruptFile, NoClassifier, NoLatents
from lictor.codec.format import colour as signalling
from lictor.codec.format import picture as bitstream
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import ALPHA, COLOUR, EXIF, ICC
from lictor.codec.picture import arguments, salvage
from lictor.codec.picture import file as files
from lictor.codec.picture.file import File
from lictor.codec.picture.layers import layers, paint, paint_reduced
from lictor.codec.picture.methods import network
from lictor.codec.picture.methods.method import DecodeOptions as DecodeOptions
from lictor.codec.picture.methods.method import Region as Region
from lictor.codec.runtime import runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.latent import TileReader
    from lictor.models.box import Box

T = TypeVar("T")


PLAIN = DecodeOptions()
_PICTURE = (
    "was written with {}, which codes pictures; encode with --model student-lite0.ce what is to be "
    "classified"
)


@dataclass(frozen=True, eq=False)
class Latents:
    """What the entropy-coded part of a file decodes to, before any picture is made of it.

    Attributes:
        values: what the synthesis is given, float32 (C, h, w); for `lictor-s` 256 channels, one
            place for each 16x16 pixels of the picture padded to multiples of 64.
        checksum: as in the header of the file, hexadecimal; decoding has checked it.
        sha256: of the values, little-endian, tile by tile, each in the order channels, rows,
            columns.
    """

    values: NDArray[np.float32]
    checksum: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Answer:
    """What a classifier makes of a file that a student wrote.

    Attributes:
        scores: float32 (1000,), of ImageNet's classes, before the softmax.
        features: float32 (1280,), what the last layer was given.
    """

    scores: NDArray[np.float32]
    features: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """The softmax of the scores, float32 (1000,)."""
        import numpy as np

        odds: NDArray[np.float32] = np.exp(self.scores - self.scores.max())
        return odds / odds.sum()


def decode(data: Bytes, options: DecodeOptions = PLAIN) -> Picture:
    """The picture of a file. Errors: as for `lictor.codec.decode`."""
    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture import metadata
    from lictor.codec.runtime.runtime import check_precision

    check_precision(options.precision)
    file = _read(data, options)
    box = arguments.box(options.region, file.header, arguments.reduction(options.reduce))
    icc, exif = (_unpacked(file, kind, metadata.unpack, b"") for kind in (ICC, EXIF))
    said = _unpacked(file, COLOUR, signalling.unpack, signalling.NONE)
    pixels = _decode_pixels(file, box, options)
    return Picture(pixels, icc, exif, lost=tuple(file.lost), signalling=said)


def latents(data: Bytes, options: DecodeOptions = PLAIN) -> Latents:
    """The latents of a whole file: of the options, those on networks count."""
    import numpy as np

    from lictor.codec.picture import latent

    file = _read(data, options)
    reader = _reader(file, options)
    grid, codec = reader.grid, reader.codec
    hash, values = hashlib.sha256(), None
    for number in range(len(grid)):
        with latent.running(grid, codec):
            tile = reader.latents(number)
        assert tile is not None  # nothing is lost but in salvage
        array = tile.astype("<f4", copy=False)
        hash.update(array.tobytes())
        if len(grid) == 1:
            values = array
            break
        if values is None:
            whole = grid.picture.padded(codec.stride).in_cells(codec.cell)
            values = np.empty((len(array), whole.height, whole.width), np.float32)
        rows, columns = grid.tile(number).padded(codec.stride).in_cells(codec.cell).place
        values[:, rows, columns] = array
    assert values is not None  # every picture has a tile
    return Latents(values, f"{file.header.latents:08x}", hash.hexdigest())


def classify(data: Bytes, options: DecodeOptions = PLAIN) -> Answer:
    """What a student's tail makes of a file. Raises NoClassifier."""
    from lictor.codec.picture import latent
    from lictor.codec.runtime.runtime import TaskNetwork

    file = _read(data, options)
    if not file.header.network:
        raise NoClassifier(_PICTURE.format("a method without a network"))
    reader = _reader(file, options)
    if not isinstance(reader.codec, TaskNetwork) or len(reader.grid) > 1:
        raise NoClassifier(_PICTURE.format(reader.codec.name))
    with latent.running(reader.grid, reader.codec):
        latents = reader.latents(0)
        # Nothing is lost but in salvage, and students take no maps.
        assert latents is not None and reader.quality.map is None
        return Answer(*reader.codec.answer(latents, reader.quality))


def _read(data: Bytes, options: DecodeOptions) -> File:
    data = arguments.file_bytes(data)
    if options.salvage:
        return salvage.read(data)
    return files.read(data, partly=options.region is not None)


def _reader(file: File, options: DecodeOptions) -> TileReader:
    """Of its latents. Raises NoLatents."""
    if not file.header.network:
        raise NoLatents("was coded without a network; it has no latents, but `decode` reads it")
    return network.reader(file, options)


def _unpacked(file: File, kind: int, unpack: Callable[[Bytes], T], none: T) -> T:
    """A colour profile, EXIF or signalling, if there is one."""
    packed = file.payload(kind)
    try:
        return unpack(packed) if packed else none
    except CorruptFile:
        if not file.salvage:
            raise
        file.lost.append(f"the {bitstream.NAMES[kind]} is damaged and left out")
        return none


def _decode_pixels(file: File, box: Box, options: DecodeOptions) -> NDArray[Any]:
    import numpy as np

    from lictor.codec.picture import reduced

    h, by = file.header, options.reduce
    found = layers(file, options)
    # What is painted over, is painted over at full size.
    reduces = by > 1 and not file.salvage
    made = reduced.cells(box, by) if reduces else box
    with runtime.enough_memory(h.width, h.height):
        pixels = np.empty((made.height, made.width, h.channels), f"u{h.depth // 8}")
        colours = pixels[:, :, : 1 if h.channels < 3 else 3]
        alpha = _decode_alpha(file, box) if h.channels in (2, 4) else None
        if alpha is not None:
            pixels[:, :, -1:] = reduced.of(alpha[:, :, None], by if reduces else 1)
        if reduces:
            paint_reduced(found, reduced.Canvas(box, by, colours, alpha), options)
            return pixels
        file.lost += paint(found, box, colours, options)
        return reduced.of_picture(pixels, by)


def _decode_alpha(file: File, box: Box) -> NDArray[Any]:
    import numpy as np

    from lictor.codec.picture import alpha

    h = file.header
    plane = file.payload(ALPHA)
    opaque = np.full((1, 1), 2**h.depth - 1, f"u{h.depth // 8}")
    if file.salvage and not plane:
        return opaque
    try:
        return alpha.unpack(plane, h.height, h.width, h.depth, box)
    except CorruptFile:
        if not file.salvage:
            raise
        file.lost.append("the alpha plane is damaged; all is opaque")
        return opaque
