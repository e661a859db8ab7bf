"""One part: its samples read, coded, and written as a shard, then committed by its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from lictor.codec.bulk import manifest, run_mark, sources
from lictor.codec.bulk.coder import Coded, Coder, CoderFailed, Question, Work
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.plan import Part
from lictor.codec.bulk.samples import DamagedShard, Member, Sample, Wanted
from lictor.codec.bulk.shards import Nothing, Shard, Table, Tar
from lictor.codec.bulk.storage import StoreFailed
from lictor.codec.errors import MissingPackage
from lictor.codec.inputs import CannotWrite, DiskFull, UsageError, show

TOGETHER, TOGETHER_BYTES = 64, 4 * 2**20
"""Files that are handed over at a time: small ones cost little more than themselves, and those of
like size share passes of the network."""
TOLD = ("width", "height", "channels", "bit_depth", "values", "bits", "model", "quality", "bpp")
"""What a manifest says of a file, of what the kinds' reports say."""
TOLD_IF_ASKED = ("psnr", "target", "reached", "met", "same", "sized", "held", "ok", "notes")


@dataclass(frozen=True)
class Task:
    """What is to be done to every part. keeps: whether it makes files. run: its run_mark."""

    work: Work
    wanted: Wanted
    target: str
    keeps: bool
    run: str

    def layout(self, part: Part) -> type[Shard]:
        """What a part becomes: a table stays one, all else goes into a tar."""
        if not self.keeps:
            return Nothing
        return Table if part.pieces[0].form == "table" else Tar


@dataclass(frozen=True)
class Failure:
    """Why a part was not done. full: whether no other can be, as nothing more can be written.

    usage: whether the command is wrong, not the part.
    """

    text: str
    full: bool = False
    usage: bool = False


@dataclass
class _Account:
    """What a part has come to so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    items: int = 0
    failed: int = 0
    missed: int = 0
    read: int = 0
    written: int = 0

    def wrong(self, place: str, error: str, items: int = 1) -> None:
        """An input that is left out."""
        self.rows.append({"input": place, "error": error})
        self.items, self.failed = self.items + items, self.failed + items

    def right(self, place: str, size: int, name: str, coded: Coded) -> None:
        """An input with its output."""
        told = {key: coded.row[key] for key in TOLD if coded.row.get(key) is not None}
        told |= {key: coded.row[key] for key in TOLD_IF_ASKED if coded.row.get(key)}
        told |= {"ok": False} if coded.row.get("ok") is False else {}
        out = {"output": name, "bytes": len(coded.data), "sha256": _sha256(coded.data)}
        self.rows.append({"input": place, "input_bytes": size, **(out if name else {}), **told})
        self.items, self.missed = self.items + 1, self.missed + (coded.row.get("ok") is False)
        self.read, self.written = self.read + size, self.written + len(coded.data)

    def free(self, name: str, long: str) -> str:
        """A name that no other file of the part has: `long` or one with a number if it is taken."""
        number = 2
        while name in self.names:
            stem, dot, suffix = long.rpartition(".")
            name = long if long not in self.names else f"{stem}-{number}{dot}{suffix}"
            number += long in self.names
        self.names.add(name)
        return name


def attempt(part: Part, task: Task, coder: Coder) -> Head | Failure:
    """Do a part, unless something keeps it from being done."""
    try:
        return do(part, task, coder)
    except DiskFull as e:
        return Failure(str(e), full=True)
    except (StoreFailed, CannotWrite, CoderFailed) as e:
        return Failure(str(e))
    except (UsageError, MissingPackage, run_mark.Superseded) as e:
        return Failure(str(e), usage=True)
    except MemoryError:
        return Failure("not enough memory to read it; take fewer workers")
    except Exception as e:  # one part that nobody thought of does not keep others from being done
        text = " ".join(f"{type(e).__name__}: {e}".split())
        return Failure(f"unexpected {text}; please report it")


def do(part: Part, task: Task, coder: Coder) -> Head:
    """Do a part; what is wrong with single inputs is in its manifest.

    Raises DiskFull, CannotWrite, StoreFailed, CoderFailed, UsageError, MissingPackage, Superseded.
    """
    start, account = perf_counter(), _Account()
    with task.layout(part)(task.target, part.name, task.wanted.column) as shard:
        for samples, coded in coder.each(_together(_samples(part, task.wanted, account))):
            answers = iter(coded)
            for sample in samples:
                _keep(sample, answers, shard, account)
        run_mark.check(task.target, task.run)
    a = account
    cost = (a.items, a.failed, a.missed, a.read, a.written, round(perf_counter() - start, 3))
    head = Head(part.number, shard.name, shard.size, shard.sha256, *cost)
    manifest.write(task.target, part, head, account.rows)
    return head


def _samples(part: Part, wanted: Wanted, account: _Account) -> Iterator[Sample]:
    """Those of all pieces; one that cannot be read on is named, with what it should have held."""
    for piece in part.pieces:
        seen = 0
        try:
            for sample in sources.read(piece, wanted):
                seen += sum(member.coded for member in sample.members)
                yield sample
        except DamagedShard as e:
            account.wrong(piece.path, str(e), max(1, piece.items - seen))


def _together(samples: Iterator[Sample]) -> Iterator[tuple[list[Sample], list[Question]]]:
    """Samples with the files in them that are to be coded, a few small ones at a time."""
    group: list[Sample] = []
    files: list[Question] = []
    size = 0
    for sample in samples:
        own = [(member.name, member.data) for member in _to_code(sample)]
        more = sum(len(member.data) for member in sample.members)
        if group and (len(files) + len(own) > TOGETHER or size + more > TOGETHER_BYTES):
            yield group, files
            group, files, size = [], [], 0
        group.append(sample)
        files, size = files + own, size + more
    if group:
        yield group, files


def _to_code(sample: Sample) -> list[Member]:
    return [member for member in sample.members if member.coded and not member.wrong]


def _keep(sample: Sample, answers: Iterator[Coded], shard: Shard, account: _Account) -> None:
    """What came of a sample into the shard; what belongs to pictures that all failed goes, too."""
    files: list[tuple[str, bytes]] = []
    wanted = failed = 0
    for member in sample.members:
        place = sample.place(member)
        if member.wrong:
            account.wrong(place, member.wrong)
        elif not member.coded:
            files.append((account.free(member.name, member.name), member.data))
            continue
        else:
            coded = next(answers)
            if coded.error:
                account.wrong(place, coded.error)
            else:
                name = _name(member.name, coded.name, account) if coded.name else ""
                files.append((name, coded.data))
                account.right(place, len(member.data), name, coded)
        wanted, failed = wanted + 1, failed + bool(account.rows[-1].get("error"))
    if files and failed < max(1, wanted):
        shard.add(sample, files)


def _name(old: str, suffix: str, account: _Account) -> str:
    """The name with the extension of what it is now."""
    stem = old.rpartition(".")[0] if "." in old.rpartition("/")[2] else old
    return account.free(stem + suffix, old + suffix)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def describe(part: Part) -> str:
    """A part for people: the first of its inputs."""
    more = f" and {len(part.pieces) - 1} more" if len(part.pieces) > 1 else ""
    return f"{part.name} ({show(part.pieces[0].path)}{more})"
