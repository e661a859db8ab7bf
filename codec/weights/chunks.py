"""What holds for chunks of all methods: their checksums, and that they decode to what was coded.

Without numpy until a chunk is coded: `lictor info` opens files with this, and is to start at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from lictor.codec.errors import CorruptFile, SelfCheckFailed
from lictor.codec.format.elements import Bytes
from lictor.codec.format.weights import STREAM, Chunk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.uint8]


def check_coded(chunk: Chunk, data: Bytes) -> None:
    """Raises CorruptFile unless the bytes of a chunk are those that were written."""
    if zlib.crc32(data) != chunk.check:
        raise CorruptFile("a chunk does not match its checksum; get another copy of the file")


def check_decoded(chunk: Chunk, out: Array, advice: str = "get a new copy") -> None:
    """Raises CorruptFile unless values are those that were coded."""
    if zlib.crc32(out.data) != chunk.decoded:
        raise CorruptFile(f"a chunk decodes to other values than were encoded; {advice}")


def of_stream(data: bytes, raw: Array, decode: Callable[[Chunk, Array], None]) -> Chunk:
    """The chunk of a stream that is to decode to `raw`; it was decoded, into what decode is given.

    Raises SelfCheckFailed if something else comes out.
    """
    import numpy as np

    chunk = Chunk(STREAM, len(data), zlib.crc32(data), zlib.crc32(raw.data))
    back = np.empty_like(raw)
    decode(chunk, back)
    if not np.array_equal(back, raw):
        raise SelfCheckFailed("a tensor decodes to other values than were coded; please report it")
    return chunk
