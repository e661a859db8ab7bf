"""Which run a target belongs to: one that was given up must not write beside its successor."""

from __future__ import annotations

import os

from lictor.codec.bulk import storage
from lictor.codec.errors import CodecError
from lictor.codec.inputs import show

NAME = "run"


class Superseded(CodecError):
    """Another run has taken the target over."""


def take(target: str) -> str:
    """Make the target this run's; gives the mark that it has. Raises StoreFailed, CannotWrite."""
    mark = os.urandom(8).hex()
    storage.of(target).write(storage.join(target, NAME), mark.encode())
    return mark


def check(target: str, mark: str) -> None:
    """Before a shard gets its name. Raises Superseded."""
    if storage.of(target).read(storage.join(target, NAME)) != mark.encode():
        raise Superseded(f"{show(target)}: another run has taken it over; let that end")
