"""Encoder and Decoder: what both implementations, C and reference, look like from outside."""

from __future__ import annotations

import os
import warnings
import zlib
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


def _implementation() -> ModuleType:
    choice = os.environ.get("LICTOR_CODER", "")
    if choice not in ("", "c", "reference"):
        raise ValueError(f"LICTOR_CODER is {choice!r}; set it to c or reference, or not at all")
    if choice == "reference":
        return reference
    if _rans is not None:
        return _rans
    if choice == "c":
        raise ImportError("LICTOR_CODER=c, but lictor was installed without its C extension")
    _warn_slow()
    return reference


def backend() -> str:
    """The implementation that new coders run on: "c" or "reference".

    The environment variable LICTOR_CODER chooses; both give the same bytes and errors.
    """
    return "reference" if _implementation() is reference else "c"


def _check_array(array: Any, dtype: type, name: str) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        kind = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be a numpy array of {np.dtype(dtype)}, not {kind}")
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, not of shape {array.shape}; ravel() it")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be contiguous; copy it with numpy.ascontiguousarray")


def _check_index(index: UInt8Array, tables: Tables) -> None:
    _check_array(index, np.uint8, "index")
    if index.size and len(tables) < 256:
        largest = int(index.max())
        if largest >= len(tables):
            raise ValueError(f"index {largest} is beyond the last of {len(tables)} tables")


def _crc(symbols: Int32Array, crc: int) -> int:
    return zlib.crc32(symbols.astype("<i4", copy=False).data, crc)


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
        checksum: False saves the time for `checksum` (about 1.5 ns a symbol).

    Source: STREAM.md; rANS is from J. Duda, 2013 (arXiv:1311.2540).
    """

    def __init__(self, tables: Tables | None = None, *, checksum: bool = True) -> None:
        self._tables = gaussian_tables() if tables is None else tables
        self._backend = _implementation()
        self._coder = self._backend.Encoder()
        self._crc: int | None = 0 if checksum else None
        self._finished = False

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
        _check_index(index, tables)
        if symbols.size != index.size:
            raise ValueError(f"{symbols.size} symbols with {index.size} indexes")
        position = self._coder.push(symbols, index, tables.compiled(self._backend))
        if position >= 0:
            t = int(index[position])
            raise ValueError(
                f"symbol {symbols[position]} at position {position} is outside table {t}, which"
                " has no escape"
            )
        if self._crc is not None:
            self._crc = _crc(symbols, self._crc)

    def finish(self) -> bytes:
        """Code everything that was pushed; afterwards only `checksum` can be used.

        Raises:
            RuntimeError: the stream is finished already.
        """
        if self._finished:
            raise RuntimeError("the stream is finished already")
        self._finished = True
        stream: bytes = self._coder.finish()
        self._coder = None
        return stream

    @property
    def checksum(self) -> int:
        """CRC-32 of all symbols so far, each as little-endian int32, however they were cut.

        Raises:
            RuntimeError: made with checksum=False.
        """
        return _checksum(self._crc)


class Decoder:
    """Gives back the symbols of a stream, in as many pulls as the caller likes.

    Args:
        data: a whole stream, any bytes-like object; copied.
        tables: used by every pull that names no others; the Gaussian family when None.
        checksum: False saves the time for `checksum` (about 1.5 ns a symbol).

    Raises:
        CorruptStream: the stream is too short to be one.

    Source: STREAM.md.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        tables: Tables | None = None,
        *,
        checksum: bool = True,
    ) -> None:
        self._tables = gaussian_tables() if tables is None else tables
        self._backend = _implementation()
        self._coder = self._backend.Decoder(bytes(memoryview(data)))
        self._crc: int | None = 0 if checksum else None
        if self._coder.failed:
            raise CorruptStream("the stream is too short to hold even its states")

    def pull(self, index: UInt8Array, tables: Tables | None = None) -> Int32Array:
        """Decode the next symbols.

        Args:
            index: uint8 (n,), n >= 0, contiguous; the table of each symbol, as pushed.
            tables: used for these symbols instead of the decoder's own.

        Returns:
            int32 (n,). Damage can go unnoticed until close().

        Raises:
            CorruptStream: the stream has fewer symbols. Every later pull raises this again.
            TypeError: an array of another dtype.
            ValueError: another shape, or an index beyond the tables.
        """
        tables = self._tables if tables is None else tables
        _check_index(index, tables)
        out = np.empty(index.size, dtype=np.int32)
        if not self._coder.pull(index, tables.compiled(self._backend), out):
            raise CorruptStream(_TOO_SHORT)
        if self._crc is not None:
            self._crc = _crc(out, self._crc)
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
        return _checksum(self._crc)


def _checksum(crc: int | None) -> int:
    if crc is None:
        raise RuntimeError("this coder was made with checksum=False")
    return crc
