"""Vectors of embeddings as a kind of payload: arrays that --preset embedding encodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import InvalidOption, InvalidTarget, UnsupportedArray
from lictor.codec.format.elements import Bytes
from lictor.codec.kinds.arrays import Arrays, Content
from lictor.codec.kinds.payload import Progress, Row
from lictor.codec.quality import LOSSLESS
from lictor.codec.runtime.store import DEFAULT as DEFAULT_STORE
from lictor.codec.runtime.store import Store

if TYPE_CHECKING:
    from lictor.codec.embeddings.api import EmbeddingInfo

_TYPE, _BFLOAT16 = 4, 1
"""Where a file has the type of its vectors, and the one that .npy files cannot hold."""


class Embeddings(Arrays):
    """Content: the `Content` of a file of one array."""

    name, one, whose = "embeddings", "embeddings", "an embedding file's"
    magic, suffixes, key = b"LEM", frozenset[str](), "vectors"
    output = ".npy or .safetensors"
    maps = False
    options = frozenset(("max_error", "bits", "chunk", "quality", "preset"))
    decode_options = frozenset(("salvage", "progress", "device"))
    advice = "embeddings take --bits, --max-error or --lossless"
    common = (InvalidTarget, InvalidOption)  # type: ignore[assignment]

    def sniff(self, name: str, start: bytes = b"") -> bool:
        """Never: an array does not say what it holds."""
        return False

    def suffix(self, start: bytes) -> str:
        """That of a file that can hold them."""
        return ".safetensors" if start[_TYPE : _TYPE + 1] == bytes([_BFLOAT16]) else ".npy"

    def takes(self, given: Mapping[str, Any]) -> frozenset[str]:
        """Of qualities only the one without loss."""
        own = self.options.intersection(given)
        return own if given.get("quality") == LOSSLESS else own - {"quality"}

    def encode(
        self, content: Content, options: Mapping[str, Any], progress: Progress | None = None
    ) -> tuple[bytes, Row]:
        """options: those of `lictor.codec.embeddings.encode`."""
        from lictor.codec.embeddings import api

        own = {name: value for name, value in options.items() if name != "preset"}
        if own.pop("quality", None) == LOSSLESS:
            own["lossless"] = True
        arrays = content.arrays
        if isinstance(arrays, Mapping):
            if len(arrays) != 1:
                raise UnsupportedArray(f"{len(arrays)} arrays; give embeddings one by one")
            arrays = next(iter(arrays.values()))
        data = api.encode(arrays, **own)
        return data, {**vars(self.info(data)), "notes": []}

    def decode(self, data: Any, *, models: Store = DEFAULT_STORE, **options: Any) -> Any:
        """The vectors."""
        from lictor.codec.embeddings import api

        return api.decode(data)

    def info(self, data: Any) -> EmbeddingInfo:  # type: ignore[override]
        """Without decoding values."""
        from lictor.codec.embeddings import api

        return api.info(data)

    def check(self, data: Any) -> None:
        """All blocks."""
        self.info(data)

    def unpack(
        self, data: Bytes, options: Mapping[str, Any], progress: Progress | None = None
    ) -> Content:
        """All of them."""
        return Content(self.decode(data), self.suffix(bytes(data[:16])), row=vars(self.info(data)))

    def line(self, row: Row) -> str:
        """How many, bytes, and how near they are."""
        way = f"{row['axes']} axes" if row["axes"] else "a grid"
        way = f"on {way}" if row["way"] != "exact" else "exactly"
        bound = f", none off by more than {row['bound']:g}" if row["bound"] else ""
        return (
            f"embeddings, {row['vectors']} of {row['columns']} columns, {row['dtype']}, {way}; "
            f"{row['bytes']} bytes, {row['bits']:.3f} bits a value, relative error "
            f"{row['error']:.3g}{bound}"
        )
