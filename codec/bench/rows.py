"""What a benchmark says of one picture, codec and quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One picture, codec and quality, as results.json has it; `seen` is what the task gave."""

    image: str
    codec: str
    quality: float
    bytes: int
    bpp: float
    psnr: float | None
    ms_ssim: float | None
    ssimulacra2: float | None
    lpips: float | None
    encode_s: float | None
    decode_s: float | None
    peak_memory_mb: float | None
    estimate: float | None
    file: str | None
    decoded: str | None
    seen: dict[str, Any] | None = None


@dataclass(frozen=True)
class Failure:
    """A picture that cannot be read, or that a codec cannot code."""

    image: str
    codec: str | None
    quality: float | None
    reason: str
