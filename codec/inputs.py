"""Which files a command reads and writes, and writing them whole or not at all."""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import shutil
import stat
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import IO

from lictor.codec import kinds
from lictor.codec.errors import FileError
from lictor.codec.format.names import SUFFIXES

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

_TEMPORARY = (".lictor-", ".tmp")

STREAM = "-"
"""Stands for standard input or output."""

PICTURES = kinds.PICTURES.suffixes
"""Extensions by which pictures are found in a folder; a file named outright may have any."""
ARRAYS = kinds.ARRAYS.writes
ENCODABLE = kinds.SUFFIXES
BINS = frozenset(SUFFIXES)
_MOST_KINDS = 8
"""Extensions that are named of what is left out."""
_WANTED = {
    ENCODABLE: f"no {kinds.names(between=' and no ')}",
    **{kind.suffixes: f"no {kind.name}" for kind in kinds.KINDS},
    ARRAYS: f"no {kinds.ARRAYS.name}",
    PICTURES
    | kinds.WEIGHTS.suffixes: f"no {kinds.names((kinds.PICTURES, kinds.WEIGHTS), ' and no ')}",
    BINS: "no .bin or .lictor files",
}


class UsageError(Exception):
    """The command cannot start; nothing was read or written."""


class CannotWrite(Exception):
    """One output could not be written; what was there before is untouched."""


class DiskFull(CannotWrite):
    """One output could not be written, and no other could be in its place."""


def is_full(error: OSError) -> bool:
    """Whether nothing more can be written there."""
    return error.errno in _FULL


@dataclass(frozen=True)
class Job:
    """One input and where its output goes: paths, or STREAM. target "" if nothing is written."""

    source: str
    target: str = ""


# ---- inputs and outputs of a command


def find(inputs: Sequence[str], extensions: Collection[str]) -> list[tuple[str, str]]:
    """The files that the arguments name, with the path each is to have below an output folder.

    Folders are searched through all their levels for the extensions; hidden entries are passed
    over. Raises UsageError if an argument does not exist or a folder holds nothing.
    """
    found: list[tuple[str, str]] = []
    for name in inputs:
        if name == STREAM:
            if len(inputs) > 1:
                raise UsageError("- (standard input) must be the only input")
            found.append((STREAM, ""))
        elif os.path.isdir(name):
            inside = sorted(_walk(name, extensions))
            inside = [path for path in inside if not _passed_over(path)]
            if not inside:
                what = _WANTED[frozenset(extensions)]
                raise UsageError(f"{show(name)}: the folder holds {what}; name another")
            found += [(path, os.path.relpath(path, name)) for path in inside]
        elif os.path.lexists(name):
            found.append((name, os.path.basename(name)))
        else:
            raise UsageError(f"{show(name)}: no such file or folder; check its name")
    return found


def _walk(folder: str, extensions: Collection[str]) -> Iterator[str]:
    for root, name in _files(folder):
        if _extension(name) in extensions:
            yield os.path.join(root, name)


def _files(folder: str) -> Iterator[tuple[str, str]]:
    """Folder and name of all files that are not hidden."""
    for root, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        yield from ((root, name) for name in names if not name.startswith("."))


def left_out(inputs: Sequence[str], extensions: Collection[str]) -> str:
    """One line on the files in folders that `find` does not name, by extension; none if none are.

    Hidden ones are not counted.
    """
    others = Counter(
        _extension(name) or "no extension"
        for folder in inputs
        if os.path.isdir(folder)
        for _, name in _files(folder)
        if _extension(name) not in extensions
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(_MOST_KINDS))
    more = ", …" if len(others) > _MOST_KINDS else ""
    return f"{others.total()} other files in folders are left out: {kinds}{more}" if others else ""


def _passed_over(path: str) -> bool:
    """Whether what was found in a folder is a pipe or a device, which may never end; it is said."""
    if special(path):
        say(f"{show(path)}: is a pipe or a device, passed over; name it to have it read")
        return True
    return False


def say(line: str) -> None:
    """A line on standard error, before the work begins."""
    print(f"lictor: {line}", file=sys.stderr)


def plan(inputs: Sequence[str], output: str, extensions: Collection[str], suffix: str) -> list[Job]:
    """Pair every input with its output.

    Several inputs, or a folder, go into the folder `output`, each under its own name with
    `suffix` for its extension; where two would then meet (a.png, a.jpg) both keep theirs as well
    (a.png.bin, a.jpg.bin). One input goes to the file `output`, or into it if it is a folder.
    Raises UsageError.
    """
    found = find(inputs, extensions)
    into_folder = len(inputs) > 1 or any(os.path.isdir(name) for name in inputs)
    if output == STREAM:
        if into_folder:
            raise UsageError("- (standard output) takes one file; name a folder as the output")
        if sys.stdout.isatty():
            raise UsageError("the output would go to the terminal; redirect it or name a file")
        return [Job(found[0][0], STREAM)]
    if into_folder or os.path.isdir(output) or output.endswith(("/", os.sep)):
        jobs = _into_folder(found, output, suffix)
    else:
        parent = os.path.dirname(output) or "."
        if not os.path.isdir(parent):
            raise UsageError(f"{show(parent)}: no such folder; make it first")
        jobs = [Job(found[0][0], output)]
    _refuse_own_inputs(jobs)
    return jobs


def _into_folder(found: list[tuple[str, str]], folder: str, suffix: str) -> list[Job]:
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{show(folder)}: is a file; several inputs need a folder as the output")
    if found[0][0] == STREAM:
        raise UsageError("standard input has no name; name a file as the output")
    short = [os.path.splitext(relative)[0] for _, relative in found]
    often = Counter(map(_folded, short))
    names = [
        relative if often[_folded(name)] > 1 else name
        for (_, relative), name in zip(found, short, strict=True)
    ]
    taken: dict[str, int] = {}
    jobs: list[Job] = []
    for number, ((source, _), name) in enumerate(zip(found, names, strict=True)):
        first = taken.get(_folded(name))
        if first is not None:
            target = show(os.path.join(folder, name + suffix))
            if names[first] == name:
                raise UsageError(
                    f"{show(found[first][0])} and {show(source)} would both become {target}; give "
                    "them in separate runs"
                )
            name = _another(name, taken.keys() | set(map(_folded, names)))
            say(
                f"{show(source)}: becomes {show(os.path.join(folder, name + suffix))}, as to some "
                f"file systems its name is that of {show(found[first][0])}"
            )
        taken[_folded(name)] = number
        jobs.append(Job(source, os.path.join(folder, name + suffix)))
    return jobs


def _folded(name: str) -> str:
    """What two names have in common that are one on some file systems: a.bin and A.bin."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _another(name: str, taken: Collection[str]) -> str:
    """The name with the first number from 2 on that makes it nobody else's."""
    return next(f"{name}-{n}" for n in count(2) if _folded(f"{name}-{n}") not in taken)


def _refuse_own_inputs(jobs: list[Job]) -> None:
    sources = {os.path.realpath(job.source) for job in jobs if job.source != STREAM}
    for job in jobs:
        if os.path.realpath(job.target) in sources and not special(job.target):
            raise UsageError(f"{show(job.target)}: is both input and output; name another output")


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def special(path: str) -> bool:
    """Whether a device or a pipe is there: something to write into, never to replace."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def show(name: str) -> str:
    """A file's name on one line of a terminal, whatever characters it holds."""
    return name if name.isprintable() else ascii(name)


# ---- reading and writing

_COPIED, _HELD = 2**20, 2**24
"""Bytes that are copied together, and that are held in memory before a file is made of them."""


def read(source: str) -> bytes:
    """All of a file or of standard input."""
    if source == STREAM:
        return _standard_input()
    with open(source, "rb") as file:
        return file.read()


@contextmanager
def kept(source: str) -> Iterator[str]:
    """A file with all of what can be read but once, for what maps it: it is gone when that is."""
    descriptor, name = tempfile.mkstemp(prefix="lictor-")
    try:
        with open(descriptor, "wb") as file:
            if source == STREAM:
                with _stdin() as stream:
                    shutil.copyfileobj(stream, file, _COPIED)
            else:
                with open(source, "rb") as other:
                    shutil.copyfileobj(other, file, _COPIED)
        yield name
    finally:
        try:
            os.unlink(name)
        except PermissionError:  # of Windows, as long as it is mapped
            atexit.register(_unlink, name)


def _unlink(name: str) -> None:
    with suppress(OSError):
        os.unlink(name)


def peek(size: int) -> bytes:
    """The first bytes of standard input, which stay to be read; none if it cannot tell them."""
    look = getattr(sys.stdin.buffer, "peek", None)
    try:
        return look(size)[:size] if look else b""
    except OSError:  # it shows when it is read
        return b""


def _standard_input() -> bytes:
    with _stdin() as stream:
        return stream.read()


@contextmanager
def _stdin() -> Iterator[IO[bytes]]:
    try:
        yield sys.stdin.buffer
    except OSError as e:
        if e.errno != errno.EBADF:
            raise
        raise OSError(e.errno, "standard input is closed") from e


def read_bin(source: str) -> bytes | memoryview:
    """As `read`; of a file that is not Lictor's only the beginning, however large it is.

    Of a kind that streams, what the system reads as it is asked for.
    """
    if source == STREAM:
        return _standard_input()
    with open(source, "rb") as file:
        start = file.read(4096)
        if not start.startswith(kinds.MAGICS):
            return start
        kind = kinds.of_file(start)
        if (kind.streams or kind.maps) and os.path.isfile(source):
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return start + file.read()


def whole(target: str) -> bool:
    """Whether an output is there and complete, so that it need not be made again.

    Outputs get their names when they are complete, so being there is enough, were it not for power
    cuts, after which files of some file systems are empty or filled with zeros. A .bin file must
    have all its checksums right, any other must not be empty.
    """
    if target == STREAM or not os.path.isfile(target):
        return False
    try:
        if _extension(target) not in BINS:
            return os.path.getsize(target) > 0
        data = memoryview(read_bin(target))
        kinds.of_file(data).check(data)
    except (OSError, FileError):
        return False
    return True


@contextmanager
def writing(target: str) -> Iterator[IO[bytes]]:
    """As `replacing`; for STREAM, standard output, once the block has ended well."""
    if target != STREAM:
        with replacing(target) as file:
            yield file
        return
    with tempfile.SpooledTemporaryFile(_HELD) as buffer:
        yield buffer
        buffer.seek(0)
        shutil.copyfileobj(buffer, sys.stdout.buffer, _COPIED)
    sys.stdout.buffer.flush()


@contextmanager
def replacing(target: str) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of `target` once the block has ended well.

    Until then it has a temporary name in the same folder. After any exception, an interrupt
    included, it is gone and `target` is as it was. Folders above it are made as needed.
    Raises CannotWrite, DiskFull.
    """
    try:
        if special(target):
            with open(target, "wb") as file:
                yield file
        else:
            with _beside(os.path.realpath(target)) as file:
                yield file
    except OSError as e:
        message = f"cannot write {show(target)}: {e.strerror or e}"
        if is_full(e):
            raise DiskFull(message) from e
        raise CannotWrite(message) from e


def remove_temporary(target: str, process: int) -> None:
    """Remove what a process that was killed while it wrote `target` left beside it."""
    folder = os.path.dirname(os.path.realpath(target))
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_temporary_of(process)):
                os.unlink(os.path.join(folder, name))


def remove_all_temporary(folder: str) -> None:
    """Remove what processes that are gone left in a folder, which nobody else writes into."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1]):
                os.unlink(os.path.join(folder, name))


def _temporary_of(process: int) -> str:
    """How the names of a process's temporary files begin."""
    return f"{_TEMPORARY[0]}{process}-"


@contextmanager
def _beside(path: str) -> Iterator[IO[bytes]]:
    mode = None
    if os.path.exists(path):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "the file is write-protected")
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(
        folder, _temporary_of(os.getpid()) + os.urandom(8).hex() + _TEMPORARY[1]
    )
    try:
        with open(temporary, "x+b") as file:
            yield file
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
