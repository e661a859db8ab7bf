"""Speed and size of entropy coders, ours and those of other packages, side by side in one run.

Workloads, symbols of zero-mean Gaussians rounded to integers, true sigma = sigma of the table:

    A      log2(sigma / 0.11) exponentially distributed up to sigma 256, in random order: 60 % of
           symbols below sigma 0.5, 4.5 % above 16, about 1.5 bits a symbol
    B      the same for a low rate: 51 % at the smallest sigma, about 0.38 bits a symbol
    kodak  the latents of a real picture, as a model codes them

Every coder gets arrays and gives arrays; what a row counts beyond its coder's calls, or leaves out,
is in its field `counted`. All are warmed up once and checked to give the symbols back, then run in
turn, so that a change of the machine's speed meets all alike; figures are medians. CPU time is this
thread's; `…_wall_…` is what a clock shows. A peer that is slow gets fewer symbols, and is compared
with the ideal of those.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from threading import Thread
from time import perf_counter, thread_time
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.runtime.threads import torch_threads
from lictor.entropy import (
    GAUSSIAN_SCALE_MIN,
    SCALES,
    Decoder,
    Encoder,
    backend,
    compress,
    decompress,
    gaussian_sigmas,
    gaussian_tables,
    paths,
)

Array = npt.NDArray[Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Workload:
    """Symbols int32 (n,), their tables uint8 (n,), and the ideal bits of each, float64 (n,)."""

    name: str
    symbols: Array
    index: Array
    bits: Array

    def first(self, count: int) -> Workload:
        """The same with at most so many symbols."""
        return Workload(self.name, self.symbols[:count], self.index[:count], self.bits[:count])


@dataclass(frozen=True)
class Coder:
    """A contestant on a workload: `decode(encode())` are the symbols again."""

    work: Workload
    encode: Callable[[], Any]
    decode: Callable[[Any], Array]
    size: Callable[[Any], int]
    counted: str
    package: str


def ideal_bits(symbols: Array, index: Array) -> Array:
    """-log2 of the probability of each symbol under its true Gaussian."""
    from scipy.special import log_ndtr

    sigma = gaussian_sigmas()[index]
    near = (0.5 - np.abs(symbols)) / sigma
    far = (-0.5 - np.abs(symbols)) / sigma
    upper, lower = log_ndtr(near), log_ndtr(far)
    bits: Array = -(upper + np.log1p(-np.exp(lower - upper))) / np.log(2)
    return bits


def synthetic(name: str, count: int) -> Workload:
    """Workload A or B of so many symbols; always the same."""
    decay, smallest = {"A": (0.9502, 0.0), "B": (0.915, 0.485)}[name]
    rng = np.random.default_rng(ord(name))
    octaves = np.log2(256 / GAUSSIAN_SCALE_MIN)
    rate = -8 * np.log(decay)  # the decay is that of an eighth of an octave
    share = 1 - np.exp(-rate * octaves)
    octave = -np.log1p(-share * rng.random(count)) / rate
    octave[rng.random(count) < smallest] = 0
    scales = np.log2(gaussian_sigmas() / GAUSSIAN_SCALE_MIN)
    index = np.searchsorted((scales[1:] + scales[:-1]) / 2, octave).astype(np.uint8)
    symbols = np.round(rng.normal(size=count) * gaussian_sigmas()[index]).astype(np.int32)
    return Workload(name, symbols, index, ideal_bits(symbols, index))


class _Recorder:
    """In place of an Encoder: keeps what a model pushes with Gaussian tables."""

    def __init__(self) -> None:
        self.pushed: list[tuple[Array, Array]] = []

    def push(self, symbols: Array, index: Array, tables: Any = None) -> None:
        if tables is None or tables is gaussian_tables():
            self.pushed.append((symbols.copy(), index.copy()))


def latents(picture: Array | None, model: str, quality: float) -> Workload:
    """The latents of a picture, with their cost under our tables as the ideal.

    Args:
        picture: uint8 (H, W, 1 or 3), or None for scikit-image's coffee, 600x400.
        model: see lictor.models.load.
        quality: 0 to 100.

    Raises:
        OSError, ImportError: there is no coffee.
        lictor.models.ModelError: there is no such model.
    """
    import torch

    from lictor import models

    x = torch.from_numpy(_rgb(picture)).permute(2, 0, 1)[None].float() / 255
    recorder = _Recorder()
    codec: Any = models.load(model)
    if isinstance(codec, models.ArrayModel):
        raise models.UnknownModel(f"{codec.name} codes no pictures; give another")
    codec.encode(x, quality, recorder)
    symbols = np.concatenate([s for s, _ in recorder.pushed])
    index = np.concatenate([i for _, i in recorder.pushed])
    return Workload("kodak", symbols, index, gaussian_tables().cost(symbols, index))


def _rgb(picture: Array | None) -> Array:
    if picture is not None:
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    from skimage import data

    coffee: Array = data.coffee()
    return coffee


# ---- contestants


def _lictor(work: Workload, path: str, checksum: bool = False) -> Coder:
    def encode() -> bytes:
        with _environment("LICTOR_CODER", path):
            if not checksum:
                return compress(work.symbols, work.index)
            encoder = Encoder()
            encoder.push(work.symbols, work.index)
            return encoder.finish()

    def decode(data: bytes) -> Array:
        with _environment("LICTOR_CODER", path):
            if not checksum:
                return decompress(data, work.index)
            decoder = Decoder(data)
            symbols = decoder.pull(work.index)
            decoder.close()
            return symbols

    counted = f"everything; path {path}" + (", with checksum" if checksum else "")
    return Coder(work, encode, decode, len, counted, "lictor")


def ours(work: Workload) -> Iterator[tuple[str, Coder]]:
    """Our coder as it comes, with checksums, and with each of this machine's paths."""
    yield "lictor", _lictor(work, backend())
    yield "lictor.checksum", _lictor(work, backend(), checksum=True)
    for path in paths():
        if path not in ("reference", backend()):
            yield f"lictor.{path}", _lictor(work, path)


def compressai(work: Workload) -> Iterator[tuple[str, Coder]]:
    """CompressAI's rANS through its lists, and through GaussianConditional."""
    import torch
    from compressai import ans
    from compressai.entropy_models import GaussianConditional

    conditional = GaussianConditional(gaussian_sigmas().tolist())
    conditional.update()
    cdfs = conditional.quantized_cdf.tolist()
    lengths = conditional.cdf_length.reshape(-1).int().tolist()
    offsets = conditional.offset.reshape(-1).int().tolist()
    symbols, index = work.symbols.tolist(), work.index.tolist()
    coder, reader = ans.RansEncoder(), ans.RansDecoder()

    def decode(data: bytes) -> Array:
        return reader.decode_with_indexes(data, index, cdfs, lengths, offsets)

    yield (
        "compressai.ans",
        Coder(
            work,
            lambda: coder.encode_with_indexes(symbols, index, cdfs, lengths, offsets),
            decode,
            len,
            "calls with lists made beforehand, decoding gives a list",
            "compressai",
        ),
    )
    values = torch.from_numpy(work.symbols).float().reshape(1, 1, -1)
    indexes = torch.from_numpy(work.index).int().reshape(1, 1, -1)
    yield (
        "compressai.gaussian_conditional",
        Coder(
            work,
            lambda: conditional.compress(values, indexes),
            lambda data: conditional.decompress(data, indexes).reshape(-1).int().numpy(),
            lambda data: sum(map(len, data)),
            "compress() and decompress() of tensors",
            "compressai",
        ),
    )


def constriction(work: Workload) -> Iterator[tuple[str, Coder]]:
    """constriction: a Gaussian for each symbol, and a table for each group of symbols."""
    from constriction import stream

    some = work.first(1_000_000)
    limit = int(np.abs(some.symbols).max()) + 1
    gaussian = stream.model.QuantizedGaussian(-limit, limit)
    mean, sigma = np.zeros(some.symbols.size), gaussian_sigmas()[some.index]

    def encode_stack() -> Array:
        coder = stream.stack.AnsCoder()
        coder.encode_reverse(some.symbols, gaussian, mean, sigma)
        return coder.get_compressed()

    def encode_queue() -> Array:
        coder = stream.queue.RangeEncoder()
        coder.encode(some.symbols, gaussian, mean, sigma)
        return coder.get_compressed()

    def coder(encode: Callable[[], Array], decoder: Any) -> Coder:
        return Coder(
            some,
            encode,
            lambda data: decoder(data).decode(gaussian, mean, sigma),
            _nbytes,
            "calls with means and sigmas made beforehand",
            "constriction",
        )

    yield "constriction.ans.gaussian", coder(encode_stack, stream.stack.AnsCoder)
    yield "constriction.range.gaussian", coder(encode_queue, stream.queue.RangeDecoder)
    grouped = _Grouped(work)
    for kind in ("range", "ans"):
        yield f"constriction.{kind}.grouped", grouped.coder(kind, sort=True)
        yield f"constriction.{kind}.grouped.presorted", grouped.coder(kind, sort=False)


class _Grouped:
    """constriction with one call for each table: symbols sorted by table, and put back after."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.tables = np.unique(work.index)
        self.counts = np.bincount(work.index)[self.tables].tolist()
        self.models, self.lows = [], []
        for table in self.tables:
            mine = work.symbols[work.index == table]
            bound = max(int(np.ceil(8 * gaussian_sigmas()[table])) + 1, int(np.abs(mine).max()))
            values = np.arange(-bound, bound + 1)
            weights = np.exp2(-ideal_bits(values, np.full(values.size, table)))
            self.models.append(self._model(np.maximum(weights, 1e-12)))
            self.lows.append(-bound)
        self.order = self._order()
        self.sorted = work.symbols[self.order]

    @staticmethod
    def _model(weights: Array) -> Any:
        from constriction import stream

        return stream.model.Categorical(weights / weights.sum(), perfect=False)

    def _order(self) -> Array:
        return np.argsort(self.work.index, kind="stable")  # a radix sort

    def coder(self, kind: str, sort: bool) -> Coder:
        """`sort`: whether sorting by table and restoring the order are part of the work."""
        from constriction import stream

        ends = np.cumsum(self.counts).tolist()
        groups = list(zip(self.models, self.lows, self.counts, ends, strict=True))
        queue = kind == "range"

        def encode() -> Array:
            symbols = self.work.symbols[self._order()] if sort else self.sorted
            coder = stream.queue.RangeEncoder() if queue else stream.stack.AnsCoder()
            write = coder.encode if queue else coder.encode_reverse
            for model, low, count, end in groups if queue else reversed(groups):
                write(symbols[end - count : end] - low, model)
            return coder.get_compressed()

        def decode(data: Array) -> Array:
            coder = stream.queue.RangeDecoder(data) if queue else stream.stack.AnsCoder(data)
            parts = [coder.decode(model, count) + low for model, low, count, _ in groups]
            symbols = np.concatenate(parts)
            if not sort:
                return symbols
            out = np.empty_like(symbols)
            out[self._order()] = symbols
            return out

        work = self.work if sort else Workload("", self.sorted, self.work.index, self.work.bits)
        counted = (
            "sorting symbols by table and putting them back, besides the calls"
            if sort
            else "the calls only; symbols are sorted by table beforehand and stay so"
        )
        return Coder(work, encode, decode, _nbytes, counted, "constriction")


def torchac(work: Workload) -> Iterator[tuple[str, Coder]]:
    """torchac, which wants a row of the cumulative distribution for each symbol."""
    import torch

    with _no_output():  # it compiles itself on the first import, and says so
        import torchac as package

    some = work.first(20_000)
    bound = int(np.abs(some.symbols).max()) + 1
    values = np.arange(-bound, bound + 1)
    rows = []
    for table in range(SCALES):
        pmf = np.exp2(-ideal_bits(values, np.full(values.size, table)))
        # Every symbol must keep at least one step of 2^-16.
        pmf = (1 - values.size * 2.0**-15) * pmf / pmf.sum() + 2.0**-15
        cumulative = np.round(np.append(0, np.cumsum(pmf)) * 65536).astype(np.int64)
        rows.append(np.minimum(cumulative, 65536).astype(np.uint16).view(np.int16))
    table_rows = torch.from_numpy(np.stack(rows))
    index = torch.from_numpy(some.index.astype(np.int64))
    symbols = torch.from_numpy((some.symbols + bound).astype(np.int16))
    yield (
        "torchac",
        Coder(
            some,
            lambda: package.encode_int16_normalized_cdf(table_rows[index], symbols),
            lambda data: (
                package.decode_int16_normalized_cdf(table_rows[index], data).numpy() - bound
            ),
            len,
            "calls, and gathering a row for each symbol",
            "torchac",
        ),
    )


PEERS: tuple[Callable[[Workload], Iterator[tuple[str, Coder]]], ...] = (
    compressai,
    constriction,
    torchac,
)


def _nbytes(array: Array) -> int:
    return int(array.nbytes)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _no_output() -> Iterator[None]:
    """What compilers print to file descriptor 1 would spoil a report."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


# ---- measuring


def contestants(work: Workload, say: Say) -> dict[str, Coder]:
    """Our coder and the peers that are installed, by name."""
    found = dict(ours(work))
    for peer in PEERS:
        if find_spec(peer.__name__) is None:
            say(f"{peer.__name__} is not installed and is left out")
            continue
        found.update(peer(work))
    return found


def measure(work: Workload, runs: int, say: Say) -> dict[str, dict[str, Any]]:
    """A row for each contestant: speeds in million symbols a second, overhead in percent."""
    coders = contestants(work, say)
    coded: dict[str, Any] = {}
    for name, coder in coders.items():
        coded[name] = coder.encode()
        if not np.array_equal(np.asarray(coder.decode(coded[name])), coder.work.symbols):
            raise RuntimeError(f"{name} does not give back the symbols of workload {work.name}")
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in coders}
    for _ in range(runs):
        for name, coder in coders.items():
            encode = _clock(coder.encode)
            times[name].append(encode + _clock(partial(coder.decode, coded[name])))
    return {
        name: _row(coder, coder.size(coded[name]), times[name]) for name, coder in coders.items()
    }


def two_threads(work: Workload, runs: int) -> dict[str, Any]:
    """A row for our coder in two threads, each with the whole workload, by the wall clock.

    encode_scaling, decode_scaling: speed of two threads over that of one, taken in turn. Needs two
    cores that are free.
    """
    data = compress(work.symbols, work.index)
    outs = [np.empty_like(work.symbols) for _ in range(2)]

    def encode(_: Array) -> None:
        compress(work.symbols, work.index)

    def decode(out: Array) -> None:
        decompress(data, work.index, out=out)

    row: dict[str, Any] = {}
    for way, task in (("encode", encode), ("decode", decode)):
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(runs + 1):
            for threads, taken in seconds.items():
                taken.append(_wall_of_threads(task, outs[:threads]))
        one, two = (median(taken[1:]) for taken in seconds.values())  # the first is the warm-up
        row[f"{way}_msym_s"] = row[f"{way}_wall_msym_s"] = 2 * work.symbols.size / two / 1e6
        row[f"{way}_scaling"] = 2 * one / two
    ideal = float(work.bits.sum()) / 8
    about = {"overhead_pct": 100 * (len(data) / ideal - 1), "symbols": work.symbols.size}
    about |= {"bytes": len(data), "ideal_bytes": ideal, "runs": runs}
    counted = f"everything, wall time of two threads; path {backend()}"
    return row | about | {"counted": counted, "version": version("lictor")}


def _wall_of_threads(task: Callable[[Array], None], outs: list[Array], times: int = 5) -> float:
    """Seconds until each of so many threads has done the task, mean of several times on end."""

    def repeat(out: Array) -> None:
        for _ in range(times):
            task(out)

    threads = [Thread(target=repeat, args=(out,)) for out in outs]
    start = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (perf_counter() - start) / times


def _clock(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall time of a call, seconds."""
    wall, cpu = perf_counter(), thread_time()
    work()
    return thread_time() - cpu, perf_counter() - wall


def _row(coder: Coder, size: int, times: list[tuple[float, ...]]) -> dict[str, Any]:
    count = coder.work.symbols.size
    medians = [median(column) for column in zip(*times, strict=True)]
    encode, encode_wall, decode, decode_wall = (count / max(t, 1e-9) / 1e6 for t in medians)
    ideal = float(coder.work.bits.sum()) / 8
    return {
        "encode_msym_s": encode,
        "decode_msym_s": decode,
        "overhead_pct": 100 * (size / ideal - 1),
        "encode_wall_msym_s": encode_wall,
        "decode_wall_msym_s": decode_wall,
        "symbols": count,
        "bytes": size,
        "ideal_bytes": ideal,
        "runs": len(times),
        "counted": coder.counted,
        "version": version(coder.package),
    }


def report(
    picture: Array | None, model: str, quality: float, count: int, runs: int, say: Say
) -> dict[str, dict[str, dict[str, Any]]]:
    """All workloads, {workload: {coder: row}}; one that cannot be made is named and left out.

    Args:
        picture: for the workload kodak, as model and quality; see latents.
        model: see above.
        quality: see above.
        count: symbols of workloads A and B.
        runs: how often each coder is timed.
        say: is told what is left out.
    """
    from lictor.models import ModelError

    works = [synthetic("A", count), synthetic("B", count)]
    try:
        works.append(latents(picture, model, quality))
    except (ModelError, OSError, ImportError) as e:
        say(f"no workload kodak: {e}")
    # Torch's share of GaussianConditional shall not use more cores than the others.
    with torch_threads(1):
        results = {work.name: measure(work, runs, say) for work in works}
        for work in works:
            results[work.name]["lictor.two_threads"] = two_threads(work, runs)
    return results


def table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The report for a person."""
    lines = []
    for name, rows in results.items():
        ours = rows["lictor"]
        rate = 8 * ours["ideal_bytes"] / ours["symbols"]
        lines += [
            f"{name}: {ours['symbols']} symbols, {rate:.3f} bits each; million symbols a second of"
            " CPU time (of wall time)",
            f"  {'coder':34}{'encode':>16}{'decode':>16}{'overhead':>10}  ours is faster by",
        ]
        for coder, row in rows.items():
            encode, decode = (
                f"{row[f'{way}_msym_s']:.4g} ({row[f'{way}_wall_msym_s']:.4g})"
                for way in ("encode", "decode")
            )
            ratios = (ours[key] / row[key] for key in ("encode_msym_s", "decode_msym_s"))
            lines.append(
                f"  {coder:34}{encode:>16}{decode:>16}{row['overhead_pct']:>9.3f}%  "
                + " / ".join(f"{ratio:.3g}" for ratio in ratios)
            )
    counted = {
        f"  {coder}: {row['counted']}" for rows in results.values() for coder, row in rows.items()
    }
    return "\n".join([*lines, "counted:", *sorted(counted)])
