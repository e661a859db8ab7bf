"""What bulk work is about: pieces of sources, the samples in them, and the files of a sample.

A sample is what belongs together: a picture and the files beside it that share its name, as
webdataset has them in a tar, or a row of a table.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from lictor.codec.errors import CodecError

ALL = -1


class DamagedShard(CodecError):
    """A tar or a table that ends early, or cannot be read on."""


@dataclass(frozen=True)
class Wanted:
    """What of a source is coded: files with these extensions, of tables the column.

    column: "" for the one that holds bytes.
    """

    suffixes: frozenset[str]
    column: str = ""

    def takes(self, name: str) -> bool:
        """Whether a file is coded; others travel along."""
        return os.path.splitext(name)[1].lower() in self.suffixes


@dataclass(frozen=True)
class Piece:
    """Inputs that lie together: a file, samples of a tar, groups of rows of a table.

    name: of a file, its path below the folder that was named. beside: paths of files that travel
    along. start, stop: bytes of a tar, or groups of a table; all, if stop is −1. items: how many
    are to be coded, 0 where only reading tells. size: their bytes, or those of the whole shard.
    """

    form: str
    path: str
    name: str = ""
    beside: tuple[str, ...] = ()
    start: int = 0
    stop: int = ALL
    items: int = 0
    size: int = 0


@dataclass
class Member:
    """A file of a sample. coded: whether it is to be. wrong: why it cannot be taken along."""

    name: str
    data: bytes
    coded: bool
    wrong: str = ""


@dataclass
class Sample:
    """What belongs together. label: where it is, for people. row: of a table, its other columns."""

    label: str
    members: list[Member] = field(default_factory=list)
    row: Any = None

    def place(self, member: Member) -> str:
        """Where a member is, for people."""
        return self.label if self.row is not None else f"{self.label}{member.name}"
