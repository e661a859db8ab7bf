"""What words are less than: the word before, or that of another file. Exact, in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.format.weights import BEFORE, PLAIN, XOR

Bytes = npt.NDArray[np.uint8]


def remove(way: int, words: Bytes, item: int, base: Bytes | None) -> Bytes:
    """Bytes of words less what is known of them. base: as many bytes, where the way needs them."""
    if way == PLAIN:
        return words
    if way == XOR:
        return words ^ _given(base)
    v = _numbers(words, item)
    if way == BEFORE:
        less = np.diff(v, prepend=v.dtype.type(0))
    else:
        less = v - _numbers(_given(base), item)
    return _bytes(_zigzag(less, item), item)


def restore(way: int, words: Bytes, item: int, base: Bytes | None) -> Bytes:
    """What `remove` was given."""
    if way == PLAIN:
        return words
    if way == XOR:
        return words ^ _given(base)
    z = _numbers(words, item)
    less = (z >> z.dtype.type(1)) ^ (~(z & z.dtype.type(1)) + z.dtype.type(1))
    if way == BEFORE:
        return _bytes(np.cumsum(less, dtype=less.dtype), item)
    return _bytes(less + _numbers(_given(base), item), item)


def _given(base: Bytes | None) -> Bytes:
    assert base is not None, "a base is looked for before"
    return base


def _numbers(words: Bytes, item: int) -> npt.NDArray[Any]:
    return words.view(f"<u{item}").astype(f"u{item}", copy=False)


def _bytes(numbers: npt.NDArray[Any], item: int) -> Bytes:
    return numbers.astype(f"<u{item}", copy=False).view(np.uint8)


def _zigzag(less: npt.NDArray[Any], item: int) -> npt.NDArray[Any]:
    """0, -1, 1, -2, … as 0, 1, 2, 3, …, modulo the word."""
    signed = less.view(f"i{item}")
    folded: npt.NDArray[Any] = (less << less.dtype.type(1)) ^ (
        signed >> signed.dtype.type(8 * item - 1)
    ).view(less.dtype)
    return folded
