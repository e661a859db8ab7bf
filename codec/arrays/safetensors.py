"""Files of tensors, .safetensors: by numpy where it has their types, else by PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

OF_NUMPY = {
    **{"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4"},
    **{"I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"},
}
"""The types that numpy has, as it names them."""


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


def save(named: Mapping[str, Any], texts: Mapping[str, str] | None) -> bytes:
    """A file of arrays in the byte order of this machine, and of PyTorch's tensors."""
    if not all(isinstance(array, np.ndarray) for array in named.values()):
        from lictor.codec.runtime import tensors

        return tensors.save(named, texts)
    from safetensors.numpy import save as written

    arrays = {name: np.ascontiguousarray(array) for name, array in named.items()}
    arrays = {name: a.reshape(named[name].shape) for name, a in arrays.items()}
    data: bytes = written(arrays, dict(texts) if texts else None)
    return data


def types(data: bytes) -> set[str]:
    """Those that its header names; of what is no header, the reader has a better word."""
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + min(size, len(data))])
        return {told["dtype"] for name, told in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError):
        return set()
