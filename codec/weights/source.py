"""A .safetensors file as it lies there: its header, and the bytes of each tensor."""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lictor.codec.weights import container
from lictor.codec.weights.container import Header, Tensor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def mapped(source: str | os.PathLike[str] | Any) -> memoryview:
    """The bytes of a file, which the system reads as they are asked for; of bytes, a view."""
    if not isinstance(source, (str, os.PathLike)):
        return memoryview(source).cast("B")
    with Path(source).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@dataclass(frozen=True)
class Source:
    """A file of tensors. data: all of it."""

    data: memoryview

    @cached_property
    def text(self) -> bytes:
        """The bytes of its header. Raises NotSafetensors."""
        return bytes(container.header_of(self.data))

    @cached_property
    def header(self) -> Header:
        """What the header says. Raises NotSafetensors."""
        return container.parse(self.text, len(self.data) - 8 - len(self.text))

    @cached_property
    def named(self) -> dict[str, Tensor]:
        """Its tensors by their names."""
        return {t.name: t for t in self.header.tensors}

    def raw(self, tensor: Tensor) -> npt.NDArray[np.uint8]:
        """The bytes of a tensor."""
        import numpy as np

        start = 8 + len(self.text)
        return np.frombuffer(self.data[start + tensor.begin : start + tensor.end], np.uint8)

    def twin(self, tensor: Tensor) -> npt.NDArray[np.uint8] | None:
        """The bytes of the tensor with the name, type and shape of another file's."""
        own = self.named.get(tensor.name)
        if own is None or (own.dtype, own.shape) != (tensor.dtype, tensor.shape):
            return None
        return self.raw(own)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the file, by which others name it."""
        return hashlib.sha256(self.data).digest()


def opened(source: str | os.PathLike[str] | Any) -> Source:
    """A file of tensors, or its bytes. Raises NotSafetensors, OSError."""
    found = Source(mapped(source))
    assert found.header is not None
    return found
