"""Weights of a file of which only what is asked for is decoded: `open_weights`."""

from __future__ import annotations

import operator
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lictor.codec.errors import InvalidOption
from lictor.codec.weights import arrays, file, source
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.reader import Reader


class OpenWeights:
    """The tensors of a weight file, decoded one at a time, each time anew.

    It has what `safetensors.safe_open` has, and serves in its place. Nothing but the tensor that is
    asked for is held; of a file that is named, nothing else is read. Several threads may use it.

    Args:
        opened: a weight file.
        base: what it was coded with, if it was with another.
        torch: whether tensors are PyTorch's.
        threads: that decode a tensor.
        layers: that are decoded of those that have some; None for all.
    """

    def __init__(
        self,
        opened: file.File,
        base: source.Source | None,
        torch: bool,
        threads: int,
        layers: int | None = None,
    ) -> None:
        self._file, self._torch = opened, torch
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._reader = Reader(opened, base, self._pool.map if self._pool else map, layers)
        self._named = {t.name: t for t in opened.header.tensors}

    def __enter__(self) -> OpenWeights:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def keys(self) -> list[str]:
        """Names of all tensors, sorted.

        Returns:
            The names.
        """
        return sorted(self._named)

    def offset_keys(self) -> list[str]:
        """Names of all tensors, in the order of their bytes.

        Returns:
            The names.
        """
        return list(self._named)

    def metadata(self) -> dict[str, str] | None:
        """Texts with names that came with the tensors.

        Returns:
            The texts by their names; None if there are none.
        """
        return dict(self._file.header.metadata) or None

    def get_tensor(self, name: str) -> Any:
        """A tensor.

        Args:
            name: of it.

        Returns:
            A numpy array, or a PyTorch tensor, of its type and shape.

        Raises:
            CodecError: InvalidOption for a name that is not there; a FileError where the tensor's
                record is damaged, which says nothing of others; UnsupportedArray for a type that
                the framework has not.
        """
        t = self._of(name)
        return arrays.shaped(self._reader.whole(t), t.dtype, t.shape, self._torch)

    def get_slice(self, name: str) -> Slice:
        """A tensor of which only parts are decoded.

        Args:
            name: of it.

        Returns:
            What gives parts when it is indexed, as numpy would.

        Raises:
            InvalidOption: there is no such tensor.
        """
        return Slice(self._of(name), self._reader, self._torch)

    def _of(self, name: str) -> Tensor:
        if name not in self._named:
            names = ", ".join(list(self._named)[:8]) or "none"
            raise InvalidOption(f"there is no tensor {name!r} in the file; name one of: {names}")
        return self._named[name]


class Slice:
    """A tensor of a file. What is indexed is decoded: the chunks that have those rows."""

    def __init__(self, tensor: Tensor, reader: Reader, torch: bool) -> None:
        self._tensor, self._reader, self._torch = tensor, reader, torch

    def get_shape(self) -> list[int]:
        """Its shape."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """Its type, as safetensors names it."""
        return self._tensor.dtype

    def __getitem__(self, index: Any) -> Any:
        t = self._tensor
        given = index if isinstance(index, tuple) else (index,)
        rows = _rows(given[0], t.shape[0]) if given and t.shape else None
        if rows is None or not t.bytes:
            whole = arrays.shaped(self._reader.whole(t), t.dtype, t.shape, self._torch)
            return whole[index]
        first, last, own = rows
        row, rest = divmod(t.bytes, t.shape[0])
        assert not rest, "a header with other bytes is refused"
        raw = self._reader.part(t, first * row, last * row)
        found = arrays.shaped(raw, t.dtype, (last - first, *t.shape[1:]), self._torch)
        return found[(own, *given[1:])]


def _rows(index: Any, length: int) -> tuple[int, int, Any] | None:
    """The rows that an index of the first axis needs, and the index among these; None for all."""
    if isinstance(index, slice):
        wanted = range(length)[index]
        if not wanted or wanted.step < 0:
            return None
        return wanted[0], wanted[-1] + 1, slice(None, None, wanted.step)
    if isinstance(index, bool) or not hasattr(type(index), "__index__"):
        return None
    row = operator.index(index)
    row += length if row < 0 else 0
    return (row, row + 1, 0) if 0 <= row < length else None


def open_weights(
    source_file: str | os.PathLike[str] | Any,
    framework: str = "np",
    device: str = "cpu",
    *,
    base: str | os.PathLike[str] | Any = None,
    threads: int = 1,
    layers: int | None = None,
) -> OpenWeights:
    """Open a weight file, to decode its tensors one by one, or parts of them.

    Args:
        source_file: the path of the file, or its bytes.
        framework: "np" for numpy arrays, "pt" for PyTorch tensors, which have types that numpy has
            not: bfloat16 and those of 8 bits.
        device: "cpu", as `safe_open` has it; move tensors yourself.
        base: of a file that was encoded with one: the .safetensors file, or its bytes. Its SHA-256
            is compared, for which all of it is read.
        threads: that decode the chunks of a tensor.
        layers: as of `decode_weights`.

    Returns:
        What gives tensors by name, with the interface of `safetensors.safe_open`.

    Raises:
        CodecError: a FileError for what is no such file; ModelUnavailable for a base that is not
            given or another one; InvalidOption. What is damaged shows when it is decoded.
    """
    torch = arrays.framework(framework)
    if device != "cpu":
        raise InvalidOption(
            f"device is {device!r}; tensors are decoded to cpu, move them from there"
        )
    opened = file.read(source.mapped(source_file))
    other = source.opened(base) if base is not None else None
    return OpenWeights(opened, other, torch, threads, layers)
