"""Lossless codecs on pictures of 8 bits: bits a sub-pixel, and speed.

Every codec gets the pixels as RGB and gives its file, without metadata; what it decodes to is held
against them. Time is of the processor, of one thread, all codecs of a picture in turn.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.codec.errors import CodecError
from lictor.codec.image import pillow

Pixels = NDArray[np.uint8]

TILE = 1024
"""Our coders take a picture in tiles of at most this side."""


@dataclass(frozen=True)
class Codec:
    """One contestant: its name, pixels to bytes, and bytes to pixels of a shape."""

    name: str
    encode: Callable[[Pixels], Any]
    decode: Callable[[Any, tuple[int, ...]], Pixels]
    size: Callable[[Any], int] = len


@dataclass(frozen=True)
class Row:
    """One picture by one codec: bytes of the file, processor seconds, samples of the picture."""

    image: str
    codec: str
    samples: int
    bytes: int
    encode_s: float
    decode_s: float


class NotLossless(CodecError):
    """A codec gave back other pixels."""


def codecs() -> list[Codec]:
    """Our coders, and those peers that are installed."""
    return [*_ours(), *_pillow(), *_imagecodecs()]


def measure(path: str, contestants: Sequence[Codec]) -> list[Row]:
    """Measure a picture by each codec.

    Args:
        path: of the picture; it is taken as RGB of 8 bits.
        contestants: the codecs.

    Returns:
        A row for each.

    Raises:
        CodecError: The picture cannot be read, or a codec is not lossless.
        OSError: Likewise.
    """
    pixels = pillow.read(path).eight_bit_colours()
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return [_measure_one(os.path.basename(path), pixels, codec) for codec in contestants]


def _measure_one(image: str, pixels: Pixels, codec: Codec) -> Row:
    start = process_time()
    data = codec.encode(pixels)
    coded = process_time()
    back = codec.decode(data, pixels.shape)
    decoded = process_time()
    if not np.array_equal(back, pixels):
        raise NotLossless(f"{codec.name} gives back other pixels")
    size = codec.size(data)
    return Row(image, codec.name, pixels.size, size, coded - start, decoded - coded)


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything `lictor bench lossless --json` prints.

    Args:
        rows: what measure gave for all pictures.

    Returns:
        "codecs": for each its bits a sub-pixel (mean of pictures), its bytes, and speeds in MB of
        raw pixels a second; "rows": the rows.
    """
    names = list(dict.fromkeys(row.codec for row in rows))
    mine = {name: [row for row in rows if row.codec == name] for name in names}
    return {
        "codecs": {name: _summary(mine[name]) for name in names},
        "rows": [asdict(row) for row in rows],
    }


def _summary(rows: Sequence[Row]) -> dict[str, float]:
    samples = sum(row.samples for row in rows)
    return {
        "pictures": len(rows),
        "bpsp": float(np.mean([8 * row.bytes / row.samples for row in rows])),
        "bytes": sum(row.bytes for row in rows),
        "encode_mb_s": samples / 1e6 / max(sum(row.encode_s for row in rows), 1e-9),
        "decode_mb_s": samples / 1e6 / max(sum(row.decode_s for row in rows), 1e-9),
    }


def table(made: dict[str, Any]) -> str:
    """The report for a person, the fewest bits last.

    Args:
        made: what report gave.

    Returns:
        Lines of text.
    """
    lines = [f"{'codec':<20}{'bits/sub-pixel':>15}{'encode MB/s':>13}{'decode MB/s':>13}"]
    for name, row in sorted(made["codecs"].items(), key=lambda item: -item[1]["bpsp"]):
        speeds = f"{row['encode_mb_s']:13.2f}{row['decode_mb_s']:13.2f}"
        lines.append(f"{name:<20}{row['bpsp']:15.4f}{speeds}")
    lines.append(f"{row['pictures']} pictures; processor time; MB of raw pixels")
    return "\n".join(lines)


# ---- contestants


def _ours() -> Iterator[Codec]:
    from lictor.models import lossless
    from lictor.models.lossless import photo

    if not lossless.available():
        return
    yield _tiled("lictor", lossless)
    yield _tiled("lictor photo", photo)


def _tiled(name: str, coder: Any) -> Codec:
    def encode(pixels: Pixels) -> list[bytes]:
        return [coder.encode(pixels[tile], 8) for tile in _tiles(pixels.shape)]

    def decode(streams: list[bytes], shape: tuple[int, ...]) -> Pixels:
        pixels = np.empty(shape, np.uint8)
        for tile, stream in zip(_tiles(shape), streams, strict=True):
            pixels[tile] = coder.decode(stream, pixels[tile].shape, 8)
        return pixels

    return Codec(name, encode, decode, lambda streams: sum(map(len, streams)))


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    for y in range(0, shape[0], TILE):
        for x in range(0, shape[1], TILE):
            yield slice(y, min(y + TILE, shape[0])), slice(x, min(x + TILE, shape[1]))


def _pillow() -> Iterator[Codec]:
    from PIL import Image

    def codec(name: str, form: str, **options: Any) -> Codec:
        def encode(pixels: Pixels) -> bytes:
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, form, **options)
            return out.getvalue()

        return Codec(
            name,
            encode,
            lambda data, _: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
        )

    yield codec("png optimised", "PNG", optimize=True)
    yield codec("webp m4 q100", "WEBP", lossless=True, method=4, quality=100)


def _imagecodecs() -> Iterator[Codec]:
    if find_spec("imagecodecs") is None:
        return
    import imagecodecs

    yield Codec(
        "jpeg 2000",
        lambda pixels: imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, numthreads=1),
        lambda data, _: imagecodecs.jpeg2k_decode(data, numthreads=1),
    )
    for effort in (7, 9):
        yield Codec(
            f"jpeg xl e{effort}",
            lambda pixels, effort=effort: imagecodecs.jpegxl_encode(  # type: ignore[misc]
                pixels, lossless=True, effort=effort, numthreads=1
            ),
            lambda data, _: imagecodecs.jpegxl_decode(data, numthreads=1),
        )
