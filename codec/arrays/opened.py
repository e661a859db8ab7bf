"""Arrays of a file of which only what is asked for is decoded: `open_array`."""

from __future__ import annotations

import math
import mmap
import operator
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import methods
from lictor.codec.arrays.dtypes import as_array
from lictor.codec.arrays.files import NO_BFLOAT16
from lictor.codec.arrays.info import view
from lictor.codec.arrays.mapped import Lazily
from lictor.codec.arrays.methods import Chunked
from lictor.codec.arrays.methods.chunked import MOST_WORKERS
from lictor.codec.errors import (
    CodecError,
    CorruptFile,
    InvalidOption,
    InvalidRegion,
    UnsupportedArray,
)
from lictor.codec.format.arrays import Array
from lictor.codec.format.picture import Bytes
from lictor.codec.runtime import store
from lictor.codec.runtime.store import Store


class OpenArray:
    """An array of a file. What is indexed is decoded, in whole chunks, each time anew.

    Args:
        array: as the file has it, an Array of its syntax with a shape and a type.
        models: where weights are looked for.

    Attributes:
        name: in the file; "" of an .npy.
        shape: of the array. dtype: the name of its type; bfloat16 is given as torch tensors.
        chunk: rows of a chunk and the axis that is cut, (rows, axis); None of an array in one
            piece, of which any part takes as long as all.
    """

    def __init__(self, array: Array, models: Store) -> None:
        self._array, self._models = array, models
        self.name, self.dtype, self.shape = array.name, array.dtype, array.shape
        self.chunk = (array.rows, array.cut) if isinstance(array, Chunked) else None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        a = self._array
        if not isinstance(a, Chunked):
            return self._given(self._whole())[index]
        parts = _parts(index, len(a.shape))
        found = parts and _rows(parts[a.cut], a.shape[a.cut])
        if not found:
            return self._given(self._whole())[index]
        first, last, own = found
        assert parts is not None
        parts[a.cut] = own
        return self._given(a.window(first, last))[tuple(parts)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype)

    def _whole(self) -> npt.NDArray[Any]:
        from lictor.codec.arrays.methods import Learned

        a = self._array
        model = self._models.find_for_arrays(a.learned) if isinstance(a, Learned) else None
        with np.errstate(all="ignore"):
            whole: npt.NDArray[Any] = a.decode(model)
        return whole

    def _given(self, raw: npt.NDArray[Any]) -> Any:
        return as_array(self._array.dtype, raw, self._array.big_endian)


class Streamed(OpenArray):
    """An array that is written while it is decoded."""

    def parts(self) -> Iterator[Any]:
        """All of it as arrays that follow one another in memory, a few chunks each."""
        return (self._given(part) for part in self.raw_parts())

    def raw_parts(self) -> Iterator[npt.NDArray[Any]]:
        """Likewise, in the byte order of this machine; bfloat16 as uint16."""
        a = self._array
        if not isinstance(a, Chunked) or math.prod(a.shape[: a.cut]) != 1:
            yield self._whole()
            return
        for first in range(0, a.shape[a.cut], rows := a.rows * MOST_WORKERS):
            yield a.window(first, min(first + rows, a.shape[a.cut]))

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of an array of numpy. Raises UnsupportedArray for bfloat16."""
        if self.dtype == "bfloat16":
            raise UnsupportedArray(NO_BFLOAT16)
        return np.dtype(self.dtype).newbyteorder(">" if self._array.big_endian else "=")


def _parts(index: Any, dimensions: int) -> list[Any] | None:
    """An index for each axis, of whole numbers and slices; None if it is of another kind."""
    given = list(index) if isinstance(index, tuple) else [index]
    if any(i is None or isinstance(i, (bool, np.bool_)) for i in given):
        return None
    dots = [k for k, i in enumerate(given) if i is Ellipsis]
    if len(dots) > 1:
        return None
    missing = dimensions - (len(given) - len(dots))
    if missing < 0:
        return None
    place = dots[0] if dots else len(given)
    given[place : place + len(dots)] = [slice(None)] * missing
    plain = all(isinstance(i, slice) or hasattr(type(i), "__index__") for i in given)
    return given if plain and not any(isinstance(i, np.ndarray) for i in given) else None


def _rows(index: Any, length: int) -> tuple[int, int, Any] | None:
    """The rows that an index needs, from … to before …, and the index among these.

    None where there are none, or none that are there: numpy says what is to be said of that.
    """
    if not isinstance(index, slice):
        row = operator.index(index)
        row += length if row < 0 else 0
        return (row, row + 1, 0) if 0 <= row < length else None
    wanted = range(length)[index]
    if not wanted:
        return None
    return min(wanted), max(wanted) + 1, slice(None, None, wanted.step)


def open_array(
    source: str | os.PathLike[str] | Bytes,
    name: str | None = None,
    *,
    models: Store = store.DEFAULT,
) -> OpenArray:
    """Open an array of a file that `encode_features` made, to decode parts of it.

    Arrays that were cut into chunks (large ones are) give rows, `[100:200, :, 3]`, without the
    rest; a file that is named is not even read but for these.

    Args:
        source: the path of the file, or its bytes.
        name: of the array; None of a file with one.
        models: where to look for weights that are not shipped, as for `lictor.codec.encode`.

    Returns:
        What gives parts as numpy arrays when it is indexed; `shape` and `dtype` tell what it is.

    Raises:
        CodecError: a FileError for what is no such file; InvalidOption for a name that is not
            there. What is damaged inside chunks shows when they are decoded.
    """
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        found = methods.read(memoryview(data), verify=False)
    else:
        found = methods.read(view(source), verify=False)
    named = {a.name: a for a in found.arrays}
    if name is None and len(named) == 1:
        name = next(iter(named))
    if name not in named:
        names = ", ".join(list(named)[:8]) or "none"
        raise InvalidOption(f"there is no array {name!r} in the file; name one of: {names}")
    return OpenArray(named[name], models)


def all_of(data: Bytes, models: Store = store.DEFAULT) -> Streamed | Lazily:
    """What `decode_features` gives, as arrays that are decoded when they are asked for."""
    file = methods.read(view(data))
    found = {a.name: Streamed(a, models) for a in file.arrays}
    if len(found) != len(file.arrays):
        raise CorruptFile("two arrays have one name; the file is damaged, get another copy of it")
    if file.kind != ".npy":
        return Lazily({name: partial(_same, array) for name, array in found.items()})
    if len(found) != 1:
        raise CorruptFile("an .npy file has one array; the file is damaged, get another copy of it")
    return next(iter(found.values()))


def _same(array: Streamed) -> Streamed:
    return array


def part_of(data: Bytes, region: Any, models: Store) -> Any:
    """A part of the one array of a file. Raises CodecError, InvalidRegion for what is not there."""
    opened = open_array(data, models=models)
    try:
        return opened[region]
    except CodecError:
        raise
    except (IndexError, TypeError, ValueError) as e:
        raise InvalidRegion(f"there is no such part of an array {opened.shape}: {e}") from e
