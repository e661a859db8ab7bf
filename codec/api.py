"""Pictures to bytes and back: what `from lictor.codec import …` offers.

Each function imports what it needs when it is called; `info` needs neither numpy nor torch.
"""

from __future__ import annotations

import math
import operator
import os
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from lictor.codec.errors import (
    CorruptFile,
    ImageTooLarge,
    InvalidEffort,
    InvalidQuality,
    InvalidRegion,
    InvalidRoi,
    InvalidTarget,
    ModelUnavailable,
    NoClassifier,
    NotALictorFile,
    NotAnImage,
    PictureWarning,
    TargetMissed,
    UnsupportedFeature,
    UnsupportedImage,
)
from lictor.codec.format import colour as signalling
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import (
    ALPHA,
    COLOUR,
    EXIF,
    ICC,
    LATENTS,
    MAP,
    MAX_PIXELS,
    MAX_SIDE,
    QUALITY_STEPS,
    Bytes,
    Header,
    Section,
    Table,
    Tile,
)
from lictor.codec.picture import rate_target
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime import store as weights
from lictor.codec.runtime.threads import torch_threads
from lictor.models import zoo
from lictor.models.box import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.latent import Coded, TileReader
    from lictor.codec.picture.rate_target import Reached, Target
    from lictor.models.base import LatentCodec
    from lictor.models.picture.latent_search import Progress

T = TypeVar("T")
Region = tuple[int, int, int, int]

DEFAULT_MODEL = zoo.DEFAULT
DEFAULT_QUALITY = 50.0
DEFAULT_DROP = 40.0
MAX_EFFORT = 9

SLACK_BYTES = 40
SLACK_RATIO = 0.005
"""How far a file may exceed its model's estimate: header and table rounding."""


def encode(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    effort: int = 0,
    strip: bool = False,
    roi: Any = None,
    roi_drop: float = DEFAULT_DROP,
    progress: Progress | None = None,
    device: str = "cpu",
    size: int | str | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    ssim: float | None = None,
    salvage: bool = False,
) -> bytes:
    """Encode a picture.

    A large one, above some 1472x1472 pixels, is coded in tiles, as many at a time as torch has
    threads (4 at most; 2 in a search); the bytes do not depend on how many.

    A student, such as student-lite0.ce, codes what `classify` needs of the middle of the picture,
    as RGB of 8 bits and 224x224 pixels; a picture of this size already is taken as it is.

    In place of a quality, one of size, bpp, psnr and ssim says what the file is to reach. It is
    found by measuring, within 1 % of the target, in six encodings at most. Where it cannot be had,
    the nearest is made, and a warning of the class TargetMissed says so.

    Args:
        image: a Pillow image; an array, uint8 or uint16 over their full range, (H, W) gray or
            (H, W, C) with C = 1 gray, 2 gray and alpha, 3 RGB or 4 RGBA; or what
            `lictor.codec.image.pillow.read` gives. A Pillow image has all of its 16 bits only as
            long as it was not loaded; of several frames, the one that it stands on is coded. What
            changes on the way (converted colours, frames left out) is told by a PictureWarning.
        quality: 0 (smallest file) … 100 (best picture), in steps of 0.25; 50 unless told otherwise.
        model: name of a shipped checkpoint, or path of a .safetensors file that train.py made.
        effort: 0 codes what the network gives; 1…9 search for this picture's best latents first,
            for a smaller file or a better picture. Decoders see no difference.
        strip: leave EXIF, the ICC profile and other signalling of colours out, after converting
            the colours to sRGB where they can be.
        roi: where quality is wanted, if not everywhere: a map, a Pillow image or an array of any
            size, which is scaled to the picture, white (255, 65535, True or 1.0) where it is and
            black where not; or a list of boxes (x, y, width, height), in pixels, with a weight of
            0…1 as a fifth number if one is wanted less than others; or "classify", where the
            classifier of `lictor bench --task classify` needs it. Each 16x16 pixels have one
            quality.
        roi_drop: by how much quality is lower where it is not wanted, 0…100; grays lie between.
        progress: called with the steps done and their number: tiles, or iterations of the search.
        device: where networks run: "cpu", "cuda" or another of PyTorch's names, or "auto" for a
            GPU where there is one. Files made on different devices may differ a little; each
            decodes alike everywhere.
        size: bytes that the file may have, alpha and metadata counted; or text like "40kB" (1000
            bytes each) or "40KiB".
        bpp: bits per pixel of the file.
        psnr: dB over all colours, of what this machine decodes.
        ssim: likewise, 0…1; needs the package pytorch-msssim.
        salvage: of a Pillow image whose file is cut or damaged, take what is there, and paint over
            what is not; a PictureWarning says what that is.

    Returns:
        The bytes of a .bin file, which name the model and need no flags to decode.

    Raises:
        CodecError: an ImageError, InvalidQuality, InvalidEffort, InvalidRoi, InvalidTarget,
            MissingPackage, ModelUnavailable, TaskUnavailable, DeviceUnavailable or OutOfMemory.
    """
    target = rate_target.given(size=size, bpp=bpp, psnr=psnr, ssim=ssim)
    if target is None:
        step = quality_step(DEFAULT_QUALITY if quality is None else quality)
    elif quality is not None:
        raise InvalidTarget(f"give a quality or {target.kind}, not both")
    effort = _effort(effort)
    task = _ready(_picture(image, salvage), model, strip, roi, roi_drop, progress, device)
    if target is None:
        return task.file(step, effort)
    reached = task.reach(target, effort)
    if reached.note:
        warnings.warn(reached.note, TargetMissed, stacklevel=2)
    return reached.data


def encode_to(
    image: Image | NDArray[Any] | Picture,
    target: Target,
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    effort: int = 0,
    strip: bool = False,
    roi: Any = None,
    roi_drop: float = DEFAULT_DROP,
    progress: Progress | None = None,
    device: str = "cpu",
    salvage: bool = False,
) -> Reached:
    """As `encode` with a target, but tells how near the file came instead of warning.

    The target is what `lictor.codec.picture.rate_target.given` makes of size, bpp, psnr or ssim.
    Other args and errors: as for `encode`.
    """
    effort = _effort(effort)
    picture = _picture(image, salvage)
    return _ready(picture, model, strip, roi, roi_drop, progress, device).reach(target, effort)


@dataclass(frozen=True)
class _Task:
    """A picture with all that encoding it needs but the quality.

    wanted: how much each place is, 0…1, if not all alike; see `roi.quality_map`.
    """

    picture: Picture
    codec: LatentCodec
    wanted: NDArray[Any] | None
    drop: float
    progress: Progress | None
    device: str

    def file(self, step: int, effort: int) -> bytes:
        """Encoded at a quality in steps."""
        own: int | NDArray[np.int16] = step
        if self.wanted is not None:
            from lictor.codec.picture import roi as regions

            steps = regions.quality_map(self.wanted, step, self.drop)
            own = steps if steps.min() < steps.max() else int(steps.max())
        return _encode(self.picture, own, self.codec, effort, self.progress)

    def reach(self, target: Target, effort: int) -> Reached:
        """Encoded to a target."""
        height, width, _ = self.picture.pixels.shape
        if target.kind == "ssim":
            from lictor.codec.picture.ssim import check_size

            check_size(width, height)

        def measure(data: bytes) -> float:
            return self._measure(target.kind, data)

        search = rate_target.Search(target, width * height, self.file, measure, _fixed)
        return search.run(effort)

    def _measure(self, kind: str, data: bytes) -> float:
        """What a target counts of a file."""
        if kind in ("size", "bpp"):
            return float(len(data)) if kind == "size" else info(data).bpp
        seen = _decode(data, way=("float32", self.device)).colours
        if kind == "psnr":
            return psnr(self.picture.colours, seen)
        from lictor.codec.picture.ssim import ssim

        return ssim(self.picture.colours, seen)


def _ready(
    picture: Picture,
    model: str | os.PathLike[str],
    strip: bool,
    roi: Any,
    drop: float,
    progress: Progress | None,
    device: str,
) -> _Task:
    codec = weights.load(model, device)
    if strip:
        from lictor.codec.image.pillow import stripped

        picture = stripped(picture)
    picture = _viewed(picture, codec)
    wanted = None if roi is None else _wanted(picture, roi, drop, codec)
    return _Task(picture, codec, wanted, drop, progress, device)


def _fixed(data: bytes) -> int:
    """The bytes of a file that are not its latents."""
    return len(data) - info(data).latent_bytes


def decode(
    data: Bytes,
    *,
    region: Region | None = None,
    salvage: bool = False,
    progress: Progress | None = None,
    precision: str = "float32",
    device: str = "cpu",
) -> Image:
    """Decode a file.

    Args:
        data: the whole file, as bytes.
        region: (x, y, width, height) in pixels: only this part. Its pixels are those that all of
            the picture would have there; of a large picture only the tiles it needs are decoded.
        salvage: paint damaged tiles over with what is around them, and leave out what else is
            damaged, instead of raising an error. `decode_picture` tells what was lost.
        progress: called with the tiles done and their number, if there are several.
        precision: of the synthesis, "float32", or "bfloat16", which is faster on GPUs and some
            CPUs and rounds a little more. The latents are the same.
        device: where networks run, as for `encode`. The latents are the same.

    Returns:
        A Pillow image, mode L, LA, RGB or RGBA, or I;16 for gray of 16 bits. Pillow has no other
        16-bit modes: `decode_picture` gives all bits. Its `info` has icc_profile and exif, and what
        else is said of the colours: gamma, chromaticity and srgb, as Pillow reads them from PNG,
        and cicp, mdcv and clli. Pillow saves none of these, so that icc_profile says the same where
        a profile can (Pillow saves it as PNG, TIFF and AVIF by itself, else if it is given). HDR is
        kept by `lictor.codec.image.pillow.write` of what `decode_picture` gives.

    Raises:
        CodecError: a FileError, InvalidRegion, InvalidPrecision, DeviceUnavailable,
            ModelUnavailable or OutOfMemory. With `salvage`, a FileError if nothing of the picture
            can be had.
    """
    from lictor.codec.image import pillow

    picture = decode_picture(
        data,
        region=region,
        salvage=salvage,
        progress=progress,
        precision=precision,
        device=device,
    )
    return pillow.to_pillow(picture)


def decode_picture(
    data: Bytes,
    *,
    region: Region | None = None,
    salvage: bool = False,
    progress: Progress | None = None,
    precision: str = "float32",
    device: str = "cpu",
) -> Picture:
    """Decode a file to arrays, with all bits.

    Returns:
        A `lictor.codec.image.pillow.Picture`: pixels, uint8 or uint16 (H, W, C), icc, exif,
        signalling, and what was lost.

    Args and errors: as for `decode`.
    """
    from lictor.codec.runtime.device import check_precision

    way = (check_precision(precision), device)
    return _decode(_bytes(data), region, salvage, progress, way)


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


def latents(data: Bytes, *, device: str = "cpu") -> Latents:
    """Decode the entropy-coded part of a file; synthesises no picture.

    Two machines on which the hashes agree decode alike up to the synthesis. The values are the same
    everywhere, and are features that another network can learn from.

    Args and errors: as for `decode`.
    """
    import hashlib

    import numpy as np

    from lictor.codec.picture import latent

    file = _read(_bytes(data), partly=False, salvage=False)
    reader = _reader(file, device)
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


def classify(data: Bytes, *, device: str = "cpu") -> Answer:
    """Decode a file that a student wrote, and let its tail look.

    Raises:
        NoClassifier: the file was written with a model that codes pictures.

    Other errors: as for `decode`.
    """
    from lictor.codec.picture import latent
    from lictor.models import TaskModel

    file = _read(_bytes(data), partly=False, salvage=False)
    reader = _reader(file, device)
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


@dataclass(frozen=True)
class Info:
    """What the header of a file says.

    model: name of the checkpoint; None if this installation does not know its number.
    model_id: permanent number of a shipped checkpoint, 0 for others.
    weights: start of the SHA-256 of the weights, hexadecimal.
    channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    quality: of a picture with a quality map, its highest; quality_low: its lowest.
    latents: checksum of the decoded latents, hexadecimal.
    tiles: in how many pieces the picture is coded; tile_width, tile_height: of one, in pixels.
    bytes: size of the file.
    latent_bytes: of which entropy-coded latents; alpha_bytes, icc_bytes, exif_bytes,
        map_bytes (the quality map) and colour_bytes (colour signalling) likewise.
    bpp: bits per pixel, from the size of the file.
    colour: what is said of the colours beside the ICC profile, by name (cicp, intent, gamma,
        chromaticities, mastering, light), and a `name` for people; empty if nothing is.
    """

    format_version: int
    model: str | None
    model_id: int
    weights: str
    width: int
    height: int
    channels: int
    bit_depth: int
    quality: float
    quality_low: float
    latents: str
    tiles: int
    tile_width: int
    tile_height: int
    bytes: int
    latent_bytes: int
    alpha_bytes: int
    icc_bytes: int
    exif_bytes: int
    map_bytes: int
    colour_bytes: int
    bpp: float
    colour: dict[str, Any]


def info(data: Bytes) -> Info:
    """Read the header of a file, and that its sections are complete; runs no network.

    Raises:
        FileError: not a file that this release could decode.
    """
    data = _bytes(data)
    h, sections = bitstream.read(data, verify_sections=False)
    grid = Grid.of_file(h, bitstream.read_table(h, sections))
    said = bitstream.payload(sections, COLOUR)
    return Info(
        format_version=h.version,
        model=h.model_name or weights.shipped_name(h.model_id),
        model_id=h.model_id,
        weights=h.weights.hex(),
        width=h.width,
        height=h.height,
        channels=h.channels,
        bit_depth=h.depth,
        quality=_quality(h.step),
        quality_low=_quality(_lowest(h, sections)),
        latents=f"{h.latents:08x}",
        tiles=len(grid),
        tile_width=min(grid.tile_width, h.width),
        tile_height=min(grid.tile_height, h.height),
        bytes=len(data),
        latent_bytes=len(bitstream.payload(sections, LATENTS)),
        alpha_bytes=len(bitstream.payload(sections, ALPHA)),
        icc_bytes=len(bitstream.payload(sections, ICC)),
        exif_bytes=len(bitstream.payload(sections, EXIF)),
        map_bytes=len(bitstream.payload(sections, MAP)),
        colour_bytes=len(said),
        bpp=8 * len(data) / (h.width * h.height),
        colour=signalling.unpack(said).as_dict() if said else {},
    )


def _lowest(h: Header, sections: list[Section]) -> int:
    if not h.mapped:
        return h.step
    code = bitstream.parse_map(h, bitstream.payload(sections, MAP))
    return h.step - code.unit * (code.levels - 1)


def estimate(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
) -> float:
    """Bytes that the model itself expects the latents of a picture to need, before any coding.

    Args and errors: as for `encode`.
    """
    codec = weights.load(model)
    return _estimate(_viewed(_picture(image), codec), quality_step(quality), codec)


@dataclass(frozen=True)
class VerifyReport:
    """What came of encoding a picture and decoding it twice.

    same: both decodes, with different numbers of threads, gave the alpha of the picture, and the
        same pixels, to one level of 255: the synthesis is floating point, and some processors'
        kernels add in another order where there are more threads.
    psnr: dB over all colours that alpha does not hide, against the picture; infinite if nothing
        was lost.
    bytes: size of the file, which has no metadata; bpp follows from it.
    estimate: bytes that the model itself expected the latents to need.
    gap: (bytes without alpha - estimate) / estimate.
    sized: bytes without alpha are at most 0.5 % + 40 for each tile above the estimate.
    """

    width: int
    height: int
    channels: int
    model: str
    quality: float
    same: bool
    psnr: float
    bytes: int
    bpp: float
    estimate: float
    gap: float
    sized: bool
    encode_seconds: float
    decode_seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return self.same and self.sized


def verify(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    effort: int = 0,
) -> VerifyReport:
    """Encode a picture, decode it twice, and compare all that should agree.

    That the latents decode as they were encoded is checked by every decode (LatentMismatch).

    Args and errors: as for `encode` and `decode`.
    """
    import numpy as np
    import torch

    step, effort = quality_step(quality), _effort(effort)
    codec = weights.load(model)
    picture = replace(_picture(image), icc=b"", exif=b"", signalling=signalling.NONE)
    picture = _viewed(picture, codec)
    start = perf_counter()
    data, expected = _encode_and_expect(picture, step, codec, effort)
    encoded = perf_counter()
    first = _decode(data)
    decoded = perf_counter()
    with torch_threads(2 if torch.get_num_threads() == 1 else 1):
        second = _decode(data)
    if expected is None:
        expected = _estimate(picture, step, codec)
    height, width, channels = picture.pixels.shape
    size = len(data) - info(data).alpha_bytes
    seen = ... if picture.alpha is None else picture.alpha > 0
    alike = _within_a_level(first.colours, second.colours) and (
        picture.alpha is None or np.array_equal(first.alpha, picture.alpha)  # type: ignore[arg-type]
    )
    return VerifyReport(
        width=width,
        height=height,
        channels=channels,
        model=codec.name,
        quality=_quality(step),
        same=bool(alike),
        psnr=psnr(picture.colours[seen], first.colours[seen]),
        bytes=len(data),
        bpp=8 * len(data) / (width * height),
        estimate=expected,
        gap=(size - expected) / max(expected, 1.0),
        sized=size - expected <= SLACK_RATIO * expected + SLACK_BYTES * info(data).tiles,
        encode_seconds=encoded - start,
        decode_seconds=decoded - encoded,
    )


# ---- the way of a picture


def _encode(
    picture: Picture,
    step: int | NDArray[np.int16],
    codec: LatentCodec,
    effort: int = 0,
    progress: Progress | None = None,
) -> bytes:
    return _encode_and_expect(picture, step, codec, effort, progress)[0]


def _encode_and_expect(
    picture: Picture,
    step: int | NDArray[np.int16],
    codec: LatentCodec,
    effort: int,
    progress: Progress | None = None,
) -> tuple[bytes, float | None]:
    """The file, and after a search the bytes that the model expected of the latents found.

    step: quality times 4, or a map of it.
    """
    from lictor.codec.picture import latent

    height, width, channels = picture.pixels.shape
    grid = Grid.for_picture(width, height)
    quality = _quality(step) if isinstance(step, int) else step
    with weights.model_errors():
        codec = weights.for_depth(codec, picture.depth)
        tiles = latent.encode(picture.colours, grid, codec, quality, effort, progress)
    table = _table(grid, tiles) if len(tiles) > 1 else None
    header = Header(
        model_id=codec.id,
        model_name="" if codec.id else codec.name,
        weights=codec.digest[:4],
        width=width,
        height=height,
        channels=channels,
        depth=picture.depth,
        mapped=not isinstance(step, int),
        step=step if isinstance(step, int) else int(step.max()),
        latents=tiles[0].checksum if table is None else table.checksum,
    )
    latents = b"".join(tile.stream for tile in tiles)
    expected = sum(tile.expected or 0.0 for tile in tiles) / 8 if effort else None
    try:
        return bitstream.write(header, latents, _others(picture, header, step), table), expected
    except ValueError as e:  # all but the name was checked before
        raise ModelUnavailable(f"{codec.name!r} cannot name a model in a file: {e}") from e


def _table(grid: Grid, tiles: list[Coded]) -> Table:
    entries = [Tile(len(t.stream), zlib.crc32(t.stream), t.checksum) for t in tiles]
    return Table(grid.tile_width, grid.tile_height, entries)


def _wanted(picture: Picture, roi: Any, drop: float, codec: LatentCodec) -> NDArray[Any]:
    """How much a region of interest wants each place, 0…1."""
    from lictor.codec.picture import roi as regions

    if not codec.takes_maps:
        raise InvalidRoi(f"{codec.name} has one quality for all of a picture; leave the region out")
    drop = regions.check_drop(drop)
    if isinstance(roi, str):
        from lictor.codec.picture import task_roi

        return task_roi.weights(picture, roi, drop)
    height, width, _ = picture.pixels.shape
    return regions.weights(roi, width, height)


def _others(picture: Picture, header: Header, step: int | NDArray[np.int16]) -> dict[int, bytes]:
    """The sections beside the latents."""
    from lictor.codec.picture import alpha, metadata

    others = {}
    if not isinstance(step, int):
        from lictor.codec.picture import quality_map

        others[MAP] = quality_map.pack(step, header)
    if picture.alpha is not None:
        others[ALPHA] = alpha.pack(picture.alpha)
    for kind, data in ((ICC, picture.icc), (EXIF, picture.exif)):
        if data:
            others[kind] = metadata.pack(data)
    if picture.signalling:
        others[COLOUR] = signalling.pack(picture.signalling)
    return others


def _decode(
    data: Bytes,
    region: Region | None = None,
    salvage: bool = False,
    progress: Progress | None = None,
    way: tuple[str, str] = ("float32", "cpu"),
) -> Picture:
    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture import metadata

    file = _read(data, region is not None, salvage)
    box = _box(region, file.header)
    icc, exif = (_unpacked(file, kind, metadata.unpack, b"") for kind in (ICC, EXIF))
    said = _unpacked(file, COLOUR, signalling.unpack, signalling.NONE)
    pixels = _decode_pixels(file, box, progress, *way)
    return Picture(pixels, icc, exif, lost=tuple(file.lost), signalling=said)


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


def _read(data: Bytes, partly: bool, salvage: bool) -> _File:
    if salvage:
        from lictor.codec.picture import salvage as salvaging

        header, sections, table, lost = salvaging.read(data)
        return _File(header, sections, table, True, lost)
    header, sections = bitstream.read(data, tolerate=[LATENTS])
    table = bitstream.read_table(header, sections)
    # Each tile has a check of its own, so that a region needs only its own tiles.
    intact = all(section.intact for section in sections)
    if not intact and not (partly and table):
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


def _decode_pixels(
    file: _File, box: Box, progress: Progress | None, precision: str, device: str
) -> NDArray[Any]:
    import numpy as np

    from lictor.codec.picture import latent

    h = file.header
    reader = _reader(file, device)
    with latent.running(reader.grid):
        pixels = np.empty((box.height, box.width, h.channels), f"u{h.depth // 8}")
        if h.channels in (2, 4):
            pixels[:, :, -1] = _decode_alpha(file, box)
        colours = pixels[:, :, : 1 if h.channels < 3 else 3]
        latent.decode(reader, box, colours, progress, precision)
    if reader.lost:
        _mend(reader, box, colours, file.lost)
    return pixels


def _reader(file: _File, device: str) -> TileReader:
    from lictor.codec.picture import latent

    h = file.header
    stream = bitstream.payload(file.sections, LATENTS)
    streams = latent.Streams(stream, file.table, h.latents)
    grid = Grid.of_file(h, file.table)
    codec = weights.for_depth(weights.find(h, device), h.depth)
    quality: latent.Qualities = _quality(h.step)
    if h.mapped:
        from lictor.codec.picture import quality_map

        if not codec.takes_maps:
            raise UnsupportedFeature(
                f"the file has a quality map, which {codec.name} cannot have; install the newest "
                "Lictor"
            )
        with latent.running(grid):
            quality = quality_map.unpack(bitstream.payload(file.sections, MAP), h)
    return latent.TileReader(streams, grid, codec, quality, file.salvage)


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


def _estimate(picture: Picture, step: int, codec: LatentCodec) -> float:
    from lictor.codec.picture import latent

    height, width, _ = picture.pixels.shape
    grid = Grid.for_picture(width, height)
    codec = weights.for_depth(codec, picture.depth)
    return latent.estimate(picture.colours, grid, codec, _quality(step)) / 8


def _within_a_level(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether no sample differs by more than one level of 255."""
    import numpy as np

    if a.shape != b.shape:
        return False
    return int((np.maximum(a, b) - np.minimum(a, b)).max()) <= np.iinfo(a.dtype).max // 255


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal to noise ratio over all samples, dB; infinite if nothing differs."""
    import numpy as np

    if not a.size:
        return math.inf
    rows = max(1, 2**22 // a[0].size)  # as floats, all at once would take four times more
    error = 0.0
    for top in range(0, len(a), rows):
        difference = a[top : top + rows].astype(np.float32) - b[top : top + rows]
        error += float(np.square(difference).sum(dtype=np.float64))
    return 10 * math.log10(np.iinfo(a.dtype).max ** 2 * a.size / error) if error else math.inf


# ---- arguments


def _picture(image: Any, salvage: bool = False) -> Picture:
    """Whatever `encode` accepts; where nothing can be seen, with colours that cost little."""
    import numpy as np
    from PIL import Image

    from lictor.codec.image.pillow import Picture, from_pillow
    from lictor.codec.picture import hidden

    if isinstance(image, (str, bytes, os.PathLike)):
        raise NotAnImage(
            f"a picture is needed, not a {type(image).__name__}; open it with PIL.Image.open first"
        )
    if isinstance(image, Image.Image):
        _check_size(image.width, image.height)
        picture = from_pillow(image, salvage)
        for note in (*picture.lost, *picture.notes):
            warnings.warn(f"the picture {note}", PictureWarning, stacklevel=3)
        return replace(picture, pixels=hidden.covered(picture.pixels))
    picture = image if isinstance(image, Picture) else Picture(image)
    if not isinstance(picture.pixels, np.ndarray):
        raise NotAnImage(f"a Pillow image or a numpy array is needed, not {type(image).__name__}")
    return replace(picture, pixels=hidden.covered(_pixels(picture.pixels)))


def _viewed(picture: Picture, codec: LatentCodec) -> Picture:
    """What a model looks at: all of the picture, or its middle as classifiers see it."""
    from lictor.models import TaskModel

    if not isinstance(codec, TaskModel):
        return picture
    import numpy as np

    from lictor.codec.image.pillow import Picture, middle

    colours = picture.eight_bit_colours()
    if colours.shape[2] == 1:
        colours = np.repeat(colours, 3, axis=2)
    if colours.shape[:2] != (codec.view, codec.view):
        colours = middle(colours, codec.view)
    return Picture(colours)


def _pixels(array: NDArray[Any]) -> NDArray[Any]:
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


def quality_step(quality: Any) -> int:
    """Quality as files store it: 0…400. Raises InvalidQuality."""
    try:
        value = float(quality)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        raise InvalidQuality(f"quality is {quality!r}; give a number from 0 to 100")
    return round(value * QUALITY_STEPS / 100)


def _effort(effort: Any) -> int:
    try:
        value = operator.index(effort)
    except TypeError:
        value = -1
    if not 0 <= value <= MAX_EFFORT:
        raise InvalidEffort(f"effort is {effort!r}; give a whole number from 0 to {MAX_EFFORT}")
    return value


def _box(region: Any, h: Header) -> Box:
    """The part of the picture to decode."""
    if region is None:
        return Box(0, 0, h.height, h.width)
    try:
        x, y, width, height = (operator.index(value) for value in region)
    except (TypeError, ValueError):
        raise InvalidRegion(
            f"region is {region!r}; give four whole numbers: x, y, width and height"
        ) from None
    box = Box(y, x, height, width)
    if width < 1 or height < 1 or box.within(Box(0, 0, h.height, h.width)) != box:
        raise InvalidRegion(
            f"region {x},{y},{width},{height} (x, y, width, height) is not inside the "
            f"{h.width}x{h.height} pixels of the picture"
        )
    return box


def _quality(step: int) -> float:
    return step * 100 / QUALITY_STEPS


def _bytes(data: Any) -> memoryview:
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        raise NotALictorFile(
            f"the bytes of a file are needed, not {type(data).__name__}; read the file first"
        ) from None
