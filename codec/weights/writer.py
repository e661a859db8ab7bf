"""Tensors to a weight file, one after another: no more than one is held at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from lictor.codec.format import weights as form
from lictor.codec.format.weights import Beginning, Record, Same
from lictor.codec.weights import exact
from lictor.codec.weights.container import Tensor
from lictor.codec.weights.lossy import Lossy
from lictor.codec.weights.source import Source

Progress = Callable[[int, int], None]


@contextmanager
def mapping(threads: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """As `map`, with so many threads."""
    if threads <= 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def write(
    source: Source,
    file: IO[bytes],
    base: Source | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    lossy: Lossy | None = None,
) -> list[tuple[Record, int]]:
    """Write the weight file of a file of tensors.

    Args:
        source: what is coded.
        file: what is written to, from the beginning to the end.
        base: another file, which a decoder will have; tensors of the same name, type and shape are
            coded as what they differ in.
        threads: how many work on the chunks of a tensor. The bytes are the same.
        progress: called with the tensors done and their number.
        lossy: how tensors are coded with loss that can be.

    Returns:
        How each tensor that has bytes was coded, and the bytes of its record.

    Raises:
        CodecError: NotSafetensors, or SelfCheckFailed.
    """
    stored = source.header.stored
    file.write(form.write_beginning(Beginning(source.text, base.digest if base else b"")))
    made: list[tuple[Record, int]] = []
    twins = _Twins(source)
    with mapping(threads) as mapped:
        for number, tensor in enumerate(stored):
            record, chunks = _record(source, tensor, number, base, twins, mapped, lossy)
            parts = [form.write_head(record), *chunks]
            file.writelines(parts)
            made.append((record, sum(map(len, parts))))
            if progress:
                progress(number + 1, len(stored))
    file.write(form.write_end([size for _, size in made]))
    return made


def size(source: Source, made: list[tuple[Record, int]], base: bytes) -> int:
    """Bytes of what `write` wrote."""
    sizes = [own for _, own in made]
    start = form.write_beginning(Beginning(source.text, base))
    return len(start) + sum(sizes) + len(form.write_end(sizes))


def _record(
    source: Source,
    tensor: Tensor,
    number: int,
    base: Source | None,
    twins: _Twins,
    mapped: Callable[..., Iterator[Any]],
    lossy: Lossy | None,
) -> tuple[Record, list[bytes]]:
    changed = lossy is not None and tensor.name in lossy.vectors  # each in its own way
    same = None if changed else twins.find(tensor, number)
    if same is not None:
        return Same(same), []
    found = lossy.encode(tensor, source.raw(tensor), mapped) if lossy else None
    if found:
        return found
    other = base.twin(tensor) if base else None
    return exact.encode(tensor, source.raw(tensor), other, mapped)


class _Twins:
    """Which tensors were there before, byte by byte: tied weights, and checkpoints' copies."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[tuple[int, bytes], list[tuple[int, Tensor]]] = {}

    def find(self, tensor: Tensor, number: int) -> int | None:
        """The number of the first with the same bytes; None, and it is remembered."""
        raw = self._source.raw(tensor)
        ends = raw[:32].tobytes() + raw[-32:].tobytes()
        alike = self._known.setdefault((tensor.bytes, ends), [])
        for before, other in alike:
            if np.array_equal(self._source.raw(other), raw):
                return before
        alike.append((number, tensor))
        return None
