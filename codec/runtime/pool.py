"""Tasks side by side, in threads: networks and coders let the interpreter go meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lictor.codec.runtime.runtime import Threads

MOST_WORKERS = 4
"""Each holds what one task takes, some 300 MB for a tile; further threads work inside."""


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
