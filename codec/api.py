"""Pictures to bytes and back: what `from lictor.codec import …` offers.

Each function imports what it needs when it is called; `info` needs neither numpy nor torch.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lictor.codec import bitstream
from lictor.codec.bitstream import (
    ALPHA,
    EXIF,
    ICC,
    MAX_PIXELS,
    MAX_SIDE,
    QUALITY_STEPS,
    Bytes,
    Header,
    Section,
)
from lictor.codec.errors import (
    ImageTooLarge,
    InvalidEffort,
    InvalidQuality,
    LatentMismatch,
    ModelUnavailable,
    NotALictorFile,
    NotAnImage,
    OutOfMemory,
    UnsupportedImage,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from lictor.codec.image import Picture
    from lictor.models.base import LatentCodec

DEFAULT_MODEL = "lictor-s.mse"
DEFAULT_QUALITY = 50.0
MAX_EFFORT = 9

SLACK_BYTES = 40
SLACK_RATIO = 0.005
"""How far a file may exceed its model's estimate: header and table rounding."""


def encode(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    effort: int = 0,
    strip: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    """Encode a picture.

    Args:
        image: a Pillow image; an array, uint8 or uint16 over their full range, (H, W) gray or
            (H, W, C) with C = 1 gray, 2 gray and alpha, 3 RGB or 4 RGBA; or what
            `lictor.codec.image.read` gives. A Pillow image has all of its 16 bits only as long as
            it was not loaded.
        quality: 0 (smallest file) … 100 (best picture), in steps of 0.25.
        model: name of a shipped checkpoint, or path of a .safetensors file that train.py made.
        effort: 0 codes what the network gives; 1…9 search for this picture's best latents first,
            for a smaller file or a better picture. Decoders see no difference.
        strip: leave EXIF and the ICC profile out, after converting the colours to sRGB.
        progress: called during the search with the iterations done and their number.

    Returns:
        The bytes of a .bin file, which name the model and need no flags to decode.

    Raises:
        CodecError: an ImageError, InvalidQuality, InvalidEffort, ModelUnavailable or OutOfMemory.
    """
    picture = _picture(image)
    step, effort = _step(quality), _effort(effort)
    codec = _load(model)
    if strip:
        from lictor.codec.image import stripped

        picture = stripped(picture)
    return _encode(picture, step, codec, effort, progress)


def decode(data: Bytes, *, precision: str = "float32", device: str = "cpu") -> Image:
    """Decode a file.

    Args:
        data: the whole file, as bytes.
        precision: of the synthesis, "float32", or "bfloat16", which is faster on GPUs and some
            CPUs and rounds a little more. The latents are the same.
        device: where networks run, as PyTorch names it, such as "cuda". The latents are the same.

    Returns:
        A Pillow image, mode L, LA, RGB or RGBA, or I;16 for gray of 16 bits. Pillow has no other
        16-bit modes: `decode_picture` gives all bits. Its `info` has icc_profile and exif.

    Raises:
        CodecError: a FileError, ModelUnavailable, OutOfMemory, InvalidPrecision or
            DeviceUnavailable.
    """
    from lictor.codec import image

    return image.to_pillow(decode_picture(data, precision=precision, device=device))


def decode_picture(data: Bytes, *, precision: str = "float32", device: str = "cpu") -> Picture:
    """Decode a file to arrays, with all bits.

    Returns:
        A `lictor.codec.image.Picture`: pixels, uint8 or uint16 (H, W, C), icc and exif.

    Args and errors: as for `decode`.
    """
    return _decode(_bytes(data), precision, device)


@dataclass(frozen=True)
class Latents:
    """What the entropy-coded part of a file decodes to, before any picture is made of it.

    checksum: CRC-32 of all symbols, hexadecimal; the same as the file's, for
        else there is an error.
    sha256: of the numbers that the synthesis is given, as float32, little-endian, in the order
        channels, rows, columns.
    """

    checksum: str
    sha256: str


def latents(data: Bytes, *, device: str = "cpu") -> Latents:
    """Decode the entropy-coded part of a file and hash it; synthesises no picture.

    Two machines on which the hashes agree decode alike up to the synthesis.

    Args and errors: as for `decode`.
    """
    import hashlib

    h, sections = bitstream.read(_bytes(data))
    with _running(h.width, h.height):
        values = _decode_latents(h, sections, _find(h, device))
    raw = values.float().cpu().contiguous().numpy().astype("<f4")
    return Latents(f"{h.latents:08x}", hashlib.sha256(raw.tobytes()).hexdigest())


@dataclass(frozen=True)
class Info:
    """What the header of a file says.

    model: name of the checkpoint; None if this installation does not know its number.
    model_id: permanent number of a shipped checkpoint, 0 for others.
    weights: start of the SHA-256 of the weights, hexadecimal.
    channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    latents: checksum of the decoded latents, hexadecimal.
    bytes: size of the file.
    latent_bytes: of which entropy-coded latents; alpha_bytes, icc_bytes and exif_bytes likewise.
    bpp: bits per pixel, from the size of the file.
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
    latents: str
    bytes: int
    latent_bytes: int
    alpha_bytes: int
    icc_bytes: int
    exif_bytes: int
    bpp: float


def info(data: Bytes) -> Info:
    """Read the header of a file, and that its sections are complete; runs no network.

    Raises:
        FileError: not a file that this release could decode.
    """
    data = _bytes(data)
    h, sections = bitstream.read(data, verify_sections=False)
    return Info(
        format_version=h.version,
        model=h.model_name or _shipped_name(h.model_id),
        model_id=h.model_id,
        weights=h.weights.hex(),
        width=h.width,
        height=h.height,
        channels=h.channels,
        bit_depth=h.depth,
        quality=_quality(h.step),
        latents=f"{h.latents:08x}",
        bytes=len(data),
        latent_bytes=len(sections[0].payload),
        alpha_bytes=len(bitstream.payload(sections, ALPHA)),
        icc_bytes=len(bitstream.payload(sections, ICC)),
        exif_bytes=len(bitstream.payload(sections, EXIF)),
        bpp=8 * len(data) / (h.width * h.height),
    )


def estimate(
    image: Image | NDArray[Any] | Picture,
    *,
    quality: float = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
) -> float:
    """Bytes that the model itself expects the latents of a picture to need, before any coding.

    Args and errors: as for `encode`.
    """
    return _estimate(_picture(image), _step(quality), _load(model))


@dataclass(frozen=True)
class VerifyReport:
    """What came of encoding a picture and decoding it twice.

    same: both decodes, with different numbers of threads, gave the same pixels, and the alpha of
        the picture.
    psnr: dB over all colours against the picture; infinite if nothing was lost.
    bytes: size of the file, which has no metadata; bpp follows from it.
    estimate: bytes that the model itself expected the latents to need.
    gap: (bytes without alpha - estimate) / estimate.
    sized: bytes without alpha are at most 0.5 % + 40 above the estimate.
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

    picture = replace(_picture(image), icc=b"", exif=b"")
    step, effort = _step(quality), _effort(effort)
    codec = _load(model)
    start = perf_counter()
    data, expected = _encode_and_expect(picture, step, codec, effort)
    encoded = perf_counter()
    first = _decode(data)
    decoded = perf_counter()
    with _other_thread_count():
        second = _decode(data)
    if expected is None:
        expected = _estimate(picture, step, codec)
    height, width, channels = picture.pixels.shape
    size = len(data) - info(data).alpha_bytes
    alike = np.array_equal(first.pixels, second.pixels) and (
        picture.alpha is None or np.array_equal(first.alpha, picture.alpha)  # type: ignore[arg-type]
    )
    return VerifyReport(
        width=width,
        height=height,
        channels=channels,
        model=codec.name,
        quality=_quality(step),
        same=bool(alike),
        psnr=psnr(picture.colours, first.colours),
        bytes=len(data),
        bpp=8 * len(data) / (width * height),
        estimate=expected,
        gap=(size - expected) / max(expected, 1.0),
        sized=size - expected <= SLACK_RATIO * expected + SLACK_BYTES,
        encode_seconds=encoded - start,
        decode_seconds=decoded - encoded,
    )


# ---- the way of a picture


def _encode(
    picture: Picture,
    step: int,
    codec: LatentCodec,
    effort: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    return _encode_and_expect(picture, step, codec, effort, progress)[0]


def _encode_and_expect(
    picture: Picture,
    step: int,
    codec: LatentCodec,
    effort: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[bytes, float | None]:
    """The file, and after a search the bytes that the model expected of the latents found."""
    from lictor.entropy import Encoder

    height, width, channels = picture.pixels.shape
    expected = None
    with _running(width, height), _model_errors():
        encoder = Encoder()
        x, quality = _tensor(picture.colours), _quality(step)
        if effort:
            expected = codec.search(x, quality, encoder, effort, progress) / 8
        else:
            codec.encode(x, quality, encoder)
        payload = encoder.finish()
    header = Header(
        model_id=codec.id,
        model_name="" if codec.id else codec.name,
        weights=codec.digest[:4],
        width=width,
        height=height,
        channels=channels,
        depth=picture.depth,
        step=step,
        latents=encoder.checksum,
    )
    try:
        return bitstream.write(header, payload, _others(picture)), expected
    except ValueError as e:  # all but the name was checked before
        raise ModelUnavailable(f"{codec.name!r} cannot name a model in a file: {e}") from e


def _others(picture: Picture) -> dict[int, bytes]:
    """The sections after the latents."""
    from lictor.codec import alpha, metadata

    others = {}
    if picture.alpha is not None:
        others[ALPHA] = alpha.pack(picture.alpha)
    for kind, data in ((ICC, picture.icc), (EXIF, picture.exif)):
        if data:
            others[kind] = metadata.pack(data)
    return others


def _decode(data: Bytes, precision: str = "float32", device: str = "cpu") -> Picture:
    from lictor.codec import metadata
    from lictor.codec.image import Picture

    h, sections = bitstream.read(data)
    icc, exif = (
        metadata.unpack(packed) if (packed := bitstream.payload(sections, kind)) else b""
        for kind in (ICC, EXIF)
    )
    plane = _decode_alpha(h, sections)
    pixels = _decode_colours(h, sections, precision, device)
    if plane is not None:
        import numpy as np

        pixels = np.dstack([pixels, plane])
    return Picture(pixels, icc, exif)


def _decode_alpha(h: Header, sections: list[Section]) -> NDArray[Any] | None:
    if h.channels in (1, 3):
        return None
    from lictor.codec import alpha

    with _running(h.width, h.height):
        return alpha.unpack(bitstream.payload(sections, ALPHA), h.height, h.width, h.depth)


def _decode_colours(
    h: Header, sections: list[Section], precision: str, device: str
) -> NDArray[Any]:
    from lictor.codec.device import check_precision, synthesising

    check_precision(precision)
    codec = _find(h, device)
    with _running(h.width, h.height):
        y_hat = _decode_latents(h, sections, codec)
        with synthesising(y_hat.device, precision):
            x = codec.picture(y_hat, (h.height, h.width), _quality(h.step))
        return _samples(x, gray=h.channels < 3, depth=h.depth)


def _decode_latents(h: Header, sections: list[Section], codec: LatentCodec) -> Tensor:
    """What `codec.picture` takes, and proof that it is what the encoder meant."""
    from lictor.entropy import CorruptStream, Decoder

    try:
        decoder = Decoder(sections[0].payload)
        y_hat = codec.latents((h.height, h.width), _quality(h.step), decoder)
        decoder.close()
    except CorruptStream as e:
        raise _mismatch(str(e)) from e
    if decoder.checksum != h.latents:
        raise _mismatch(f"checksum {decoder.checksum:08x}, not {h.latents:08x}")
    return y_hat


def _mismatch(detail: str) -> LatentMismatch:
    return LatentMismatch(
        f"the file is intact, but its latents decode to others than were encoded ({detail}); "
        "decode it on the machine that made it, and report this with the file"
    )


def _estimate(picture: Picture, step: int, codec: LatentCodec) -> float:
    height, width, _ = picture.pixels.shape
    with _running(width, height):
        return codec.estimate(_tensor(picture.colours), _quality(step)) / 8


def _tensor(colours: NDArray[Any]) -> Tensor:
    """From (H, W, 1 or 3) to float32 (1, 3, H, W) in 0…1; gray becomes three equal channels."""
    import numpy as np
    import torch

    height, width, _ = colours.shape
    x = np.empty((1, 3, height, width), np.float32)
    x[0] = colours.transpose(2, 0, 1)
    x /= np.iinfo(colours.dtype).max
    return torch.from_numpy(x)


def _samples(x: Tensor, gray: bool, depth: int) -> NDArray[Any]:
    """From float (1, 3, H, W) to (H, W, 1 or 3); gray is the mean of the three channels."""
    import numpy as np
    import torch

    if gray:
        x = x.mean(dim=1, keepdim=True)
    most = 2**depth - 1
    x = x[0].mul(most).round().clamp(0, most).to(torch.uint8 if depth == 8 else torch.int32)
    samples = x.permute(1, 2, 0).contiguous().cpu().numpy()
    return samples if depth == 8 else samples.astype(np.uint16)


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal to noise ratio over all samples, dB; infinite if nothing differs."""
    import numpy as np

    error = np.square(a.astype(np.float32) - b).mean(dtype=np.float64)
    return 10 * math.log10(np.iinfo(a.dtype).max ** 2 / error) if error else math.inf


@contextmanager
def _running(width: int, height: int) -> Iterator[None]:
    """Networks run in here: no gradients, and memory that runs out has a name."""
    import torch

    try:
        with torch.inference_mode():
            yield
    except (MemoryError, RuntimeError) as e:
        if isinstance(e, RuntimeError) and "allocate" not in str(e):
            raise
        raise OutOfMemory(
            f"not enough memory for {width}x{height} pixels; use a smaller picture or a larger "
            "machine"
        ) from e


@contextmanager
def _other_thread_count() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---- arguments


def _picture(image: Any) -> Picture:
    """Whatever `encode` accepts."""
    import numpy as np
    from PIL import Image

    from lictor.codec.image import Picture, from_pillow

    if isinstance(image, (str, bytes, os.PathLike)):
        raise NotAnImage(
            f"a picture is needed, not a {type(image).__name__}; open it with PIL.Image.open first"
        )
    if isinstance(image, Image.Image):
        _check_size(image.width, image.height)
        return from_pillow(image)
    picture = image if isinstance(image, Picture) else Picture(image)
    if not isinstance(picture.pixels, np.ndarray):
        raise NotAnImage(f"a Pillow image or a numpy array is needed, not {type(image).__name__}")
    return replace(picture, pixels=_pixels(picture.pixels))


def _pixels(array: NDArray[Any]) -> NDArray[Any]:
    """An array as uint8 or uint16 (H, W, 1…4)."""
    if array.dtype.name not in ("uint8", "uint16"):
        raise UnsupportedImage(
            f"the array has type {array.dtype}; convert it to uint8 (0…255) or uint16 (0…65535)"
        )
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


def _step(quality: Any) -> int:
    """Quality as the file stores it: 0…400."""
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


def _quality(step: int) -> float:
    return step * 100 / QUALITY_STEPS


def _bytes(data: Any) -> memoryview:
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise NotALictorFile(
            f"the bytes of a file are needed, not {type(data).__name__}; read the file first"
        ) from None


# ---- models


def _load(model: str | os.PathLike[str]) -> LatentCodec:
    from lictor import models

    with _model_errors():
        return models.load(os.fspath(model))


def _find(h: Header, device: str = "cpu") -> LatentCodec:
    from lictor import models
    from lictor.codec.device import placed

    with _model_errors():
        return placed(models.find(h.model_id, h.model_name, h.weights), device)


@contextmanager
def _model_errors() -> Iterator[None]:
    from lictor import models

    try:
        yield
    except models.ModelError as e:
        raise ModelUnavailable(str(e)) from e


def _shipped_name(model_id: int) -> str | None:
    """Name of a shipped checkpoint; None if this release does not have it."""
    from lictor import models

    return next((e.name for e in models.index().values() if e.id == model_id), None)
