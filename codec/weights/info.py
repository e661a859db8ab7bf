"""What a weight file says of itself; neither numpy nor torch is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lictor.codec.errors import FileError
from lictor.codec.format.elements import Bytes
from lictor.codec.format.weights import (
    PREDICTIONS,
    Cabac,
    Factors,
    Grid,
    Layers,
    Record,
    Same,
    Words,
)
from lictor.codec.weights import file as files
from lictor.codec.weights.container import Header


@dataclass(frozen=True)
class WeightsInfo:
    """What a weight file says of itself.

    Attributes:
        values: of all tensors, how many.
        bytes: size of the file.
        original: size of the file that it decodes to.
        bits: of the weight file, a value.
        tensors: for each, in the order of the file: name, dtype, shape, bytes in the file, bits a
            value, and method; "damaged" of those whose record cannot be read.
        dtypes: values of each type.
        metadata: texts with names that came with the tensors.
        base: SHA-256 of the file that it needs, as text; "" if it needs none.
    """

    values: int
    bytes: int
    original: int
    bits: float
    tensors: list[dict[str, Any]]
    dtypes: dict[str, int]
    metadata: dict[str, str]
    base: str


ZEROS = "zeros"
"""The method of a tensor of which no level is another."""
_ADAPTIVE = "adaptive binary decisions"


def lost_by(method: str) -> str:
    """Which quantiser a tensor's method is of, in a word; "" of what is exact."""
    if method.endswith("trellis"):
        return "trellis"
    if method.startswith("grid") or method == ZEROS:
        return "plain"
    if method == _ADAPTIVE:
        return "deepcabac"
    if method.startswith("factors"):
        return "factors"
    return "nested" if method.endswith(" layers") else ""


def weights_info(data: Bytes) -> WeightsInfo:
    """What a weight file says of itself; its values are not decoded.

    Args:
        data: the whole file, as bytes.

    Raises:
        FileError: not such a file, or one that is damaged or newer than this release.
    """
    file = files.read(data)
    file.check()
    return told(file)


def told(file: files.File) -> WeightsInfo:
    """What a file says whose records may be damaged."""
    coded = [_record(file, number) for number in range(len(file.stored))]
    beginning, size = file.beginning, len(file.data)
    return described(file.header, len(beginning.header), coded, size, beginning.base)


def _record(file: files.File, number: int) -> tuple[Record | None, int]:
    """A record, none if it is damaged, and its bytes."""
    begin, end = file.places[number]
    try:
        return file.record(number)[0], end - begin
    except FileError:
        return None, end - begin


def described(
    header: Header, text: int, coded: Sequence[tuple[Record | None, int]], size: int, base: bytes
) -> WeightsInfo:
    """What is told of a file. text: bytes of the header; coded: records and their bytes."""
    numbers = {t.name: i for i, t in enumerate(header.stored)}
    rows, dtypes = [], dict[str, int]()
    for t in header.tensors:
        record, own = coded[numbers[t.name]] if t.name in numbers else (None, 0)
        method = _method(header, record) if t.name in numbers else "empty"
        row = {"name": t.name, "dtype": t.dtype, "shape": list(t.shape)}
        rows.append({**row, "bytes": own, "bits": 8 * own / max(t.values, 1), "method": method})
        dtypes[t.dtype] = dtypes.get(t.dtype, 0) + t.values
    values = sum(dtypes.values())
    original, bits = 8 + text + header.bytes, 8 * size / max(values, 1)
    texts = dict(header.metadata)
    return WeightsInfo(values, size, original, bits, rows, dtypes, texts, base.hex())


def _method(header: Header, record: Record | None) -> str:
    if record is None:
        return "damaged"
    if isinstance(record, Same):
        return f"same as {header.stored[record.of].name}"
    if isinstance(record, Grid) and record.zeros:
        return ZEROS
    if isinstance(record, Grid):
        return f"grid, {len(record.runs)} tables{', trellis' if record.trellis else ''}"
    if isinstance(record, Layers):
        return f"{1 + len(record.finer)} layers"
    if isinstance(record, Factors):
        return f"factors of rank {record.rank}{' and a rest' if record.rest else ''}"
    if isinstance(record, Cabac):
        return _ADAPTIVE
    assert isinstance(record, Words)
    parts = [f"top of {8 * record.item - record.raw} bits"]
    if record.runs:
        parts.append(f"{len(record.runs)} tables")
    if record.prediction:
        parts.append(PREDICTIONS[record.prediction])
    return ", ".join(parts)
