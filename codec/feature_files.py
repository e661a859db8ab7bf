"""Files of arrays: .npy, .npz, .safetensors."""

from __future__ import annotations

import io
import zipfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import UnsupportedArray


def read(data: bytes, kind: str) -> Any:
    """The array of a file, or the dict of its arrays. Raises UnsupportedArray."""
    try:
        if kind == ".safetensors":
            from safetensors.torch import load

            return load(data)
        found = np.load(io.BytesIO(data), allow_pickle=False)
        if kind == ".npy":
            if not isinstance(found, np.ndarray):
                raise ValueError("it is a .npz file")
            return found
        return {name: found[name] for name in found.files}
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as e:
        raise _unreadable(kind, e) from e
    except Exception as e:
        if type(e).__name__ == "SafetensorError":
            raise _unreadable(kind, e) from e
        raise


def _unreadable(kind: str, error: Exception) -> UnsupportedArray:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UnsupportedArray(
        f"cannot be read as {kind}: {reason}; give a whole file, without objects"
    )


def plain(array: Any) -> npt.NDArray[np.floating[Any]] | None:
    """An array of finite floats with at least one value, as float32 or wider; None for others."""
    if type(array).__module__.startswith("torch"):
        array = array.float().numpy()
    if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
        return None
    return np.ascontiguousarray(array, np.float64 if array.dtype == np.float64 else np.float32)


def write(arrays: Any, file: IO[bytes], kind: str) -> None:
    """Write what `decode_features` returned. Raises UnsupportedArray."""
    named = arrays if isinstance(arrays, dict) else {"": arrays}
    if kind == ".safetensors":
        import torch
        from safetensors.torch import save

        tensors = {name or "array": torch.as_tensor(a).contiguous() for name, a in named.items()}
        file.write(save(tensors))
        return
    if any(not isinstance(a, np.ndarray) for a in named.values()):
        raise UnsupportedArray(f"{kind} files cannot hold bfloat16; name the output .safetensors")
    if kind == ".npz":
        np.savez(file, **{name or "array": a for name, a in named.items()})
    elif len(named) == 1:
        np.save(file, next(iter(named.values())))
    else:
        raise UnsupportedArray(f"{len(named)} arrays do not fit .npy; name the output .npz")
