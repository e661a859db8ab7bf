"""Lossless codecs on files of weights: size, and speed of one thread.

Every codec gets the bytes of a .safetensors file and must give them back. Time is of the processor,
the least of several runs, all codecs of a file in turn.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from lictor.codec.errors import CodecError, UnsupportedArray
from lictor.codec.weights import api
from lictor.codec.weights.source import Source, opened

CASTS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "fp8": "float8_e4m3fn"}
"""What --cast makes of a file's floats, by the names of PyTorch's types."""
_ZIPNN = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F8_E4M3": "float8_e4m3fn"}


@dataclass(frozen=True)
class Codec:
    """One contestant: its name, a file to bytes, and bytes to the file."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Row:
    """One file by one codec: bytes of both, and processor seconds."""

    file: str
    codec: str
    original: int
    bytes: int
    encode_s: float
    decode_s: float


class NotLossless(CodecError):
    """A codec gave back another file."""


def measure(path: str, casts: Sequence[str] = (), runs: int = 3) -> list[Row]:
    """Measure a file by each codec that is installed.

    Args:
        path: of a .safetensors file.
        casts: names of CASTS: its floats are measured as these types instead.
        runs: times that each is run; the shortest counts.

    Returns:
        A row for each codec and type.

    Raises:
        CodecError: the file cannot be read, or a codec is not lossless.
        OSError: likewise.
    """
    data = Path(path).read_bytes()
    name = os.path.basename(path)
    given = [(f"{name} {cast}", _cast(data, cast)) for cast in casts] or [(name, data)]
    rows = []
    for title, own in given:
        for codec in _codecs(own):
            row = _measure_one(title, own, codec, runs)
            rows += [row] if row else []
    return rows


def _measure_one(title: str, data: bytes, codec: Codec, runs: int) -> Row | None:
    times: list[tuple[float, float]] = []
    coded = b""
    for _ in range(runs):
        start = process_time()
        coded = codec.encode(data)
        between = process_time()
        back = codec.decode(coded)
        times.append((between - start, process_time() - between))
        if back != data:
            raise NotLossless(f"{codec.name} gives back another file")
    encode, decode = (min(own) for own in zip(*times, strict=True))
    return Row(title, codec.name, len(data), len(coded), encode, decode)


def _cast(data: bytes, cast: str) -> bytes:
    """A file with its floats as another type."""
    from lictor.codec.runtime import tensors

    return tensors.cast(data, CASTS[cast])


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """Everything `lictor bench weights --json` prints.

    Args:
        rows: what measure gave for all files.

    Returns:
        "rows": each with its share of the original, and MB of the original a second.
    """
    return {"rows": [{**asdict(row), **_rates(row)} for row in rows]}


def _rates(row: Row) -> dict[str, float]:
    return {
        "share": row.bytes / row.original,
        "encode_mb_s": row.original / 1e6 / max(row.encode_s, 1e-9),
        "decode_mb_s": row.original / 1e6 / max(row.decode_s, 1e-9),
    }


def table(made: dict[str, Any]) -> str:
    """The report for a person, the smallest last.

    Args:
        made: what report gave.

    Returns:
        Lines of text.
    """
    lines = [f"{'file':<36}{'codec':<22}{'size':>8}{'encode MB/s':>13}{'decode MB/s':>13}"]
    rows = made["rows"]
    for name in dict.fromkeys(row["file"] for row in rows):
        mine = (row for row in rows if row["file"] == name)
        for row in sorted(mine, key=lambda row: -row["share"]):
            speeds = f"{row['encode_mb_s']:13.0f}{row['decode_mb_s']:13.0f}"
            lines.append(f"{name[-35:]:<36}{row['codec']:<22}{row['share']:8.4f}{speeds}")
    lines.append("size of the original's; processor time of one thread; MB of the original")
    return "\n".join(lines)


# ---- contestants


def _codecs(data: bytes) -> Iterator[Codec]:
    """Ours, and those that are installed."""
    yield Codec("lictor", api.encode_weights, api.decode_weights)
    if find_spec("zstandard"):
        yield from _zstd(_type(opened(data)))
    if find_spec("zipnn"):
        yield from _zipnn(_type(opened(data)))
    if find_spec("lmz"):
        yield Codec("lmzip", _lmzip("compress"), _lmzip("decompress"))


def _type(source: Source) -> str:
    """The type that most bytes have."""
    sizes: dict[str, int] = {}
    for t in source.header.tensors:
        sizes[t.dtype] = sizes.get(t.dtype, 0) + t.bytes
    if not sizes:
        raise UnsupportedArray("holds no tensors")
    return max(sizes, key=lambda name: sizes[name])


def _zstd(dtype: str) -> Iterator[Codec]:
    import zstandard

    from lictor.codec.weights import layouts

    item = layouts.word(dtype)

    def zip_(data: bytes) -> bytes:
        return bytes(zstandard.ZstdCompressor(level=3).compress(data))

    def unzip(data: bytes) -> bytes:
        return bytes(zstandard.ZstdDecompressor().decompress(data))

    def in_planes(data: bytes) -> bytes:
        whole = len(data) // item * item
        rows = np.frombuffer(data[:whole], np.uint8).reshape(-1, item).T
        parts = [zip_(np.ascontiguousarray(row).tobytes()) for row in rows] + [data[whole:]]
        return b"".join(len(part).to_bytes(8, "little") + part for part in parts)

    def from_planes(data: bytes) -> bytes:
        parts, at = [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            parts.append(data[at + 8 : at + 8 + size])
            at += 8 + size
        rows = [np.frombuffer(unzip(part), np.uint8) for part in parts[:-1]]
        return np.stack(rows, 1).tobytes() + parts[-1]

    yield Codec("zstd -3", zip_, unzip)
    if item > 1:
        yield Codec("byte planes, zstd -3", in_planes, from_planes)


def _zipnn(dtype: str) -> Iterator[Codec]:
    from zipnn import ZipNN

    if dtype not in _ZIPNN:
        return

    def coder() -> Any:
        return ZipNN(input_format="byte", bytearray_dtype=_ZIPNN[dtype], threads=1)

    yield Codec(
        "zipnn",
        lambda data: bytes(coder().compress(bytearray(data))),
        lambda data: bytes(coder().decompress(data)),
    )


def _lmzip(name: str) -> Callable[[bytes], bytes]:
    """A function of its package; it goes by files."""

    def run(data: bytes) -> bytes:
        import lmz

        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, own) for own in ("w.safetensors", "w.lmz")]
            source, target = paths if name == "compress" else paths[::-1]
            source.write_bytes(data)
            getattr(lmz, name)(str(source), str(target), workers=1)
            return target.read_bytes()

    return run
