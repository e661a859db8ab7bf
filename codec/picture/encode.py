"""A picture to a file, at a quality or to a target."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lictor.codec.distortion import psnr
from lictor.codec.errors import InvalidOption, InvalidRoi
from lictor.codec.picture import arguments, rate_target, tuning
from lictor.codec.picture.assemble import file_of as file_of
from lictor.codec.picture.decode import DecodeOptions, decode
from lictor.codec.picture.info import info
from lictor.codec.picture.tiles import Grid
from lictor.codec.runtime import runtime, store
from lictor.codec.runtime.store import Store
from lictor.models.quality import Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.choice import Plan
    from lictor.codec.picture.choice import Task as ChoiceTask
    from lictor.codec.picture.rate_target import Reached, Target
    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.models.overfit.sizes import Size
    from lictor.models.progress import Progress, Stop

DEFAULT_DROP = 40.0


@dataclass(frozen=True)
class EncodeOptions:
    """How to encode but for quality and effort; `lictor.codec.encode` says what they are."""

    model: str | os.PathLike[str] | None = None
    strip: bool = False
    roi: Any = None
    roi_drop: float = DEFAULT_DROP
    tune: str | None = None
    progress: Progress | None = None
    device: str = "cpu"
    models: Store = store.DEFAULT
    method: str = arguments.AUTO
    stop: Stop | None = None


@dataclass(frozen=True)
class Task:
    """A picture with all that encoding it needs but the quality.

    codec: the network, where one may be needed.
    wanted: how much each place is, 0…1, if not all alike; see `roi.quality_map`.
    offsets: how much better or worse each place is to be, if not all alike; see `eyes.offsets`.
    overfit: the size of networks of the picture's own, if it is to be coded by these.
    """

    picture: Picture
    codec: PictureNetwork | None
    wanted: NDArray[Any] | None
    options: EncodeOptions
    offsets: NDArray[Any] | None = None
    overfit: Size | None = None

    @classmethod
    def of(cls, picture: Picture, options: EncodeOptions, effort: int = 0, aim: str = "") -> Task:
        """Loads the model, and finds the region.

        effort: that will be asked for. aim: the kind of the target, if there is one.
        """
        tuning.check(options.tune)
        own = arguments.overfit(options.model, options.method, options.roi, options.tune)
        codec = None
        if options.method in (arguments.AUTO, "network") and own is None:
            name = tuning.weights(options.model, options.tune, roi=options.roi, aim=aim)
            codec = options.models.load(name, options.device, effort > 0)
        if options.strip:
            from lictor.codec.image.pillow import stripped

            picture = stripped(picture)
        picture = picture if codec is None else viewed(picture, codec)
        roi, drop = options.roi, options.roi_drop
        wanted = None if roi is None else _wanted(picture, roi, drop, codec)
        if tuning.by_map(options.tune, "" if codec is None else codec.loss):
            return cls(picture, codec, None, options, _offsets(picture, wanted, options, codec))
        return cls(picture, codec, wanted, options, overfit=own)

    def file(self, quality: Quality, effort: int, plan: Plan | None = None) -> Made:
        """Encoded at a quality."""
        from lictor.codec.picture import choice

        if self.offsets is not None:
            from lictor.codec.picture import eyes

            quality = eyes.quality_map(self.offsets, quality)
        elif self.wanted is not None:
            from lictor.codec.picture import roi as regions

            quality = regions.quality_map(self.wanted, quality, self.options.roi_drop)
        options = self.options
        task = choice.Task(
            self.picture,
            quality,
            self.codec,
            effort,
            options.progress,
            self.overfit,
            options.stop,
        )
        return make(task, options.method, plan)

    def reach(self, target: Target, effort: int) -> Reached:
        """Encoded to a target."""
        height, width, _ = self.picture.pixels.shape
        if target.kind == "ssim":
            from lictor.codec.runtime.ssim import check_size

            check_size(width, height)

        plans: list[Plan | None] = []

        def once(quality: Quality, effort: int) -> bytes:
            # The plan is kept: another choice at some quality would make a leap.
            made = self.file(quality, effort, plans[-1] if plans else None)
            plans.append(made.plan)
            return made.data

        def measure(data: bytes) -> float:
            return self._measure(target.kind, data)

        search = rate_target.Search(target, width * height, once, measure, _fixed)
        reached = search.run(effort)
        larger = target.kind in ("size", "bpp") and reached.value > target.value
        if not reached.met and not larger and info(reached.data).lossless:
            return replace(reached, met=True, note="")  # there is no better
        return reached

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
    own = EncodeOptions(**options)
    arguments.method(own.method, None, **{target.kind: target.value})
    effort, picture = arguments.effort(effort), arguments.picture(image, salvage)
    return Task.of(picture, own, effort, target.kind).reach(target, effort)


def _fixed(data: bytes) -> int:
    """The bytes of a file that are not its samples."""
    return len(data) - sum(info(data).methods.values())


@dataclass(frozen=True)
class Made:
    """A file.

    expected: after a search, the bytes that the network expected of the latents found.
    plan: what codes which blocks, if that was chosen.
    """

    data: bytes
    expected: float | None = None
    plan: Plan | None = None


def encode(
    picture: Picture,
    quality: Quality,
    codec: PictureNetwork | None,
    effort: int = 0,
    progress: Progress | None = None,
    method: str = arguments.AUTO,
) -> bytes:
    """A file."""
    from lictor.codec.picture import choice

    return make(choice.Task(picture, quality, codec, effort, progress), method).data


def make(task: ChoiceTask, method: str, plan: Plan | None = None) -> Made:
    """A file and what is known of it; plan: to be kept, if there is one."""
    from lictor.codec.picture import choice

    quality = task.quality
    height, width, _ = task.picture.pixels.shape
    with runtime.enough_memory(width, height):
        coded, plan = choice.encode(task, method, plan)
    if all(part.codec is None for part in coded):
        # A map would tell nothing: the streams of the other methods have steps of their own.
        quality = Quality(quality.highest)
    return Made(file_of(task.picture, quality, coded), coded[0].expected, plan)


def _wanted(picture: Picture, roi: Any, drop: float, codec: PictureNetwork | None) -> NDArray[Any]:
    """How much a region of interest wants each place, 0…1."""
    from lictor.codec.picture import roi as regions

    if codec is not None and not codec.takes_maps:
        raise InvalidRoi(f"{codec.name} has one quality for all of a picture; leave the region out")
    drop = regions.check_drop(drop)
    if isinstance(roi, str):
        from lictor.codec.picture import task_roi

        return task_roi.weights(picture, roi, drop)
    height, width, _ = picture.pixels.shape
    return regions.weights(roi, width, height)


def _offsets(
    picture: Picture,
    wanted: NDArray[Any] | None,
    options: EncodeOptions,
    codec: PictureNetwork | None,
) -> NDArray[Any]:
    """How much better or worse each place is to be for eyes, and in a region of interest."""
    from lictor.codec.picture import eyes

    if codec is not None and not codec.takes_maps:
        raise InvalidOption(
            f"{codec.name} has one quality for all of a picture; leave tune={options.tune} out"
        )
    offsets: NDArray[Any] = eyes.offsets(picture.colours)
    return offsets if wanted is None else offsets - options.roi_drop * (1 - wanted)


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
