"""Encoder and Decoder: what both implementations, C and reference, look like from outside."""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from lictor.entropy import reference
from lictor.entropy.errors import CorruptStream
from lictor.entropy.gaussian import gaussian_tables
from lictor.entropy.tables import Int32Array, Tables, UInt8Array

_rans: ModuleType | None
try:
    from lictor.entropy import _rans
except ImportError:  # installed without a C compiler
    _rans = None

PATHS = ("avx512-pairs", "avx512", "avx2-pairs", "avx2", "neon", "scalar", "reference")

_TOO_SHORT = (
    "the stream ends before its symbols do: it is cut short or damaged, or was encoded with other"
    " tables or indexes"
)


@lru_cache(maxsize=1)
def _warn_slow() -> None:
    warnings.warn(
        "lictor.entropy was installed without its C extension and codes slowly, in pure Python;"
        " install a C compiler, then lictor again",
        RuntimeWarning,
        stacklevel=4,
    )


def paths() -> tuple[str, ...]:
    """The versions of the coder that this machine can run, the one to take first.

    "avx512", "avx2" and "neon" need such a CPU, "scalar" the C extension, "reference" nothing but
    Python. "avx512-pairs" and "avx2-pairs" decode in the way that suits AMD's CPUs: there they come
    before "avx512" and "avx2", elsewhere behind. All give the same bytes and errors.
    """
    return (*(() if _rans is None else _rans.paths), "reference")


def _implementation(path: str | None = None) -> tuple[ModuleType, str]:
    """The module that new coders run on, and which of its paths they take.

    path: as for Encoder.
    """
    source = "LICTOR_CODER" if path is None else "path"
    choice = os.environ.get("LICTOR_CODER", "") if path is None else path
    if choice not in ("", "c", *PATHS):
        raise ValueError(
            f"{source} is {choice!r}; set it to c or one of {', '.join(PATHS)}, or not at all"
        )
    if choice == "reference":
        return reference, choice
    if _rans is None and choice:
        raise ImportError(f"{source}={choice}, but lictor was installed without its C extension")
    if _rans is None:
        _warn_slow()
        return reference, "reference"
    if choice in ("", "c"):
        return _rans, _rans.paths[0]
    if choice not in _rans.paths:
        raise ValueError(f"{source}={choice}, but this CPU only has {', '.join(paths())}")
    return _rans, choice


def backend() -> str:
    """The one of `paths()` that new coders take.

    It is the first, unless the environment variable LICTOR_CODER names another; "c" stands for the
    first of the C extension.
    """
    return _implementation()[1]


def _check_array(array: Any, dtype: type, name: str) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        kind = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be a numpy array of {np.dtype(dtype)}, not {kind}")
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, not of shape {array.shape}; ravel() it")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be contiguous; copy it with numpy.ascontiguousarray")


def _check_range(index: UInt8Array, tables: Tables) -> None:
    largest = int(index.max())
    if largest >= len(tables):
        raise ValueError(f"index {largest} is beyond the last of {len(tables)} tables")


class Encoder:
    """Collects symbols with the tables that code them, then codes all at once.

    >>> encoder = Encoder()
    >>> encoder.push(np.array([0, -2, 7], np.int32), np.array([5, 30, 40], np.uint8))
    >>> decoder = Decoder(encoder.finish())
    >>> decoder.pull(np.array([5, 30, 40], np.uint8))
    array([ 0, -2,  7], dtype=int32)
    >>> decoder.close()

    Args:
        tables: used by every push that names no others; the Gaussian family when None.
        checksum: False saves the little time that `checksum` takes.
        path: the one of `paths()` to take, "c" for the first of the C extension; when None, what
            `backend` says. The bytes are the same.

    Raises:
        ValueError: this machine cannot run the path.
        ImportError: the C extension is asked for, and not installed.

    Source: STREAM.md; rANS is from J. Duda, 2013 (arXiv:1311.2540).
    """

    def __init__(
        self, tables: Tables | None = None, *, checksum: bool = True, path: str | None = None
    ) -> None:
        self._tables = gaussian_tables() if tables is None else tables
        self._backend, path = _implementation(path)
        self._coder = self._backend.Encoder(path)
        self._keep_checksum = checksum
        self._finished = False
        self._checksum = 0

    def push(self, symbols: Int32Array, index: UInt8Array, tables: Tables | None = None) -> None:
        """Add symbols to the end of the stream; after an exception nothing was added.

        Args:
            symbols: int32 (n,), n >= 0, contiguous; any value if its table has an escape.
            index: uint8 (n,), contiguous; the table of each symbol.
            tables: used for these symbols instead of the encoder's own.

        Raises:
            TypeError: an array of another dtype.
            ValueError: another shape, an index beyond the tables, or a symbol that its table has
                no code for.
            RuntimeError: the stream is finished.
        """
        if self._finished:
            raise RuntimeError("the stream is finished; make a new Encoder for another")
        tables = self._tables if tables is None else tables
        _check_array(symbols, np.int32, "symbols")
        _check_array(index, np.uint8, "index")
        if symbols.size != index.size:
            raise ValueError(f"{symbols.size} symbols with {index.size} indexes")
        compiled = tables.compiled(self._backend)
        position = self._coder.push(symbols, index, compiled, self._keep_checksum)
        if position >= 0:
            _check_range(index, tables)
            t = int(index[position])
            raise ValueError(
                f"symbol {symbols[position]} at position {position} is outside table {t}, which"
                " has no escape"
            )

    def finish(self) -> bytes:
        """Code everything that was pushed; afterwards only `checksum` can be used.

        Returns:
            The stream, as STREAM.md describes it.

        Raises:
            RuntimeError: the stream is finished already.
        """
        if self._finished:
            raise RuntimeError("the stream is finished already")
        self._finished = True
        stream: bytes = self._coder.finish()
        self._checksum = self._coder.checksum
        self._coder = None
        return stream

    @property
    def checksum(self) -> int:
        """CRC-32 of all symbols so far, each as little-endian int32, however they were cut.

        Raises:
            RuntimeError: made with checksum=False.
        """
        _need_checksum(self._keep_checksum)
        return self._checksum if self._finished else int(self._coder.checksum)


class Decoder:
    """Gives back the symbols of a stream, in as many pulls as the caller likes.

    Args:
        data: a whole stream, any bytes-like object; copied.
        tables: used by every pull that names no others; the Gaussian family when None.
        checksum: False saves the little time that `checksum` takes.
        path: as for Encoder.

    Raises:
        CorruptStream: the stream is too short to be one.
        ValueError, ImportError: as for Encoder.

    Source: STREAM.md.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        tables: Tables | None = None,
        *,
        checksum: bool = True,
        path: str | None = None,
    ) -> None:
        self._tables = gaussian_tables() if tables is None else tables
        self._backend, path = _implementation(path)
        self._coder = self._backend.Decoder(bytes(memoryview(data)), path)
        self._keep_checksum = checksum
        if self._coder.failed:
            raise CorruptStream("the stream is too short to hold even its states")

    def pull(
        self, index: UInt8Array, tables: Tables | None = None, *, out: Int32Array | None = None
    ) -> Int32Array:
        """Decode the next symbols.

        Args:
            index: uint8 (n,), n >= 0, contiguous; the table of each symbol, as pushed.
            tables: used for these symbols instead of the decoder's own.
            out: int32 (n,), contiguous, writable; filled and returned. Using one array again
                spares the system's fresh pages, which several threads would wait for in turn.

        Returns:
            int32 (n,). Damage can go unnoticed until close().

        Raises:
            CorruptStream: the stream has fewer symbols. Every later pull raises this again.
            TypeError: an array of another dtype.
            ValueError: another shape, or an index beyond the tables.
        """
        tables = self._tables if tables is None else tables
        _check_array(index, np.uint8, "index")
        if out is None:
            out = np.empty(index.size, dtype=np.int32)
        else:
            _check_array(out, np.int32, "out")
            if out.size != index.size or not out.flags.writeable:
                raise ValueError(f"out must be writable and hold {index.size} values")
        compiled = tables.compiled(self._backend)
        try:
            enough = self._coder.pull(index, compiled, out, self._keep_checksum)
        except IndexError:
            _check_range(index, tables)
            raise
        if not enough:
            raise CorruptStream(_TOO_SHORT)
        return out

    def close(self) -> None:
        """Check that all symbols have been pulled, and that the stream ends there, undamaged.

        Raises:
            CorruptStream: it does not.
        """
        if self._coder.failed:
            raise CorruptStream(_TOO_SHORT)
        final, left, unused = self._coder.ended()
        if left:
            raise CorruptStream(
                f"{left} bytes of the stream are left over: it is damaged, holds more symbols, or"
                " was encoded with other tables or indexes"
            )
        if not final or unused:
            raise CorruptStream(
                "the stream does not end as streams do: it is damaged, or was encoded with other"
                " tables or indexes"
            )

    @property
    def checksum(self) -> int:
        """CRC-32 of all symbols so far, each as little-endian int32, however they were cut.

        Raises:
            RuntimeError: made with checksum=False.
        """
        _need_checksum(self._keep_checksum)
        return int(self._coder.checksum)


def _need_checksum(kept: bool) -> None:
    if not kept:
        raise RuntimeError("this coder was made with checksum=False")


def compress(symbols: Int32Array, index: UInt8Array, tables: Tables | None = None) -> bytes:
    """All symbols as one stream: Encoder, one push, and finish, without a checksum.

    >>> index = np.array([5, 30, 40], np.uint8)
    >>> data = compress(np.array([0, -2, 7], np.int32), index)
    >>> decompress(data, index)
    array([ 0, -2,  7], dtype=int32)

    Args:
        symbols: int32 (n,), n >= 0, contiguous; any value if its table has an escape.
        index: uint8 (n,), contiguous; the table of each symbol.
        tables: the Gaussian family when None.

    Raises:
        TypeError: an array of another dtype.
        ValueError: another shape, an index beyond the tables, or a symbol that its table has no
            code for.
    """
    encoder = Encoder(tables, checksum=False)
    encoder.push(symbols, index)
    return encoder.finish()


def decompress(
    data: bytes | bytearray | memoryview,
    index: UInt8Array,
    tables: Tables | None = None,
    *,
    out: Int32Array | None = None,
) -> Int32Array:
    """The symbols of a whole stream: Decoder, one pull, and close, without a checksum.

    Args:
        data: what compress() or an Encoder made.
        index: uint8 (n,), contiguous; the table of each symbol, as it was compressed.
        tables: as it was compressed.
        out: as for Decoder.pull.

    Returns:
        int32 (n,).

    Raises:
        CorruptStream: the data are damaged, or were made with other indexes or tables.
        TypeError: an array of another dtype.
        ValueError: another shape, or an index beyond the tables.
    """
    decoder = Decoder(data, tables, checksum=False)
    symbols = decoder.pull(index, out=out)
    decoder.close()
    return symbols
