"""Several pictures through a network in one pass: where each would run it, they wait for others.

The work on each picture is a thread, of which one runs at a time: a picture that comes to its
network waits there, and the next goes on. Once as many wait as make a pass worth while, or all do,
those of like size share one. Streams do not depend on it: what decides a probability is integers.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.codec.runtime.runtime import PictureNetwork
    from lictor.entropy import Decoder, Encoder
    from lictor.models.box import Box
    from lictor.models.quality import Quality

T = TypeVar("T")

_WAITING = 4
"""How many passes the pictures that wait would fill, at most: each is in memory."""


# ---- what is asked of a network


@dataclass(frozen=True)
class Call(ABC):
    """A call of a network for a picture in one piece.

    codec: the network. quality: of all of the picture.
    """

    codec: PictureNetwork
    quality: Quality

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""

    @property
    def padded(self) -> tuple[int, int]:
        """As the network has them."""
        stride = self.codec.stride
        high, wide = (-(-side // stride) * stride for side in self.size)
        return high, wide

    @property
    def pixels(self) -> int:
        """That the network has."""
        return self.padded[0] * self.padded[1]

    @property
    def like(self) -> Hashable:
        """Alike of those that can share a pass."""
        return type(self), id(self.codec.model), self.padded

    @abstractmethod
    def alone(self) -> Any:
        """The answer."""

    @abstractmethod
    def all(self, asked: Sequence[Any]) -> list[Any]:
        """The answers to several that are alike."""


@dataclass(frozen=True)
class Encode(Call):
    """`PictureNetwork.encode`."""

    colours: NDArray[Any]
    encoder: Encoder
    tile: Box

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture."""
        return self.tile.height, self.tile.width

    def alone(self) -> NDArray[np.float32] | None:
        """Latents, where the network has them at hand."""
        return self.codec.encode(self.colours, self.quality, self.encoder, self.tile)

    def all(self, asked: Sequence[Encode]) -> list[NDArray[np.float32]]:
        """Likewise."""
        given = [(one.colours, one.quality, one.encoder) for one in asked]
        return self.codec.encode_several(*zip(*given, strict=True))


@dataclass(frozen=True)
class Pull(Call):
    """`PictureNetwork.pull`."""

    shape: tuple[int, int]
    decoder: Decoder

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture."""
        return self.shape

    def alone(self) -> NDArray[np.float32]:
        """Latents."""
        return self.codec.pull(self.shape, self.quality, self.decoder)

    def all(self, asked: Sequence[Pull]) -> list[NDArray[np.float32]]:
        """Likewise."""
        qualities, decoders = zip(*((one.quality, one.decoder) for one in asked), strict=True)
        return self.codec.pull_several(self.shape, qualities, decoders)


@dataclass(frozen=True)
class Show(Call):
    """`PictureNetwork.show`, of a picture whose latents are all that it sees."""

    latents: NDArray[np.float32]
    part: Box
    samples: NDArray[Any]
    precision: str

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture, padded."""
        high, wide = (side * self.codec.cell for side in self.latents.shape[1:])
        return high, wide

    @property
    def like(self) -> Hashable:
        """With samples of one kind."""
        kind = self.samples.shape[-1], self.samples.dtype, self.precision
        return super().like, *kind

    def alone(self) -> NDArray[Any]:
        """Samples."""
        given = self.latents, self.quality, self.part, self.samples, self.precision
        return self.codec.show(*given)

    def all(self, asked: Sequence[Show]) -> list[NDArray[Any]]:
        """Likewise."""
        given = [(one.latents, one.quality, one.part) for one in asked]
        latents, qualities, parts = zip(*given, strict=True)
        shared = self.samples, self.precision
        return self.codec.show_several(latents, qualities, parts, *shared)


# ---- who asks

_here = threading.local()


def ask(call: Call) -> Any:
    """The answer, of a pass that others share if this thread works on one of several pictures."""
    member: _Member[Any] | None = getattr(_here, "member", None)
    if member is None or not call.codec.together or call.quality.map is not None:
        return call.alone()
    return member.ask(call)


def run(tasks: Sequence[Callable[[], T]]) -> list[T | BaseException]:
    """Do all tasks, and let them share passes of networks.

    Returns:
        What each gave or raised. An error may be another's, whose pass it shared: do such tasks
        again, alone.
    """
    waiting, members = [_Member(task) for task in tasks][::-1], []
    gathered: list[_Member[T]] = []
    while waiting or gathered:
        ready = _passes(gathered, last=not waiting)
        if not ready:
            members.append(waiting.pop())
            ready = [[members[-1]]]
        else:
            for group in ready:
                _answer(group)
        going = [member for group in ready for member in group]
        gathered = [member for member in gathered if member not in going]
        gathered += [member for member in going if member.go_on()]
    return [member.outcome for member in members]


def _passes(gathered: Sequence[_Member[T]], last: bool) -> list[list[_Member[T]]]:
    """Those that can share a pass, where they fill it; the most of them, if no more should wait.

    last: whether nobody else comes.
    """
    groups: dict[Hashable, list[_Member[T]]] = {}
    for member in gathered:
        groups.setdefault(member.call.like, []).append(member)
    pixels = {like: sum(one.call.pixels for one in group) for like, group in groups.items()}
    full = [group for like, group in groups.items() if pixels[like] >= group[0].call.codec.together]
    if full or not groups:
        return full
    fullest = max(groups, key=lambda like: pixels[like])
    crowded = sum(pixels.values()) >= _WAITING * groups[fullest][0].call.codec.together
    return [groups[fullest]] if last or crowded else []


def _answer(group: Sequence[_Member[Any]]) -> None:
    """In one pass."""
    calls = [member.call for member in group]
    try:
        with calls[0].codec.runtime.working():
            answers = [calls[0].alone()] if len(calls) == 1 else calls[0].all(calls)
    except Exception as e:
        answers = [_Raised(e) for _ in calls]
    for member, answer in zip(group, answers, strict=True):
        member.answer = answer


@dataclass
class _Raised:
    error: Exception


class _Member(Generic[T]):
    """The work on one picture. call: what it waits for; outcome: what came of it in the end."""

    call: Call
    answer: Any
    outcome: T | BaseException

    def __init__(self, task: Callable[[], T]) -> None:
        self._task, self._mine, self._others = task, threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._done = False

    def go_on(self) -> bool:
        """Up to its next call: whether there is one."""
        if self._thread.ident is None:
            self._thread.start()
        self._mine.release()
        self._others.acquire()
        if self._done:
            self._thread.join()
        return not self._done

    def ask(self, call: Call) -> Any:
        """In its thread: others go on until there is an answer."""
        self.call = call
        self._others.release()
        self._mine.acquire()
        answer = self.answer
        del self.call, self.answer  # they may be large
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def _work(self) -> None:
        self._mine.acquire()
        _here.member = self
        try:
            self.outcome = self._task()
        except BaseException as e:
            self.outcome = e
        self._done = True
        self._others.release()
