"""Several processes that work on files. One that is killed costs the file it had, and no more.

Ours rather than `concurrent.futures`, `loky` or `mpire`: those give up all that is queued when a
process dies, and do not say which file it had. Every worker has its own pipe, and one job at a
time, so the end of a pipe names the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from functools import partial
from multiprocessing.connection import wait
from time import monotonic

from lictor.codec import inputs
from lictor.codec.child import Child
from lictor.codec.cli.file_jobs import Outcome, Work, attempt
from lictor.codec.inputs import Job, UsageError
from lictor.codec.runtime.threads import cores

GRACE = 10.0
"""Seconds that workers have to tidy up when they are told to end."""


Outcomes = Generator[tuple[Job, Outcome], None, None]


def run(jobs: Sequence[Job], work: Work, workers: int) -> Outcomes:
    """Do the jobs; gives each with what became of it, as they are finished.

    workers: how many processes, 0 for one a core; 1 works in this process, in the order of the
        jobs. `work` must then be something that pickle takes.

    Once nothing more can be written, no further job is begun. Closing the generator, or an
    exception in it, ends the workers and removes their temporary files. Raises UsageError.
    """
    workers = min(workers or cores(), len(jobs))
    if workers > 1:
        with _Pool(work, workers) as pool:
            yield from pool.run(jobs)
        return
    for job in jobs:
        outcome = attempt(work, job)
        yield job, outcome
        if outcome.full:
            return


class _Worker(Child):
    """One process, and the job that it has."""

    def __init__(self, work: Work, threads: int) -> None:
        super().__init__(partial(_answer, work), threads)
        self.ready = False
        self.job: Job | None = None

    def give(self, job: Job) -> bool:
        """As a child does; it then has the job."""
        if not super().give(job):
            return False
        self.job = job
        return True

    def bury(self) -> str:
        """As of a child, and tidy up after it."""
        how = super().bury()
        if self.job and self.job.target and self.process.pid:
            inputs.remove_temporary(self.job.target, self.process.pid)
        return how


class _Pool:
    """Workers for one run; leaving it ends them."""

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._threads = max(1, cores() // count)
        self._workers: list[_Worker] = []
        self._count = count

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._workers:
            if kind:
                worker.process.terminate()
            worker.pipe.close()  # ends one that waits for a job
        deadline = monotonic() + GRACE
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - monotonic()))
            worker.process.kill()
            worker.bury()

    def run(self, jobs: Sequence[Job]) -> Outcomes:
        """As the module's `run`."""
        waiting = deque(jobs)
        for _ in range(self._count):
            self._hire()
        while waiting or any(w.job for w in self._workers):
            for pipe in wait([w.pipe for w in self._workers]):
                worker = next(w for w in self._workers if w.pipe is pipe)
                job, outcome = worker.job, self._hear(worker, bool(waiting))
                if job and outcome:
                    yield job, outcome
                    if outcome.full:
                        waiting.clear()
                if worker in self._workers and waiting and worker.give(waiting[0]):
                    waiting.popleft()

    def _hire(self) -> None:
        self._workers.append(_Worker(self._work, self._threads))

    def _hear(self, worker: _Worker, replace: bool) -> Outcome | None:
        """What a worker says: what became of its job, or None that it is ready for the first."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return self._lose(worker, replace)
        if isinstance(message, UsageError):
            raise message
        worker.ready, worker.job = True, None
        return message

    def _lose(self, worker: _Worker, replace: bool) -> Outcome | None:
        """A worker has died: take a new one in its place, unless it did not even start."""
        self._workers.remove(worker)
        how = worker.bury()
        if worker.ready and replace:
            self._hire()
        elif not worker.ready and not self._workers:
            raise UsageError(f"no worker process can start: the last one {how}; try -j 1")
        if worker.job is None:
            return None
        return Outcome(error=f"its worker process {how}; run the command again with a smaller -j")


# ---- in the worker


def _answer(work: Work, job: Job) -> Outcome | UsageError:
    try:
        return attempt(work, job)
    except UsageError as e:
        return UsageError(str(e))
    except BrokenPipeError as e:
        return Outcome(error=f"cannot write {inputs.show(job.target)}: {e.strerror}")
