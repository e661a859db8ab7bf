"""What became of each input, one file a part: the part is done once this file is there.

Its first line tells of the shard, every other of an input. It is written after the shard, so that
a shard without it is one that nobody finished, and is written again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from lictor.codec.bulk import storage
from lictor.codec.bulk.plan import Part, part_name

FOLDER = "manifest"
_ASKED_AT_A_TIME = 16
_LINE = 4096
"""Bytes that the first line has at most."""


@dataclass(frozen=True)
class Head:
    """A part's totals. shard: its name, "" if nothing of it could be kept; size: its bytes.

    items: inputs that were to be coded; failed: those that are left out; missed: those that are
    there but not as they were asked for. read, written: bytes of inputs and of their outputs.
    """

    part: int
    shard: str
    size: int
    sha256: str
    items: int
    failed: int
    missed: int
    read: int
    written: int
    seconds: float


def write(target: str, part: Part, head: Head, rows: list[dict[str, Any]]) -> None:
    """Commit a part. Raises StoreFailed, CannotWrite."""
    lines = [asdict(head), *({k: _plain(v) for k, v in row.items()} for row in rows)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    storage.of(target).write(_path(target, part.name), text.encode())


def _plain(value: Any) -> Any:
    """What JSON has no number for becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _path(target: str, name: str) -> str:
    return storage.join(storage.join(target, FOLDER), f"{name}.jsonl")


def rows(target: str) -> Iterator[dict[str, Any]]:
    """The rows of all parts that are done, in order. Raises StoreFailed."""
    store = storage.of(target)
    for entry in store.find(storage.join(target, FOLDER)) or []:
        data = store.read(entry.path) or b""
        yield from map(json.loads, data.decode().splitlines()[1:])


def errors(target: str, heads: Iterable[Head]) -> Iterator[dict[str, Any]]:
    """The rows of inputs that failed, of these parts. Raises StoreFailed."""
    store = storage.of(target)
    for head in heads:
        if head.failed:
            data = store.read(_path(target, part_name(head.part))) or b""
            found = map(json.loads, data.decode().splitlines()[1:])
            yield from (row for row in found if "error" in row)


def heads(target: str) -> dict[int, Head]:
    """Those of the parts that are done: the shard is there and has its size. Raises StoreFailed."""
    store = storage.of(target)
    there = {entry.path: entry.size for entry in store.find(target) or []}
    folder = storage.join(target, FOLDER)
    paths = [path for path in there if path.startswith(folder) and path.endswith(".jsonl")]
    with ThreadPoolExecutor(_ASKED_AT_A_TIME) as pool:
        found = [head for head in pool.map(_head, paths) if head]
    return {
        head.part: head
        for head in found
        if not head.shard or there.get(storage.join(target, head.shard)) == head.size
    }


def _head(path: str) -> Head | None:
    data = storage.of(path).read(path, _LINE)
    try:
        return Head(**json.loads((data or b"").partition(b"\n")[0]))
    except (ValueError, TypeError):
        return None  # an empty file, as some file systems leave behind after power cuts
