"""Files of arrays that are not read as a whole.

.npy and .safetensors are mapped, and of .npz files one member is read at a time.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import files, safetensors
from lictor.codec.arrays.dtypes import as_array
from lictor.codec.errors import UnsupportedArray
from lictor.codec.format import arrays as form

_READ = 2**20


class Lazily(Mapping[str, Any]):
    """Arrays by their names, each made when it is asked for.

    Args:
        makers: what makes each; may raise UnsupportedArray or CorruptFile.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Any:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def opened(name: str) -> tuple[Any, str, dict[str, str]]:
    """The array of a file, or its arrays by their names; its extension; its metadata.

    What is not mapped is read when it is asked for, so that the file has to stay.
    Raises UnsupportedArray, OSError.
    """
    with open(name, "rb") as file:
        found = form.kind_of(name, file.read(16))
    if found == ".npy":
        return files.mapped(name), found, {}
    if found == ".npz":
        return _members(name), found, {}
    with open(name, "rb") as file:
        header = file.read(8)
        header += file.read(min(int.from_bytes(header, "little"), os.path.getsize(name)))
    texts = files.metadata
    if not safetensors.types(header) <= {*safetensors.OF_NUMPY, safetensors.BFLOAT16}:
        with open(name, "rb") as file:
            arrays = files.read(file.read(), found)
        return arrays, found, texts(header, found)
    return _tensors(name, header), found, texts(header, found)


def _members(name: str) -> Lazily:
    with files.reading(".npz"):
        archive = zipfile.ZipFile(name)
        names = archive.namelist()
    found = {member.removesuffix(".npy"): partial(_member, archive, member) for member in names}
    if len(found) != len(names):
        raise UnsupportedArray("two of its members have one name; name them apart")
    return Lazily(found)


def _member(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Read without its bytes being in memory beside it."""
    with files.reading(".npz", name):
        member = archive.open(name)
    with member:
        assert isinstance(member, zipfile.ZipExtFile)
        with files.reading(".npz", name):
            start = member.peek(6)[:6]
        if start != b"\x93NUMPY":
            raise UnsupportedArray(f"its member {name} is no array; make a file without it")
        with files.reading(".npz", name):
            found: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            while member.read(_READ):  # its checksum is seen at the end
                pass
        return found


def _tensors(name: str, header: bytes) -> Lazily:
    """Of a file whose header the reader of such files finds right."""
    with files.reading(".safetensors"):
        safetensors.check(name)
        told = json.loads(header[8:])
    with open(name, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    told.pop("__metadata__", None)
    return Lazily({key: partial(_tensor, data, len(header), one) for key, one in told.items()})


def _tensor(data: mmap.mmap, start: int, told: Mapping[str, Any]) -> Any:
    """A view, but a copy of what does not lie as numbers do in memory."""
    shape, (first, _) = tuple(told["shape"]), told["data_offsets"]
    wide = told["dtype"] == safetensors.BFLOAT16
    kind = np.dtype("<u2" if wide else safetensors.OF_NUMPY[told["dtype"]])
    if not math.prod(shape):
        return as_array("bfloat16", np.zeros(shape, kind)) if wide else np.zeros(shape, kind)
    found: npt.NDArray[Any] = np.ndarray(shape, kind, data, start + first)
    found = found if found.flags.aligned else found.copy()
    return as_array("bfloat16", found) if wide else found
