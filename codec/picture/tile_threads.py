"""Tiles side by side: how many, and what is told of their progress."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from lictor.codec.runtime.pool import MOST_WORKERS as MOST_WORKERS
from lictor.codec.runtime.pool import workers as workers

if TYPE_CHECKING:
    from lictor.models.progress import Progress

MOST_SEARCHES = 2
"""A search holds 0.8 GB."""


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
