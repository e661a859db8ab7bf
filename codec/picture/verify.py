"""A picture encoded, decoded twice, and all compared that should agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from lictor.codec.distortion import psnr, within_a_level
from lictor.codec.format import colour as signalling
from lictor.codec.picture.decode import DecodeOptions, decode
from lictor.codec.picture.encode import EncodeOptions, encode_and_expect, estimate, viewed
from lictor.codec.picture.info import info
from lictor.codec.runtime import runtime

if TYPE_CHECKING:
    from lictor.codec.image.pillow import Picture
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
        model: name of the weights.
        quality: as it was coded, 0…100.
        same: both decodes, with different numbers of threads, gave the alpha of the picture, and
            the same pixels, to one level of 255: the synthesis is floating point, and some
            processors' kernels add in another order where there are more threads.
        psnr: dB over all colours that alpha does not hide, against the picture; infinite if
            nothing was lost.
        bytes: size of the file, which has no metadata.
        bpp: bits per pixel, of that size.
        estimate: bytes that the model itself expected the latents to need.
        gap: (bytes without alpha - estimate) / estimate.
        sized: bytes without alpha are at most 0.5 % + 40 for each tile above the estimate.
        encode_seconds: of the encoding.
        decode_seconds: of the first decoding.
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


def verify(picture: Picture, quality: Quality, effort: int, options: EncodeOptions) -> VerifyReport:
    """Of a picture at a quality in steps. Errors: as for `lictor.codec.verify`."""
    import numpy as np

    codec = options.models.load(options.model)
    picture = replace(picture, icc=b"", exif=b"", signalling=signalling.NONE)
    picture = viewed(picture, codec)
    decoding = DecodeOptions(models=options.models)
    start = perf_counter()
    data, expected = encode_and_expect(picture, quality, codec, effort)
    encoded = perf_counter()
    first = decode(data, decoding)
    decoded = perf_counter()
    threads = runtime.get().threads
    before = threads.count()
    threads.use(2 if before == 1 else 1)
    try:
        second = decode(data, decoding)
    finally:
        threads.use(before)
    if expected is None:
        expected = estimate(picture, quality, codec)
    height, width, channels = picture.pixels.shape
    size = len(data) - info(data).alpha_bytes
    seen = ... if picture.alpha is None else picture.alpha > 0
    alike = within_a_level(first.colours, second.colours) and (
        picture.alpha is None or np.array_equal(first.alpha, picture.alpha)  # type: ignore[arg-type]
    )
    return VerifyReport(
        width=width,
        height=height,
        channels=channels,
        model=codec.name,
        quality=float(quality),
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
