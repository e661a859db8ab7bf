"""A process of its own for work that may end it: the end of its pipe names what it had.

Processes are spawned: forking a process with threads in it (OpenMP's, CUDA's) is undefined, and
Windows and macOS cannot.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from lictor.codec.runtime import runtime
from lictor.codec.runtime.threads import wait_briefly

Answer = Callable[[Any], Any]


class Child:
    """A process that answers what it is given, one thing at a time; first it says None: ready.

    answer: what pickle takes. threads: its share of the cores, unless OMP_NUM_THREADS says.
    pipe: what it says comes here; EOFError or OSError where it has ended.
    """

    def __init__(self, answer: Answer, threads: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, answer, threads), daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()

    def give(self, thing: Any) -> bool:
        """Whether it could be given: not if the process has just died."""
        try:
            self.pipe.send(thing)
        except OSError:
            return False
        return True

    def bury(self) -> str:
        """The process has ended, or is about to: wait for that; how it ended."""
        self.process.join()
        self.pipe.close()
        return _cause_of_death(self.process.exitcode)


def _cause_of_death(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        name = signal.Signals(-status).name
        return f"was killed ({name}{', often for want of memory' if name == 'SIGKILL' else ''})"
    return f"was killed (signal {-status})"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process started in here never sees Ctrl-C or the end of the terminal; ours does, after.

    They go to all processes of a terminal, but it is for the command to tell its workers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else the first worker starts it, which undoes the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the process


def _serve(pipe: Connection[Any, Any], answer: Answer, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    wait_briefly()
    runtime.get(runtime.chosen())  # so that who is ready has the memory for it

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the command has ended
        pipe.send(None)
        while True:
            pipe.send(answer(pipe.recv()))


def _terminate(number: int, frame: Any) -> None:
    sys.exit(128 + number)  # unwinds, so that temporary files are removed
