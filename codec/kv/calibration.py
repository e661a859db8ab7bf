"""What is known of a model's caches: a file that encoder and decoder have, named by its hash."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CalibrationUnavailable, CorruptFile, FileError, NotALictorFile
from lictor.codec.format.picture import Bytes, Reader, Writer
from lictor.codec.kv.rope import LAYOUTS, Rope
from lictor.codec.rows import basis as bases
from lictor.codec.rows import bits
from lictor.codec.rows.basis import MOST_COLUMNS, Basis
from lictor.entropy import fitted

MAGIC = b"LKC"
VERSION = 1
HASH_BYTES = 32
PLACES = "LICTOR_CALIBRATIONS"
"""The environment variable that names files of calibrations, separated as PATH is."""
MOST_LAYERS = 2**10
_MOST_FREQUENCIES = 2**12


@dataclass(frozen=True, eq=False)
class Matrix:
    """Of the keys or the values of a layer.

    Attributes:
        heads, dim: its columns are heads · dim.
        basis: the transform.
        bits: for rows that are kept as they are.
    """

    heads: int
    dim: int
    basis: Basis
    bits: bits.Model


@dataclass(frozen=True, eq=False)
class Calibration:
    """Means, bases, scales and tables of a model's caches.

    Attributes:
        dtype: type of the caches whose rows the tables of exact values are for.
        layers: keys and values of each.
        rope: how keys are turned by position; None if they are not, or are coded as they are.
        weighted: bases were weighted by gradients: half the squared error of a token's components,
            of all matrices, in the mean of all tokens, is the divergence in nats that is expected
            of the model's answers.
    """

    dtype: str
    layers: list[tuple[Matrix, Matrix]]
    rope: Rope | None = None
    weighted: bool = False

    @cached_property
    def data(self) -> bytes:
        """The file."""
        io = Writer()
        _syntax(io, self)
        return bytes(io.data)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the file, by which streams name it."""
        return hashlib.sha256(self.data).digest()

    @property
    def sizes(self) -> list[tuple[int, int, int, int]]:
        """As of a cache."""
        return [(k.heads, k.dim, v.heads, v.dim) for k, v in self.layers]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file.

        Args:
            path: its name, such as smollm2.lkc.
        """
        Path(path).write_bytes(self.data)

    @staticmethod
    def load(source: str | os.PathLike[str] | Bytes) -> Calibration:
        """Read a file.

        Args:
            source: its path, or its bytes.

        Raises:
            FileError: it is no calibration, or damaged.
        """
        named = isinstance(source, str | os.PathLike)
        data = bytes(Path(source).read_bytes() if named else source)  # type: ignore[arg-type]
        if not data.startswith(MAGIC):
            raise NotALictorFile("not a calibration; give a file that `Calibration.save` wrote")
        found = _syntax(Reader(data), None)
        if found.data != data:
            raise CorruptFile("a calibration is not as it was written; get another copy of it")
        return found


def find(wanted: bytes, given: Any = None) -> Calibration:
    """The calibration of a hash.

    Args:
        wanted: SHA-256 of its file.
        given: a `Calibration`, or the path or bytes of one; None: one of the files that the
            environment variable LICTOR_CALIBRATIONS names.

    Raises:
        CalibrationUnavailable: none has that hash.
    """
    if given is not None:
        own = given if isinstance(given, Calibration) else Calibration.load(given)
        if own.hash != wanted:
            raise CalibrationUnavailable(
                f"the file was made with calibration {wanted.hex()[:16]}, and "
                f"{own.hash.hex()[:16]} was given; give the one that it names"
            )
        return own
    for path in filter(None, os.environ.get(PLACES, "").split(os.pathsep)):
        try:
            if hashlib.sha256(Path(path).read_bytes()).digest() == wanted:
                return Calibration.load(path)
        except (OSError, FileError):
            continue
    raise CalibrationUnavailable(
        f"the file was made with calibration {wanted.hex()[:16]}, which is not here; give it as "
        f"`calibration` (--calibration), or name its file in {PLACES}"
    )


# ---- the file


def _syntax(io: Reader | Writer, given: Calibration | None) -> Calibration:
    """The file, as codec/format/KV.md says."""
    from lictor.codec.kv.cache import DTYPES

    io.raw("magic", MAGIC, len(MAGIC))
    if io.uint("version of a calibration", VERSION) != VERSION:
        raise io.complaint("a calibration is of another version; install the newest Lictor")
    dtype = DTYPES[io.uint("type", DTYPES.index(given.dtype) if given else 0, 0, len(DTYPES) - 1)]
    weighted = bool(io.uint("weighting", int(given.weighted) if given else 0, 0, 1))
    rope = _rope(io, given.rope if given else None)
    count = io.varint("layers", len(given.layers) if given else 1, 1, MOST_LAYERS)
    layers = []
    for i in range(count):
        own = given.layers[i] if given else (None, None)
        layers.append((_matrix(io, own[0], dtype), _matrix(io, own[1], dtype)))
    if not io.crc32("calibration", 0):
        raise io.complaint("the calibration does not match its checksum")
    return Calibration(dtype, layers, rope, weighted)


def _rope(io: Reader | Writer, given: Rope | None) -> Rope | None:
    size = len(given.frequencies) if given else 0
    size = io.varint("frequencies of positions", size, 0, _MOST_FREQUENCIES)
    if not size:
        return None
    layout = io.uint("layout of positions", LAYOUTS.index(given.layout) if given else 0, 0, 1)
    data = struct.pack(f"<{size}d", *given.frequencies) if given else b""
    found = struct.unpack(f"<{size}d", io.raw("frequencies", data, 8 * size))
    if not all(abs(f) < 2**20 for f in found):
        raise io.complaint("frequencies of positions are none")
    return Rope(found, LAYOUTS[layout])


def _matrix(io: Reader | Writer, given: Matrix | None, dtype: str) -> Matrix:
    heads = io.varint("heads", given.heads if given else 1, 1, MOST_COLUMNS)
    dim = io.varint("dimensions of a head", given.dim if given else 1, 1, MOST_COLUMNS)
    if heads * dim > MOST_COLUMNS:
        raise io.complaint(f"{heads} heads of {dim} are more than {MOST_COLUMNS} columns")
    basis = bases.syntax(io, given.basis if given else None, heads * dim)
    return Matrix(heads, dim, basis, model_syntax(io, given.bits if given else None, heads * dim))


def model_syntax(io: Reader | Writer, given: bits.Model | None, columns: int) -> bits.Model:
    """Tables of exact values, as they are in a file."""
    count = io.varint("tables", len(given.shapes) if given else 1, 1, bits.MOST_GROUPS)
    groups = bases.array(io, "groups", given.groups if given else None, "u1", columns)
    if groups.max(initial=0) >= count:
        raise io.complaint("a column has a table that there is not")
    return bits.Model(
        groups, [_shape(io, given.shapes[i] if given else None) for i in range(count)]
    )


def _shape(io: Reader | Writer, given: fitted.Shape | None) -> fitted.Shape:
    offset = io.uint("offset of a table", (given.offset if given else 0) + 2**17, 0, 2**18, 3)
    shift = io.uint("shift of a table", given.shift if given else 0, 0, fitted.MAX_SHIFT)
    size = 2 + io.uint("entries of a table", len(given.logs) - 2 if given else 0, 0, 254)
    data = bytes(log + 1 for log in given.logs) if given else b""
    logs: npt.NDArray[Any] = np.frombuffer(bytes(io.raw("table", data, size)), np.uint8)
    if logs.max() > fitted.MAX_LOG + 1 or logs.min() < 1:
        raise io.complaint("a table has a frequency that there is not")
    return fitted.Shape(offset - 2**17, shift, [int(log) - 1 for log in logs])
