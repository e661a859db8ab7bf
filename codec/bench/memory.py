"""How much memory a task took at its peak, in this process and in programs that it ran.

Linux tells the largest resident size since it was last asked to forget it (/proc/self/clear_refs);
before a task the free heap is given back, so that memory used again counts. Elsewhere: unknown.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_children = 0.0
"""Largest resident size of a program since `peak` began, MB."""


def peak(task: Callable[[], T]) -> tuple[T, float | None]:
    """What the task gives, and by how many MB (10^6 bytes) the process grew meanwhile at most.

    Of a program that the task ran through `wait`, all that it used is added.
    """
    global _children
    _children = 0.0
    before = _reset()
    result = task()
    after = _status("VmHWM")
    if before is None or after is None:
        return result, None
    return result, max(after - before, 0.0) + _children


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a program; its exit status. What it used is remembered."""
    global _children
    if not hasattr(os, "wait4"):
        return process.wait()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    _children = max(_children, usage.ru_maxrss * unit / 1e6)
    return process.returncode


def _reset() -> float | None:
    """Forget the peak; returns the size now, MB."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc's; others have none
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(key: str) -> float | None:
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith(key + ":"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024 / 1e6
