"""A cache of keys and values: of transformers, of PyTorch, of numpy; each matrix by tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lictor.codec.arrays.dtypes import as_array, bits_of
from lictor.codec.errors import MissingPackage, UnsupportedArray

DTYPES = ("float16", "bfloat16", "float32")
_NAME = re.compile(r"(?:^|.*?\D)(\d+)(?:\.\w+)*?[._](k|v|key|value|keys|values)(?:_cache)?$")


@dataclass
class Cache:
    """Keys and values of all layers, each (tokens, heads, dim), with the same tokens and type.

    Attributes:
        dtype: "float16", "bfloat16" or "float32".
        layers: for each layer its keys and its values; bfloat16 as uint16.
        form: "array" of (layers, 2, tokens, heads · dim), "named" tensors, or "cache".
    """

    dtype: str
    layers: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    form: str = "cache"

    @property
    def tokens(self) -> int:
        """How many."""
        return int(self.layers[0][0].shape[0])

    @property
    def values(self) -> int:
        """How many numbers."""
        return sum(m.size for layer in self.layers for m in layer)

    @property
    def sizes(self) -> list[tuple[int, int, int, int]]:
        """Of each layer: heads and dim of keys, heads and dim of values."""
        return [(*k.shape[1:], *v.shape[1:]) for k, v in self.layers]  # type: ignore[misc]

    def part(self, first: int, last: int) -> Cache:
        """Tokens first … last - 1."""
        return Cache(
            self.dtype, [(k[first:last], v[first:last]) for k, v in self.layers], self.form
        )

    def tensors(self) -> list[tuple[Any, Any]]:
        """Keys and values of each layer as transformers has them.

        Tensors of PyTorch, (1, heads, tokens, dim).
        """
        return [(self._tensor(k), self._tensor(v)) for k, v in self.layers]

    def _tensor(self, matrix: npt.NDArray[Any]) -> Any:
        from lictor.codec.runtime import tensors

        found = as_array(self.dtype, np.ascontiguousarray(matrix.swapaxes(0, 1))[None])
        return tensors.of_array(found)

    def dynamic_cache(self) -> Any:
        """A `DynamicCache` of transformers. Raises MissingPackage."""
        try:
            from transformers import DynamicCache
        except ImportError as e:
            raise MissingPackage("needs the package transformers; install it") from e
        made = DynamicCache()
        for layer, (keys, values) in enumerate(self.tensors()):
            made.update(keys, values, layer)
        return made

    def array(self) -> Any:
        """All as one, (layers, 2, tokens, heads · dim): numpy, but a tensor for bfloat16.

        Raises UnsupportedArray where layers, or keys and values, differ in size.
        """
        shapes = {(m.shape[0], m.shape[1] * m.shape[2]) for layer in self.layers for m in layer}
        if len(shapes) != 1:
            raise UnsupportedArray("layers differ in size, and make no array; take `named`")
        flat = [[m.reshape(len(m), -1) for m in layer] for layer in self.layers]
        return as_array(self.dtype, np.array(flat))

    def named(self) -> dict[str, Any]:
        """Each matrix, (tokens, heads, dim), by a name such as layers.0.keys."""
        return {
            f"layers.{i}.{name}": as_array(self.dtype, np.ascontiguousarray(matrix))
            for i, layer in enumerate(self.layers)
            for name, matrix in zip(("keys", "values"), layer, strict=True)
        }


def of(cache: Any) -> Cache:
    """The cache that something holds.

    Args:
        cache: a `Cache`; a `DynamicCache` of transformers, or pairs of keys and values for each
            layer, (1, heads, tokens, dim) or (tokens, heads, dim) or (tokens, channels); an array
            or tensor (layers, 2, tokens, channels) or (layers, 2, tokens, heads, dim); or a dict of
            matrices whose names have a layer's number and end in keys or values (k or v).

    Raises:
        UnsupportedArray: it is none of these, or of several sequences, or of other numbers.
    """
    if isinstance(cache, Cache):
        return cache
    if isinstance(cache, Mapping):
        return _whole(list(_of_names(cache)), "named")
    if hasattr(cache, "layers") and not hasattr(cache, "dtype"):
        layers = list(cache.layers)
        if not all(getattr(layer, "keys", None) is not None for layer in layers):
            raise UnsupportedArray("a layer of the cache holds no keys yet; fill it first")
        return _whole([(layer.keys, layer.values) for layer in layers], "cache")
    if isinstance(cache, list | tuple):
        return _whole([tuple(layer)[:2] for layer in cache], "cache")
    dtype, raw = bits_of(cache)
    if raw.ndim not in (4, 5) or raw.shape[1] != 2:
        raise UnsupportedArray(
            f"an array of shape {tuple(raw.shape)} is no cache; give (layers, 2, tokens, channels)"
        )
    return _checked(dtype, [(_matrix(layer[0]), _matrix(layer[1])) for layer in raw], "array")


def _of_names(named: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Pairs in order of the layers' numbers."""
    found: dict[tuple[int, str], Any] = {}
    for name, array in named.items():
        match = _NAME.match(str(name))
        if match is None or (int(match[1]), match[2][0]) in found:
            raise UnsupportedArray(
                f"{name} is no name of keys or values of a layer; name them as layers.0.keys"
            )
        found[int(match[1]), match[2][0]] = array
    numbers = sorted({layer for layer, _ in found})
    for layer in numbers:
        if (layer, "k") not in found or (layer, "v") not in found:
            raise UnsupportedArray(f"layer {layer} lacks its keys or its values; add them")
        yield found[layer, "k"], found[layer, "v"]


def _whole(pairs: list[tuple[Any, ...]], form: str) -> Cache:
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise UnsupportedArray("a cache has keys and values for each of one layer or more")
    found = [[bits_of(matrix) for matrix in pair] for pair in pairs]
    names = {name for pair in found for name, _ in pair}
    if len(names) != 1:
        raise UnsupportedArray(f"a cache has one type of numbers, not {', '.join(sorted(names))}")
    layers = [(_matrix(k[1]), _matrix(v[1])) for k, v in found]
    return _checked(names.pop(), layers, form)


def _matrix(raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As (tokens, heads, dim)."""
    if raw.ndim == 4:
        if raw.shape[0] != 1:
            raise UnsupportedArray(f"a cache of {raw.shape[0]} sequences; give one at a time")
        raw = raw[0].swapaxes(0, 1)
    elif raw.ndim == 2:
        raw = raw[:, None, :]
    if raw.ndim != 3 or 0 in raw.shape:
        raise UnsupportedArray(f"keys or values of shape {tuple(raw.shape)} are none")
    return np.ascontiguousarray(raw)


def _checked(dtype: str, layers: list[tuple[Any, Any]], form: str) -> Cache:
    if dtype not in DTYPES:
        raise UnsupportedArray(f"a cache of {dtype} is not coded; give {', '.join(DTYPES)}")
    if len({m.shape[0] for layer in layers for m in layer}) != 1:
        raise UnsupportedArray("keys and values are of different numbers of tokens")
    return Cache(dtype, layers, form)
