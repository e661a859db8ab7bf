"""Which inputs become which shard: decided once, and kept where the shards are.

A run that was ended finds the plan again, so that the same inputs make the same shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from lictor.codec.bulk import ITEMS, sources, storage
from lictor.codec.bulk.samples import Piece, Wanted
from lictor.codec.inputs import UsageError, show

NAME = "plan.jsonl"
SHARE = 4
"""Parts that each worker gets at least where there are enough inputs: they do not end together."""
_VERSION = 1


def part_name(number: int) -> str:
    """Of a part's files, without extension."""
    return f"part-{number:06}"


@dataclass(frozen=True)
class Part:
    """What becomes one shard, and is done or not done as a whole."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        """Of its files, without extension."""
        return part_name(self.number)

    @property
    def items(self) -> int:
        """As far as is known."""
        return sum(piece.items for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(piece.size for piece in self.pieces)


@dataclass(frozen=True)
class Plan:
    """The parts, and what was asked for, as a user's command says it."""

    asked: dict[str, Any]
    parts: tuple[Part, ...]


def make(
    found: list[Piece], wanted: Wanted, items: int, size: int, workers: int
) -> tuple[Part, ...]:
    """Parts of at most so many items and bytes; items 0: as ITEMS and SHARE have it."""
    fine = list(sources.cut_all(found, 1, size, wanted))
    share = -(-sum(piece.items for piece in fine) // (SHARE * workers))
    groups = _grouped(fine, items or max(1, min(ITEMS, share)), size)
    return tuple(Part(number, tuple(_joined(group))) for number, group in enumerate(groups))


def _grouped(pieces: Iterable[Piece], items: int, size: int) -> Iterator[list[Piece]]:
    """Neighbours together. A shard of the source stays apart from others: tables differ."""
    group: list[Piece] = []
    count = taken = 0
    for piece in pieces:
        apart = group and (piece.form, piece.form != "file" and piece.path) != _place(group[-1])
        if group and (apart or count + piece.items > items or taken + piece.size > size):
            yield group
            group, count, taken = [], 0, 0
        group.append(piece)
        count, taken = count + piece.items, taken + piece.size
    if group:
        yield group


def _place(piece: Piece) -> tuple[str, Any]:
    return piece.form, piece.form != "file" and piece.path


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Neighbours in one shard as one."""
    if pieces[0].form == "file":
        yield from pieces
        return
    first, last = pieces[0], pieces[-1]
    items, size = sum(piece.items for piece in pieces), sum(piece.size for piece in pieces)
    yield replace(first, stop=last.stop, items=items, size=size)


# ---- kept


def load(target: str) -> Plan | None:
    """The plan of a folder; None if it has none. Raises UsageError, StoreFailed."""
    data = storage.of(target).read(storage.join(target, NAME))
    if data is None:
        return None
    try:
        first, *lines = data.decode().splitlines()
        head = json.loads(first)
        if head["version"] != _VERSION:
            raise UsageError(f"{show(target)}: was begun by another version; name another folder")
        return Plan(head["asked"], tuple(_part(json.loads(line)) for line in lines))
    except (ValueError, KeyError, TypeError) as e:
        raise UsageError(f"{show(target)}: its {NAME} is none; name another folder") from e


def _part(line: dict[str, Any]) -> Part:
    pieces = [Piece(**{**one, "beside": tuple(one.get("beside", ()))}) for one in line["pieces"]]
    return Part(line["part"], tuple(pieces))


def save(target: str, plan: Plan) -> None:
    """Whole or not at all. Raises StoreFailed, CannotWrite."""
    lines = [{"version": _VERSION, "asked": plan.asked}]
    lines += ({"part": p.number, "pieces": [_short(x) for x in p.pieces]} for p in plan.parts)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    storage.of(target).write(storage.join(target, NAME), text.encode())


def _short(piece: Piece) -> dict[str, Any]:
    """Without what is as ever."""
    usual = asdict(Piece("", ""))
    return {k: v for k, v in asdict(piece).items() if v != usual[k] or k in ("form", "path")}
