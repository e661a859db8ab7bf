"""A run of `lictor bulk`: what workers do to files, who has the parts, and what is told of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any

import click

from lictor.codec import inputs
from lictor.codec.bulk import HERE, manifest
from lictor.codec.bulk import run as bulk
from lictor.codec.bulk.coder import Coded, Question
from lictor.codec.bulk.here import Here
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.on_ray import OnRay
from lictor.codec.bulk.plan import Part, Plan
from lictor.codec.bulk.run import Executor, Order, Result
from lictor.codec.bulk.samples import Wanted
from lictor.codec.bulk.sources import suffixes
from lictor.codec.cli.console import Screen, reason
from lictor.codec.cli.file_jobs import Decode, Encode, Verify
from lictor.codec.errors import CodecError
from lictor.codec.inputs import UsageError
from lictor.codec.runtime import together
from lictor.codec.runtime.runtime import FORCED

_RAY = "ray"
_NAMED = 20
"""Inputs that failed and are named at the end; the manifest has all."""
_SLOWEST_WATCH = 60.0
"""Seconds between two lines of progress where nobody sees a bar."""


@dataclass(frozen=True)
class Asked:
    """What the command line says. what: the command; known: extensions that it takes.

    keeps: whether it makes files. The others are its options.
    """

    what: str
    work: Encode | Decode | Verify
    known: frozenset[str]
    sources: tuple[str, ...]
    target: str
    keeps: bool
    where: str
    workers: int
    cores: int
    gpus: float
    items: int
    shard_size: int
    column: str
    only: str
    retry: bool
    as_json: bool

    def order(self) -> Order:
        """For the run. Raises UsageError."""
        wanted = Wanted(suffixes(self.only, self.known), self.column)
        work = Coding(self.work, os.environ.get(FORCED, ""))
        said = {"command": self.what, "sources": list(self.sources), "options": repr(self.work)}
        said |= {"column": self.column, "only": sorted(wanted.suffixes)}
        size = (self.items, self.shard_size)
        return Order(self.sources, self.target, work, wanted, said, *size, self.keeps, self.retry)

    def executor(self) -> AbstractContextManager[Executor]:
        """Who has the parts done. Raises UsageError."""
        if self.where == HERE:
            if self.gpus or self.cores > 1:
                raise UsageError("--cores and --gpus are for Ray; add --on ray")
            return Here(self.workers)
        address = "" if self.where == _RAY else self.where
        return OnRay(address, self.workers, self.cores, self.gpus)


def run(asked: Asked) -> int:
    """The exit status. Raises UsageError, CannotWrite."""
    try:
        order = asked.order()
        with asked.executor() as executor:
            watch = _Watch(getattr(executor, "dashboard", ""))
            result = bulk.run(order, executor, watch)
    except CodecError as e:
        raise UsageError(str(e)) from e
    watch.end(result, asked.target, asked.as_json)
    return 0 if result.ok else 1


@dataclass(frozen=True)
class Coding:
    """What the process of a worker does to files. work: what the command of one file does.

    runtime: what `--runtime` or the environment of the command says, which is not that of a
    cluster's other machines.
    """

    work: Encode | Decode | Verify
    runtime: str = ""

    def __call__(self, questions: Sequence[Question]) -> list[Coded] | UsageError:
        """Each file's outcome; what is wrong with the command is the answer to all."""
        if self.runtime:
            os.environ[FORCED] = self.runtime
        try:
            coded = together.run([partial(self._one, *question) for question in questions])
            return [
                # What went wrong may be another's, whose pass it shared: it is done again, alone.
                self._one(*question) if isinstance(one, BaseException) or one.error else one
                for question, one in zip(questions, coded, strict=True)
            ]
        except UsageError as e:
            return UsageError(str(e))

    def _one(self, name: str, data: bytes) -> Coded:
        try:
            return Coded(*self.work.of_bytes(name, data))
        except UsageError:
            raise
        except Exception as e:
            return Coded(error=reason(e))


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
