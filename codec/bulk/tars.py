"""Tar shards, read from front to back or in pieces; what ends early is never taken for the end."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from lictor.codec.bulk import storage
from lictor.codec.bulk.samples import ALL, DamagedShard, Member, Piece, Sample, Wanted
from lictor.codec.inputs import show

PLAIN = ".tar"
SUFFIXES = (PLAIN, ".tar.gz", ".tgz")
_BLOCK = 512


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
