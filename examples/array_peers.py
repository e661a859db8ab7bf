"""Real scientific arrays within one bound: lictor beside zfp, SZ3, fpzip and integers with Blosc.

    pip install lictor blosc2 zfpy fpzip pysz h5py iris-sample-data matplotlib scikit-image scipy
    python examples/array_peers.py             # a table, in Markdown

Each array is coded so that no value is further off than a part of its range, which is checked on
what decodes; what is missing (fill values, land) becomes the mean first, as not all take it. Speed
is the best of some runs, in CPU time of one thread. Packages that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lictor.codec import decode_features, encode_features

Array = np.ndarray[Any, Any]


@dataclass
class Peer:
    """name: as the table has it. encode, decode: of an array within a bound."""

    name: str
    encode: Callable[[Array, float], Any]
    decode: Callable[[Any, Array], Array]


# ---- arrays


def netcdf(name: str, variable: str) -> Array:
    """Of Iris's sample data."""
    import h5py
    import iris_sample_data

    path = Path(iris_sample_data.path) / f"{name}.nc"
    with h5py.File(path) as file:
        return np.asarray(file[variable])


def arrays() -> Iterator[tuple[str, Array]]:
    """Climate and oceans of Iris's sample data, depths of matplotlib's, disparity of skimage's."""
    import matplotlib
    import skimage
    from scipy.io import netcdf_file

    yield "air temperature, 240 years", netcdf("E1_north_america", "air_temperature")
    yield "sea surface temperature", netcdf("ostia_monthly", "surface_temperature")
    yield "potential temperature, 3-D", netcdf("hybrid_height", "air_potential_temperature")
    yield "ocean temperature", netcdf("orca2_votemper", "votemper")
    import iris_sample_data

    with netcdf_file(Path(iris_sample_data.path) / "space_weather.nc", mmap=False) as file:
        yield "electron density, 3-D", file.variables["Ne"][:].astype(np.float32)
    sample = Path(matplotlib.get_data_path()) / "sample_data"
    yield "topography and depth", np.load(sample / "topobathy.npz")["topo"]
    data = Path(skimage.__file__).parent / "data"
    yield "stereo disparity", np.load(data / "motorcycle_disp.npz")["arr_0"]


def filled(x: Array) -> Array:
    """Without what is missing."""
    x = np.ascontiguousarray(x, x.dtype.newbyteorder("="))
    there = np.isfinite(x) & (np.abs(x) < 1e9)
    return np.where(there, x, x[there].mean(dtype=np.float64).astype(x.dtype))


# ---- peers


def lictor() -> Peer:
    """As it is by default."""

    def encode(x: Array, bound: float) -> bytes:
        return encode_features(x, max_error=bound)

    return Peer("lictor", encode, lambda data, x: decode_features(data))


def searched() -> Peer:
    """With a search."""

    def encode(x: Array, bound: float) -> bytes:
        return encode_features(x, max_error=bound, effort=1)

    return Peer("lictor, effort 1", encode, lambda data, x: decode_features(data))


def zfp() -> Peer:
    """In its mode of accuracy."""
    import zfpy

    def encode(x: Array, bound: float) -> bytes:
        return bytes(zfpy.compress_numpy(x, tolerance=bound))

    return Peer("zfp", encode, lambda data, x: zfpy.decompress_numpy(data))


def sz3() -> Peer:
    """As it is by default."""
    import pysz

    def encode(x: Array, bound: float) -> Array:
        config = pysz.szConfig(x.shape)
        config.errorBoundMode = pysz.szErrorBoundMode.ABS
        config.absErrorBound = bound
        return pysz.sz.compress(x, config)[0]

    return Peer("SZ3", encode, lambda data, x: pysz.sz.decompress(data, x.dtype, x.shape)[0])


def fpzip() -> Peer:
    """The fewest bits of precision that keep the bound, which is relative there."""
    import fpzip as module

    def decode(data: bytes, x: Array) -> Array:
        return module.decompress(data, order="C").reshape(x.shape)

    def encode(x: Array, bound: float) -> bytes:
        for precision in range(4, 33):
            data = module.compress(x, precision=precision if precision < 32 else 0, order="C")
            if np.abs(decode(data, x).astype(np.float64) - x).max() <= bound:
                break
        return data

    return Peer("fpzip", encode, decode)


def integers() -> Peer:
    """Multiples of the largest step that keeps the bound, by Blosc: bit shuffle, Zstandard."""
    import blosc2

    def encode(x: Array, bound: float) -> tuple[bytes, float]:
        step = 2 * bound * (1 - 1e-6)
        while True:
            levels = np.rint(x / np.float64(step)).astype(np.int32)
            if np.abs((levels * step).astype(x.dtype).astype(np.float64) - x).max() <= bound:
                break
            step *= 0.99
        kind = np.int16 if np.abs(levels).max() < 2**15 else np.int32
        packed = blosc2.compress2(
            np.ascontiguousarray(levels, kind),
            codec=blosc2.Codec.ZSTD,
            clevel=9,
            filters=[blosc2.Filter.BITSHUFFLE],
            nthreads=1,
        )
        return packed, step

    def decode(data: tuple[bytes, float], x: Array) -> Array:
        raw = blosc2.decompress2(data[0], nthreads=1)
        levels = np.frombuffer(raw, np.int16 if len(raw) == 2 * x.size else np.int32)
        return (levels * data[1]).astype(x.dtype).reshape(x.shape)

    return Peer("integers, bitshuffle, zstd", encode, decode)


def lossless() -> Peer:
    """Every bit: what the bound saves."""
    import blosc2

    def encode(x: Array, bound: float) -> bytes:
        codec, filters = blosc2.Codec.ZSTD, [blosc2.Filter.BITSHUFFLE]
        return blosc2.compress2(x, codec=codec, clevel=9, filters=filters, nthreads=1)

    def decode(data: bytes, x: Array) -> Array:
        return np.frombuffer(blosc2.decompress2(data, nthreads=1), x.dtype).reshape(x.shape)

    return Peer("floats, bitshuffle, zstd", encode, decode)


PEERS = {
    "": [lictor, searched],
    "zfpy": [zfp],
    "pysz": [sz3],
    "fpzip": [fpzip],
    "blosc2": [integers, lossless],
}


def peers() -> list[Peer]:
    """Those whose packages are here."""
    found: list[Peer] = []
    for package, makers in PEERS.items():
        try:
            importlib.import_module(package or "numpy")
        except ImportError:
            continue
        found += [make() for make in makers]
    return found


# ---- measuring


def size(data: Any) -> int:
    """Bytes."""
    if isinstance(data, tuple):
        return size(data[0]) + 8
    return data.nbytes if isinstance(data, np.ndarray) else len(data)


def best(run: Callable[[], Any], seconds: float) -> tuple[Any, float]:
    """What it gives, and the CPU seconds of the quickest of some runs."""
    least, end = np.inf, time.monotonic() + seconds
    while True:
        start = time.process_time()
        found = run()
        least = min(least, time.process_time() - start)
        if time.monotonic() >= end:
            return found, max(float(least), 1e-9)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--bounds", default="1e-3,1e-4", help="parts of the range")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each of the timings")
    args = parser.parse_args()
    contestants = peers()
    for part in map(float, args.bounds.split(",")):
        print(f"\nBits a value, no error above {part:g} of the range\n")
        print("| array | values | " + " | ".join(p.name for p in contestants) + " |")
        print("|---|---|" + "---|" * len(contestants))
        speeds: dict[str, list[float]] = {}
        for name, given in arrays():
            x = filled(given)
            bound = part * float(np.ptp(x))
            cells = []
            for peer in contestants:
                data, own = best(lambda: peer.encode(x, bound), args.seconds)  # noqa: B023
                back, other = best(lambda: peer.decode(data, x), args.seconds)  # noqa: B023
                kept = np.abs(back.astype(np.float64) - x).max() <= bound
                cells.append(f"{8 * size(data) / x.size:.3f}" + ("" if kept else " (breaks it)"))
                speeds.setdefault(peer.name, []).append(x.size / own / 1e6)
                speeds.setdefault(peer.name + ">", []).append(x.size / other / 1e6)
            print(f"| {name} | {x.size} | " + " | ".join(cells) + " |", flush=True)
        for way, mark in (("encoded", ""), ("decoded", ">")):
            middle = (f"{np.median(speeds[p.name + mark]):.1f}" for p in contestants)
            print(f"| *million values a second {way}, median* | | " + " | ".join(middle) + " |")


if __name__ == "__main__":
    main()
