"""`lictor bulk`: from shards to shards, on this machine or on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any

import click

from lictor.codec import inputs, kinds
from lictor.codec.bulk import manifest, plan
from lictor.codec.bulk.coder import Coded, Question
from lictor.codec.bulk.here import Here
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.on_ray import OnRay
from lictor.codec.bulk.plan import Part, Plan
from lictor.codec.bulk.run import Executor, Order, Result, run
from lictor.codec.bulk.samples import Wanted
from lictor.codec.bulk.sources import suffixes
from lictor.codec.cli import decode, encode, options, verify
from lictor.codec.cli.console import Screen, reason
from lictor.codec.cli.file_jobs import Decode, Encode, Verify
from lictor.codec.errors import CodecError
from lictor.codec.inputs import UsageError

HERE, RAY = "here", "ray"
_NAMED = 20
"""Inputs that failed and are named at the end; the manifest has all."""
_SLOWEST_WATCH = 60.0
"""Seconds between two lines of progress where nobody sees a bar."""


@dataclass(frozen=True)
class Coding:
    """What the process of a worker does to files. work: what the command of one file does."""

    work: Encode | Decode | Verify

    def __call__(self, questions: Sequence[Question]) -> list[Coded] | UsageError:
        """Each file's outcome; what is wrong with the command is the answer to all."""
        try:
            return [self._one(name, data) for name, data in questions]
        except UsageError as e:
            return UsageError(str(e))

    def _one(self, name: str, data: bytes) -> Coded:
        try:
            return Coded(*self.work.of_bytes(name, data))
        except UsageError:
            raise
        except Exception as e:
            return Coded(error=reason(e))


class _Bulk(click.Group):
    """A group whose command `encode` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["encode", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Bulk)
def bulk() -> None:
    """Encode, decode or verify by the million: lictor bulk SRC... DST.

    SRC: folders, patterns, tar shards or Parquet files, here or in object stores (s3://, gs://).
    DST: a folder, for shards and a manifest; the same command goes on where a run ended.
    `lictor bulk SRC... DST` is short for `lictor bulk encode SRC... DST`.
    """


_placed = options.together(
    click.argument("paths", nargs=-1, required=True, metavar="SRC... DST"),
    click.option(
        "--on",
        "where",
        default=HERE,
        show_default=True,
        metavar="here|ray|ADDRESS",
        help="Processes of this machine; a Ray of this machine; or the cluster at an address "
        "(auto: the one that this machine is in).",
    ),
    options.whole(
        "-j",
        "--jobs",
        "workers",
        least=0,
        default=0,
        metavar="N",
        help="Workers at a time; 0: as many as there are cores, or GPUs, for.",
    ),
    options.whole("--cores", least=1, default=1, metavar="N", help="On Ray: cores of each worker."),
    click.option(
        "--gpus",
        type=click.FloatRange(0),
        default=0.0,
        show_default=True,
        metavar="G",
        help="On Ray: GPUs of each worker, 0.5 for two on one; with --device cuda.",
    ),
    options.whole(
        "--shard",
        "items",
        least=0,
        default=0,
        metavar="N",
        help=f"Inputs of a shard at most; 0: {plan.ITEMS}, and fewer where there are few.",
    ),
    click.option(
        "--shard-size",
        type=options.Size(),
        default=str(plan.SIZE),
        metavar="BYTES",
        help="Bytes of input of a shard at most; 256MiB unless told.",
    ),
    click.option(
        "--column", default="", metavar="NAME", help="Of Parquet files, which holds the bytes."
    ),
    click.option(
        "--only",
        default="",
        metavar="EXT,...",
        help="Code only files with these extensions; others travel along untouched.",
    ),
    click.option("--retry", is_flag=True, help="Do shards anew in which inputs failed."),
    options.json_object,
)


@bulk.command("encode")
@_placed
@encode.asked
@click.option("--measure", is_flag=True, help="The manifest tells each picture's PSNR.")
def bulk_encode(measure: bool, **given: Any) -> int:
    """Encode pictures and arrays; other columns and files of a sample travel along."""
    placed, how = _parted(given)
    work = Encode(encode.given(**how) | ({"measure": True} if measure else {}), mixed=True)
    return _run("encode", work, kinds.SUFFIXES, **placed)


@bulk.command("decode")
@_placed
@decode.asked
def bulk_decode(**given: Any) -> int:
    """Decode .bin files of shards to PNG files, .npy, .npz and .safetensors."""
    placed, how = _parted(given)
    return _run("decode", Decode("PNG", decode.given(**how)), inputs.BINS, **placed)


@bulk.command("verify")
@_placed
@verify.asked
def bulk_verify(**given: Any) -> int:
    """Verify pictures; DST is given the manifest alone."""
    placed, how = _parted(given)
    return _run("verify", verify.work(**how), inputs.PICTURES, **placed, keeps=False)


_PLACED = frozenset(("paths", "where", "workers", "cores", "gpus", "items", "shard_size")).union(
    ("column", "only", "retry", "as_json")
)


def _parted(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of _placed, and the others."""
    how = {name: value for name, value in given.items() if name not in _PLACED}
    return {name: given[name] for name in _PLACED}, how


def _run(
    what: str,
    work: Encode | Decode | Verify,
    known: frozenset[str],
    *,
    paths: tuple[str, ...],
    where: str,
    workers: int,
    cores: int,
    gpus: float,
    items: int,
    shard_size: int,
    column: str,
    only: str,
    retry: bool,
    as_json: bool,
    keeps: bool = True,
) -> int:
    sources, target = options.inputs_and_output(paths, False)
    wanted = Wanted(suffixes(only, known), column)
    asked = {"command": what, "sources": list(sources), "options": repr(work)}
    asked |= {"column": column, "only": sorted(wanted.suffixes)}
    order = Order(
        sources, target, Coding(work), wanted, asked, items, shard_size, keeps, again=retry
    )
    try:
        with _executor(where, workers, cores, gpus) as executor:
            watch = _Watch(getattr(executor, "dashboard", ""))
            result = run(order, executor, watch)
    except CodecError as e:
        raise UsageError(str(e)) from e
    watch.end(result, target, as_json)
    return 0 if result.ok else 1


def _executor(
    where: str, workers: int, cores: int, gpus: float
) -> AbstractContextManager[Executor]:
    if where == HERE:
        if gpus or cores > 1:
            raise UsageError("--cores and --gpus are for Ray; add --on ray")
        return Here(workers)
    return OnRay("" if where == RAY else where, workers, cores, gpus)


class _Watch:
    """One line on standard error that says how far it is, how fast, and how long it will take."""

    def __init__(self, dashboard: str) -> None:
        self._screen, self._start = Screen(), perf_counter()
        self._bar: Any = None
        self._total = self._done = self._last = 0.0
        self._items = self._failed = 0
        if dashboard:
            self.say(f"Ray's dashboard: {dashboard}")

    def begin(self, all: Plan, done: list[Head]) -> None:
        """What is there already counts as done, but not for how fast it goes."""
        finished = {head.part for head in done}
        left = [part for part in all.parts if part.number not in finished]
        if done:
            self.say(f"{len(done)} of {len(all.parts)} shards are there already")
        self._total = sum(part.size for part in left)
        if sys.stderr.isatty():
            from tqdm import tqdm

            style = {"unit": "B", "unit_scale": True, "file": sys.stderr, "leave": False}
            self._bar = tqdm(total=self._total, **style)

    def tell(self, part: Part, head: Head) -> None:
        """Bytes of input, inputs and seconds."""
        self._done, self._items = self._done + part.size, self._items + head.items
        self._failed += head.failed
        seconds = perf_counter() - self._start
        said = f"{self._items} inputs, {self._items / seconds:.1f}/s, {self._failed} failed"
        if self._bar is not None:
            self._bar.set_postfix_str(said, refresh=False)
            self._bar.update(part.size)
        elif seconds - self._last > _SLOWEST_WATCH:
            self._last = seconds
            left = seconds * (self._total / self._done - 1) if self._done else 0
            self.say(f"{said}; {left:.0f} s left")

    def say(self, line: str) -> None:
        """Above the bar, if there is one."""
        text = f"lictor: {line}"
        if self._bar is None:
            click.echo(text, err=True)
        else:
            self._bar.write(text, file=sys.stderr)

    def end(self, result: Result, target: str, as_json: bool) -> None:
        """What there is, on standard error; on standard output as JSON, if asked for."""
        wrong = manifest.errors(target, result.heads)
        for row in islice(wrong, _NAMED):
            self.say(f"{inputs.show(row['input'])}: {row['error']}")
        if any(True for _ in wrong):
            self.say(f'more inputs failed: "error" in {target}/{manifest.FOLDER} names each')
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        seconds = perf_counter() - self._start
        items, failed, missed = (result.total(name) for name in ("items", "failed", "missed"))
        done = len(result.heads)
        told = {"inputs": items, "outputs": items - failed, "failed": failed, "missed": missed}
        told |= {"shards": done, "shards_before": result.done_before}
        told |= {"shards_missing": len(result.missing), "read": result.total("read")}
        told |= {"written": result.total("written"), "seconds": round(seconds, 3)}
        if as_json:
            self._screen.say_json(told)
        others = ((failed, "failed"), (missed, "not as asked for"), (result.done_before, ""))
        rest = "".join(f", {count} {name}" for count, name in others if count and name)
        missing = f"; {len(result.missing)} shards missing, run again" if result.missing else ""
        said = f"{items - failed} of {items} inputs in {done} shards{rest}, {told['written']} bytes"
        self.say(f"{said}, {seconds:.1f} s{missing}")
