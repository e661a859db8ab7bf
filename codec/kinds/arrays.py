"""Arrays as a kind of payload: .npy, .npz and .safetensors files, and .bin files of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lictor.codec.errors import InvalidTarget, ModelUnavailable
from lictor.codec.format import arrays as form
from lictor.codec.format.elements import Bytes
from lictor.codec.kinds.payload import Kind, Progress, Row
from lictor.codec.runtime.store import DEFAULT as DEFAULT_STORE
from lictor.codec.runtime.store import Store

if TYPE_CHECKING:
    from lictor.codec.arrays.info import FeatureInfo


@dataclass
class Content:
    """Arrays, or one; form: the extension of a file of them; texts: its metadata.

    row: what the .bin file said that they came from.
    """

    arrays: Any
    form: str
    texts: dict[str, str] = field(default_factory=dict)
    row: Row = field(default_factory=dict)


class Arrays(Kind):
    """Content: a `Content`."""

    name, one, whose = "arrays", "arrays", "an array file's"
    magic, suffixes, key = form.MAGIC, frozenset((".npy", ".npz")), "arrays"
    writes = frozenset(form.KINDS)
    output = ".npy or .npz"
    options = frozenset(("max_error", "mse", "bits", "axis", "effort", "chunk", "model", "quality"))
    maps = True
    # A damaged array has no part that could be salvaged: its error is the answer.
    decode_options = frozenset(("region", "salvage", "progress", "device"))
    advice = "arrays take --max-error, --mse, --bits, or a --model of features"
    common = (InvalidTarget, ModelUnavailable)

    def sniff(self, name: str, start: bytes = b"") -> bool:
        """By name, else by first bytes. Files of tensors are weights, unless something is lossy."""
        return form.kind_of(name, start) in self.suffixes

    def suffix(self, start: bytes) -> str:
        """As the arrays were given."""
        code = start[4] if len(start) > 4 else 0
        return form.KINDS[code if code < len(form.KINDS) else 0]

    def takes(self, given: Mapping[str, Any]) -> frozenset[str]:
        """A quality is the model's."""
        own = super().takes(given)
        return own if "model" in given else own - {"quality"}

    def check_model(self, name: str) -> None:
        """Loads it, which the next file will not have to."""
        from lictor.codec.runtime import store

        store.load_for_arrays(name)

    def read(self, name: str, data: bytes | None = None, *, salvage: bool = False) -> Content:
        """All arrays of the file, and its texts; where they are mapped, a file's are read later."""
        from lictor.codec.arrays import files, mapped

        if data is None and self.maps:
            return Content(*mapped.opened(name))
        if data is None:
            data = Path(name).read_bytes()
        found = form.kind_of(name, data[:16])
        arrays = files.read(data, found)
        return Content(arrays, found, files.metadata(data, found))

    def encode(
        self, content: Content, options: Mapping[str, Any], progress: Progress | None = None
    ) -> tuple[bytes, Row]:
        """options: those of `lictor.codec.encode_features`."""
        from lictor.codec.arrays import api

        data = api.encode_features(
            content.arrays, **options, kind=content.form, metadata=content.texts
        )
        row = vars(self.info(data))
        return data, {**row, "notes": _fallen_short(row, options)}

    def decode(self, data: Any, *, models: Store = DEFAULT_STORE, **options: Any) -> Any:
        """An array, a part of one, or a dict of arrays."""
        from lictor.codec.arrays import api

        return api.decode_features(data, region=options.get("region"), models=models)

    def info(self, data: Any) -> FeatureInfo:
        """Without decoding values."""
        from lictor.codec.arrays.info import feature_info

        return feature_info(data)

    def check(self, data: Any) -> None:
        """All arrays."""
        from lictor.codec.arrays import methods

        methods.read(data)

    def unpack(
        self, data: Bytes, options: Mapping[str, Any], progress: Progress | None = None
    ) -> Content:
        """All arrays, or a part of one; they are decoded while they are written."""
        from lictor.codec.arrays import opened

        said = self.info(data)
        region = options.get("region")
        arrays = opened.all_of(data) if region is None else self.decode(data, region=region)
        return Content(arrays, said.kind, said.metadata, vars(said))

    def write(self, content: Content, file: IO[bytes], target: str, format: str) -> Iterable[str]:
        """By the extension of the output, else as they were given."""
        from lictor.codec.arrays import files

        own = form.kind_of(target) or content.form
        files.write(content.arrays, file, own, content.texts)
        if not content.texts or own == ".safetensors":
            return []
        return [f"its metadata ({_some(list(content.texts))}) are left out: {own} files have none"]

    def decoded(self, content: Content, data: Bytes, notes: Iterable[str]) -> Row:
        """What the file says."""
        return {**content.row, "notes": list(notes)}

    def line(self, row: Row) -> str:
        """Shapes, values, bytes and models."""
        arrays = row["arrays"]
        shapes = ", ".join(
            f"{a['name'] or 'array'} {a['dtype']} {'x'.join(map(str, a['shape'])) or 'scalar'}"
            for a in arrays[:3]
        )
        more = f", … {len(arrays)} arrays" if len(arrays) > 3 else ""
        models = sorted({_model_line(a) for a in arrays if a["model"]})
        return (
            f"features, {row['kind']}: {shapes}{more}; {row['values']} values, {row['bytes']} "
            f"bytes, {row['bits']:.3f} bits a value{''.join(models)}"
        )

    def brief(self, row: Row, seconds: str) -> str:
        """As `info` has it."""
        return self.line(row)

    def total(self, rows: list[Row]) -> str:
        """Bytes."""
        return f"{sum(row['bytes'] for row in rows)} bytes"


def _fallen_short(row: Row, options: Mapping[str, Any]) -> list[str]:
    """What of the options could not be done, to say."""
    notes, model, bits = [], options.get("model"), options.get("bits")
    floats = (a for a in row["arrays"] if a["dtype"] in form.FLOATS)
    without = [a["name"] or "the array" for a in floats if model and not a["model"]]
    if without:
        notes.append(f"coded without {model}, which does not keep or save enough: {_some(without)}")
    if bits is not None and row["values"] and row["bits"] > bits:
        notes.append(f"takes {row['bits']:.3f} bits a value; {bits:g} are too few for it")
    return notes


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f', … {len(names)} in all' if len(names) > 3 else ''}"


def _model_line(array: Row) -> str:
    return f", {array['model']} (weights {array['weights']}), quality {array['quality']:g}"
