"""Bytes of tensors as arrays of numpy, or tensors of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import InvalidOption, UnsupportedArray

NUMPY = {
    **{"F64": "f8", "F32": "f4", "F16": "f2", "BOOL": "b1", "C64": "c8"},
    **{f"{kind.upper()}{8 * n}": f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)},
}
FRAMEWORKS = ("np", "numpy", "pt", "torch")


def framework(name: str) -> bool:
    """Whether arrays are to be PyTorch's. Raises InvalidOption."""
    if name not in FRAMEWORKS:
        raise InvalidOption(f"framework is {name!r}; give one of {', '.join(FRAMEWORKS)}")
    return name in FRAMEWORKS[2:]


def shaped(raw: npt.NDArray[np.uint8], dtype: str, shape: tuple[int, ...], torch: bool) -> Any:
    """Values of their type and shape. Raises UnsupportedArray for a type that there is not."""
    if torch:
        from lictor.codec.runtime import tensors

        return tensors.of_bytes(raw, dtype, shape)
    if dtype not in NUMPY:
        raise UnsupportedArray(f'numpy has no {dtype}; ask for framework="pt"')
    return raw.view(f"<{NUMPY[dtype]}").reshape(shape)


def best(raw: npt.NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> Any:
    """By numpy, else by PyTorch; bytes where a type is known to neither."""
    if dtype in NUMPY:
        return shaped(raw, dtype, shape, False)
    try:
        return shaped(raw, dtype, shape, True)
    except UnsupportedArray:
        return raw
