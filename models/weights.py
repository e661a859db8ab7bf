"""Weights files, named by their metadata, known by their SHA-256. Needs no torch.

They are safetensors files: with tensors as they were trained, or with grids (packed.py), which the
weights codec may have coded, as it has what is shipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lictor.models import packed, zoo
from lictor.models.errors import BadCheckpoint, UnknownModel, WrongWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "lictor-1"

_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "i1", "U8": "u1", "I16": "<i2",
           "U16": "<u2", "I32": "<i4", "I64": "<i8"}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """A weights file.

    path: of the file. name: "architecture.tag". id: number of shipped weights, else 0. digest:
    SHA-256 of the file, 32 bytes. file: what is in it. loss: what they were trained for, as
    `lictor train` calls it; "" where that is not known.
    """

    path: Path
    name: str
    id: int
    digest: bytes
    file: File
    loss: str = ""

    @property
    def architecture(self) -> str:
        """What comes before the tag."""
        return self.name.partition(".")[0]

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The tensors by name; of grids each is made when it is asked for. Raises BadCheckpoint."""
        with damaged(self.path):
            return self.file.tensors()


@dataclass(frozen=True)
class File:
    """A weights file that was opened.

    texts: its metadata. names: of the tensors that it holds. tensor: gives one of them. plain: its
    bytes, where it is a safetensors file with tensors as they were trained.
    """

    texts: dict[str, Any]
    names: tuple[str, ...]
    tensor: Callable[[str], NDArray[Any]]
    plain: bytes | None

    @property
    def loss(self) -> str:
        """What they were trained for; "" where a loss of somebody's own was added, or none is told.

        Raises whatever damage may cause.
        """
        training = json.loads(self.texts.get("training") or "{}")
        return "" if training.get("task") else str(training.get("loss", ""))

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Those of the model, by name. Raises whatever damage may cause."""
        if self.plain is None:
            return packed.Packed(self.texts["tensors"], self.tensor)
        return {name: self.tensor(name) for name in self.names}


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Raises BadCheckpoint for what a damaged file causes inside."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCheckpoint(f"{path}: is damaged ({error}); get it again") from error


def opened(path: Path, data: bytes) -> File:
    """The file of bytes. Raises BadCheckpoint."""
    if data.startswith(zoo.CODED):
        return _decoded(path, data)
    header, start = header_of(data)
    texts = header.pop("__metadata__", None) or {}
    if texts.get("format") not in (FORMAT, packed.FORMAT):
        raise BadCheckpoint(f"{path}: not weights of a Lictor model")

    def tensor(name: str) -> NDArray[Any]:
        return array(data, start, header[name])

    plain = data if texts["format"] == FORMAT else None
    return File(texts, tuple(header), tensor, plain)


def array(data: bytes, start: int, told: dict[str, Any]) -> NDArray[Any]:
    """A tensor of a safetensors file, as a view. Raises whatever damage may cause.

    start: where tensors begin. told: what the header says of this one.
    """
    import numpy as np

    first, last = told["data_offsets"]
    part = np.frombuffer(memoryview(data)[start + first : start + last], _DTYPES[told["dtype"]])
    return part.reshape(tuple(told["shape"]))


def _decoded(path: Path, data: bytes) -> File:
    """What the weights codec coded, of which tensors are decoded when they are asked for."""
    # The codec lies above the models. It is found by its name, as the shipped weights are.
    codec = import_module("lictor.codec.weights.opened")
    errors = import_module("lictor.codec.errors")

    def tensor(name: str) -> NDArray[Any]:
        try:
            found: NDArray[Any] = file.get_tensor(name)
        except errors.CodecError as error:
            raise BadCheckpoint(f"{path}: {error}") from error
        return found

    try:
        file = codec.open_weights(data)
    except errors.CodecError as error:
        raise BadCheckpoint(f"{path}: {error}") from error
    texts = file.metadata() or {}
    if texts.get("format") != packed.FORMAT:
        raise BadCheckpoint(f"{path}: not weights of a Lictor model; decode them first")
    return File(texts, tuple(file.offset_keys()), tensor, None)


class Loaded(Protocol):
    """What whoever builds networks makes of weights."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file."""


L = TypeVar("L", bound=Loaded)


def key(name: str, places: zoo.Places | None = None) -> str:
    """What `read` knows weights by: shipped ones by their name, others by their path.

    Raises:
        UnknownModel: no weights are called so.
    """
    return name if name in zoo.index() else str(zoo.resolve(name, places))


def read(name: str) -> Weights:
    """The file of a key.

    Raises:
        BadCheckpoint: it cannot be read, or is none of ours.
        WrongWeights: a shipped file was tampered with.
    """
    path = zoo.resolve(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    digest = hashlib.sha256(data)
    entry = zoo.index().get(name)
    if entry and entry.sha256 != digest.hexdigest():
        raise WrongWeights(
            f"{path}: not the weights this version was shipped with; reinstall lictor"
        )
    file = opened(path, data)
    with damaged(path):
        loss = entry.loss if entry else file.loss
        id = entry.id if entry else 0
        return Weights(path, file.texts["name"], id, digest.digest(), file, loss)


def kept(make: Callable[[str], L]) -> Callable[[str], L]:
    """Keep what is made of the keys of the last four files, each for as long as its file stays."""

    @lru_cache(maxsize=4)
    def made(name: str, file: tuple[str, int, int, int]) -> L:
        return make(name)

    @wraps(make)
    def find_or_make(name: str) -> L:
        path = zoo.resolve(name)
        try:
            state = path.stat()
        except OSError:
            return make(name)  # which says what is wrong
        return made(name, (str(path), state.st_ino, state.st_size, state.st_mtime_ns))

    return find_or_make


def uncapped(name: str) -> BadCheckpoint:
    """What is wrong with weights of a name whose gates have no caps."""
    return BadCheckpoint(
        f"{name}: made before gates had caps, and only good to decode; measure them with"
        f" `python -m lictor.training.caps {name} data=PHOTOS NEW{zoo.SUFFIX}`"
    )


def find(
    id: int, name: str, digest: bytes, places: zoo.Places | None, read: Callable[[str], L]
) -> L:
    """What a file was written with: shipped weights by number, any other by name.

    Args:
        id: number of shipped weights, 0 for others.
        name: "architecture.tag" of others.
        digest: first bytes of the SHA-256 of the weights.
        places: as for `zoo.resolve`.
        read: makes of a key what is wanted.

    Raises:
        UnknownModel: such weights are not here.
        WrongWeights: those here have another SHA-256.
        BadCheckpoint: their file is damaged.
    """
    # Shipped weights have numbers: of two of a name, those of the user are meant without one.
    own = [str(path) for path in zoo.own_files(places)]
    if not id:
        named = next((path for path in own if Path(path).stem == name), None)
        model = read(named or key(name, places))
    elif shipped := [entry.name for entry in zoo.index().values() if entry.id == id]:
        name = shipped[0]
        model = read(name)
    elif old := zoo.retired().get(id):
        kept = [m for m in map(read, own) if m.digest.hex() == old.sha256]
        if not kept:
            raise UnknownModel(
                f"written with weights of {old.name} that are shipped no more (number {id}); set"
                f" LICTOR_CHECKPOINTS to the {old.name}{zoo.SUFFIX} of lictor {old.last} whose"
                f" SHA-256 begins with {old.sha256[:8]}"
            )
        model = kept[0]
    else:
        raise UnknownModel(
            f"written with shipped model number {id}, which this version lacks; upgrade lictor"
        )
    if not model.digest.startswith(digest):
        raise WrongWeights(
            f"written with other weights of {name} (SHA-256 {digest.hex()}…, here"
            f" {model.digest[: len(digest)].hex()}…); set LICTOR_CHECKPOINTS to where those are"
        )
    return model


def header_of(data: bytes) -> tuple[dict[str, Any], int]:
    """What a safetensors file says of its tensors, {} if it is none, and where they begin."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(len(data) - 8, 1 << 24):
        return {}, 0
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return {}, 0
    return (header, 8 + length) if isinstance(header, dict) else ({}, 0)
