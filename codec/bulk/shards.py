"""Shards as they are written: a tar or a table, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import IO, Any

from lictor.codec.bulk import storage, tables
from lictor.codec.bulk.samples import Sample


class Shard(ABC):
    """What a part becomes. Used as a context, which an exception leaves without a trace of it.

    name: below the target, "" while nothing was added. size, sha256: of the file, once closed.
    """

    suffix = ""

    def __init__(self, target: str, stem: str, column: str = "") -> None:
        self._target, self._stem, self._column = target, stem, column
        self._stack = ExitStack()
        self._file: Any = None
        self.name, self.size, self.sha256 = "", 0, ""

    def __enter__(self) -> Shard:
        return self

    def __exit__(self, *error: Any) -> Any:
        if error[0] is None and self._file is not None:
            try:
                self._close()
            except BaseException as e:
                self._stack.__exit__(type(e), e, e.__traceback__)
                raise
            self.size, self.sha256 = self._file.size, self._file.digest.hexdigest()
        elif error[0] is None and self.suffix:
            path = self._path()  # of a run before, which was ended
            storage.of(path).remove(path)
        return self._stack.__exit__(*error)

    @abstractmethod
    def add(self, sample: Sample, files: list[tuple[str, bytes]]) -> None:
        """What of a sample is kept, under the names that it has from now on."""

    def _path(self) -> str:
        return storage.join(self._target, self._stem + self.suffix)

    def _open(self) -> Any:
        """The file, begun when there is something to write."""
        if self._file is None:
            path = self._path()
            file = self._stack.enter_context(storage.of(path).writing(path))
            self._file, self.name = _Hashed(file), self._stem + self.suffix
        return self._file

    def _close(self) -> None:  # noqa: B027 - most have nothing left to write
        """Write what is left."""


class Tar(Shard):
    """As webdataset reads it. The same files make the same bytes: no times, no owners."""

    suffix = ".tar"
    _tar: Any = None

    def add(self, sample: Sample, files: list[tuple[str, bytes]]) -> None:
        """One after another."""
        if self._tar is None:
            self._tar = tarfile.open(fileobj=self._open(), mode="w")  # noqa: SIM115
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            self._tar.addfile(info, io.BytesIO(data))

    def _close(self) -> None:
        self._tar.close()


class Table(Shard):
    """Parquet, with all other columns."""

    suffix = tables.SUFFIX
    _table: tables.Writer | None = None

    def add(self, sample: Sample, files: list[tuple[str, bytes]]) -> None:
        """A row."""
        if self._table is None:
            self._table = tables.Writer(self._open(), self._column)
        [(name, data)] = files
        self._table.add(sample.row, name, data)

    def _close(self) -> None:
        if self._table is not None:
            self._table.close()


class Nothing(Shard):
    """For work whose result is a report."""

    def add(self, sample: Sample, files: list[tuple[str, bytes]]) -> None:
        """Nothing is kept."""


class _Hashed(io.RawIOBase):
    """A file that is written from front to back, and what it holds by size and hash."""

    def __init__(self, file: IO[bytes]) -> None:
        self._to, self.size, self.digest = file, 0, hashlib.sha256()

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    def write(self, data: Any) -> int:
        """All of it."""
        view = memoryview(data).cast("B")
        self._to.write(view)
        self.digest.update(view)
        self.size += len(view)
        return len(view)
