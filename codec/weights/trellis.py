"""Two quantisers of one grid, and a state that says which: trellis-coded quantisation.

Levels count double steps: of the even quantiser a level k is the point 2 k, of the odd one
2 k - sign(k). The quantiser is that of a state of eight, which each level's parity moves on. So a
point costs a bit less than in a plain grid of the same error (about 0.16 at 3 bits). Values are in
strands, so many apart, each with a state of its own from 0 on: they are decoded side by side.

Source: M. Marcellin, T. Fischer, "Trellis coded quantization of memoryless and Gauss-Markov
sources", IEEE Trans. Communications 38(1), 1990; H. Schwarz et al., "Hybrid video coding with
trellis-coded quantization", DCC 2019.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lictor.codec.format.weights import MAX_VALUES
from lictor.codec.weights import grid_tables, words
from lictor.codec.weights.grid_tables import Levels
from lictor.entropy import Decoder

Array = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
NEXT = np.array([0, 2, 5, 7, 1, 3, 6, 4, 2, 0, 4, 6, 3, 1, 7, 5], np.uint8)
"""After state s and a level of parity p, the state at 2 s + p. Odd ones have the odd quantiser."""
_ABREAST, _LONG, _CHUNK = 2048, 64, 2**17


def layout(rows: int, columns: int) -> tuple[int, int]:
    """Strands and values of a chunk, for a tensor of so many rows and columns.

    A strand stays in its column, but where rows are too long for that. Chunks are whole rows.
    """
    if columns > MAX_VALUES // 16:
        return _ABREAST, _CHUNK
    tall = max(1, min(rows, max(_CHUNK // columns, min(_LONG, MAX_VALUES // columns))))
    wide = min(max(1, _ABREAST // columns), max(1, tall // _LONG))
    return columns * wide, columns * tall


def odd(levels: Ints, strands: int) -> Array:
    """Of each level whether it is of the odd quantiser."""
    found = np.empty(levels.size, np.uint8)
    state = np.zeros(strands, np.uint8)
    parity = (levels & 1).astype(np.uint8)
    for at in range(0, levels.size, strands):
        own = parity[at : at + strands]
        state = state[: own.size]
        found[at : at + strands] = state & 1
        state = NEXT[2 * state + own]
    return found


def points(levels: Ints, odd: Array) -> Ints:
    """Steps of the grid."""
    found: Ints = 2 * levels - np.sign(levels) * odd
    return found


def pull(decoder: Decoder, contexts: Array, tables: Levels, strands: int) -> Ints:
    """The points of a stream. contexts: of the even quantiser. Raises CorruptStream."""
    found = np.empty(contexts.size, np.int32)
    states = np.zeros(min(strands, contexts.size), np.uint8)
    own, zero, count = contexts.copy(), tables.zero, tables.count
    for at in range(0, contexts.size, strands):
        end = at + strands
        some = decoder.pull(own[at:end], out=found[at:end])
        words.advance(some, states[: some.size], own[end : end + strands], zero, count)
    return found


def levels(values: Floats, contexts: Array, rates: Floats, strands: int) -> Ints:
    """The levels with the least squared error and cost, by Viterbi's algorithm.

    Args:
        values: (count,), in steps of the grid, of one chunk.
        contexts: uint8 (count,), below `contexts` of rates.
        rates: (2, contexts, 2 * reach + 1): what levels from -reach on cost in each context of the
            even and the odd quantiser, in squared steps; beyond, it goes on in a straight line.
        strands: values between one and the next of a strand.

    Returns:
        Levels, (count,).
    """
    found = np.empty(values.size, np.int32)
    words.viterbi(np.ascontiguousarray(values, np.float32), contexts, rates, strands, found)
    return found


def of_matrix(scaled: Floats, rate: float, rounds: int = 2) -> Ints:
    """Levels of values in steps of the grid, (rows, columns), for the least of error and bits.

    rate: squared steps that a bit is worth. rounds: after the first, bits are those of the tables
    that the levels before ask for.
    """
    strands, size = layout(*scaled.shape)
    flat = np.ascontiguousarray(scaled, np.float32).reshape(-1)
    found = np.rint(flat / 2).astype(np.int32)
    for again in range(rounds):
        square = found.reshape(scaled.shape)
        tables, _ = grid_tables.choose(square, odd_of_matrix(square) if again else None)
        costs = grid_tables.bits(tables) * np.float32(rate)
        for at in range(0, flat.size, size):
            part = slice(at, at + size)
            contexts = tables.contexts(at, found[part].size)
            found[part] = levels(flat[part], contexts, costs, strands)
    return found.reshape(scaled.shape)


def odd_of_matrix(square: Ints) -> Array:
    """Of each level, (rows, columns), whether it is of the odd quantiser; as one row."""
    strands, size = layout(*square.shape)
    flat = square.reshape(-1)
    parts = [flat[at : at + size] for at in range(0, flat.size, size)]
    return np.concatenate([odd(part, strands) for part in parts])
