"""Standard input, output and error of a process, where they are closed or full.

A program that is started without one of them would give its number to the next file that it opens,
and what is meant for the terminal would go into that file. And output that cannot be written is an
error like others: one line, and a status that says so.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

from lictor.codec.inputs import CannotWrite, DiskFull, is_full

_MODES = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)
"""How each of them is opened where it was closed: input and output the wrong way round, so that
using them is an error, as it was."""
_FULL = "/dev/full"


def prepare() -> None:
    """Make standard streams safe to use; call it before anything else is opened."""
    for number, mode in enumerate(_MODES):
        _fill(number, mode)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = _guarded(sys.stdout, _Output)
    sys.stderr = _guarded(sys.stderr, _Errors)


def _fill(number: int, mode: int) -> None:
    """Open a standard stream that is closed."""
    try:
        os.fstat(number)
    except OSError:
        # Who opens /dev/stdout is to have an error, too.
        place = _FULL if number == 1 and os.path.exists(_FULL) else os.devnull
        opened = os.open(place, mode)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)  # to worker processes, which would start without it


class _Output(io.FileIO):
    """Standard output. After an error it takes what comes without a word: the exit writes again."""

    _lost = False

    def write(self, data: Any) -> int:
        """Raises CannotWrite, BrokenPipeError."""
        if self._lost:
            return len(memoryview(data).cast("B"))
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as e:
            self._lost = True
            raise self._error(e) from e

    def _error(self, error: OSError) -> CannotWrite:
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        kind = DiskFull if is_full(error) else CannotWrite
        return kind(f"cannot write standard output: {reason}")


class _Errors(io.FileIO):
    """Standard error: who cannot be told is not, and the work goes on."""

    def write(self, data: Any) -> int:
        """Never fails."""
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


def _guarded(stream: Any, kind: type[io.FileIO]) -> Any:
    """A text stream like the one given, which writes through a class of ours; terminals stay."""
    number = 1 if kind is _Output else 2
    if stream is not None and stream.isatty():
        return stream
    raw = io.BufferedWriter(kind(number, "wb", closefd=False))
    return io.TextIOWrapper(
        raw,
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=getattr(stream, "errors", None) or "backslashreplace",
        line_buffering=getattr(stream, "line_buffering", number == 2),
    )
