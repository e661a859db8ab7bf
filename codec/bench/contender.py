"""What the benchmark asks of a codec: pixels and a quality in, a whole file out, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Scale:
    """What a codec calls quality: numbers from low to high, only whole ones if `whole`."""

    text: str
    low: float
    high: float
    whole: bool = False

    def fault(self, quality: float) -> str | None:
        """Why a number is not on the scale."""
        if not self.low <= quality <= self.high:
            return f"{quality:g} is not within {self.low:g} to {self.high:g} ({self.text})"
        if self.whole and quality != round(quality):
            return f"{quality:g} is not a whole number ({self.text})"
        return None


@dataclass(frozen=True)
class Codec:
    """A contestant.

    Attributes:
        name: says all settings; also part of file names.
        label: the name for people.
        version: of the library that does the work.
        suffix: of its files, such as ".avif".
        scale: what its quality means.
        qualities: which to measure at unless told otherwise, from few bits to many.
        encode: uint8 (H, W, 1 or 3) and a quality to the bytes of a file.
        decode: the bytes of a file to uint8 (H, W, 1 or 3).
        settings: everything that shapes its files beside the quality, and what it was run with.
        weights: SHA-256 of a model's weights.
        estimate: bytes that a model itself expects, from what `encode` takes.
    """

    name: str
    label: str
    version: str
    suffix: str
    scale: Scale
    qualities: tuple[float, ...]
    encode: Callable[[NDArray[Any], float], bytes] = field(repr=False)
    decode: Callable[[bytes], NDArray[Any]] = field(repr=False)
    settings: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    estimate: Callable[[NDArray[Any], float], float] | None = field(default=None, repr=False)

    @property
    def learned(self) -> bool:
        """Whether it is a model with weights."""
        return self.weights is not None

    def identity(self) -> dict[str, Any]:
        """What its files and times depend on."""
        return {
            "name": self.name,
            "version": self.version,
            "settings": self.settings,
            "weights": self.weights,
        }


class Missing(Exception):
    """A codec or a metric that is not here; the message says what would bring it."""
