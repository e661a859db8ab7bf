"""A run: the plan, what of it is left, having it done, and what there is in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import sleep
from typing import Any, Protocol

from lictor.codec.bulk import SIZE, manifest, plan, run_mark, sources, storage
from lictor.codec.bulk.coder import Work
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.part import Failure, Task, describe
from lictor.codec.bulk.plan import Part, Plan
from lictor.codec.bulk.samples import Wanted
from lictor.codec.inputs import UsageError, show

ROUNDS = 4
"""How often a part is tried that could not be done, once all others were."""
PAUSE = 2.0
"""Seconds between two rounds."""


class Executor(Protocol):
    """Who has parts done. workers: how many there are; 0 if that is not known."""

    workers: int

    def run(
        self, parts: Sequence[Part], task: Task
    ) -> Iterator[tuple[Part, Head | Failure]]:  # pragma: no cover
        """Each part with what became of it, as they are done; closing it ends the work."""
        ...


@dataclass(frozen=True)
class Order:
    """What a user asks for.

    asked: the same in words, to be compared when the run goes on; items, size: of a part, as in
    plan.make. keeps: whether there are outputs. again: whether to do parts anew in which inputs
    failed.
    """

    sources: tuple[str, ...]
    target: str
    work: Work
    wanted: Wanted
    asked: dict[str, Any]
    items: int = 0
    size: int = SIZE
    keeps: bool = True
    again: bool = False


@dataclass(frozen=True)
class Result:
    """What there is after a run. parts: of the plan; missing: those that are not done, and why."""

    heads: tuple[Head, ...]
    done_before: int
    parts: int
    missing: dict[int, str]

    @property
    def ok(self) -> bool:
        """Whether all is there, and as it was asked for."""
        return not self.missing and not any(head.failed or head.missed for head in self.heads)

    def total(self, what: str) -> Any:
        """Of a field of the heads, over all parts."""
        return sum(getattr(head, what) for head in self.heads)


class Watch(Protocol):
    """Who is told how a run goes on."""

    def begin(self, all: Plan, done: list[Head]) -> None:
        """Before the first part."""

    def tell(self, part: Part, head: Head) -> None:
        """A part is done."""

    def say(self, line: str) -> None:
        """Something is not as it should be."""


def run(order: Order, executor: Executor, watch: Watch) -> Result:
    """Do what is missing, and nothing twice.

    Raises UsageError, StoreFailed, CannotWrite, MissingPackage.
    """
    whole = _plan(order, executor.workers)
    done = manifest.heads(order.target)
    if order.again:
        done = {number: head for number, head in done.items() if not head.failed}
    watch.begin(whole, list(done.values()))
    left = [part for part in whole.parts if part.number not in done]
    missing: dict[int, str] = {}
    if left:
        mark = run_mark.take(order.target)
        _tidy(order.target)
        task = Task(order.work, order.wanted, order.target, order.keeps, mark)
        missing = _rounds(left, task, executor, watch)
        _tidy(order.target)
    heads = manifest.heads(order.target)
    for part in whole.parts:
        if part.number not in heads:
            missing.setdefault(part.number, "not done")
    found = tuple(heads[part.number] for part in whole.parts if part.number in heads)
    return Result(found, len(done), len(whole.parts), missing)


def _tidy(target: str) -> None:
    """Remove what workers that were killed left half written, of a run before or of this one."""
    for folder in (target, storage.join(target, manifest.FOLDER)):
        storage.of(folder).tidy(folder)


def _plan(order: Order, workers: int) -> Plan:
    """The plan that the target has, else one that it has from now on. Raises UsageError."""
    kept = plan.load(order.target)
    if kept is not None:
        changed = sorted(k for k, v in order.asked.items() if kept.asked.get(k) != v)
        if changed:
            raise UsageError(
                f"{show(order.target)}: was begun with other {' and '.join(changed)} "
                f"({kept.asked.get(changed[0])}); name another folder, or go on as it was begun"
            )
        return kept
    found = sources.find(order.sources, order.wanted)
    parts = plan.make(found, order.wanted, order.items, order.size, max(1, workers))
    made = Plan(order.asked, parts)
    plan.save(order.target, made)
    return made


def _rounds(left: list[Part], task: Task, executor: Executor, watch: Watch) -> dict[int, str]:
    """Have parts done, those that could not be again; what is left in the end, with the reasons."""
    missing: dict[int, str] = {}
    for number in range(ROUNDS):
        missing, full = _round(left, task, executor, watch)
        left = [part for part in left if part.number in missing]
        if not left or full:
            break
        if number + 1 < ROUNDS:
            sleep(PAUSE)
    return missing


def _round(
    left: list[Part], task: Task, executor: Executor, watch: Watch
) -> tuple[dict[int, str], bool]:
    """Each part once: those that are not done, and whether nothing more can be written."""
    missing = {part.number: "not begun" for part in left}
    with closing(executor.run(left, task)) as outcomes:  # type: ignore[type-var]
        for part, outcome in outcomes:
            if isinstance(outcome, Head):
                del missing[part.number]
                watch.tell(part, outcome)
                continue
            if outcome.usage:
                raise UsageError(outcome.text)
            missing[part.number] = outcome.text
            watch.say(f"{describe(part)}: {outcome.text}")
            if outcome.full:
                return missing, True
    return missing, False
