"""A batch of pictures whose streams are their own: what codes an array shares it out among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import SymbolIo


class Several:
    """A direction for each of N samples, where networks run once for all of them."""

    def __init__(self, each: Sequence[SymbolIo]) -> None:
        self.each = each


def code(
    io: SymbolIo | Several, symbols: NDArray[np.int32] | None, index: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Code the next symbols, in the order of memory.

    Args:
        io: the direction; or several, each for what it has of arrays (..., N, h, w, C).
        symbols: of the shape of `index`; None of a decoder.
        index: the table of each.

    Returns:
        What the decoder has of them, of the shape of `index`.

    Raises:
        CorruptStream: a decoder's stream has fewer symbols.
    """
    if not isinstance(io, Several):
        own = None if symbols is None else symbols.ravel()
        return io.code(own, index.ravel()).reshape(index.shape)
    made = np.empty(index.shape, np.int32)
    for number, one in enumerate(io.each):
        here: Any = (..., number, *[slice(None)] * 3)
        own = None if symbols is None else symbols[here]
        made[here] = code(one, own, index[here])
    return made
