"""Caches of keys and values as a kind of payload: files of arrays that --preset kv encodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import CalibrationUnavailable, InvalidOption, InvalidTarget
from lictor.codec.format.elements import Bytes
from lictor.codec.kinds.arrays import Arrays, Content
from lictor.codec.kinds.payload import Progress, Row
from lictor.codec.quality import LOSSLESS
from lictor.codec.runtime.store import DEFAULT as DEFAULT_STORE
from lictor.codec.runtime.store import Store

if TYPE_CHECKING:
    from lictor.codec.kv.api import KvInfo

_FORM = 5
"""Where a stream says what it came from, and _ARRAY, that it was one array."""
_ARRAY = 1


class Caches(Arrays):
    """Content: the `Content` of a file of arrays."""

    name, one, whose = "caches", "a cache of keys and values", "a cache's"
    magic, suffixes, key = b"LKV", frozenset[str](), "sizes"
    output = ".npy or .safetensors"
    maps = False
    options = frozenset(("max_error", "bits", "divergence", "chunk", "quality", "calibration"))
    options |= {"sinks", "recent", "preset"}
    decode_options = frozenset(("salvage", "progress", "device", "calibration"))
    advice = "caches take --bits, --max-error, --lossless, --calibration and --divergence"
    common = (InvalidTarget, InvalidOption, CalibrationUnavailable)  # type: ignore[assignment]
    decode_common = (CalibrationUnavailable,)

    def sniff(self, name: str, start: bytes = b"") -> bool:
        """Never: an array does not say that it is a cache."""
        return False

    def suffix(self, start: bytes) -> str:
        """As the cache was given."""
        return ".npy" if start[_FORM : _FORM + 1] == bytes([_ARRAY]) else ".safetensors"

    def takes(self, given: Mapping[str, Any]) -> frozenset[str]:
        """Of qualities only the one without loss."""
        own = self.options.intersection(given)
        return own if given.get("quality") == LOSSLESS else own - {"quality"}

    def encode(
        self, content: Content, options: Mapping[str, Any], progress: Progress | None = None
    ) -> tuple[bytes, Row]:
        """options: those of `lictor.kv.encode`."""
        from lictor.codec.kv import api

        own = {name: value for name, value in options.items() if name != "preset"}
        if own.pop("quality", None) == LOSSLESS:
            own["lossless"] = True
        data = api.encode(content.arrays, **own)
        return data, {**vars(self.info(data)), "notes": []}

    def decode(self, data: Any, *, models: Store = DEFAULT_STORE, **options: Any) -> Any:
        """As it was given: an array, or a dict of matrices."""
        from lictor.codec.kv import api

        cache = api.decode(data, calibration=options.get("calibration"))
        return cache.array() if cache.form == "array" else cache.named()

    def info(self, data: Any) -> KvInfo:  # type: ignore[override]
        """Without decoding values."""
        from lictor.codec.kv import api

        return api.info(data)

    def check(self, data: Any) -> None:
        """All chunks."""
        self.info(data)

    def unpack(
        self, data: Bytes, options: Mapping[str, Any], progress: Progress | None = None
    ) -> Content:
        """All of it."""
        said = self.info(data)
        form = ".npy" if said.form == "array" else ".safetensors"
        found = self.decode(data, calibration=options.get("calibration"))
        return Content(found, form, row=vars(said))

    def line(self, row: Row) -> str:
        """Layers, tokens, bytes, and how near it is."""
        expected = row["expected"]
        near = f", divergence {expected:.2g} nats expected" if expected else ""
        way = f"{row['way']} of calibration {row['calibration']}" if row["calibration"] else ""
        return (
            f"cache of {len(row['sizes'])} layers and {row['tokens']} tokens, {row['dtype']}, "
            f"{way or row['way']}; {row['bytes']} bytes, {row['bits']:.3f} bits a value, relative "
            f"error {row['error']:.3g}{near}"
        )
