"""Disks and object stores: what lies there, reading it, and writing whole or not at all.

A disk is Python's own, anything with :// is fsspec's (s3://, gs://, hf://). A store that fails is
asked again, a few times; what then still fails is a StoreFailed, and the part is done again later.
"""

from __future__ import annotations

import glob
import io
import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from lictor.codec import inputs
from lictor.codec.errors import CodecError, MissingPackage
from lictor.codec.inputs import CannotWrite, DiskFull, show

ATTEMPTS = 6
"""How often a store is asked."""
FIRST_WAIT = 0.1
"""Seconds before it is asked for the second time; twice as long before each further."""
IN_MEMORY = 32 * 2**20
"""Bytes of a shard that may be kept in memory before it is sent; more go to a temporary file."""

AHEAD = 5 * 2**20
"""Bytes of a store that are read at a time."""

T = TypeVar("T")


class StoreFailed(CodecError):
    """What should be read or written cannot be for now."""


@dataclass(frozen=True, order=True)
class Entry:
    """A file: its path, as it can be opened, and its bytes."""

    path: str
    size: int


class Storage(ABC):
    """Where files lie. seeks: whether reading here and there costs nothing beside the bytes."""

    seeks: bool

    @abstractmethod
    def find(self, path: str) -> list[Entry] | None:
        """The file of that path, or all that are not hidden below the folder; None if neither."""

    @abstractmethod
    def glob(self, pattern: str) -> list[str]:
        """Paths that fit."""

    @abstractmethod
    def open(self, path: str, ahead: int = AHEAD) -> IO[bytes]:
        """To read from, here and there; ahead: bytes that a request of a store fetches."""

    @abstractmethod
    def read(self, path: str, most: int | None = None) -> bytes | None:
        """A file, or so many bytes of it at most; None if there is none. Raises StoreFailed."""

    @abstractmethod
    def writing(self, path: str) -> Any:
        """A context manager: a file to write into, whose bytes are at `path` once it ends well.

        Raises StoreFailed, CannotWrite, DiskFull.
        """

    @abstractmethod
    def remove(self, path: str) -> None:
        """If it is there."""

    def tidy(self, folder: str) -> None:  # noqa: B027 - of a store, what was not sent is not there
        """Remove what those who were killed have left half written."""

    def write(self, path: str, data: bytes) -> None:
        """All at once."""
        with self.writing(path) as file:
            file.write(data)


def of(path: str) -> Storage:
    """Who keeps a path. Raises MissingPackage."""
    return Remote(path) if "://" in path else Local()


def join(folder: str, name: str) -> str:
    """A path below a folder, wherever that lies."""
    return f"{folder.rstrip('/')}/{name}" if "://" in folder else os.path.join(folder, name)


class Local(Storage):
    """A disk of this machine, or one that is mounted."""

    seeks = True

    def find(self, path: str) -> list[Entry] | None:
        """Through all levels."""
        if os.path.isfile(path):
            return [Entry(path, os.path.getsize(path))]
        if not os.path.isdir(path):
            return None
        found = []
        for root, folders, names in os.walk(path):
            folders[:] = [f for f in folders if not f.startswith(".")]
            paths = (os.path.join(root, name) for name in names if not name.startswith("."))
            found += [Entry(p, os.path.getsize(p)) for p in paths if os.path.isfile(p)]
        return sorted(found)

    def glob(self, pattern: str) -> list[str]:
        """As shells do, and ** for all levels."""
        return sorted(glob.glob(pattern, recursive=True))

    def open(self, path: str, ahead: int = AHEAD) -> IO[bytes]:
        """As Python does."""
        return open(path, "rb")

    def read(self, path: str, most: int | None = None) -> bytes | None:
        """As Python does."""
        try:
            with open(path, "rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return None
        except OSError as e:
            raise StoreFailed(f"{show(path)}: cannot be read: {e.strerror or e}") from e

    def writing(self, path: str) -> Any:
        """A temporary name beside it, then renamed."""
        return inputs.replacing(path)

    def remove(self, path: str) -> None:
        """Unlinked."""
        if os.path.lexists(path):
            os.unlink(path)

    def tidy(self, folder: str) -> None:
        """Their temporary files."""
        inputs.remove_all_temporary(folder)


class Remote(Storage):
    """What fsspec opens. Raises MissingPackage if it, or what it needs for the scheme, is not here.

    Credentials and endpoints are the environment's, as each store's own tools have them.
    """

    seeks = False

    def __init__(self, path: str) -> None:
        scheme = path.partition("://")[0]
        try:
            import fsspec

            self._files: Any = fsspec.filesystem(scheme)
        except (ImportError, ValueError) as e:
            text = " ".join(str(e).split())
            raise MissingPackage(f"{scheme}:// needs a package: {text}; pip install it") from e

    def find(self, path: str) -> list[Entry] | None:
        """One listing."""

        def look() -> dict[str, Any]:
            self._files.invalidate_cache()
            found: dict[str, Any] = self._files.find(path, detail=True)
            return found

        found = _again(path, look) or {}
        inside = {name: at for name, at in found.items() if not _hidden(name, path)}
        entries = [
            Entry(_named_as(path, name), int(at.get("size") or 0)) for name, at in inside.items()
        ]
        return sorted(entries) or None

    def glob(self, pattern: str) -> list[str]:
        """As fsspec does."""
        found = _again(pattern, lambda: self._files.glob(pattern)) or []
        return sorted(_named_as(pattern, name) for name in found)

    def open(self, path: str, ahead: int = AHEAD) -> IO[bytes]:
        """Read ahead: shards are read from front to back. A block that fails is asked for again."""
        raw: Any = _again(path, lambda: self._files.open(path, "rb", cache_type="none"))
        if raw is None:
            raise FileNotFoundError(2, "no such file", path)
        return io.BufferedReader(_Patient(path, raw), ahead)

    def read(self, path: str, most: int | None = None) -> bytes | None:
        """One request."""
        return _again(path, lambda: bytes(self._files.cat_file(path, start=0, end=most)))

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """Kept here, and sent in one go when it is whole: a store shows a file that is sent."""
        with _errors(path), tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            yield file

            def send() -> None:
                self._send(path, file)

            _again(path, send)

    def _send(self, path: str, file: Any) -> None:
        file.seek(0)
        try:
            target = self._files.open(path, "wb")
        except FileNotFoundError:  # file systems have folders, stores do not
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            target = self._files.open(path, "wb")
        try:
            shutil.copyfileobj(file, target, 8 * 2**20)
        except BaseException:
            with _unheard():
                target.discard()
            raise
        target.close()

    def remove(self, path: str) -> None:
        """One request, or two."""
        _again(path, lambda: self._files.rm_file(path) if self._files.exists(path) else None)


class _Patient(io.RawIOBase):
    """A file of a store, each of whose reads is asked for again where it fails."""

    def __init__(self, path: str, raw: Any) -> None:
        self._path, self._raw = path, raw

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        place: int = self._raw.seek(offset, whence)
        return place

    def tell(self) -> int:
        place: int = self._raw.tell()
        return place

    def readinto(self, buffer: Any) -> int:
        start = self._raw.tell()

        def read() -> bytes:
            self._raw.seek(start)
            data: bytes = self._raw.read(len(buffer))
            return data

        data = _again(self._path, read) or b""
        buffer[: len(data)] = data
        return len(data)


def _named_as(path: str, name: str) -> str:
    """A name that fsspec gives, with the scheme and the slashes of the path that was asked for."""
    scheme, _, rest = path.partition("://")
    return f"{scheme}://{'/' if rest.startswith('/') else ''}{name.lstrip('/')}"


def _hidden(name: str, folder: str) -> bool:
    below = name.removeprefix(folder.partition("://")[2].strip("/"))
    return any(part.startswith(".") for part in below.split("/"))


@contextmanager
def _unheard() -> Iterator[None]:
    """What goes wrong in tidying up adds nothing to what went wrong before."""
    try:
        yield
    except Exception:
        return


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """A disk for temporary files that is full, in the words of one to write to."""
    try:
        yield
    except OSError as e:
        kind = DiskFull if inputs.is_full(e) else CannotWrite
        raise kind(f"cannot write {show(path)}: {e.strerror or e}") from e


def _again(path: str, ask: Callable[[], T]) -> T | None:
    """What a store answers, asked a few times; None if it knows no such file.

    Stores raise what they like, so all is taken for a failure but what says that it is none.
    Raises StoreFailed, DiskFull, CannotWrite.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask()
        except FileNotFoundError:
            return None
        except PermissionError as e:
            raise CannotWrite(f"{show(path)}: {_said(e)}") from e
        except Exception as e:
            if isinstance(e, OSError) and inputs.is_full(e):
                raise DiskFull(f"cannot write {show(path)}: {e.strerror or e}") from e
            if attempt == ATTEMPTS:
                raise StoreFailed(
                    f"{show(path)}: the store failed {ATTEMPTS} times: {_said(e)}; run again later"
                ) from e
        time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
    raise AssertionError("the last attempt returns or raises")


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
