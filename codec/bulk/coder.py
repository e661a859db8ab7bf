"""The process that codes for one worker: what ends it, a picture or a signal, is asked twice.

A picture whose process dies when it is alone with it, and dies again, is named and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lictor.codec.child import Child
from lictor.codec.errors import CodecError
from lictor.codec.inputs import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Coded:
    """What became of one file. name: what it is called now. error: why there is none."""

    name: str = ""
    data: bytes = b""
    row: dict[str, Any] = field(default_factory=dict)
    error: str = ""


Question = tuple[str, bytes]
"""A file's name and bytes."""
Work = Callable[[Sequence[Question]], "list[Coded] | UsageError"]
"""What is done to files; an error that concerns all of them is answered."""

_TRIES = 2


class CoderFailed(CodecError):
    """No process for coding can be begun here."""


class _DiedError(Exception):
    """The process has ended before it answered."""


class Coder:
    """One process at a time, begun when it is needed. work: such as pickle takes."""

    def __init__(self, work: Work, threads: int) -> None:
        self.work, self.threads = work, threads
        self._child: Child | None = None
        self._ready = self._ended = False

    def each(self, groups: Iterable[tuple[T, list[Question]]]) -> Iterator[tuple[T, list[Coded]]]:
        """Each group with what came of its files, in order; while it codes one, the next is read.

        Raises UsageError, CoderFailed.
        """
        before: tuple[T, list[Question]] | None = None
        try:
            for group in groups:
                answer = None if before is None else (before[0], self._heard(before[1]))
                self._give(group[1])
                before = group
                if answer is not None:
                    yield answer
            if before is not None:
                yield before[0], self._heard(before[1])
        except BaseException:  # or the next would be given an answer that was not its own
            self.close()
            raise

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._child is not None:
            self._child.process.kill()
            self._child.bury()
            self._child = None

    def interrupt(self) -> None:
        """From another thread: what is being coded is not, and nothing more will be."""
        self._ended = True
        child = self._child
        if child is not None:
            child.process.kill()

    def _give(self, questions: list[Question]) -> None:
        if not questions:
            return
        if self._ended:
            raise CoderFailed("the run was ended")
        if self._child is None:
            self._child, self._ready = Child(self.work, self.threads), False
        self._child.give(questions)  # who has just died is found dead when it should answer

    def _heard(self, questions: list[Question]) -> list[Coded]:
        if not questions:
            return []
        try:
            return self._answer()
        except _DiedError:
            return [self._alone(question) for question in questions]

    def _alone(self, question: Question) -> Coded:
        how = ""
        for _ in range(_TRIES):
            try:
                self._give([question])
                return self._answer()[0]
            except _DiedError as e:
                how = str(e)
        return Coded(error=f"the process that it was alone with {how}, {_TRIES} times; left out")

    def _answer(self) -> list[Coded]:
        answer = self._said()
        if isinstance(answer, UsageError):
            raise answer
        coded: list[Coded] = answer
        return coded

    def _said(self) -> Any:
        assert self._child is not None
        try:
            answer = self._child.pipe.recv()
            if answer is None:  # it has just begun
                self._ready = True
                answer = self._child.pipe.recv()
            return answer
        except (EOFError, OSError) as e:
            child, self._child = self._child, None
            how = child.bury()
            if not self._ready and not self._ended:
                raise CoderFailed(f"no process for coding can start here: the last {how}") from e
            raise _DiedError(how) from e
