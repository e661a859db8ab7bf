"""How long work tells that it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]
"""Told the steps done and how many there are."""
Stop = Callable[[], bool]
"""Asked now and then whether a search is to end, with the best that it has."""


@runtime_checkable
class Telling(Protocol):
    """A `Progress` that is also told in words how things stand."""

    def __call__(self, done: int, count: int, /) -> None:
        """As a Progress."""

    def say(self, text: str) -> None:
        """Before the steps done that it is about."""
