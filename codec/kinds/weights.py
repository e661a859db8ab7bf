"""Weights as a kind of payload: files of tensors, and .bin files of them, exact unless asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from lictor.codec.errors import CorruptFile, InvalidOption, ModelUnavailable
from lictor.codec.format import weights as form
from lictor.codec.format.elements import Bytes
from lictor.codec.kinds.payload import Kind, Progress, Row

if TYPE_CHECKING:
    from lictor.codec.weights.info import WeightsInfo
    from lictor.codec.weights.source import Source

_PICKLED = (".pt", ".pth")


@dataclass
class Content:
    """A file of tensors. notes: what of an input was not kept."""

    source: Source
    notes: tuple[str, ...] = ()


@dataclass
class Coded:
    """A .bin file that is decoded while it is written. options: those of decoding.

    row: what the file says. lost: what could not be had.
    """

    data: memoryview
    options: dict[str, Any]
    row: Row
    lost: list[str] = field(default_factory=list)


class Weights(Kind):
    """Content: a `Content`; of a .bin file, a `Coded`."""

    name, one, whose = "weights", "weights", "a weight file's"
    magic, suffixes, key = form.MAGIC, frozenset((".safetensors", *_PICKLED)), "tensors"
    output = ".safetensors"
    options = frozenset(
        ("base", "threads", "quality", "bits", "calibration", "network", "quantiser")
    )
    decode_options = frozenset(("base", "layers", "tensor", "salvage", "progress", "threads"))
    advice = "weights take --quality or --bits; with --kind arrays --max-error and --mse, too"
    common = (InvalidOption,)
    decode_common = (InvalidOption, ModelUnavailable)
    writes = frozenset((".safetensors", ".npy"))
    streams = True

    def sniff(self, name: str, start: bytes = b"") -> bool:
        """By name, else by first bytes."""
        return os.path.splitext(name)[1].lower() in self.suffixes or start[8:10] == b'{"'

    def suffix(self, start: bytes) -> str:
        """Whatever it was."""
        return ".safetensors"

    def check_model(self, name: str) -> None:
        """There are none: with a model, a file of tensors is arrays."""
        raise ModelUnavailable(f"no model codes weights; leave {name} out")

    def read(self, name: str, data: bytes | None = None, *, salvage: bool = False) -> Content:
        """A file of tensors, as it lies there; of PyTorch's, one made of its tensors."""
        from lictor.codec.weights import source

        if os.path.splitext(name)[1].lower() in _PICKLED:
            from lictor.codec.runtime import tensors

            made = tensors.of_pickle(name if data is None else data)
            note = "becomes a .safetensors file of its tensors; what else it holds is left out"
            return Content(source.opened(made), (note,))
        return Content(source.opened(name if data is None else data))

    def encode(
        self, content: Content, options: Mapping[str, Any], progress: Progress | None = None
    ) -> tuple[bytes, Row]:
        """options: base, threads, quality, bits, calibration, network, quantiser.

        network: what codes tensors by what data say: with their file, the options, and progress,
        it gives the weight file, what the row says more, and a line of that.
        """
        import io

        buffer = io.BytesIO()
        row = self.encode_into(buffer, content, options, progress)
        return buffer.getvalue(), row

    def encode_into(
        self,
        file: IO[bytes],
        content: Content,
        options: Mapping[str, Any],
        progress: Progress | None = None,
    ) -> Row:
        """A tensor at a time."""
        from lictor.codec.weights import info, lossy, source, writer

        if "network" in options:
            if options.get("base") is not None:
                raise InvalidOption("a base is for exact weights; leave it, or the network, out")
            data, more, note = options["network"](content.source, options, progress)
            file.write(data)
            told = info.weights_info(data)
            notes = (*content.notes, note, *lossy.gone(content.source, told.tensors))
            return {**vars(told), **more, "notes": notes}
        base = options.get("base")
        other = source.opened(base) if base is not None else None
        how = lossy.asked(content.source, options, other is not None)
        made = writer.write(content.source, file, other, options.get("threads", 1), progress, how)
        text, hashed = len(content.source.text), other.digest if other else b""
        size = writer.size(content.source, made, hashed)
        told = info.described(content.source.header, text, made, size, hashed)
        short = lossy.fallen_short(told.bits, options) + lossy.gone(content.source, told.tensors)
        return {**vars(told), "notes": (*content.notes, *short)}

    def verified(self, content: Content) -> Row:
        """The row of a file that was encoded and decoded, by one thread and by two.

        "ok" is false unless it came back to the byte each time.
        """
        from lictor.codec.weights import api

        data, row = self.encode(content, {})
        back = [api.decode_weights(data, threads=threads) for threads in (1, 2)]
        return {**row, "ok": all(found == content.source.data for found in back)}

    def decode(self, data: Any, **options: Any) -> dict[str, Any]:
        """Arrays by their names: numpy's, or PyTorch's of types that numpy has not."""
        from lictor.codec.weights import arrays, file, source
        from lictor.codec.weights.reader import Reader

        opened = file.read(view(data))
        opened.ended()
        base = options.get("base")
        other = source.opened(base) if base is not None else None
        reader = Reader(opened, other, map, options.get("layers"))
        found = opened.header.tensors
        return {t.name: arrays.best(reader.whole(t), t.dtype, t.shape) for t in found}

    def info(self, data: Any) -> WeightsInfo:
        """Without decoding values."""
        from lictor.codec.weights.info import weights_info

        return weights_info(view(data))

    def check(self, data: Any) -> None:
        """All records."""
        from lictor.codec.weights import file

        file.read(view(data)).check()

    def unpack(
        self, data: Bytes, options: Mapping[str, Any], progress: Progress | None = None
    ) -> Coded:
        """What is to be decoded: `write` does it, a chunk at a time."""
        from lictor.codec.weights import file, info

        return Coded(view(data), dict(options), vars(info.told(file.read(view(data)))))

    def write(self, content: Coded, file: IO[bytes], target: str, format: str) -> Iterable[str]:
        """The file as it was; some tensors of it; or, of a damaged one, those that are whole."""
        from lictor.codec.weights import part, source
        from lictor.codec.weights.writer import mapping

        options = content.options
        base = options.get("base")
        other = source.opened(base) if base is not None else None
        with mapping(options.get("threads", 1)) as mapped:
            content.lost += part.write(
                content.data,
                file,
                other,
                mapped,
                names=options.get("tensor", ()),
                salvage=options.get("salvage", False),
                target=target,
                layers=options.get("layers"),
            )
        return content.lost

    def decoded(self, content: Coded, data: Bytes, notes: Iterable[str]) -> Row:
        """What the file says; "ok" false if tensors of it are lost."""
        lost = {"ok": False} if content.lost else {}
        return {**content.row, **lost, "notes": list(notes)}

    def line(self, row: Row) -> str:
        """Tensors and types, bytes and bits."""
        kinds = ", ".join(f"{name} {count}" for name, count in row["dtypes"].items())
        from lictor.codec.weights.info import lost_by

        same = sum(t["method"].startswith("same as") for t in row["tensors"])
        tied = f", {same} of them as others" if same else ""
        needs = f", needs the base {row['base'][:16]}" if row["base"] else ""
        lossy = sorted({way for t in row["tensors"] if (way := lost_by(t["method"]))})
        how = f"with loss ({', '.join(lossy)})" if lossy else "exact"
        share = row["bytes"] / max(row["original"], 1)
        return (
            f"weights, {len(row['tensors'])} tensors{tied}: {kinds or 'no values'}; {row['bytes']} "
            f"bytes of {row['original']} ({share:.1%}), {row['bits']:.3f} bits a value, "
            f"{how}{needs}"
        )

    def brief(self, row: Row, seconds: str) -> str:
        """As `info` has it, and the time."""
        return f"{self.line(row)}, {seconds}"

    def total(self, rows: list[Row]) -> str:
        """Bytes, and of how many."""
        size, original = (sum(row[key] for row in rows) for key in ("bytes", "original"))
        return f"{size} bytes of {original} ({size / max(original, 1):.1%})"


def view(data: Any) -> memoryview:
    """The bytes of a file. Raises CorruptFile for what are none."""
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        raise CorruptFile(f"bytes are decoded, not {type(data).__name__}") from None
