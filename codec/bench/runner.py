"""All pictures through all codecs, going on where an earlier run was interrupted."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from tarfile import TarError

from lictor.codec.bench import catalogue, machine, measure
from lictor.codec.bench.contender import Codec
from lictor.codec.bench.measure import Meter, Options
from lictor.codec.bench.pictures import Image, Source
from lictor.codec.bench.row_cache import Journal, key
from lictor.codec.bench.rows import Failure, Row
from lictor.codec.errors import CodecError, OutOfMemory


@dataclass(frozen=True)
class Entry:
    """A codec of the benchmark: what was asked for, what was found, and where to measure it."""

    name: str
    effort: int
    codec: Codec
    qualities: tuple[float, ...]


@dataclass
class Measured:
    """What a run gave, in the order of pictures, codecs and qualities."""

    images: list[dict[str, object]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class _Unit:
    """A picture and a codec, at the qualities that are not measured yet."""

    source: Source
    entry: str
    effort: int
    qualities: tuple[float, ...]


def run(
    sources: Sequence[Source],
    entries: Sequence[Entry],
    options: Options,
    jobs: int = 1,
    advance: Callable[[int, str], None] = lambda count, what: None,
) -> Measured:
    """Measure.

    Args:
        sources: the pictures.
        entries: the codecs.
        options: how; `timed` only with one job.
        jobs: processes.
        advance: is told how many rows are done now, and what comes next.

    Raises:
        CodecError: a codec that can code no picture as it was asked to; and what files raise.
    """
    result, journal = Measured(), Journal(options.out)
    found: dict[tuple[str, str, float], Row] = {}
    units: list[_Unit] = []
    keys: dict[tuple[str, str, float], str] = {}
    for source in sources:
        image = _image(source, result, options)
        if image is None:
            advance(sum(len(entry.qualities) for entry in entries), source.name)
            continue
        for entry in entries:
            left = []
            for quality in entry.qualities:
                place = (image.name, entry.codec.name, quality)
                keys[place] = key(image.sha256, entry.codec, quality, options, machine.processor())
                row = journal.get(keys[place], image.name)
                if row:
                    found[place] = _with_pictures(row, entry.codec, options)
                else:
                    left.append(quality)
            advance(len(entry.qualities) - len(left), source.name)
            if left:
                units.append(_Unit(source, entry.name, entry.effort, tuple(left)))
    for outcome in _outcomes(units, entries, options, jobs, advance):
        if isinstance(outcome, Row):
            place = (outcome.image, outcome.codec, outcome.quality)
            found[place] = outcome
            journal.add(keys[place], outcome)
        else:
            result.failed.append(outcome)
        advance(1, "")
    result.rows = [found[place] for place in keys if place in found]
    return result


def _image(source: Source, result: Measured, options: Options) -> Image | None:
    """A picture, listed; None, and a failure, if it cannot be read."""
    try:
        image = _read(source)
    except (CodecError, OSError, TarError, MemoryError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        result.failed.append(Failure(source.name, None, None, reason or type(e).__name__))
        return None
    height, width = image.pixels.shape[:2]
    result.images.append(
        {
            "name": image.name,
            "width": width,
            "height": height,
            "sha256": image.sha256,
            "file": measure.keep(options, measure.original_name(image.name), image.pixels),
            "notes": list(image.notes),
        }
    )
    return image


def _with_pictures(row: Row, codec: Codec, options: Options) -> Row:
    """An earlier row, with its decoded picture if such are kept now."""
    name = measure.decoded_name(row.image, row.codec, row.quality)
    if not options.keep or options.out is None or row.file is None:
        return replace(row, decoded=None)
    if not Path(options.out, name).is_file():
        decoded = codec.decode(Path(options.out, row.file).read_bytes())
        measure.keep(options, name, decoded)
    return replace(row, decoded=name)


def _outcomes(
    units: Sequence[_Unit],
    entries: Sequence[Entry],
    options: Options,
    jobs: int,
    advance: Callable[[int, str], None],
) -> Iterator[Row | Failure]:
    if jobs > 1:
        yield from _by_processes(units, options, jobs)
        return
    codecs = {(entry.name, entry.effort): entry.codec for entry in entries}
    meter = Meter(options)
    for unit in units:
        codec = codecs[unit.entry, unit.effort]
        advance(0, f"{unit.source.name} {codec.name}")
        image = _read(unit.source)
        yield from measure.rows(codec, image, unit.source.label, unit.qualities, options, meter)


@lru_cache(maxsize=1)
def _read(source: Source) -> Image:
    return source.read()


# ---- several processes


def _by_processes(units: Sequence[_Unit], options: Options, jobs: int) -> Iterator[Row | Failure]:
    """Rows as they are finished."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(jobs, context, _start_process, (options.threads,)) as pool:
        try:
            waiting: list[Future[list[Row | Failure]]] = [
                pool.submit(_work, unit, options) for unit in units
            ]
            for done in as_completed(waiting):
                yield from done.result()
        except BrokenProcessPool as e:
            raise OutOfMemory(
                "a process was ended, most likely for want of memory; use fewer --jobs"
            ) from e
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _start_process(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells what to do
    import torch

    torch.set_num_threads(threads)


def _work(unit: _Unit, options: Options) -> list[Row | Failure]:
    codec = _codec(unit.entry, unit.effort, options.threads)
    image = _read(unit.source)
    return list(
        measure.rows(codec, image, unit.source.label, unit.qualities, options, _meter(options))
    )


@cache
def _codec(name: str, effort: int, threads: int) -> Codec:
    return catalogue.find(name, effort, threads)


@cache
def _meter(options: Options) -> Meter:
    return Meter(options)
