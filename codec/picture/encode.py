"""A picture to a file, at a quality or to a target."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.distortion import psnr
from lictor.codec.errors import InvalidOption, InvalidRoi, ModelUnavailable
from lictor.codec.format import colour as signalling
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import ALPHA, COLOUR, EXIF, ICC, LATENTS, MAP, Header
from lictor.codec.picture import arguments, rate_target
from lictor.codec.picture.decode import DecodeOptions, decode
from lictor.codec.picture.info import info
from lictor.codec.picture.methods import METHODS
from lictor.codec.picture.methods.method import Coded, Wanted
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime import store
from lictor.codec.runtime.store import Store
from lictor.models import zoo

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.rate_target import Reached, Target
    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality

DEFAULT_MODEL = zoo.DEFAULT
DEFAULT_DROP = 40.0
TUNES = ("psnr", "eyes")
"""What bits are shared out for within a picture."""


@dataclass(frozen=True)
class EncodeOptions:
    """How to encode but for quality and effort; `lictor.codec.encode` says what they are."""

    model: str | os.PathLike[str] = DEFAULT_MODEL
    strip: bool = False
    roi: Any = None
    roi_drop: float = DEFAULT_DROP
    tune: str = TUNES[0]
    progress: Progress | None = None
    device: str = "cpu"
    models: Store = store.DEFAULT


@dataclass(frozen=True)
class Task:
    """A picture with all that encoding it needs but the quality.

    wanted: how much each place is, 0…1, if not all alike; see `roi.quality_map`.
    offsets: how much better or worse each place is to be, if not all alike; see `eyes.offsets`.
    """

    picture: Picture
    codec: PictureNetwork
    wanted: NDArray[Any] | None
    options: EncodeOptions
    offsets: NDArray[Any] | None = None

    @classmethod
    def of(cls, picture: Picture, options: EncodeOptions) -> Task:
        """Loads the model, and finds the region."""
        codec = options.models.load(options.model, options.device)
        if options.strip:
            from lictor.codec.image.pillow import stripped

            picture = stripped(picture)
        picture = viewed(picture, codec)
        roi, drop = options.roi, options.roi_drop
        wanted = None if roi is None else _wanted(picture, roi, drop, codec)
        if options.tune == "psnr":
            return cls(picture, codec, wanted, options)
        return cls(picture, codec, None, options, _offsets(picture, wanted, options, codec))

    def file(self, quality: Quality, effort: int) -> bytes:
        """Encoded at a quality."""
        if self.offsets is not None:
            from lictor.codec.picture import eyes

            quality = eyes.quality_map(self.offsets, quality)
        elif self.wanted is not None:
            from lictor.codec.picture import roi as regions

            quality = regions.quality_map(self.wanted, quality, self.options.roi_drop)
        return encode(self.picture, quality, self.codec, effort, self.options.progress)

    def reach(self, target: Target, effort: int) -> Reached:
        """Encoded to a target."""
        height, width, _ = self.picture.pixels.shape
        if target.kind == "ssim":
            from lictor.codec.runtime.ssim import check_size

            check_size(width, height)

        def measure(data: bytes) -> float:
            return self._measure(target.kind, data)

        search = rate_target.Search(target, width * height, self.file, measure, _fixed)
        return search.run(effort)

    def _measure(self, kind: str, data: bytes) -> float:
        """What a target counts of a file."""
        if kind in ("size", "bpp"):
            return float(len(data)) if kind == "size" else info(data).bpp
        found = decode(data, DecodeOptions(device=self.options.device, models=self.options.models))
        colours, alpha = self.picture.colours, self.picture.alpha
        if kind == "psnr":  # what alpha hides comes back as something else
            seen = ... if alpha is None else alpha > 0
            return psnr(colours[seen], found.colours[seen])
        import numpy as np

        from lictor.codec.runtime.ssim import ssim

        if alpha is not None:
            colours = np.where(alpha[:, :, None] > 0, colours, found.colours)
        return ssim(colours, found.colours)


def encode_to(
    image: Image | NDArray[Any] | Picture,
    target: Target,
    *,
    effort: int = 0,
    salvage: bool = False,
    **options: Any,
) -> Reached:
    """As `lictor.codec.encode` with a target, but tells how near the file came instead of warning.

    The target is what `rate_target.given` makes of size, bpp, psnr or ssim.
    options: of its arguments the fields of EncodeOptions. Errors: as there.
    """
    effort, picture = arguments.effort(effort), arguments.picture(image, salvage)
    return Task.of(picture, EncodeOptions(**options)).reach(target, effort)


def _fixed(data: bytes) -> int:
    """The bytes of a file that are not its samples."""
    return len(data) - sum(info(data).methods.values())


def encode(
    picture: Picture,
    quality: Quality,
    codec: PictureNetwork,
    effort: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """A file."""
    return encode_and_expect(picture, quality, codec, effort, progress)[0]


def encode_and_expect(
    picture: Picture,
    quality: Quality,
    codec: PictureNetwork,
    effort: int,
    progress: Progress | None = None,
) -> tuple[bytes, float | None]:
    """The file, and after a search the bytes that the model expected of the latents found."""
    coded = METHODS[LATENTS].encode(Wanted(picture, quality, codec, effort, progress))
    return file_of(picture, quality, [coded]), coded.expected


def file_of(picture: Picture, quality: Quality, coded: Sequence[Coded]) -> bytes:
    """The file of what methods coded of a picture: all of it, between them."""
    height, width, channels = picture.pixels.shape
    made = {part.kind: part for part in coded}
    network = made.pop(LATENTS, None)
    header = Header(
        width=width,
        height=height,
        channels=channels,
        depth=picture.depth,
        mapped=quality.map is not None,
        step=quality.highest,
    )
    codec = network.codec if network else None
    if network and codec:
        header.model_id, header.weights = codec.id, codec.digest[:4]
        header.model_name = "" if codec.id else codec.name
        header.latents = network.checksum
    others = {kind: made[kind].payload for kind in METHODS if kind in made}
    others |= _others(picture, header, quality)
    latents, table = (network.payload, network.table) if network else (None, None)
    try:
        return bitstream.write(header, latents, others, table)
    except ValueError as e:  # all but the name was checked before
        name = codec.name if codec else ""
        raise ModelUnavailable(f"{name!r} cannot name a model in a file: {e}") from e


def _wanted(picture: Picture, roi: Any, drop: float, codec: PictureNetwork) -> NDArray[Any]:
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


def _offsets(
    picture: Picture, wanted: NDArray[Any] | None, options: EncodeOptions, codec: PictureNetwork
) -> NDArray[Any]:
    """How much better or worse each place is to be for eyes, and in a region of interest."""
    from lictor.codec.picture import eyes

    if options.tune not in TUNES:
        raise InvalidOption(f"tune is {options.tune!r}; give one of {', '.join(TUNES)}")
    if not codec.takes_maps:
        raise InvalidOption(
            f"{codec.name} has one quality for all of a picture; leave tune={options.tune} out"
        )
    offsets: NDArray[Any] = eyes.offsets(picture.colours)
    return offsets if wanted is None else offsets - options.roi_drop * (1 - wanted)


def _others(picture: Picture, header: Header, quality: Quality) -> dict[int, bytes]:
    """The sections beside the latents."""
    from lictor.codec.picture import alpha, metadata

    others = {}
    if quality.map is not None:
        from lictor.codec.picture import quality_map

        others[MAP] = quality_map.pack(quality, header)
    if picture.alpha is not None:
        others[ALPHA] = alpha.pack(picture.alpha)
    for kind, data in ((ICC, picture.icc), (EXIF, picture.exif)):
        if data:
            others[kind] = metadata.pack(data)
    if picture.signalling:
        others[COLOUR] = signalling.pack(picture.signalling)
    return others


def estimate(picture: Picture, quality: Quality, codec: PictureNetwork) -> float:
    """Bytes that the model expects the latents to need."""
    from lictor.codec.picture import latent

    height, width, _ = picture.pixels.shape
    grid = Grid.for_picture(width, height)
    codec = codec.for_depth(picture.depth)
    return latent.estimate(picture.colours, grid, codec, quality) / 8


def viewed(picture: Picture, codec: PictureNetwork) -> Picture:
    """What a model looks at: all of the picture, or its middle as classifiers see it."""
    from lictor.codec.runtime.runtime import TaskNetwork

    if not isinstance(codec, TaskNetwork):
        return picture
    import numpy as np

    from lictor.codec.image.pillow import Picture, middle

    colours = picture.eight_bit_colours()
    if colours.shape[2] == 1:
        colours = np.repeat(colours, 3, axis=2)
    if colours.shape[:2] != (codec.view, codec.view):
        colours = middle(colours, codec.view)
    return Picture(colours)
