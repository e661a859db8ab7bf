"""Tiles side by side, in threads: networks and coders let the interpreter go meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lictor.codec.runtime.runtime import Threads
    from lictor.models.progress import Progress

MOST_WORKERS = 4
"""Each holds the networks' activations of one tile, some 300 MB; further threads work inside."""
MOST_SEARCHES = 2
"""A search holds 0.8 GB."""


class _Here(Executor):
    """Does each task at once, in the thread that hands it in."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task(*args, **kwargs))
        return future


@contextmanager
def workers(
    tasks: int, threads: Threads, most: int = MOST_WORKERS
) -> Iterator[tuple[Executor, int]]:
    """A pool and its size: no more threads in all than there are, those inside a task counted.

    Tasks start in the order in which they were handed in. When the block ends by an exception,
    those that wait are dropped.
    """
    have = threads.count()
    count = max(1, min(have, tasks, most))
    if count == 1:
        yield _Here(), 1
        return
    pool = ThreadPoolExecutor(count, "lictor", initializer=threads.use, initargs=(have // count,))
    try:
        yield pool, count
    finally:
        pool.shutdown(cancel_futures=True)
        threads.use(have)  # what a worker sets becomes that of later threads


class Stopped(Exception):
    """Raised inside a task whose result nobody waits for any more."""


class Steps:
    """Adds up the progress of tasks that have the same number of steps each."""

    def __init__(self, tasks: int, report: Progress | None) -> None:
        self._done = [0] * tasks
        self._report = report
        self._lock = Lock()
        self._stopped = False

    def stop(self) -> None:
        """Make tasks end at their next step."""
        self._stopped = True

    def tell(self, task: int, done: int, count: int) -> None:
        """A task has done this many of its steps."""
        if self._stopped:
            raise Stopped
        with self._lock:
            self._done[task] = done
            if self._report is not None:
                self._report(sum(self._done), count * len(self._done))
