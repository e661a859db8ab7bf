"""Arrays that people give and get as PyTorch's tensors, and what only those hold: bfloat16."""

from __future__ import annotations

import io
import warnings
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
    """The tensor of bits, uint16, which shares their memory."""
    with warnings.catch_warnings():  # of what may not be written to, and will not be
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16)


def of_array(array: Any) -> Any:
    """The tensor of an array, which shares its memory; a tensor as it is."""
    return torch.as_tensor(array)


_OF_SAFETENSORS = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"},
    **{"C64": "complex64", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16"},
    **{"I32": "int32", "U32": "uint32", "I64": "int64", "U64": "uint64"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"},
    **{"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"},
}


def of_bytes(raw: npt.NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor of a type, as safetensors names it. Raises UnsupportedArray."""
    own = getattr(torch, _OF_SAFETENSORS.get(dtype, ""), None)
    if own is None:
        raise UnsupportedArray(f"this PyTorch has no {dtype}; install a newer one")
    if not raw.size:
        return torch.empty(shape, dtype=own)
    return torch.from_numpy(raw).view(own).reshape(shape)


def of_pickle(source: Any) -> bytes:
    """A .safetensors file of the tensors of a state dict, which PyTorch's reader of weights reads.

    source: the path of an .pt or .pth file, or its bytes. It holds a dict of tensors by names, or
        one that is called "state_dict" or "model" in it.

    Raises UnsupportedArray: it is no such file, or holds what only running it would make.
    """
    given: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        found = torch.load(given, map_location="cpu", weights_only=True)
    except Exception as e:
        reason = " ".join(str(e).split())[:120]
        raise UnsupportedArray(
            f"PyTorch does not read it as weights alone ({reason}); save its state dict, or a "
            ".safetensors file"
        ) from e
    for name in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    pairs = found.items() if isinstance(found, dict) else ()
    named = {k: v.contiguous().clone() for k, v in pairs if isinstance(v, torch.Tensor)}
    if not named or not all(isinstance(name, str) for name in named):
        raise UnsupportedArray("holds no tensors by names; save a state dict")
    return save(named, None)


def cast(data: bytes, dtype: str) -> bytes:
    """A .safetensors file with its floats as another type, named as PyTorch does."""
    own = getattr(torch, dtype)
    found = load(data).items()
    return save({k: v.to(own) if v.is_floating_point() else v for k, v in found}, None)


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
