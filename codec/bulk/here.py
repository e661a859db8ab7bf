"""Parts done by processes of this machine, each with its share of the cores."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

from lictor.codec.bulk.coder import Coder
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.part import Failure, Task, attempt
from lictor.codec.bulk.plan import Part
from lictor.codec.runtime.threads import cores

Outcomes = Iterator[tuple[Part, Head | Failure]]


class Here:
    """Workers of this machine: a thread that reads and writes, and a process that codes, each.

    workers: how many; 0 for one a core.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers or cores()

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing outlives a run."""

    def run(self, parts: Sequence[Part], task: Task) -> Outcomes:
        """Each part with what became of it, as they are done; closing it ends the workers."""
        waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[Part, Head | Failure] | BaseException] = queue.SimpleQueue()
        for part in parts:
            waiting.put(part)
        count = min(self.workers, len(parts))
        coders = [Coder(task.work, max(1, cores() // self.workers)) for _ in range(count)]
        stop = threading.Event()
        threads = [
            threading.Thread(target=_serve, args=(waiting, done, coder, task, stop), daemon=True)
            for coder in coders
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in parts:
                outcome = done.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            stop.set()
            for thread, coder in zip(threads, coders, strict=True):
                coder.interrupt()
                thread.join()


def _serve(
    waiting: queue.SimpleQueue[Part],
    done: queue.SimpleQueue[tuple[Part, Head | Failure] | BaseException],
    coder: Coder,
    task: Task,
    stop: threading.Event,
) -> None:
    try:
        while not stop.is_set():
            part = waiting.get_nowait()
            done.put((part, attempt(part, task, coder)))
    except queue.Empty:
        pass
    except BaseException as e:
        done.put(e)
    finally:
        coder.close()
