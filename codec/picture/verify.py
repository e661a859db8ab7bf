"""A picture encoded, decoded twice, and all compared that should agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from lictor.codec.distortion import psnr, within_a_level
from lictor.codec.format import colour as signalling
from lictor.codec.picture import arguments, tuning
from lictor.codec.picture.decode import DecodeOptions, decode
from lictor.codec.picture.encode import EncodeOptions, estimate, make, viewed
from lictor.codec.picture.info import info
from lictor.models.coding.slope import BOUND

if TYPE_CHECKING:
    from lictor.codec.image.pillow import Picture
    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.models.quality import Quality

SLACK_BYTES = 40
SLACK_RATIO = 0.005
"""How far a file may exceed its model's estimate: header and table rounding."""


@dataclass(frozen=True)
class VerifyReport:
    """What came of encoding a picture and decoding it twice.

    Attributes:
        width: of the picture, in pixels.
        height: likewise.
        channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
        model: name of the weights; None if none were needed.
        quality: as it was coded, 0…100.
        same: both decodes, with different numbers of threads, gave the alpha of the picture, and
            the same pixels, to one level of 255: the synthesis is floating point, and some
            processors' kernels add in another order where there are more threads.
        psnr: dB over all colours that alpha does not hide, against the picture; infinite if
            nothing was lost.
        bytes: size of the file, which has no metadata.
        bpp: bits per pixel, of that size.
        shares: of the blocks, by the names of the methods that code them.
        worst: the largest mean squared error of a block of 64x64 pixels, what alpha hides not
            counted, in parts of the water level of the quality; see models/coding/slope.py.
        held: it is at most 1.25, unless the method was to be the network; of a lossless file,
            nothing differs.
        estimate: bytes that the model itself expected the latents to need; None if other methods
            coded anything.
        gap: (bytes without alpha - estimate) / estimate.
        sized: bytes without alpha are at most 0.5 % + 40 for each tile above the estimate, if there
            is one.
        encode_seconds: of the encoding.
        decode_seconds: of the first decoding.
    """

    width: int
    height: int
    channels: int
    model: str | None
    quality: float
    same: bool
    psnr: float
    bytes: int
    bpp: float
    shares: dict[str, float]
    worst: float
    held: bool
    estimate: float | None
    gap: float | None
    sized: bool
    encode_seconds: float
    decode_seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return self.same and self.sized and self.held


def verify(picture: Picture, quality: Quality, effort: int, options: EncodeOptions) -> VerifyReport:
    """Of a picture at a quality. Errors: as for `lictor.codec.verify`."""
    import numpy as np

    from lictor.codec.picture.choice import Task

    own = arguments.overfit(options.model, options.method)
    needed = own is None and options.method in (arguments.AUTO, "network")
    name = tuning.weights(options.model)
    codec = options.models.load(name, heavy=effort > 0) if needed else None
    picture = replace(picture, icc=b"", exif=b"", signalling=signalling.NONE)
    picture = picture if codec is None else viewed(picture, codec)
    decoding = DecodeOptions(models=options.models)
    start = perf_counter()
    made = make(Task(picture, quality, codec, effort, overfit=own), options.method)
    encoded = perf_counter()
    first = decode(made.data, decoding)
    decoded = perf_counter()
    with _other_threads(codec):
        second = decode(made.data, decoding)
    said = info(made.data)
    height, width, channels = picture.pixels.shape
    size = len(made.data) - said.alpha_bytes
    expected = made.expected if len(said.methods) == 1 else None
    if expected is None and codec is not None and list(said.methods) == ["network"]:
        expected = estimate(picture, quality, codec)
    seen = ... if picture.alpha is None else picture.alpha > 0
    alike = within_a_level(first.colours, second.colours) and (
        picture.alpha is None or np.array_equal(first.alpha, picture.alpha)  # type: ignore[arg-type]
    )
    worst = _worst(picture, first, quality, codec)
    slack = 0.0 if expected is None else SLACK_RATIO * expected + SLACK_BYTES * said.tiles
    return VerifyReport(
        width=width,
        height=height,
        channels=channels,
        model=said.model,
        quality=float(quality),
        same=bool(alike),
        psnr=psnr(picture.colours[seen], first.colours[seen]),
        bytes=len(made.data),
        bpp=8 * len(made.data) / (width * height),
        shares=said.shares,
        worst=worst,
        held=worst <= (BOUND if own else _allowed(options.method, codec)),
        estimate=expected,
        gap=None if expected is None else (size - expected) / max(expected, 1.0),
        sized=expected is None or size - expected <= slack,
        encode_seconds=encoded - start,
        decode_seconds=decoded - encoded,
    )


@contextmanager
def _other_threads(codec: PictureNetwork | None) -> Iterator[None]:
    """Another number of them than before."""
    if codec is None:
        yield
        return
    threads = codec.runtime.threads
    before = threads.count()
    threads.use(2 if before == 1 else 1)
    try:
        yield
    finally:
        threads.use(before)


def _allowed(method: str, codec: PictureNetwork | None) -> float:
    """What the worst block may have, in parts of the water level."""
    if method == "lossless":
        return 0.0
    kept = method == "linear" or (method == arguments.AUTO and codec and codec.on_ladder)
    return BOUND if kept else math.inf


def _worst(
    picture: Picture, found: Picture, quality: Quality, codec: PictureNetwork | None
) -> float:
    """The error of the worst block, in parts of the water level."""
    from lictor.codec.picture.choice import Task

    task = Task(picture, quality, codec)
    errors, bound = task.errors(found.colours), task.bound
    visible = bound > 0
    return float((errors[visible] / bound[visible]).max(initial=0.0)) * BOUND
