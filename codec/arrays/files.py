"""Files of arrays: .npy, .npz, .safetensors."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import UnsupportedArray
from lictor.codec.format.arrays import DTYPES

NO_BFLOAT16 = "cannot hold bfloat16; name the output .safetensors"
_OF_NUMPY = frozenset(DTYPES) - {"bfloat16"}


def read(data: bytes, kind: str) -> Any:
    """The array of a file, or the dict of its arrays. Raises UnsupportedArray."""
    if kind == ".safetensors":
        from lictor.codec.arrays import safetensors

        with reading(kind):
            return safetensors.load(data)
    if kind == ".npy":
        with reading(kind):
            found = np.load(io.BytesIO(data), allow_pickle=False)
            if not isinstance(found, np.ndarray):
                raise ValueError("it is a .npz file")
            return found
    with reading(kind):
        archive = zipfile.ZipFile(io.BytesIO(data))
        names = archive.namelist()
    members = dict(_member(archive, name) for name in names)
    if len(members) != len(names):
        raise UnsupportedArray("two of its members have one name; name them apart")
    return members


def mapped(name: str) -> Any:
    """The array of an .npy file, of which what is looked at is read. Raises UnsupportedArray."""
    with open(name, "rb") as file, reading(".npy"):
        start = file.read(6)
    if start != b"\x93NUMPY":  # its reader has words for what it is
        with open(name, "rb") as file:
            return read(file.read(), ".npy")
    with reading(".npy"):
        try:
            return np.load(name, mmap_mode="r", allow_pickle=False)
        except ValueError:  # none of its values can be mapped: empty, objects, cut
            return np.load(name, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> tuple[str, npt.NDArray[Any]]:
    """A member of an .npz file under the name that numpy gives it."""
    with reading(".npz", name):
        content = archive.read(name)
    if not content.startswith(b"\x93NUMPY"):
        raise UnsupportedArray(f"its member {name} is no array; make a file without it")
    with reading(".npz", name):
        return name.removesuffix(".npy"), np.load(io.BytesIO(content), allow_pickle=False)


def metadata(data: bytes, kind: str) -> dict[str, str]:
    """The texts that a .safetensors file, which was read, holds beside its arrays."""
    if kind != ".safetensors":
        return {}
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size]).get("__metadata__") or {})


@contextmanager
def reading(kind: str, member: str = "") -> Iterator[None]:
    """Whatever a reader stumbles over, as an error that names the file's fault.

    Readers of numpy, zipfile and safetensors meet damage with any exception there is; nothing of
    our own runs here.
    """
    try:
        with warnings.catch_warnings():  # of headers that Python 2 wrote
            warnings.simplefilter("ignore")
            yield
    except Exception as e:
        what = f"its member {member} " if member else ""
        reason = " ".join(str(e).split()) or type(e).__name__
        raise UnsupportedArray(
            f"{what}cannot be read as {kind}: {reason}; give a whole file, without objects"
        ) from e


def plain(array: Any) -> npt.NDArray[np.floating[Any]] | None:
    """An array of finite floats with at least one value, as float32 or wider; None for others."""
    if type(array).__module__.startswith("torch"):
        array = array.float().numpy()
    if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
        return None
    return np.ascontiguousarray(array, np.float64 if array.itemsize >= 8 else np.float32)


def write(arrays: Any, file: IO[bytes], kind: str, texts: Mapping[str, str] | None = None) -> None:
    """Write what `decode_features` returned, or arrays that decode part after part (Streamed).

    texts: metadata of a .safetensors file. Raises UnsupportedArray.
    """
    named = arrays if isinstance(arrays, Mapping) else {"": arrays}
    if kind == ".safetensors":
        from lictor.codec.arrays import safetensors

        safetensors.write({name or "array": a for name, a in named.items()}, file, texts)
        return
    if any(not _is_of_numpy(a) for a in named.values()):
        raise UnsupportedArray(f"{kind} files {NO_BFLOAT16}")
    if kind == ".npz":
        _write_npz(named, file)
    elif len(named) == 1:
        _write_npy(next(iter(named.values())), file)
    else:
        raise UnsupportedArray(f"{len(named)} arrays do not fit .npy; name the output .npz")


def _is_of_numpy(array: Any) -> bool:
    return isinstance(array, np.ndarray) or getattr(array, "dtype", None) in _OF_NUMPY


def _write_npy(array: Any, file: IO[bytes]) -> None:
    """Part after part, if it has such."""
    if not hasattr(array, "parts"):
        np.lib.format.write_array(file, array, allow_pickle=False)
        return
    told = {
        "descr": np.lib.format.dtype_to_descr(array.kind),
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(file, told)
    for part in array.parts():
        file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)


def _write_npz(named: Mapping[str, Any], file: IO[bytes]) -> None:
    """As numpy.savez does, which takes no array of the name "file"."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in named.items():
            with archive.open(f"{name or 'array'}.npy", "w", force_zip64=True) as member:
                _write_npy(array, member)
