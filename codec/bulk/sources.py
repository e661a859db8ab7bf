"""What is to be coded: found in folders, patterns, tar shards and tables, and read from there."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from lictor.codec.bulk import storage, tables, tars
from lictor.codec.bulk.samples import DamagedShard, Member, Piece, Sample, Wanted
from lictor.codec.bulk.storage import Entry, StoreFailed
from lictor.codec.inputs import UsageError, show

BESIDE = (".json", ".txt", ".cls", ".class", ".caption")
"""Extensions of files that travel along with a file of the same name in a folder."""
_WHOLE = 4
"""A tar of a store stays whole up to so many times the bytes of a part: each cut is a request."""
_LOOKED_INTO = 16
"""Shards of stores at a time, where they are cut."""


# ---- finding


def find(sources: Sequence[str], wanted: Wanted) -> list[Piece]:
    """The pieces that arguments name, in order: paths, folders, patterns with *, ? and {00..12}.

    Raises UsageError, StoreFailed, MissingPackage.
    """
    pieces = [piece for source in sources for piece in _pieces(source, wanted)]
    if not any(_is_shard(piece.path) or wanted.takes(piece.path) for piece in pieces):
        known = ", ".join(sorted(wanted.suffixes)[:6])
        raise UsageError(f"{show(sources[0])}: holds nothing to do ({known}, …, .tar, .parquet)")
    return pieces


def _pieces(source: str, wanted: Wanted) -> Iterator[Piece]:
    for path in _expanded(source):
        store = storage.of(path)
        entries = store.find(path)
        if entries is None:
            raise UsageError(f"{show(path)}: no such file or folder; check its name")
        alone = len(entries) == 1 and entries[0].path.rstrip("/") == path.rstrip("/")
        root = path.rstrip("/").rpartition("/")[0] if alone else path.rstrip("/")
        yield from _in(entries, root, wanted, store.seeks, alone)


def _expanded(source: str) -> list[str]:
    match = re.search(r"\{(\d+)\.\.(\d+)\}", source)
    if match:
        numbers = range(int(match[1]), int(match[2]) + 1)
        before, after = source[: match.start()], source[match.end() :]
        each = (f"{before}{n:0{len(match[1])}}{after}" for n in numbers)
        return [path for one in each for path in _expanded(one)]
    if not any(sign in source for sign in "*?["):
        return [source]
    found = storage.of(source).glob(source)
    if not found and storage.of(source).find(source) is None:
        raise UsageError(f"{show(source)}: nothing fits; check the pattern")
    return found or [source]


def _in(
    entries: list[Entry], root: str, wanted: Wanted, seeks: bool, alone: bool
) -> Iterator[Piece]:
    """The pieces among files, with paths below `root`; a file that was named is taken as it is."""
    there = {entry.path for entry in entries}
    told: set[str] = set()
    for entry in entries:
        path = entry.path
        if path.lower().endswith(tars.SUFFIXES):
            yield Piece("tar", path, size=entry.size)
        elif path.lower().endswith(tables.SUFFIX):
            yield Piece("table", path, size=entry.size)
        elif alone or wanted.takes(path):
            stem = os.path.splitext(path)[0]
            near = [stem + suffix for suffix in BESIDE if not wanted.takes(suffix)]
            beside = tuple(p for p in near if p in there and p not in told and p != path)
            told.update(beside)
            name = os.path.basename(path) if alone else path[len(root) :].lstrip("/" + os.sep)
            name = name.replace(os.sep, "/")
            yield Piece("file", path, name, beside, items=1, size=entry.size)


def _is_shard(path: str) -> bool:
    return path.lower().endswith((*tars.SUFFIXES, tables.SUFFIX))


def cut_all(pieces: list[Piece], items: int, size: int, wanted: Wanted) -> Iterator[Piece]:
    """Each as `cut` has it, in order; several of stores are looked into at a time."""
    far = [piece for piece in pieces if _is_far(piece)]
    with ThreadPoolExecutor(_LOOKED_INTO) as pool:
        looked = pool.map(lambda piece: cut(piece, items, size, wanted), far)
        for piece in pieces:
            yield from next(looked) if _is_far(piece) else cut(piece, items, size, wanted)


def _is_far(piece: Piece) -> bool:
    return piece.form != "file" and "://" in piece.path


def cut(piece: Piece, items: int, size: int, wanted: Wanted) -> list[Piece]:
    """A shard as pieces of at most so many items and bytes, if looking into it costs little.

    A damaged one stays whole: who reads it says so. Raises MissingPackage.
    """
    try:
        if piece.form == "table":
            return tables.cut(piece, items, size)
        if piece.form != "tar" or not piece.path.lower().endswith(tars.PLAIN):
            return [piece]
        if storage.of(piece.path).seeks:
            return list(tars.cut(piece, items, size, wanted))
        if piece.size > _WHOLE * size:
            return list(tars.cut_far(piece, size))
    except (StoreFailed, DamagedShard, OSError):
        return [piece]
    return [piece]


# ---- reading


def read(piece: Piece, wanted: Wanted) -> Iterator[Sample]:
    """The samples of a piece, each whole in memory. Raises StoreFailed, DamagedShard."""
    try:
        if piece.form == "file":
            yield _loose(piece)
        elif piece.form == "tar":
            yield from tars.read(piece, wanted)
        else:
            yield from tables.read(piece, wanted)
    except OSError as e:
        raise StoreFailed(f"{show(piece.path)}: cannot be read: {e.strerror or e}") from e


def _loose(piece: Piece) -> Sample:
    root = piece.path[: len(piece.path) - len(piece.name)]
    sample = Sample(root)
    for path in (piece.path, *piece.beside):
        data = storage.of(path).read(path)
        if data is None:
            raise DamagedShard(f"{show(path)}: is not there any more")
        stem = os.path.splitext(piece.name)[0]
        name = piece.name if path == piece.path else stem + os.path.splitext(path)[1]
        sample.members.append(Member(name, data, coded=path == piece.path))
    return sample


def suffixes(only: str, known: Collection[str]) -> frozenset[str]:
    """Extensions as a user lists them, "jpg,png"; all that are known if none are.

    Raises UsageError.
    """
    named = frozenset(f".{part.strip().lstrip('.').lower()}" for part in only.split(",") if part)
    strange = sorted(named - frozenset(known))
    if strange:
        raise UsageError(f"--only {only}: nothing is known of {', '.join(strange)}; leave it out")
    return named or frozenset(known)
