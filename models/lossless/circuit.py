"""Patches coded by a probabilistic circuit: a hidden Chow-Liu tree over their pixels.

Each pixel hangs on a hidden variable of K states, and these on one another in a tree; the tree is
that of the most mutual information between pixels. `learn` fits it by expectation and maximisation
in floating point, and rounds it to integers; coding uses those alone. Pixels are coded from the
root in depth-first order, so that each edge of the tree passes one message down and one up: the
time is linear in the circuit.

No method of the codec uses it: docs/circuits.md has what was measured. Source: A. Liu, S. Mandt,
G. Van den Broeck, "Lossless Compression with Probabilistic Circuits", ICLR 2022; trees: C. Chow,
C. Liu, 1968.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lictor.entropy import CorruptStream
from lictor.models.lossless.intervals import BITS, IntervalDecoder, encode_intervals

Floats = NDArray[np.float64]
Patches = NDArray[np.uint8]

ONE = 1 << 16
"""Integer probabilities are of 16 bits. Sums of their products are below 2⁵³ and so the same in any
order, in float64 too, which is what multiplies matrices fast."""
MOST_STATES = 256
_SMOOTH = 0.1


@dataclass(frozen=True)
class Circuit:
    """A tree over D pixels of V values with hidden variables of K states; all of it integers.

    Args:
        order: (D,), pixels in depth-first order, the root first.
        parents: (D,), the pixel above each; -1 for the root.
        prior: (K,), the root's states.
        transitions: (D, K, K): from the parent's state (rows) to the pixel's own.
        emissions: (D, K, V): from the state to the value.
    """

    order: NDArray[np.int64]
    parents: NDArray[np.int64]
    prior: Floats
    transitions: Floats
    emissions: Floats

    @property
    def pixels(self) -> int:
        """D."""
        return len(self.order)

    @property
    def values(self) -> int:
        """V."""
        return self.emissions.shape[2]


def learn(patches: Patches, values: int, states: int, rounds: int = 20, seed: int = 0) -> Circuit:
    """Fit a circuit to patches.

    Args:
        patches: (N, D), below `values`.
        values: V, 2 to 256.
        states: K of each hidden variable, 1 to 256.
        rounds: of expectation and maximisation.
        seed: of the first guess.

    Returns:
        The circuit.

    Raises:
        ValueError: The arguments are not as said.
    """
    if patches.ndim != 2 or not patches.size or not 2 <= values <= 256 or patches.max() >= values:
        raise ValueError(f"patches are (N, D) of values below {values}, and these at most 256")
    if not 1 <= states <= MOST_STATES:
        raise ValueError(f"hidden variables have 1 to {MOST_STATES} states, not {states}")
    parents = _chow_liu(patches, values)
    order = _depth_first(parents)
    model = _first_guess(patches, values, states, np.random.default_rng(seed))
    for _ in range(rounds):
        model = _improved(patches, values, order, parents, *model)
    prior, transitions, emissions = (_rounded(part) for part in model)
    return Circuit(order, parents, prior, transitions, emissions)


def encode(circuit: Circuit, patches: Patches) -> bytes:
    """Code patches without loss.

    Args:
        circuit: of learn().
        patches: (N, D), uint8, below V.

    Returns:
        The stream, which does not hold N.

    Raises:
        ValueError: The patches are not the circuit's.
    """
    if patches.ndim != 2 or patches.shape[1] != circuit.pixels or patches.dtype != np.uint8:
        raise ValueError(f"patches are (N, {circuit.pixels}) of uint8")
    if patches.size and patches.max() >= circuit.values:
        raise ValueError(f"values of this circuit are below {circuit.values}")
    walk = _Walk(circuit, len(patches))
    rows = np.arange(len(patches))
    starts: list[int] = []
    freqs: list[int] = []
    for place, pixel in enumerate(circuit.order):
        table = walk.frequencies(place)
        ends = table.cumsum(axis=1)
        value = patches[:, pixel]
        freqs += table[rows, value].tolist()
        starts += (ends - table)[rows, value].tolist()
        walk.tell(place, value)
    return zlib.crc32(patches.tobytes()).to_bytes(4, "little") + encode_intervals(starts, freqs)


def decode(circuit: Circuit, data: bytes, count: int) -> Patches:
    """Decode patches.

    Args:
        circuit: that of encode().
        data: what encode() gave.
        count: N.

    Returns:
        (N, D).

    Raises:
        CorruptStream: The bytes are not the stream of so many patches.
    """
    coder = IntervalDecoder(data[4:])
    patches = np.zeros((count, circuit.pixels), np.uint8)
    walk = _Walk(circuit, count)
    for place, pixel in enumerate(circuit.order):
        table = walk.frequencies(place)
        ends = table.cumsum(axis=1)
        for row in range(count):
            value = int(ends[row].searchsorted(coder.slot(), side="right"))
            freq = int(table[row, value])
            coder.take(int(ends[row, value]) - freq, freq)
            patches[row, pixel] = value
        walk.tell(place, patches[:, pixel])
    coder.end()
    if data[:4] != zlib.crc32(patches.tobytes()).to_bytes(4, "little"):
        raise CorruptStream("the patches are damaged, or their circuit or number is another")
    return patches


class _Walk:
    """What is believed of the hidden variables while pixels are told in the circuit's order.

    Beliefs are (N, K) integers of 16 bits; those on the way from the root to the pixel are kept.
    """

    def __init__(self, circuit: Circuit, count: int) -> None:
        self._circuit = circuit
        self._count = count
        self._way: list[int] = []
        self._beliefs: list[Floats] = []
        self._said: list[Floats] = []  # by the pixel and those below it, about its own variable

    def frequencies(self, place: int) -> NDArray[np.int64]:
        """(N, V): how likely the values of the next pixel are, of 2¹⁶, each 1 at least."""
        circuit, pixel = self._circuit, int(self._circuit.order[place])
        while self._way and self._way[-1] != circuit.parents[pixel]:
            self._step_up()
        if self._way:
            belief = _scaled(self._beliefs[-1] @ circuit.transitions[pixel])
        else:
            belief = np.repeat(circuit.prior[None], self._count, axis=0)
        self._way.append(pixel)
        self._beliefs.append(belief)
        self._said.append(np.full_like(belief, ONE))
        weights = (belief @ circuit.emissions[pixel]).astype(np.int64)
        return _shared_out(weights)

    def tell(self, place: int, value: Patches) -> None:
        """The pixel that frequencies() was asked about has this value: (N,)."""
        heard = self._circuit.emissions[self._circuit.order[place]][:, value].T
        self._hear(heard)

    def _hear(self, message: Floats) -> None:
        self._beliefs[-1] = _scaled(self._beliefs[-1] * message)
        self._said[-1] = _scaled(self._said[-1] * message)

    def _step_up(self) -> None:
        pixel, said = self._way.pop(), self._said.pop()
        self._beliefs.pop()
        self._hear(_scaled(said @ self._circuit.transitions[pixel].T))


def _scaled(weights: Floats) -> Floats:
    """Rows scaled so that the largest is about 2¹⁶, none below 1; integers to integers."""
    whole = weights.astype(np.int64)
    most = np.maximum(whole.max(axis=1, keepdims=True), 1)
    return np.maximum(whole * ONE // most, 1).astype(np.float64)


def _shared_out(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that add up to 2¹⁶, as the weights do but 1 at least; the largest takes what is left."""
    total = weights.sum(axis=1, keepdims=True)
    shares = 1 + weights * ((1 << BITS) - weights.shape[1]) // total
    rows = np.arange(len(shares))
    shares[rows, weights.argmax(axis=1)] += (1 << BITS) - shares.sum(axis=1)
    return shares


# ------------------------------------------------------------------ learning


def _chow_liu(patches: Patches, values: int) -> NDArray[np.int64]:
    """The parents of the tree with the most mutual information; the root is the middle pixel."""
    levels = min(values, 16)
    coarse = (patches.astype(np.int64) * levels // values)[:20000]
    ones = np.eye(levels)[coarse].reshape(len(coarse), -1)
    joint = (ones.T @ ones / len(coarse)).reshape(patches.shape[1], levels, -1, levels)
    alone = ones.mean(axis=0).reshape(-1, levels)
    apart = alone[:, :, None, None] * alone[None, None]
    shown = joint > 0
    gain = np.where(shown, joint * np.log(np.where(shown, joint, 1) / np.where(shown, apart, 1)), 0)
    information = gain.sum(axis=(1, 3))
    count = patches.shape[1]
    parents = np.full(count, -1, np.int64)
    root = count // 2
    inside = np.zeros(count, np.bool_)
    inside[root] = True
    best, nearest = information[root].copy(), np.full(count, root)
    for _ in range(count - 1):  # Prim
        pixel = int(np.where(inside, -np.inf, best).argmax())
        parents[pixel] = nearest[pixel]
        inside[pixel] = True
        closer = information[pixel] > best
        best[closer], nearest[closer] = information[pixel][closer], pixel
    return parents


def _depth_first(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    order: list[int] = []
    open_ = [int(np.flatnonzero(parents < 0)[0])]
    while open_:
        order.append(open_.pop())
        open_ += np.flatnonzero(parents == order[-1])[::-1].tolist()
    return np.array(order, np.int64)


def _first_guess(
    patches: Patches, values: int, states: int, random: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Every variable is the cluster of the whole patch, nearly."""
    some = patches[random.permutation(len(patches))[:5000]].astype(np.float64)
    centres = some[random.integers(0, len(some), states)]
    for _ in range(8):
        near = _distances(some, centres).argmin(axis=1)
        for state in np.unique(near):
            centres[state] = some[near == state].mean(axis=0)
    near = _distances(some, centres).argmin(axis=1)
    belongs = np.eye(states)[near]
    pixels = patches.shape[1]
    emissions = np.empty((pixels, states, values))
    for pixel in range(pixels):
        counts = belongs.T @ np.eye(values)[some[:, pixel].astype(np.int64)]
        emissions[pixel] = _normal(counts + 0.5 + random.random((states, values)))
    sizes = belongs.sum(axis=0) + 1
    change = _normal(0.7 * np.eye(states) + 0.3 * sizes / sizes.sum() + 0.01)
    return _normal(sizes[None])[0], np.repeat(change[None], pixels, axis=0), emissions


def _distances(points: Floats, centres: Floats) -> Floats:
    return (centres**2).sum(axis=1) - 2 * points @ centres.T


def _normal(counts: Floats) -> Floats:
    return counts / counts.sum(axis=-1, keepdims=True)


def _rounded(part: Floats) -> Floats:
    return np.maximum(np.rint(part * ONE), 1)


def _improved(
    patches: Patches,
    values: int,
    order: NDArray[np.int64],
    parents: NDArray[np.int64],
    prior: Floats,
    transitions: Floats,
    emissions: Floats,
) -> tuple[Floats, Floats, Floats]:
    """One round of expectation and maximisation, by messages up and down the tree."""
    roots = np.full(prior.shape, _SMOOTH)
    changes = np.full(transitions.shape, _SMOOTH)
    shown = np.full(emissions.shape, _SMOOTH)
    for at in range(0, len(patches), 4096):
        batch = patches[at : at + 4096]
        below = [emissions[pixel][:, batch[:, pixel]].T for pixel in range(len(order))]
        up: dict[int, Floats] = {}
        for pixel in order[::-1]:
            below[pixel] = below[pixel] / below[pixel].max(axis=1, keepdims=True)
            if parents[pixel] >= 0:
                up[pixel] = below[pixel] @ transitions[pixel].T
                below[parents[pixel]] = below[parents[pixel]] * up[pixel]
        belief: dict[int, Floats] = {}
        for pixel in order:
            parent = parents[pixel]
            if parent < 0:
                belief[pixel] = _normal(prior * below[pixel])
                roots += belief[pixel].sum(axis=0)
            else:
                others = belief[parent] / up[pixel]
                belief[pixel] = _normal((others @ transitions[pixel]) * below[pixel])
                changes[pixel] += transitions[pixel] * (others.T @ below[pixel])
            shown[pixel] += belief[pixel].T @ np.eye(values)[batch[:, pixel]]
    return _normal(roots[None])[0], _normal(changes), _normal(shown)
