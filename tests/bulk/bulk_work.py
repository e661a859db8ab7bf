"""What tests have bulk do to files: quick work, and work that ends the process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lictor.codec.bulk.coder import Coded, Question
from lictor.codec.cli.bulk_run import Coding

POISON = b"poison"
"""Bytes that end the process that is given them."""


def turned(questions: Sequence[Question]) -> list[Coded]:
    """The bytes of each from back to front, called .bin; b"bad" cannot be."""
    return [
        Coded(error="is bad") if data == b"bad" else Coded(".bin", data[::-1], {"model": "turned"})
        for _, data in questions
    ]


def ended(questions: Sequence[Question]) -> list[Coded]:
    """As `turned`, but the process is killed by what is poison."""
    if any(data.startswith(POISON) for _, data in questions):
        os.kill(os.getpid(), signal.SIGKILL)
    return turned(questions)


class Direct:
    """A coder without a process. seen: the names of all that it was given."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def each(self, groups: Iterable[tuple[Any, list[Question]]]) -> Iterator[tuple[Any, Any]]:
        """As Coder has it."""
        for group, questions in groups:
            self.seen += [name for name, _ in questions]
            yield group, turned(questions)


class Poisoned(Coding):
    """The commands' own work, slowly, and pictures that end the process as faults of a library do.

    SLOW, of the environment: seconds for each, so that there is time to kill somebody.
    """

    def __call__(self, questions: Sequence[Question]) -> Any:
        """As the commands have it."""
        time.sleep(float(os.environ.get("SLOW", "0")) * len(questions))
        if any(data.startswith(POISON) for _, data in questions):
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(questions)
