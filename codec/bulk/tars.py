"""Tar shards, read from front to back or in pieces; what ends early is never taken for the end."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from lictor.codec.bulk import storage
from lictor.codec.bulk.samples import ALL, DamagedShard, Member, Piece, Sample, Wanted
from lictor.codec.inputs import show

PLAIN = ".tar"
SUFFIXES = (PLAIN, ".tar.gz", ".tgz")
_BLOCK = 512
_MAGIC_AT, _MAGIC = 257, b"ustar"
_LOOK = 2**20
"""Bytes that are read near a cut at a time."""
_FAR = 64
"""Headers that are read from one on."""
_TRIES = 8
"""Headers that are looked at."""


def cut(piece: Piece, items: int, size: int, wanted: Wanted) -> Iterator[Piece]:
    """A tar as pieces of at most so many items and some bytes, between samples.

    Raises DamagedShard, StoreFailed, OSError.
    """
    start, count, key = 0, 0, None
    for info, _ in _headers(piece):
        here = _key(info.name)
        full = count >= items or info.offset - start >= size
        if key is not None and here != key and full:
            yield _part_of(piece, start, info.offset, count)
            start, count = info.offset, 0
        key, count = here, count + wanted.takes(info.name)
    yield _part_of(piece, start, ALL, count)


def cut_far(piece: Piece, size: int) -> Iterator[Piece]:
    """A tar of a store as pieces of about so many bytes, between samples, by a look at each cut.

    Headers are not read one after another, which would be a request for each. What is taken for
    one near a cut is believed if samples follow from it, and one that has the files of the tar's
    first: what is in a tar in the tar has others. Were it wrong, who reads the piece before, whose
    headers lead to the cut, would find the tar damaged. Raises StoreFailed, OSError.
    """
    start = 0
    with storage.of(piece.path).open(piece.path, ahead=_LOOK) as file:
        _, usual = next(_samples_from(file, 0, piece.size, 0), (0, ""))
        for near in range(size, piece.size - size // 2, size) if usual else ():
            found = _boundary(file, near, min(near + size, piece.size), piece.size, usual)
            if found > start:
                yield _part_of(piece, start, found, 0)
                start = found
    yield _part_of(piece, start, ALL, 0)


def _boundary(file: IO[bytes], near: int, limit: int, end: int, usual: str) -> int:
    """Where a sample of the usual files begins, not long after a place; 0: none can be told."""
    tries = 0
    for at in range(-(-near // _BLOCK) * _BLOCK, limit, _BLOCK):
        file.seek(at)
        if file.read(_BLOCK)[_MAGIC_AT:].startswith(_MAGIC):
            for start, files in _samples_from(file, at, end):
                if files == usual:
                    return start
            tries += 1
            if tries == _TRIES:
                break
    return 0


def _samples_from(
    file: IO[bytes], at: int, end: int, start: int = ALL
) -> Iterator[tuple[int, str]]:
    """Where samples begin after a header, and the extensions of their files; none if it is none.

    end: of the tar. start: where the first begins, if that is known; else it is passed over, and so
    is the file after the header, which may lack what a block before says of it.
    """
    section: Any = _Section(file, at, end)
    key, files = "", ""
    begun = start != ALL
    with suppress(tarfile.TarError, EOFError), tarfile.open(fileobj=section, mode="r:") as tar:
        for number in range(_FAR):
            info = tar.next()
            if info is None:
                return
            here = _key(info.name)
            if number and here != key:
                if begun:
                    yield start, files
                begun = begun or number > 1
                start, files = at + info.offset, ""
            key, files = here, f"{files} {info.name[len(here) :]}"


def _part_of(piece: Piece, start: int, stop: int, items: int) -> Piece:
    end = piece.size if stop == ALL else stop
    return Piece("tar", piece.path, start=start, stop=stop, items=items, size=end - start)


def read(piece: Piece, wanted: Wanted) -> Iterator[Sample]:
    """The samples of a piece: files that follow one another and share their name.

    Raises DamagedShard, StoreFailed, OSError.
    """
    sample, key = None, None
    for info, tar in _headers(piece):
        here = _key(info.name)
        if sample is None or here != key:
            if sample is not None:
                yield sample
            sample, key = Sample(f"{piece.path}:"), here
        sample.members.append(_member(piece, info, tar, wanted))
    if sample is not None:
        yield sample


def _member(piece: Piece, info: tarfile.TarInfo, tar: tarfile.TarFile, wanted: Wanted) -> Member:
    if not info.isfile():
        return Member(info.name, b"", False, wrong="is a link or a device in its tar; left out")
    with _damage(piece.path):
        file = tar.extractfile(info)
        data = file.read() if file else b""
        if len(data) < info.size:
            raise EOFError(f"it ends within {show(info.name)}")
    return Member(info.name, data, wanted.takes(info.name))


def _key(name: str) -> str:
    """What webdataset takes for the name of a sample: all before the first dot of the file."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.split(".", 1)[0]


def _headers(piece: Piece) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """All but folders. Raises DamagedShard where a tar ends early, which tarfile does not say."""
    path, plain = piece.path, piece.path.lower().endswith(PLAIN)
    with storage.of(path).open(path) as raw:
        part = plain and (piece.start > 0 or piece.stop != ALL)
        section: Any = _Section(raw, piece.start, piece.stop) if part else raw
        with _damage(path), tarfile.open(fileobj=section, mode="r:" if plain else "r:gz") as tar:
            while (info := tar.next()) is not None:
                info.offset += piece.start
                if not info.isdir():
                    yield info, tar
                vars(tar)["members"] = []  # it would keep all headers
            if plain:  # gzip has a checksum of its own
                _check_end(path, tar, inner=piece.stop != ALL)


@contextmanager
def _damage(path: str) -> Iterator[None]:
    """What tarfile and gzip raise where they cannot go on."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise DamagedShard(f"{show(path)}: cannot be read on: {reason}") from e


def _check_end(path: str, tar: Any, inner: bool) -> None:
    """Reading stopped where the end is marked by zeros, or where the next piece begins."""
    tar.fileobj.seek(tar.offset)
    rest = tar.fileobj.read(_BLOCK)
    if rest if inner else rest != bytes(_BLOCK):
        raise DamagedShard(f"{show(path)}: is damaged, or cut, after {tar.offset} bytes")


class _Section(io.RawIOBase):
    """Bytes from start to stop of a file that seeks, as a file."""

    def __init__(self, file: IO[bytes], start: int, stop: int) -> None:
        self._file, self._start = file, start
        self._size = (file.seek(0, os.SEEK_END) if stop == ALL else stop) - start
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """From start."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """From start."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """What is there up to stop."""
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
