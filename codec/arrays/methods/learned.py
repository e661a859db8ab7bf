"""Coded by a model that learned what such arrays look like."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lictor.codec.arrays.methods.coded import Coded
from lictor.codec.format.arrays import bounds
from lictor.codec.format.picture import Reader, Writer, model_syntax
from lictor.models.quality import STEPS, Quality

if TYPE_CHECKING:
    import numpy.typing as npt

    from lictor.codec.arrays.context import FloatArray
    from lictor.codec.arrays.learned import Planes


@dataclass
class Said:
    """What a file says of a model and its work.

    model_id: permanent number of a shipped checkpoint; 0 if the model goes by model_name.
    weights: first 4 bytes of the SHA-256 of the model's weights file.
    quality: the same for all of it.
    low, high: clip bounds; decoded values are held between them. float32, infinite for none.
    latents: checksum of all symbols, `lictor.entropy.Decoder.checksum`.
    """

    model_id: int = 0
    model_name: str = ""
    weights: bytes = bytes(4)
    quality: Quality = field(default_factory=lambda: Quality(0))
    low: float = -math.inf
    high: float = math.inf
    latents: int = 0


@dataclass
class Learned(Coded):
    """learned: what is said of the model."""

    code = 2

    learned: Said = field(default_factory=Said)

    def own_syntax(self, io: Reader | Writer) -> None:
        """Model, quality, bounds, checksum."""
        m = self.learned
        model_syntax(io, m)
        m.quality = Quality(io.uint("quality", m.quality.highest, 0, STEPS, size=2))
        m.low, m.high = bounds(io, m.low, m.high, "<ff")
        m.latents = io.uint("checksum of the latents", m.latents, size=4)

    @classmethod
    def encode(
        cls, name: str, dtype: str, raw: npt.NDArray[Any], planes: Planes, quality: Quality
    ) -> Learned:
        """At a quality; raw: bfloat16 as uint16, of which the planes were made."""
        from lictor.codec.arrays.lossless import pack_patch

        model = planes.model
        stream, checksum = planes.encode(quality)
        said = Said(
            model_id=model.id,
            model_name="" if model.id else model.name,
            weights=model.digest[:4],
            quality=quality,
            low=planes.low,
            high=planes.high,
            latents=checksum,
        )
        patch = pack_patch(raw, planes.patched)
        return cls(
            name, dtype, raw.shape, axis=planes.axis, patch=patch, coded=stream, learned=said
        )

    def values(self, model: Any) -> FloatArray:
        """By the model."""
        from lictor.codec.arrays import learned

        return learned.decode(self, model)

    def describe(self) -> dict[str, Any]:
        """With the model, its weights, and the quality."""
        from lictor.codec.runtime import store

        m = self.learned
        name = m.model_name or store.shipped_name(m.model_id) or f"unknown model {m.model_id}"
        own = {"model": name, "weights": m.weights.hex(), "quality": float(m.quality)}
        return {**super().describe(), **own}
