"""Arrays, and single values of arrays, without loss: bytes sorted by their place, then deflated."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.errors import CorruptFile
from lictor.codec.format.arrays import ITEM_BYTES
from lictor.codec.format.picture import Bytes


def pack(raw: npt.NDArray[Any]) -> bytes:
    """Raw deflate of all first bytes (little-endian), then all second bytes, and so on."""
    return _deflate(_planes(raw.ravel()))


def unpack(data: Bytes, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """What `pack` packed; bfloat16 as uint16. Raises CorruptFile."""
    size = 1
    for n in shape:
        size *= n
    planes = _inflate(data, size * ITEM_BYTES[dtype])
    return _joined(planes, size, "uint16" if dtype == "bfloat16" else dtype).reshape(shape)


def pack_patch(raw: npt.NDArray[Any], where: npt.NDArray[np.bool_]) -> bytes:
    """The values of `raw` at some places: nothing, or their number and the deflated rest."""
    places = np.flatnonzero(where)
    if not places.size:
        return b""
    steps = np.diff(places, prepend=-1) - 1
    body = _planes(steps.astype("<i8")) + _planes(raw.ravel()[places])
    return int(places.size).to_bytes(6, "little") + _deflate(body)


def unpack_patch(data: Bytes, raw: npt.NDArray[Any]) -> None:
    """Put the values of a patch into `raw`. Raises CorruptFile."""
    if not len(data):
        return
    count = int.from_bytes(data[:6], "little")
    if len(data) < 6 or not 0 < count <= raw.size:
        raise _damaged("has a wrong number of exact values")
    body = _inflate(data[6:], count * (8 + raw.itemsize))
    steps = _joined(body[: 8 * count], count, "int64")
    values = _joined(body[8 * count :], count, raw.dtype.name)
    if ((steps < 0) | (steps >= raw.size)).any():
        raise _damaged("has exact values outside it")
    places = np.cumsum(steps + 1) - 1
    if (np.diff(places) <= 0).any() or places[-1] >= raw.size or places[0] < 0:
        raise _damaged("has exact values outside it")
    raw.reshape(-1)[places] = values


def _planes(values: npt.NDArray[Any]) -> bytes:
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return (
        np.ascontiguousarray(little)
        .view(np.uint8)
        .reshape(values.size, values.itemsize)
        .T.tobytes()
    )


def _joined(planes: bytes, size: int, dtype: str) -> npt.NDArray[Any]:
    kind = np.dtype(dtype)
    bytes_ = np.frombuffer(planes, np.uint8).reshape(kind.itemsize, size).T
    return np.ascontiguousarray(bytes_).view(kind.newbyteorder("<")).ravel().astype(kind)


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(data: Bytes, size: int) -> bytes:
    """Just `size` bytes, and never more in memory."""
    unpacker = zlib.decompressobj(-15)
    try:
        out = unpacker.decompress(data, size + 1)
    except zlib.error as e:
        raise _damaged(f"does not unpack ({e})") from e
    if len(out) != size or not unpacker.eof or unpacker.unused_data:
        raise _damaged("does not unpack to its size")
    return out


def _damaged(what: str) -> CorruptFile:
    return CorruptFile(f"an array {what}; the file is damaged, get another copy of it")


def packed_size(raw: npt.NDArray[Any]) -> float:
    """About the bytes of an array that is packed, from parts of it.

    Of what has periods of powers of 2, as have pictures of a batch, parts begin at other places.
    """
    flat, size = raw.reshape(-1), 2**8
    starts = range(0, flat.size - size + 1, max(size, (flat.size // 7) | 1))
    parts = np.concatenate([flat[start : start + size] for start in starts])
    return len(pack(parts)) / parts.size * flat.size
