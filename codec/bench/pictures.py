"""Which pictures to measure, and what codecs get of them: 8 bits, gray or RGB, no metadata."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from lictor.codec import inputs as files
from lictor.codec.inputs import UsageError, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDNET = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Source:
    """Where a picture is: a file, or a member of a tar file. name: unique, the key of its rows."""

    name: str
    path: str
    member: str | None = None

    @property
    def label(self) -> str | None:
        """The WordNet id that its name begins with, or that one of its folders is called."""
        *folders, own = PurePath(self.name).parts
        found = _WORDNET.match(own)
        if found and not own[found.end() : found.end() + 1].isalnum():
            return found[0]
        return next((f for f in reversed(folders) if _WORDNET.fullmatch(f)), None)

    def read(self) -> Image:
        """Raises ImageError, OSError or tarfile.TarError."""
        from lictor.codec.image import pillow

        picture = pillow.read(self.path if self.member is None else self._unpacked())
        notes = list(picture.notes)
        if picture.alpha is not None:
            notes.append("its alpha is left out")
        if picture.depth > 8:
            notes.append(f"its {picture.depth} bits a sample are measured as 8")
        return Image(self.name, picture.eight_bit_colours(), tuple(notes))

    def _unpacked(self) -> bytes:
        assert self.member is not None
        with tarfile.open(self.path) as archive:
            file = archive.extractfile(self.member)
            if file is None:
                raise OSError(f"{self.member} is not a file")
            return file.read()


@dataclass(frozen=True)
class Image:
    """A picture as every codec gets it: pixels uint8 (H, W, 1 or 3)."""

    name: str
    pixels: NDArray[Any]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the shape and the samples."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(self.pixels.tobytes())
        return digest.hexdigest()


def find(inputs: Sequence[str]) -> list[Source]:
    """Pictures of folders, files and tar files. Raises UsageError."""
    found: list[tuple[str, str, str | None]] = []
    for name in inputs:
        if name == files.STREAM:
            raise UsageError("bench needs files that it can read again, not standard input")
        if os.path.isfile(name) and name.endswith((".tar", ".tar.gz", ".tgz")):
            found += [(member, name, member) for member in _members(name)]
        else:
            found += [(inner, path, None) for path, inner in files.find([name], files.PICTURES)]
    names = _unique([relative.replace(os.sep, "/") for relative, _, _ in found])
    return [
        Source(name, path, inside) for name, (_, path, inside) in zip(names, found, strict=True)
    ]


def _members(path: str) -> list[str]:
    try:
        with tarfile.open(path) as archive:
            names = [m.name for m in archive if m.isfile()]
    except (OSError, tarfile.TarError) as e:
        raise UsageError(f"{show(path)}: not a tar file that can be read ({e})") from e
    pictures = [n for n in names if PurePath(n).suffix.lower() in files.PICTURES]
    if not pictures:
        raise UsageError(f"{show(path)}: the tar file holds no pictures; name another")
    return sorted(pictures)


def _unique(relative: list[str]) -> list[str]:
    """Names without extensions where that keeps them apart."""
    short = [os.path.splitext(name)[0].lstrip("/.") or name for name in relative]
    taken: set[str] = set()
    names = []
    for stem, whole in zip(short, relative, strict=True):
        name = base = stem if short.count(stem) == 1 else whole.lstrip("/.")
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        names.append(name)
    return names
