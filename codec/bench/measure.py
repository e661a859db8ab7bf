"""One picture through one codec: real files, how near they come, how long they take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from lictor.codec import inputs
from lictor.codec.bench import memory, metrics
from lictor.codec.bench.contender import Codec
from lictor.codec.bench.pictures import Image
from lictor.codec.bench.rows import Failure, Row
from lictor.codec.errors import InvalidEffort, InvalidQuality, ModelUnavailable
from lictor.codec.picture.classifier_view import rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

PATIENCE = 0.5
"""Seconds after which a quality is not repeated any more."""


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        repeat: how often each file is made and decoded; times are medians.
        timed: measure times and memory, which needs the machine alone.
        threads: what codecs may use.
        metrics: names in metrics.MAKERS.
        classifier: of --task classify.
        keep: write decoded pictures and originals, too.
        out: the folder of files; none are written without.
    """

    repeat: int = 3
    timed: bool = True
    threads: int = 1
    metrics: tuple[str, ...] = ("psnr",)
    classifier: str | None = None
    keep: bool = False
    out: str | None = None


class Meter:
    """What is looked at in a decoded picture."""

    def __init__(self, options: Options) -> None:
        self._metrics, _ = metrics.available(options.metrics)
        self._task: Any = None
        if options.classifier:
            from lictor.codec.bench.classify import Observer

            self._task = Observer(options.classifier)

    def metrics(self, original: NDArray[Any], decoded: NDArray[Any]) -> dict[str, float | None]:
        """Every metric, null where it has no finite value."""
        a, b = rgb(original), rgb(decoded)
        values = {name: metric(a, b) for name, metric in self._metrics.items()}
        return {
            name: value if value is None or math.isfinite(value) else None
            for name, value in values.items()
        }

    def seen(self, image: Image, label: str | None, decoded: NDArray[Any]) -> dict[str, Any] | None:
        """What the task's network makes of it."""
        return self._task.look(image, label, decoded) if self._task else None


def rows(
    codec: Codec,
    image: Image,
    label: str | None,
    qualities: Sequence[float],
    options: Options,
    meter: Meter,
) -> Iterator[Row | Failure]:
    """Measure a picture at each quality; what goes wrong becomes a Failure, the rest goes on.

    Before the first, picture and codec run once unmeasured save for memory, which is then warm.

    Raises:
        ModelUnavailable, InvalidQuality, InvalidEffort: no picture could be coded so.
    """
    used: float | None = None
    for quality in qualities:
        try:
            if options.timed and used is None:
                used = _memory(codec, image, quality)
            yield _row(codec, image, label, quality, used, options, meter)
        except (ModelUnavailable, InvalidQuality, InvalidEffort, inputs.CannotWrite):
            raise
        except Exception as e:
            yield Failure(image.name, codec.name, quality, _reason(e))


def _memory(codec: Codec, image: Image, quality: float) -> float | None:
    return memory.peak(lambda: codec.decode(codec.encode(image.pixels, quality)))[1]


def _row(
    codec: Codec,
    image: Image,
    label: str | None,
    quality: float,
    used: float | None,
    options: Options,
    meter: Meter,
) -> Row:
    times: list[tuple[float, float]] = []
    begin = perf_counter()
    while not times or (
        options.timed and len(times) < options.repeat and perf_counter() - begin < PATIENCE
    ):
        data, encoding = _clock(partial(codec.encode, image.pixels, quality))
        decoded, decoding = _clock(partial(codec.decode, data))
        times.append((encoding, decoding))
    height, width = image.pixels.shape[:2]
    if decoded.shape[:2] != (height, width):
        raise ValueError(f"decoded to {decoded.shape[1]}x{decoded.shape[0]}, not {width}x{height}")
    found = meter.metrics(image.pixels, decoded)
    return Row(
        image=image.name,
        codec=codec.name,
        quality=quality,
        bytes=len(data),
        bpp=8 * len(data) / (height * width),
        psnr=found.get("psnr"),
        ms_ssim=found.get("ms_ssim"),
        ssimulacra2=found.get("ssimulacra2"),
        lpips=found.get("lpips"),
        encode_s=median(t for t, _ in times) if options.timed else None,
        decode_s=median(t for _, t in times) if options.timed else None,
        peak_memory_mb=used,
        estimate=codec.estimate(image.pixels, quality) if codec.estimate else None,
        file=_write(options, coded_name(image.name, codec, quality), data),
        decoded=keep(options, decoded_name(image.name, codec.name, quality), decoded),
        seen=meter.seen(image, label, decoded),
    )


def _clock(task: Callable[[], T]) -> tuple[T, float]:
    start = perf_counter()
    result = task()
    return result, perf_counter() - start


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# ---- files of OUT


def coded_name(image: str, codec: Codec, quality: float) -> str:
    """Where a coded file lies in OUT."""
    return f"pictures/{image}/{codec.name}-{quality:g}{codec.suffix}"


def decoded_name(image: str, codec: str, quality: float) -> str:
    """Where a decoded picture lies in OUT."""
    return f"pictures/{image}/{codec}-{quality:g}.png"


def original_name(image: str) -> str:
    """Where an original lies in OUT."""
    return f"pictures/{image}/original.png"


def keep(options: Options, name: str, pixels: NDArray[Any]) -> str | None:
    """Write a picture as PNG if pictures are kept; returns its name in OUT."""
    if not options.keep or options.out is None:
        return None
    import io

    from PIL import Image as Pillow

    file = io.BytesIO()
    image = Pillow.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.save(file, "PNG", compress_level=1)
    return _write(options, name, file.getvalue())


def _write(options: Options, name: str, data: bytes) -> str | None:
    if options.out is None:
        return None
    with inputs.replacing(str(Path(options.out, name))) as file:
        file.write(data)
    return name
