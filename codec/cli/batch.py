"""A command over its files: what is skipped, done, failed, and what the user sees of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter

from lictor.codec import inputs, kinds
from lictor.codec.cli.console import Screen
from lictor.codec.cli.file_jobs import Outcome, Work
from lictor.codec.inputs import Job, show
from lictor.codec.kinds.payload import Row

Line = Callable[[Row], str]


def run(
    jobs: list[Job],
    work: Work,
    as_json: bool,
    line: Line | None = None,
    *,
    workers: int = 1,
    skip: bool = False,
) -> int:
    """Do each job, report on it, go on after errors; returns the exit status.

    line: a job's line on standard output, for commands whose result is a report.
    workers: processes, as in process_pool.py. skip: leave out jobs whose output is there and whole.
    """
    return _Batch(jobs, work, as_json, line).run(workers, skip)


@dataclass
class _Batch:
    jobs: list[Job]
    work: Work
    as_json: bool
    line: Line | None
    rows: list[Row] = field(default_factory=list)
    failed: int = 0
    skipped: int = 0

    def __post_init__(self) -> None:
        self._screen = Screen()
        self._start = perf_counter()

    def run(self, count: int, skip: bool) -> int:
        """Do all; returns the exit status."""
        from lictor.codec.cli import process_pool

        jobs = self._left() if skip else self.jobs
        try:
            with closing(process_pool.run(jobs, self.work, count)) as outcomes:
                for job, outcome in self._screen.progress(outcomes, len(jobs)):
                    self._tell(job, outcome)
        except (KeyboardInterrupt, SystemExit):
            if len(jobs) > 1:
                self._summarise()
            raise
        self._summarise()
        return 1 if self.failed or not all(row.get("ok", True) for row in self.rows) else 0

    def _left(self) -> list[Job]:
        left = []
        for job in self.jobs:
            if not inputs.whole(job.target):
                left.append(job)
                continue
            self.skipped += 1
            if self.as_json:
                self._screen.say_json({**_named(job), "skipped": True})
        return left

    def _tell(self, job: Job, outcome: Outcome) -> None:
        if outcome.row is None:
            self.failed += 1
            self._screen.say(f"lictor: {show(job.source)}: {outcome.error}", err=True)
            if self.as_json:
                self._screen.say_json({**_named(job), "error": outcome.error})
            return
        self.rows.append(outcome.row)
        for note in outcome.row.get("notes", ()):
            self._screen.say(f"lictor: {show(job.source)}: {note}", err=True)
        if self.as_json:
            self._screen.say_json({**_named(job), **outcome.row, "seconds": outcome.seconds})
        elif self.line:
            self._screen.say(f"{show(job.source)}: {self.line(outcome.row)}")

    def _summarise(self) -> None:
        """The last line on standard error, of commands that write files."""
        if self.line or (len(self.jobs) == 1 and self.failed):
            return
        self._screen.say(self._summary(), err=True)

    def _summary(self) -> str:
        rows = self.rows
        seconds = f"{perf_counter() - self._start:.2f} s"
        if len(self.jobs) == 1 and rows:
            job, brief = self.jobs[0], kinds.of_row(rows[0]).brief(rows[0], seconds)
            return f"{show(job.source)} -> {show(job.target)}: {brief}"
        cost = f"{kinds.total(rows)}, {seconds}" if rows else seconds
        untouched = len(self.jobs) - len(rows) - self.failed - self.skipped
        others = ((self.failed, "failed"), (self.skipped, "skipped"), (untouched, "not done"))
        rest = ", ".join(f"{count} {what}" for count, what in others if count)
        done = f"{len(rows)} file{'' if len(rows) == 1 else 's'}: {cost}"
        hint = "; --skip-existing does the rest" if untouched else ""
        return f"{done}; {rest}{hint}" if rest else done


def _named(job: Job) -> dict[str, str]:
    return {"input": job.source} | ({"output": job.target} if job.target else {})
