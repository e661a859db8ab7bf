"""Of a weight file what is asked for: all of it, some tensors, or those that are not damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np

from lictor.codec.errors import FileError, InvalidOption, UnwritableImage
from lictor.codec.weights import arrays, file
from lictor.codec.weights.container import Header, Tensor
from lictor.codec.weights.reader import Reader
from lictor.codec.weights.source import Source


def write(
    data: memoryview,
    into: IO[bytes],
    base: Source | None,
    mapped: Callable[..., Iterator[Any]],
    *,
    names: Sequence[str] = (),
    salvage: bool = False,
    target: str = "",
    layers: int | None = None,
) -> list[str]:
    """Write tensors of a weight file.

    Args:
        data: the weight file.
        into: what is written to.
        base: what it was coded with.
        mapped: as `map`, or in threads.
        names: of the tensors; none for all, which come back as the file that they were.
        salvage: leave out tensors that are damaged.
        layers: that are decoded of those that have some; None for all.
        target: name of the output; an .npy is one tensor as numpy has it.

    Returns:
        What was left out, to be said.

    Raises:
        CodecError: a FileError, InvalidOption for names that are not there, UnwritableImage.
    """
    opened = file.read(data)
    reader = Reader(opened, base, mapped, layers)
    found = _named(opened.header, names)
    lost = {t.name: line for t in found if salvage and (line := _lost(reader, t))}
    if target.lower().endswith(".npy"):
        _write_npy(reader, found, names, into)
    elif not names and not lost:
        reader.write(into)
    else:
        _write_some(reader, opened.header, [t for t in found if t.name not in lost], into)
    return list(lost.values())


def _named(header: Header, names: Sequence[str]) -> list[Tensor]:
    known = {t.name: t for t in header.tensors}
    for name in names:
        if name not in known:
            some = ", ".join(list(known)[:8]) or "none"
            raise InvalidOption(f"there is no tensor {name!r} in the file; name one of: {some}")
    return [t for t in header.tensors if not names or t.name in names]


def _lost(reader: Reader, tensor: Tensor) -> str:
    """What is wrong with a tensor; "" if nothing is."""
    try:
        for _ in reader.parts(tensor):
            pass
    except FileError as e:
        return f"left out: {e}"
    return ""


def _write_npy(reader: Reader, found: list[Tensor], names: Sequence[str], into: IO[bytes]) -> None:
    if len(names) != 1:
        raise UnwritableImage(
            "an .npy holds one tensor; name it with --tensor, or the output .safetensors"
        )
    (t,) = found
    np.save(into, arrays.shaped(reader.whole(t), t.dtype, t.shape, False))


def _write_some(reader: Reader, header: Header, some: list[Tensor], into: IO[bytes]) -> None:
    """A .safetensors file of some tensors."""
    said: dict[str, Any] = {"__metadata__": header.metadata} if header.metadata else {}
    at = 0
    for t in some:
        said[t.name] = {"dtype": t.dtype, "shape": t.shape, "data_offsets": [at, at + t.bytes]}
        at += t.bytes
    text = json.dumps(said, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    into.write(len(text).to_bytes(8, "little") + text)
    for t in some:
        for part in reader.parts(t):
            into.write(part.data)
