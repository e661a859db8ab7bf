"""A file to a picture, to its latents, or to what a classifier makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lictor.codec.errors import CorruptFile, NoClassifier, UnsupportedFeature
from lictor.codec.format import colour as signalling
from lictor.codec.format import picture as bitstream
from lictor.codec.format.elements import Bytes
from lictor.codec.format.picture import (
    ALPHA,
    COLOUR,
    EXIF,
    ICC,
    LATENTS,
    MAP,
    Header,
    Section,
    Table,
)
from lictor.codec.picture import arguments
from lictor.codec.picture.tiles import Grid
from lictor.codec.quality import from_step
from lictor.codec.runtime import store
from lictor.codec.runtime.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.latent import Qualities, TileReader
    from lictor.models.box import Box
    from lictor.models.progress import Progress

T = TypeVar("T")
Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode: the arguments of `lictor.codec.decode`, which says what they are."""

    region: Region | None = None
    salvage: bool = False
    progress: Progress | None = None
    precision: str = "float32"
    device: str = "cpu"
    models: Store = store.DEFAULT


PLAIN = DecodeOptions()


@dataclass(frozen=True, eq=False)
class Latents:
    """What the entropy-coded part of a file decodes to, before any picture is made of it.

    values: what the synthesis is given, float32 (C, h, w); for `lictor-s` 256 channels, one place
        for each 16x16 pixels of the picture padded to multiples of 64.
    checksum: as in the header of the file, hexadecimal; decoding has checked it.
    sha256: of the values, little-endian, tile by tile, each in the order channels, rows, columns.
    """

    values: NDArray[np.float32]
    checksum: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Answer:
    """What a classifier makes of a file that a student wrote.

    scores: float32 (1000,), of ImageNet's classes, before the softmax. features: float32 (1280,),
    what the last layer was given.
    """

    scores: NDArray[np.float32]
    features: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Softmax of the scores."""
        import numpy as np

        odds: NDArray[np.float32] = np.exp(self.scores - self.scores.max())
        return odds / odds.sum()


def decode(data: Bytes, options: DecodeOptions = PLAIN) -> Picture:
    """The picture of a file. Errors: as for `lictor.codec.decode`."""
    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture import metadata
    from lictor.codec.runtime.device import check_precision

    check_precision(options.precision)
    file = _read(arguments.file_bytes(data), options)
    box = arguments.box(options.region, file.header)
    icc, exif = (_unpacked(file, kind, metadata.unpack, b"") for kind in (ICC, EXIF))
    said = _unpacked(file, COLOUR, signalling.unpack, signalling.NONE)
    pixels = _decode_pixels(file, box, options)
    return Picture(pixels, icc, exif, lost=tuple(file.lost), signalling=said)


def latents(data: Bytes, options: DecodeOptions = PLAIN) -> Latents:
    """The latents of a whole file: of the options, those on networks count."""
    import numpy as np

    from lictor.codec.picture import latent

    file = _read(arguments.file_bytes(data), options)
    reader = _reader(file, options)
    grid, codec = reader.grid, reader.codec
    hash, values = hashlib.sha256(), None
    for number in range(len(grid)):
        with latent.running(grid):
            tile = reader.latents(number)
        assert tile is not None  # nothing is lost but in salvage
        array = tile[0].float().cpu().contiguous().numpy().astype("<f4", copy=False)
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
    from lictor.models import TaskModel

    reader = _reader(_read(arguments.file_bytes(data), options), options)
    if not isinstance(reader.codec, TaskModel) or len(reader.grid) > 1:
        raise NoClassifier(
            f"was written with {reader.codec.name}, which codes pictures; encode with --model "
            "student-lite0.ce what is to be classified"
        )
    with latent.running(reader.grid):
        latents = reader.latents(0)
        # Nothing is lost but in salvage, and students take no maps.
        assert latents is not None and isinstance(reader.quality, float)
        seen = reader.codec.answer(latents, reader.quality)
    return Answer(*(part[0].float().cpu().numpy() for part in (seen.scores, seen.features)))


@dataclass
class _File:
    """A file that is being decoded.

    salvage: what is damaged is added to `lost`, and no error.
    """

    header: Header
    sections: list[Section]
    table: Table | None
    salvage: bool
    lost: list[str]


def _read(data: Bytes, options: DecodeOptions) -> _File:
    if options.salvage:
        from lictor.codec.picture import salvage as salvaging

        header, sections, table, lost = salvaging.read(data)
        return _File(header, sections, table, True, lost)
    header, sections = bitstream.read(data, tolerate=[LATENTS])
    table = bitstream.read_table(header, sections)
    # Each tile has a check of its own, so that a region needs only its own tiles.
    intact = all(section.intact for section in sections)
    if not intact and not (options.region is not None and table):
        way = "; --salvage (salvage=True) decodes what is not" if table else ""
        raise CorruptFile(f"the latents are damaged{way}; get another copy of the file")
    return _File(header, sections, table, False, [])


def _unpacked(file: _File, kind: int, unpack: Callable[[Bytes], T], none: T) -> T:
    """A colour profile, EXIF or signalling, if there is one."""
    packed = bitstream.payload(file.sections, kind)
    try:
        return unpack(packed) if packed else none
    except CorruptFile:
        if not file.salvage:
            raise
        file.lost.append(f"the {bitstream.NAMES[kind]} is damaged and left out")
        return none


def _decode_pixels(file: _File, box: Box, options: DecodeOptions) -> NDArray[Any]:
    import numpy as np

    from lictor.codec.picture import latent

    h = file.header
    reader = _reader(file, options)
    with latent.running(reader.grid):
        pixels = np.empty((box.height, box.width, h.channels), f"u{h.depth // 8}")
        if h.channels in (2, 4):
            pixels[:, :, -1] = _decode_alpha(file, box)
        colours = pixels[:, :, : 1 if h.channels < 3 else 3]
        latent.decode(reader, box, colours, options.progress, options.precision)
    if reader.lost:
        _mend(reader, box, colours, file.lost)
    return pixels


def _reader(file: _File, options: DecodeOptions) -> TileReader:
    from lictor.codec.picture import latent

    h = file.header
    stream = bitstream.payload(file.sections, LATENTS)
    streams = latent.Streams(stream, file.table, h.latents)
    grid = Grid.of_file(h, file.table)
    codec = store.for_depth(options.models.find(h, options.device), h.depth)
    wanted: Qualities = from_step(h.step)
    if h.mapped:
        from lictor.codec.picture import quality_map

        if not codec.takes_maps:
            raise UnsupportedFeature(
                f"the file has a quality map, which {codec.name} cannot have; install the newest "
                "Lictor"
            )
        with latent.running(grid):
            wanted = quality_map.unpack(bitstream.payload(file.sections, MAP), h)
    return latent.TileReader(streams, grid, codec, wanted, file.salvage)


def _decode_alpha(file: _File, box: Box) -> NDArray[Any] | int:
    from lictor.codec.picture import alpha

    h = file.header
    plane = bitstream.payload(file.sections, ALPHA)
    opaque = 2**h.depth - 1
    if file.salvage and not plane:
        return opaque
    try:
        return alpha.unpack(plane, h.height, h.width, h.depth, box)
    except CorruptFile:
        if not file.salvage:
            raise
        file.lost.append("the alpha plane is damaged; all is opaque")
        return opaque


def _mend(reader: TileReader, box: Box, colours: NDArray[Any], lost: list[str]) -> None:
    """Paint over the tiles that could not be decoded, as far as they are in the box; name them."""
    from lictor.codec.picture import latent
    from lictor.codec.picture import salvage as salvaging

    shown = set(reader.grid.touching(box))
    if shown <= reader.lost.keys():
        raise CorruptFile(
            "nothing can be saved of this picture: "
            f"{reader.lost[min(shown)]}; get another copy of the file"
        )
    holes = [reader.grid.tile(n).within(box).seen_from(box) for n in shown & reader.lost.keys()]
    salvaging.fill(colours, holes)
    for number, reason in sorted(reader.lost.items()):
        place = latent.describe(reader.grid.tile(number))
        lost.append(f"the tile {place} is painted over: {reason}")
