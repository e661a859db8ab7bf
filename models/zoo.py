"""Which weights there are, without importing torch.

Shipped weights are listed in checkpoints/index.json with a permanent number; other weights are
files that a user names, or that lie in a folder that is given or that the environment variable
LICTOR_CHECKPOINTS names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from lictor.models.errors import UnknownModel

SUFFIX, PACKED = ".safetensors", ".lictor"
"""Of weights as they were trained, and as the weights codec has them: packed.py."""
SUFFIXES = (SUFFIX, PACKED)
CODED = b"LIW"
"""How a file of the weights codec begins."""
TUNED = {"eyes": "lictor-s.vis", "psnr": "lictor-s.mse"}
"""What codes pictures where no model is named, by what bits are to be spent for; the first unless
told otherwise."""
SQUARED, VISIBLE = "mse", "visible"
"""Losses of training that a codec must know: squared errors, and what eyes see of them."""

Places = Sequence[str | os.PathLike[str]]
"""Weights files, or folders of them."""


@dataclass(frozen=True)
class Entry:
    """A line of checkpoints/index.json.

    Attributes:
        name: "architecture.tag".
        id: permanent number that files carry instead of the name; never used again.
        file: name of the weights in checkpoints/.
        sha256: of that file, hexadecimal.
        licence: SPDX name.
        summary: one line for people.
        loss: what they were trained for, as `lictor train` calls it; "" where that says nothing.
        training: how the weights were made: command, data, steps, minutes, machine.
        measured: what they measured, and the command that measures it.
    """

    name: str
    id: int
    file: str
    sha256: str
    licence: str
    summary: str
    loss: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Retired:
    """Weights that were shipped once: number, name, SHA-256, and the last version that had them."""

    id: int
    name: str
    sha256: str
    last: str


def shipped_folder() -> Path:
    """The folder `checkpoints`, in a checkout and in an installed wheel."""
    # Not importlib.resources: it refuses the path of an editable namespace package.
    places = map(Path, import_module("lictor.checkpoints").__path__)
    return next(place for place in places if (place / "index.json").is_file())


def _listed() -> dict[str, Any]:
    return json.loads((shipped_folder() / "index.json").read_text(encoding="utf-8"))


@cache
def index() -> dict[str, Entry]:
    """The shipped weights by name."""
    return {entry["name"]: Entry(**entry) for entry in _listed()["checkpoints"]}


@cache
def retired() -> dict[int, Retired]:
    """The weights of earlier versions by number."""
    return {entry["id"]: Retired(**entry) for entry in _listed().get("retired", [])}


def resolve(name: str, places: Places | None = None) -> Path:
    """The weights file of a name, or of a path to one. Raises UnknownModel.

    places: where to look beside what is shipped; None: where `named_places` says.
    """
    if name in index():
        return shipped_folder() / index()[name].file
    if Path(name).suffix in SUFFIXES and Path(name).is_file():
        return Path(name)
    for path in own_files(places):
        if path.stem == name:
            return path
    known = ", ".join(index())
    raise UnknownModel(
        f"unknown model {name!r}; give one of {known}, or a {SUFFIX} file, or set"
        " LICTOR_CHECKPOINTS to the folder of your own"
    )


def named_places() -> tuple[str, ...]:
    """What LICTOR_CHECKPOINTS names, split as PATH is."""
    return tuple(filter(None, os.environ.get("LICTOR_CHECKPOINTS", "").split(os.pathsep)))


def own_files(places: Places | None = None) -> Iterator[Path]:
    """Weights files at places; None: at `named_places`."""
    for place in named_places() if places is None else places:
        path = Path(place)
        yield from sorted(filter(_is_weights, path.iterdir())) if path.is_dir() else [path]


def _is_weights(path: Path) -> bool:
    """By its name; pictures may be called as packed weights are, but begin otherwise."""
    if path.suffix != PACKED:
        return path.suffix == SUFFIX
    with path.open("rb") as file:
        return file.read(len(CODED)) == CODED
