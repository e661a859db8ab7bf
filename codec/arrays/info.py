"""What a feature file says of itself; neither numpy nor torch is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lictor.codec.arrays import methods
from lictor.codec.errors import CorruptFile
from lictor.codec.format.picture import Bytes

_TOLD = (
    "axis",
    "step",
    "components",
    "model",
    "weights",
    "quality",
    "chunks",
    "cut",
    "differences",
    "bytes",
)


@dataclass(frozen=True)
class FeatureInfo:
    """What a feature file says of itself.

    Attributes:
        kind: ".npy", ".npz" or ".safetensors".
        values: of all arrays, how many.
        bytes: size of the file.
        bits: of the file, a value.
        arrays: for each name, dtype, shape, axis of the channels, step or else the model, the
            start of the hash of its weights and quality, components if channels are mixtures,
            chunks and the axis that is cut, orders of differences, and bytes.
        metadata: texts with names that came with the arrays.
    """

    kind: str
    values: int
    bytes: int
    bits: float
    arrays: list[dict[str, Any]]
    metadata: dict[str, str]


def feature_info(data: Bytes) -> FeatureInfo:
    """What a feature file says of itself; its values are not decoded.

    Args:
        data: the whole file, as bytes.

    Raises:
        FileError: not such a file, or one that is damaged or newer than this release.
    """
    data = view(data)
    file = methods.read(data)
    rows = [
        {"name": a.name, "dtype": a.dtype, "shape": list(a.shape)}
        | dict.fromkeys(_TOLD)
        | a.describe()
        for a in file.arrays
    ]
    values = sum(a.size for a in file.arrays)
    bits = 8 * len(data) / max(values, 1)
    return FeatureInfo(file.kind, values, len(data), bits, rows, file.metadata)


def view(data: Bytes) -> Bytes:
    """The bytes of a file. Raises CorruptFile for what are none."""
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        raise CorruptFile(f"bytes are decoded, not {type(data).__name__}") from None
