"""The header of a .safetensors file: which tensor is where, as its own reader would have it.

The bytes of the header are kept as they are; here is only read what they say. A file that the
reader of safetensors refuses is refused here too, so that all that is coded can be used.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from lictor.codec.errors import UnsupportedArray

MAX_HEADER = 100_000_000
"""Bytes; as safetensors has it."""
BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Of a value of each type that is known. Tensors of others are as long as they say."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file. begin, end: where its bytes are, counted from the header's end."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def bytes(self) -> int:
        """How many."""
        return self.end - self.begin

    @property
    def values(self) -> int:
        """How many."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a header says: its tensors in the order of their bytes, and its texts."""

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]

    @property
    def stored(self) -> tuple[Tensor, ...]:
        """The tensors that have bytes: those with a record."""
        return tuple(t for t in self.tensors if t.bytes)

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return max((t.end for t in self.tensors), default=0)


class NotSafetensors(UnsupportedArray):
    """Not a .safetensors file, or one that its own reader would refuse."""


_NOT = "cannot be read as .safetensors: "


def header_of(data: memoryview) -> memoryview:
    """The bytes of the header of a file. Raises NotSafetensors."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise NotSafetensors(f"{_NOT}it is cut short, or no such file; get a complete copy")
    if size > MAX_HEADER:
        raise NotSafetensors(f"{_NOT}its header has {size} bytes; at most {MAX_HEADER} are read")
    return data[8 : 8 + size]


def parse(text: memoryview | bytes, size: int | None = None) -> Header:
    """What a header says.

    Args:
        text: its bytes, without the eight that tell how many.
        size: of all that follows it in the file; None if that is not known.

    Raises:
        NotSafetensors: it says what the reader of safetensors would refuse.
    """
    try:
        said = json.loads(bytes(text).decode(), object_pairs_hook=_once)
        if not isinstance(said, dict) or bytes(text[:1]) != b"{":
            raise ValueError("it is no JSON object")
        texts = said.pop("__metadata__", None) or {}
        if not all(isinstance(t, str) for t in [*texts, *texts.values()]):
            raise ValueError("its metadata are not texts")
        tensors = sorted(
            (_tensor(name, told) for name, told in said.items()), key=lambda t: (t.begin, t.end)
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        reason = " ".join(str(e).split())[:100]
        raise NotSafetensors(f"{_NOT}its header is damaged ({reason}); get another copy") from e
    header = Header(tuple(tensors), texts)
    _check_places(header, size)
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _tensor(name: str, told: dict[str, Any]) -> Tensor:
    dtype, shape, (begin, end) = told["dtype"], told["shape"], told["data_offsets"]
    numbers = [*shape, begin, end]
    if not isinstance(dtype, str) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise ValueError(f"what it says of {name[:60]!r} is no description")
    tensor = Tensor(name, dtype, tuple(shape), begin, end)
    if dtype in BITS and tensor.values * BITS[dtype] != 8 * tensor.bytes:
        raise ValueError(f"{name[:60]!r} has other bytes than its shape and type need")
    return tensor


def _check_places(header: Header, size: int | None) -> None:
    """Tensors follow one another, and fill the file."""
    at = 0
    for tensor in header.tensors:
        if tensor.begin != at or tensor.end < tensor.begin:
            raise NotSafetensors(f"{_NOT}there are gaps or overlaps before {tensor.name[:60]!r}")
        at = tensor.end
    if size is not None and size != at:
        raise NotSafetensors(f"{_NOT}it has {size} bytes of tensors, and its header says {at}")
