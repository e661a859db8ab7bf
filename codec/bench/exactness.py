"""What exact entropy networks cost: bytes against the float networks' ideal, and processor time.

Rate: the latents of a real file, which integer networks and integer tables coded, against the bits
that the float networks with ideal Gaussians would need for the same picture. Time: everything from
the symbols of z to the last table index, once with the integer networks and once with the float
ones, on the same latents, one thread, by turns in one process. Beside them, what synthesis in
bfloat16 costs in PSNR.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from time import process_time
from typing import TYPE_CHECKING, Any

from lictor.codec.api import decode_picture, encode, estimate, info, psnr
from lictor.codec.errors import ModelUnavailable, UnsupportedImage
from lictor.codec.format.colour import NONE
from lictor.codec.image import pillow
from lictor.codec.runtime.torch import torch_threads

if TYPE_CHECKING:
    from torch import Tensor

    from lictor.models.coding.quadtree import Quarter
    from lictor.models.picture.lictor import Lictor


@dataclass(frozen=True)
class Row:
    """One picture at one quality.

    bytes: size of the file; latent_bytes of it are the coded latents.
    estimate: bytes that the float networks with ideal Gaussians would need for the latents.
    integer_s, float_s: processor seconds of the entropy networks.
    decode_s: processor seconds of a whole decode.
    psnr, psnr_bf16: of the picture that float32 and that bfloat16 synthesis gives, dB.
    """

    image: str
    quality: float
    bytes: int
    latent_bytes: int
    estimate: float
    integer_s: float
    float_s: float
    decode_s: float
    psnr: float
    psnr_bf16: float


def measure(path: str, model: str, qualities: Sequence[float]) -> list[Row]:
    """Measure a picture at every quality. Raises CodecError."""
    codec = _flagship(model)
    picture = replace(pillow.read(path), icc=b"", exif=b"", signalling=NONE)
    with torch_threads(1):
        return [_measure_one(os.path.basename(path), picture, codec, model, q) for q in qualities]


def _flagship(model: str) -> Lictor:
    from lictor import models
    from lictor.models.picture.lictor import Lictor

    try:
        codec = models.load(model)
    except models.ModelError as e:
        raise ModelUnavailable(str(e)) from e
    if not isinstance(codec, Lictor):
        raise ModelUnavailable(f"{codec.name} has no integer networks; give a lictor model")
    return codec


def _measure_one(
    name: str, picture: pillow.Picture, codec: Lictor, model: str, quality: float
) -> Row:
    data = encode(picture, quality=quality, model=model, method="network")
    about = info(data)
    networks = _Networks(codec, data)
    # By turns, so that what else the machine does meets both alike; the first of each warms up.
    seconds = [(_seconds(networks.integers), _seconds(networks.floats)) for _ in range(4)][1:]
    start = process_time()
    decoded = decode_picture(data)
    decode_s = process_time() - start
    rough = decode_picture(data, precision="bfloat16")
    return Row(
        image=name,
        quality=quality,
        bytes=about.bytes,
        latent_bytes=about.latent_bytes,
        estimate=estimate(picture, quality=quality, model=model),
        integer_s=min(i for i, _ in seconds),
        float_s=min(f for _, f in seconds),
        decode_s=decode_s,
        psnr=psnr(picture.colours, decoded.colours),
        psnr_bf16=psnr(picture.colours, rough.colours),
    )


def _seconds(work: Callable[[], Any]) -> float:
    start = process_time()
    work()
    return process_time() - start


class _Networks:
    """The entropy networks of a model on the latents of one file, in integers and in floats."""

    def __init__(self, codec: Lictor, data: bytes) -> None:
        import torch

        from lictor.codec.format import picture as bitstream
        from lictor.entropy import Decoder

        h, sections = bitstream.read(data)
        if bitstream.read_table(h, sections):
            raise UnsupportedImage("has tiles; networks are measured on smaller pictures")
        self._codec, self._own = codec, h.quality
        self._quality = torch.tensor([float(h.quality)])
        recorder = _Recorder(Decoder(sections[0].payload))
        self._shape = (h.height, h.width)
        y_hat = codec.pull(self._shape, self._own, recorder)  # type: ignore[arg-type]
        self._symbols = recorder.symbols
        self._y = y_hat.permute(0, 2, 3, 1)
        _, rows, columns, _ = self._y.shape
        z = torch.from_numpy(self._symbols[0]).float()
        self._z_hat = z.reshape(1, rows // 4, columns // 4, -1)

    def integers(self) -> None:
        """As the decoder runs them, with the symbols already there."""
        replayed = _Replay(self._symbols)
        self._codec.pull(self._shape, self._own, replayed)  # type: ignore[arg-type]

    def floats(self) -> None:
        """As training and the estimate run them, table indexes included."""
        import torch

        from lictor.models.coding.gaussian import table_index
        from lictor.models.coding.quadtree import to_cells

        cells = to_cells(self._y)

        def code(here: Quarter, mean: Tensor, scale: Tensor) -> Tensor:
            table_index(scale).flatten().numpy().astype("u1")
            return (cells[here] - mean).round() + mean

        with torch.inference_mode():
            p = self._codec.h_s(self._z_hat, self._quality)
            self._codec.walk(self._y.shape, p, self._quality, code)


class _Recorder:
    """A decoder that keeps what it gave."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.symbols: list[Any] = []

    def pull(self, index: Any) -> Any:
        self.symbols.append(self._decoder.pull(index))
        return self.symbols[-1]


class _Replay:
    """A decoder whose symbols cost no time."""

    def __init__(self, symbols: list[Any]) -> None:
        self._symbols = iter(symbols)

    def pull(self, index: Any) -> Any:
        return next(self._symbols)


# ---- the report


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything `lictor bench exactness --json` prints. Fractions, not percents."""
    qualities = sorted({row.quality for row in rows})
    groups = [[row for row in rows if row.quality == quality] for quality in qualities]
    return {
        "points": [{"quality": q, **_point(g)} for q, g in zip(qualities, groups, strict=True)],
        "all": _point(rows),
        "rows": [asdict(row) for row in rows],
    }


def _point(rows: Sequence[Row]) -> dict[str, float]:
    coded, expected = sum(r.latent_bytes for r in rows), sum(r.estimate for r in rows)
    integer, float_ = sum(r.integer_s for r in rows), sum(r.float_s for r in rows)
    return {
        "estimate": expected / len(rows),
        "latent_bytes": coded / len(rows),
        "rate": coded / expected - 1,
        "worst_rate": max(r.latent_bytes / r.estimate for r in rows) - 1,
        "rate_with_header": sum(r.bytes for r in rows) / expected - 1,
        "integer_s": integer / len(rows),
        "float_s": float_ / len(rows),
        "time": integer / float_,
        "share_of_decode": integer / sum(r.decode_s for r in rows),
        "psnr": sum(r.psnr for r in rows) / len(rows),
        "psnr_bf16": sum(r.psnr_bf16 for r in rows) / len(rows),
    }


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        "quality  ideal bytes  real bytes   rate   worst  with header"
        "  integer s  float s  ratio  of decode      dB  dB bf16"
    ]
    for point in [*report["points"], {"quality": "all", **report["all"]}]:
        quality = point["quality"]
        name = quality if isinstance(quality, str) else f"{quality:g}"
        lines.append(
            f"{name:>7} {point['estimate']:12.1f} {point['latent_bytes']:11.1f}"
            f" {point['rate']:+6.2%} {point['worst_rate']:+7.2%} {point['rate_with_header']:+12.2%}"
            f" {point['integer_s']:10.3f} {point['float_s']:8.3f} {point['time']:6.2f}"
            f" {point['share_of_decode']:10.0%} {point['psnr']:7.3f} {point['psnr_bf16']:8.3f}"
        )
    return "\n".join(lines)
