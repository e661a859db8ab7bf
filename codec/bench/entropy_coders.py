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

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from threading import Thread
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from lictor.codec.bench.entropy_peers import PEERS
from lictor.codec.bench.entropy_workloads import Array, Coder, Workload, latents, synthetic
from lictor.codec.runtime.torch import torch_threads
from lictor.entropy import Decoder, Encoder, backend, compress, decompress, paths

Say = Callable[[str], None]


def _lictor(work: Workload, path: str, checksum: bool = False) -> Coder:
    def encode() -> bytes:
        encoder = Encoder(checksum=checksum, path=path)
        encoder.push(work.symbols, work.index)
        return encoder.finish()

    def decode(data: bytes) -> Array:
        decoder = Decoder(data, checksum=checksum, path=path)
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
