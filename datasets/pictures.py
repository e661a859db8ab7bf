"""Pictures for training: found in folders and tar shards, decoded to uint8 RGB.

Decoded pictures stay in memory as far as they fit; those beyond are decoded each time.
"""

from __future__ import annotations

import io
import os
import random
import re
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from lictor.codec.format import names
from lictor.codec.format.picture import MAGIC

SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".qoi")
).union((".tga", ".tif", ".tiff", ".webp"), names.SUFFIXES)

_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
"""The EXIF tag, and its values that exchange width and height."""

T = TypeVar("T")


class Unusable(Exception):
    """A file is no picture to train on; the message says why, not which."""


# ------------------------------------------------------------------------------- finding
@dataclass(frozen=True)
class Source:
    """A folder (searched through all levels), a tar or a picture, shrunk by a random factor.

    shrink: factors low…high. Pictures that were JPEGs want 0.6…0.9, so that a model does not learn
    the blocks of another codec.
    """

    path: Path
    shrink: tuple[float, float] = (1.0, 1.0)


def sources(text: str) -> list[Source]:
    """PATH or PATH:LOW:HIGH, several with commas between; raises ValueError.

    {000..003} in a path stands for each number, * and ? for any name.
    """
    return [source for part in text.split(",") if part for source in _sources(part.strip())]


def _sources(text: str) -> Iterator[Source]:
    shrink = (1.0, 1.0)
    if match := re.fullmatch(r"(.+):([\d.]+):([\d.]+)", text):
        text, shrink = match[1], (float(match[2]), float(match[3]))
        if not 0 < shrink[0] <= shrink[1] <= 1:
            raise ValueError(f"data {match[0]!r}: write PATH:LOW:HIGH with 0 < LOW <= HIGH <= 1")
    for name in _braces(text):
        path = Path(name)
        if "*" not in path.name and "?" not in path.name:
            yield Source(path, shrink)
            continue
        found = sorted(path.parent.glob(path.name))
        if not found:
            raise FileNotFoundError(f"{name}: no such file")
        yield from (Source(one, shrink) for one in found)


def _braces(text: str) -> Iterator[str]:
    """shard-{000..003}.tar to its four names, as webdataset and the shell do."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}", text)
    if not match:
        yield text
        return
    for number in range(int(match[1]), int(match[2]) + 1):
        yield from _braces(f"{text[: match.start()]}{number:0{len(match[1])}}{text[match.end() :]}")


@dataclass(frozen=True)
class File:
    """A picture's bytes: a file, or a part of an uncompressed tar."""

    path: Path
    member: str = ""
    offset: int = 0
    size: int = -1

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    def read(self) -> bytes:
        """All of it."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def files(path: Path) -> Iterator[File]:
    """The picture files below a folder and in the tars there, or of one tar, in sorted order."""
    if path.is_dir():
        for root, folders, names in os.walk(path):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in sorted(n for n in names if not n.startswith(".")):
                if Path(name).suffix.lower() in SUFFIXES | {".tar"}:
                    yield from files(Path(root, name))
    elif not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    elif path.suffix.lower() in SUFFIXES:
        yield File(path)
    else:
        yield from _members(path)


def _members(path: Path) -> Iterator[File]:
    try:
        with tarfile.open(path, "r:") as tar:
            members = sorted(tar.getmembers(), key=lambda m: m.name)
    except tarfile.ReadError as error:
        raise ValueError(f"{path}: not an uncompressed tar ({error})") from error
    for m in members:
        if m.isfile() and Path(m.name).suffix.lower() in SUFFIXES:
            yield File(path, m.name, m.offset_data, m.size)


# ------------------------------------------------------------------------------- decoding
@dataclass(frozen=True)
class Picture:
    """A picture of a source: height and width as it is seen, pixels where memory allows."""

    file: File
    height: int
    width: int
    shrink: tuple[float, float] = (1.0, 1.0)
    pixels: np.ndarray | None = None

    def __str__(self) -> str:
        return str(self.file)

    def array(self) -> np.ndarray:
        """Pixels, uint8 (H, W, 3). Raises Unusable."""
        if self.pixels is not None:
            return self.pixels
        with closing(_open(self.file)) as image, _named():
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))

    def holds(self, crop: int) -> bool:
        """Whether a crop of this side can be cut without enlarging anything."""
        return min(self.height, self.width) * self.shrink[1] >= crop


def load(sources: Iterable[Source], at_least: int, memory: float) -> list[Picture]:
    """The pictures of all sources; those unreadable or smaller than at_least are named.

    memory: bytes of pixels that may be kept. Raises FileNotFoundError if a source holds nothing.
    """
    found: list[Picture] = []
    for source in sources:
        here = _each(partial(_look, source.shrink, at_least), files(source.path))
        if not here:
            raise FileNotFoundError(f"{source.path}: holds no picture that can be used")
        found += here
    wanted = _fitting(found, memory)
    if memory and len(wanted) < len(found):
        beyond = len(found) - len(wanted)
        print(f"{beyond} pictures do not fit in memory, decoded at each use", file=sys.stderr)
    return _each(lambda p: replace(p, pixels=p.array()) if p in wanted else p, found)


def _look(shrink: tuple[float, float], at_least: int, file: File) -> Picture:
    with closing(_open(file)) as image, _named():
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in _QUARTER_TURNS:
            width, height = height, width
    picture = Picture(file, height, width, shrink)
    if not picture.holds(at_least):
        raise Unusable(f"smaller than a crop of {at_least}")
    return picture


def _open(file: File) -> Image.Image:
    data = file.read()
    if data.startswith(MAGIC):
        import_module("lictor.pillow")  # by which Pillow reads it
    elif Path(file.member or file.path).suffix.lower() in names.SUFFIXES:
        raise Unusable("no picture of Lictor's")
    with _named():
        image = Image.open(io.BytesIO(data))
    if image.mode.startswith(("I", "F")):
        raise Unusable("more than 8 bits a sample")
    return image


@contextmanager
def _named() -> Iterator[None]:
    """What Pillow raises on damaged files, as Unusable."""
    try:
        yield
    except Image.UnidentifiedImageError as error:
        raise Unusable("cannot be read (no known format)") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unusable(f"cannot be read ({error})") from error


def _fitting(pictures: list[Picture], memory: float) -> set[Picture]:
    """Pictures to keep the pixels of, chosen at random, the same each time."""
    fitting = set()
    for picture in random.Random(0).sample(pictures, len(pictures)):
        memory -= 3 * picture.height * picture.width
        if memory < 0:
            break
        fitting.add(picture)
    return fitting


def _each(work: Callable[[T], Picture], items: Iterable[T]) -> list[Picture]:
    """Results in order, the unusable named and left out; decoders release the lock."""

    def attempt(item: T) -> Picture | None:
        try:
            return work(item)
        except Unusable as error:
            print(f"{item}: skipped, {error}", file=sys.stderr)
            return None

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return [picture for picture in pool.map(attempt, items) if picture is not None]
