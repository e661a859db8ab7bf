"""Files of tensors, .safetensors: by numpy where it has their types, else by PyTorch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.dtypes import bits_of

OF_NUMPY = {
    **{"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4"},
    **{"I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"},
}
"""The types that numpy has, as it names them."""
BFLOAT16 = "BF16"
_OF_NAMES = {"bfloat16": BFLOAT16, **{np.dtype(own).name: kind for kind, own in OF_NUMPY.items()}}
_ORDER = (
    *("U64", "I64", "F64", "F32", "U32", "I32", BFLOAT16),
    *("F16", "U16", "I16", "I8", "U8", "BOOL"),
)
"""The widest first, so that all lie as numbers do; of one width as their own writer has them."""
_ALIGNED = 8


def load(data: bytes) -> dict[str, Any]:
    """The tensors of a file. Raises whatever its reader does."""
    found: dict[str, Any]
    if types(data) <= OF_NUMPY.keys():
        from safetensors.numpy import load as read

        found = read(data)
        return found
    from lictor.codec.runtime import tensors

    return tensors.load(data)


def check(name: str) -> None:
    """See that the header of a file, which is named, is right. Raises whatever its reader does."""
    from safetensors import safe_open

    with safe_open(name, framework="numpy"):
        pass


def write(named: Mapping[str, Any], file: IO[bytes], texts: Mapping[str, str] | None) -> None:
    """A file of arrays, tensor by tensor, the same as that of its own writer.

    named: numpy arrays, PyTorch's tensors, and arrays that decode part after part (Streamed); these
        do it when their turn has come.
    """
    sizes = {name: told_of(array) for name, array in named.items()}
    order = sorted(sizes, key=lambda name: (_ORDER.index(sizes[name][0]), name))
    header: dict[str, Any] = {"__metadata__": dict(texts)} if texts else {}
    end = 0
    for name in order:
        kind, shape = sizes[name]
        start, end = end, end + np.dtype(OF_NUMPY.get(kind, "u2")).itemsize * math.prod(shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    told = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    told += b" " * (-len(told) % _ALIGNED)
    file.write(len(told).to_bytes(8, "little") + told)
    for name in order:
        for part in _parts(named[name]):
            little = part.astype(part.dtype.newbyteorder("<"), copy=False)
            file.write(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)


def told_of(array: Any) -> tuple[str, tuple[int, ...]]:
    """What a header says of an array: its type and shape."""
    kind = getattr(array.dtype, "name", str(array.dtype))
    return _OF_NAMES[kind.removeprefix("torch.")], tuple(array.shape)


def _parts(array: Any) -> Iterable[npt.NDArray[Any]]:
    """An array as arrays that follow one another; bfloat16 as uint16."""
    return array.raw_parts() if hasattr(array, "raw_parts") else [bits_of(array)[1]]


def types(data: bytes) -> set[str]:
    """Those that its header names; of what is no header, the reader has a better word."""
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + min(size, len(data))])
        return {told["dtype"] for name, told in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError):
        return set()
