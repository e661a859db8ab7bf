"""The feature codec and plain ways to shrink arrays, side by side: `lictor bench features`.

All are measured in this process on whole arrays: bytes of what would be stored, mean squared error
against the array as it is, seconds of one run. `intN+zstd` rounds to N-bit integers with one scale
for the array, symmetric or affine, whichever has the smaller error. zfp and Lictor are given that
error and take the fewest bytes with no more of it.

With a model, its error at each quality is what the others may make; `int+zstd` then rounds to
multiples of the largest step that keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays import files
from lictor.codec.arrays.api import decode_features, encode_features
from lictor.codec.errors import MissingPackage, UnsupportedArray
from lictor.codec.format.arrays import kind_of

FloatArray = npt.NDArray[np.floating[Any]]
_LEVEL = 19
"""Of zstd: the strongest that is not called ultra."""


@dataclass(frozen=True)
class Row:
    """One array by one method.

    bits: per value, from the bytes. ratio: bytes over those of intN+zstd or int+zstd, at no more
    error, except of float16 and lossless methods, which have less of it.
    """

    array: str
    method: str
    values: int
    bytes: int
    bits: float
    mse: float
    ratio: float
    encode_mvalues_s: float
    decode_mvalues_s: float


@dataclass(frozen=True)
class Method:
    """A way to code an array: what it becomes, and the way back."""

    name: str
    encode: Callable[[FloatArray], bytes]
    decode: Callable[[bytes], npt.NDArray[Any]]


def measure(
    path: str, depth: int = 8, model: str | None = None, qualities: Sequence[float] = ()
) -> list[Row]:
    """All methods on the float arrays of a file; model: and that, at some qualities.

    Raises UnsupportedArray, ModelUnavailable, OSError.
    """
    with open(path, "rb") as file:
        found = files.read(file.read(), kind_of(path))
    named = found if isinstance(found, dict) else {"": found}
    rows: list[Row] = []
    for name, array in named.items():
        x = files.plain(array)
        if x is not None:
            own = f"{path}:{name}" if name else path
            if model is None:
                rows += measure_array(own, x, depth)
            else:
                rows += measure_model(own, x, model, qualities)
    if not rows:
        raise UnsupportedArray("holds no finite float arrays; give features")
    return rows


def measure_array(name: str, x: FloatArray, depth: int = 8) -> list[Row]:
    """All methods on one array, float32 or float64, finite."""
    need_zstd()
    integers = _integers(depth, x)
    first = _run(name, integers, x, None)
    error = first.mse
    others = [_float16(), *_blosc(x), *_zfp(x, error), _lictor(error)]
    return [first, *(_run(name, m, x, first.bytes) for m in others)]


def measure_model(name: str, x: FloatArray, model: str, qualities: Sequence[float]) -> list[Row]:
    """A model at some qualities, and the others at no more error than it makes."""
    need_zstd()
    rows = []
    for quality in qualities:
        learned = _learned(model, quality)
        error = _run(name, learned, x, None).mse
        first = _run(name, _multiples(error, x), x, None)
        others = [learned, _lictor(error), *_zfp(x, error)]
        rows += [first, *(_run(name, m, x, first.bytes) for m in others)]
    return rows + [_run(name, m, x, rows[0].bytes) for m in (_float16(), *_blosc(x))]


def _run(name: str, method: Method, x: FloatArray, reference: int | None) -> Row:
    start = perf_counter()
    data = method.encode(x)
    middle = perf_counter()
    back = method.decode(data)
    end = perf_counter()
    error = np.asarray(back, np.float64).reshape(x.shape) - x
    return Row(
        array=name,
        method=method.name,
        values=x.size,
        bytes=len(data),
        bits=8 * len(data) / x.size,
        mse=float(np.square(error).mean()),
        ratio=len(data) / (reference or len(data)),
        encode_mvalues_s=x.size / (middle - start) / 1e6,
        decode_mvalues_s=x.size / (end - middle) / 1e6,
    )


def need_zstd() -> None:
    """Raises MissingPackage."""
    if find_spec("zstandard") is None:
        raise MissingPackage("measuring needs zstandard; pip install 'lictor[bench]'")


def _zstd(data: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdCompressor(level=_LEVEL).compress(data))


def _unzstd(data: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdDecompressor().decompress(data))


def _integers(depth: int, x: FloatArray) -> Method:
    """Integers of `depth` bits in bytes, symmetric or affine, whichever is nearer; and zstd."""
    most = 2 ** (depth - 1) - 1
    low, high = float(x.min()), float(x.max())
    ways = [(max(abs(low), abs(high)) / most, 0.0, -most, most)]
    ways.append(((high - low) / (2**depth - 1), low, 0, 2**depth - 1))

    def levels(way: tuple[float, float, int, int]) -> npt.NDArray[np.float64]:
        step, zero, least, top = way
        return np.clip(np.rint((x.astype(np.float64) - zero) / (step or 1.0)), least, top)

    best = min(ways, key=lambda w: float(np.square(levels(w) * w[0] + w[1] - x).mean()))

    def encode(x: FloatArray) -> bytes:
        return _zstd((levels(best) - best[2]).astype(np.uint8).tobytes())

    def decode(data: bytes) -> npt.NDArray[Any]:
        stored = np.frombuffer(_unzstd(data), np.uint8).astype(np.float64)
        return ((stored + best[2]) * best[0] + best[1]).astype(np.float32)

    return Method(f"int{depth}+zstd", encode, decode)


def _multiples(error: float, x: FloatArray) -> Method:
    """Multiples of the largest step, nearly, that makes no more than the error; and zstd."""
    wide = x.astype(np.float64)

    def within(step: float) -> bool:
        return float(np.square(np.rint(wide / step) * step - wide).mean()) <= error

    largest = float(np.abs(wide).max())
    step = float(np.sqrt(12 * error)) or 1.0
    while step > largest * 2.0**-24 and not within(step):  # as fine as float32
        step *= 0.99
    while step < 2 * largest and within(1.01 * step):
        step *= 1.01
    kind = np.int8 if largest < 127 * step else np.int32

    def encode(x: FloatArray) -> bytes:
        levels = np.rint(wide / step).astype(kind)
        return _zstd(levels.reshape(-1, 1).view(np.uint8).T.tobytes())

    def decode(data: bytes) -> npt.NDArray[Any]:
        planes = np.frombuffer(_unzstd(data), np.uint8).reshape(kind().itemsize, -1)
        return np.ascontiguousarray(planes.T).view(kind).ravel().astype(np.float64) * step

    return Method("int+zstd", encode, decode)


def _float16() -> Method:
    return Method(
        "float16+zstd",
        lambda x: _zstd(x.astype(np.float16).tobytes()),
        lambda d: np.frombuffer(_unzstd(d), np.float16),
    )


def _blosc(x: FloatArray) -> list[Method]:
    """Blosc2 without loss: bytes sorted by their place in a value, then zstd."""
    if find_spec("blosc2") is None:
        return []
    import blosc2

    def encode(x: FloatArray) -> bytes:
        return bytes(blosc2.compress2(x, codec=blosc2.Codec.ZSTD, clevel=9, typesize=x.itemsize))

    return [Method("blosc2", encode, lambda d: np.frombuffer(blosc2.decompress2(d), x.dtype))]


def _zfp(x: FloatArray, error: float) -> list[Method]:
    """The largest tolerance of zfp that makes no more than the error; four dimensions at most."""
    if find_spec("zfpy") is None or x.ndim == 0:
        return []
    import zfpy

    shaped = x.reshape(-1, *x.shape[-3:]) if x.ndim > 4 else x
    best = float(np.sqrt(error))
    while best:  # zfp rounds tolerances down to powers of two, and keeps well inside them
        wider = zfpy.compress_numpy(shaped, tolerance=2 * best)
        back = zfpy.decompress_numpy(wider).astype(np.float64)
        if np.square(back - shaped).mean() > error:
            break
        best *= 2

    def encode(x: FloatArray) -> bytes:
        return bytes(zfpy.compress_numpy(shaped, tolerance=best))

    return [Method("zfp", encode, zfpy.decompress_numpy)]


def _lictor(error: float) -> Method:
    def encode(x: FloatArray) -> bytes:
        return encode_features(x, mse=error) if error else encode_features(x)

    return Method("lictor", encode, decode_features)


def _learned(model: str, quality: float) -> Method:
    name = model.rpartition("/")[2].removesuffix(".safetensors")
    return Method(
        f"{name} {quality:g}",
        lambda x: encode_features(x, model=model, quality=quality),
        decode_features,
    )


def report(rows: Sequence[Row], depth: int) -> dict[str, Any]:
    """Everything `lictor bench features --json` prints; depth: of integers, 0 with a model."""
    packages = {p: version(p) for p in ("numpy", "zstandard", "blosc2", "zfpy") if find_spec(p)}
    return {"depth": depth, "packages": packages, "rows": [asdict(r) for r in rows]}


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    reference = f"int{report['depth'] or ''}+zstd"
    wide = max(14, *(len(r["method"]) for r in report["rows"]))
    lines = [
        f"{'method':{wide}} {'bits/value':>10} {'MSE':>10} {'of ' + reference:>13} "
        f"{'encode':>8} {'decode':>8} Mvalues/s"
    ]
    name = None
    for r in report["rows"]:
        if r["array"] != name:
            name = r["array"]
            lines.append(f"{name}: {r['values']} values")
        lines.append(
            f"{r['method']:{wide}} {r['bits']:10.3f} {r['mse']:10.3g} {r['ratio']:12.1%} "
            f"{r['encode_mvalues_s']:9.2f} {r['decode_mvalues_s']:8.2f}"
        )
    return "\n".join(lines)
