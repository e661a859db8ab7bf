"""Runs of bulk in this process, without Ray and without processes, and shards to run on."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bulk_work
from bulk_work import Direct

from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.part import Failure, Task, attempt
from lictor.codec.bulk.plan import Part, Plan
from lictor.codec.bulk.run import Order, Result, run
from lictor.codec.bulk.samples import Wanted

WANTED = Wanted(frozenset((".png", ".jpg")))


class Alone:
    """An executor of this process, without Ray and without processes."""

    workers = 1

    def __init__(self) -> None:
        self.coder = Direct()

    def run(self, parts: Sequence[Part], task: Task) -> Iterator[tuple[Part, Head | Failure]]:
        for part in parts:
            yield part, attempt(part, task, self.coder)  # type: ignore[arg-type]


class Quiet:
    """Who is told, and does not tell."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, all: Plan, done: list[Head]) -> None:
        self.left = len(all.parts) - len(done)

    def tell(self, part: Part, head: Head) -> None: ...

    def say(self, line: str) -> None:
        self.said.append(line)


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def samples(count: int) -> dict[str, bytes]:
    """Those of a tar, with names that need headers of their own."""
    files = {}
    for i in range(count):
        key = f"{'deep/' * (i % 30)}{i:03}"
        files[f"{key}.png"] = b"%d" % i * (1 + 97 * i % 900)
        files[f"{key}.cls"] = b"%d" % (i % 10)
    return files


def done(
    source: Path | str, target: Path | str, items: int = 3, **more: Any
) -> tuple[Result, Alone, Quiet]:
    executor, watch = Alone(), Quiet()
    order = Order(
        (str(source),), str(target), bulk_work.turned, WANTED, {"options": "none"}, items, **more
    )
    return run(order, executor, watch), executor, watch
