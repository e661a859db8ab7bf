"""Arrays that people give and get as PyTorch's tensors, and what only those hold: bfloat16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor as Tensor

from lictor.codec.errors import UnsupportedArray
from lictor.codec.format.arrays import DTYPES, MAX_DIMENSIONS


def bits_of(tensor: Any) -> tuple[str, npt.NDArray[Any]]:
    """The name of a tensor's type, and its values; bfloat16 as uint16. Raises UnsupportedArray."""
    kind = str(getattr(tensor, "dtype", type(tensor).__name__)).removeprefix("torch.")
    if not isinstance(tensor, torch.Tensor):
        raise UnsupportedArray(f"is no array but a {kind}; give numpy arrays or torch tensors")
    if tensor.is_quantized or tensor.is_meta or tensor.layout != torch.strided or tensor.is_nested:
        what = "without values" if tensor.is_meta else "in a layout of its own"
        raise UnsupportedArray(
            f"a tensor {what} ({kind}, {tensor.layout}, {tensor.device}) is not coded; make it a "
            "dense tensor of floats first"
        )
    if kind not in DTYPES:
        raise UnsupportedArray(f"a tensor of {kind} is not coded; convert it to float32")
    if tensor.dim() > MAX_DIMENSIONS:
        raise UnsupportedArray(f"{tensor.dim()} dimensions are too many; reshape it")
    try:
        tensor = tensor.detach().cpu().resolve_neg().contiguous()
        if kind == "bfloat16":
            return kind, tensor.view(torch.int16).numpy().view(np.uint16)
        return kind, np.ascontiguousarray(tensor.numpy()).reshape(tuple(tensor.shape))
    except (TypeError, RuntimeError) as e:  # subclasses that hold no plain values
        reason = " ".join(str(e).split())
        raise UnsupportedArray(f"a tensor that numpy cannot take is not coded ({reason})") from e


def of_bfloat16(raw: npt.NDArray[Any]) -> Any:
    """The tensor of bits, uint16."""
    return torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16)


def of_array(array: Any) -> Any:
    """The tensor of an array, which shares its memory; a tensor as it is."""
    return torch.as_tensor(array)


def load(data: bytes) -> dict[str, Any]:
    """The tensors of a .safetensors file. Raises whatever its reader does."""
    from safetensors.torch import load as read

    found: dict[str, Any] = read(data)
    return found


def save(named: Mapping[str, Any], texts: Mapping[str, str] | None) -> bytes:
    """A .safetensors file of arrays in the byte order of this machine, and of tensors."""
    from safetensors.torch import save as written

    tensors = {name: torch.as_tensor(array).contiguous() for name, array in named.items()}
    data: bytes = written(tensors, dict(texts) if texts else None)
    return data
