"""Graphs of ONNX, and the bytes of their files.

A file is a message of Protocol Buffers, of which a writer needs no more than here: numbers as
varints, everything else as its length and its bytes. Field numbers are those of onnx.proto3, which
ONNX publishes (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3); they never change.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

OPSET, IR = 17, 8
_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "float16": 10, "float64": 11}

Shape: TypeAlias = Sequence[int | str]
"""Of a tensor: numbers, and names of sizes that may be any."""


class Value:
    """A tensor in a graph, by its name; numbers may be added to it and so on."""

    __array_ufunc__ = None  # so that numpy leaves operators with its arrays to this class

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Any) -> Value:
        return self.graph.op("MatMul", self, other)


class Graph:
    """A graph that is being made.

    Args:
        name: of the graph.
    """

    def __init__(self, name: str) -> None:
        self.name, self._count = name, 0
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, dtype: str, shape: Shape) -> Value:
        """A tensor that whoever runs the graph gives."""
        self._inputs.append(_declared(name, dtype, shape))
        return Value(self, name)

    def output(self, name: str, value: Value, dtype: str, shape: Shape) -> None:
        """A tensor that they get."""
        self._nodes.append(_node("Identity", [value.name], [name], {}))
        self._outputs.append(_declared(name, dtype, shape))

    def constant(self, array: NDArray[Any]) -> Value:
        """Numbers of the graph's own."""
        name = self._new()
        dims = b"".join(_number(1, size) for size in array.shape)
        kind = _number(2, _TYPES[array.dtype.name])
        raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        self._constants.append(dims + kind + _text(8, name) + _bytes(9, raw))
        return Value(self, name)

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> Value:
        """What an operator makes of values, and of arrays as constants; None: left out."""
        names = ["" if x is None else self._value(x).name for x in inputs]
        name = self._new()
        self._nodes.append(_node(kind, names, [name], attributes))
        return Value(self, name)

    def split(self, x: Value, parts: int, axis: int) -> list[Value]:
        """Parts of equal sizes, of which there are as many."""
        names = [self._new() for _ in range(parts)]
        self._nodes.append(_node("Split", [x.name], names, {"axis": axis}))
        return [Value(self, name) for name in names]

    def file(self, metadata: Mapping[str, str]) -> bytes:
        """The graph as an .onnx file."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, self.name)
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += b"".join(_bytes(11, one) for one in self._inputs)
        graph += b"".join(_bytes(12, one) for one in self._outputs)
        told = b"".join(_bytes(14, _text(1, k) + _text(2, v)) for k, v in metadata.items())
        return (
            _number(1, IR)
            + _text(2, "lictor")
            + _bytes(7, graph)
            + _bytes(8, _text(1, "") + _number(2, OPSET))
            + told
        )

    def _value(self, x: Any) -> Value:
        return x if isinstance(x, Value) else self.constant(x)

    def _new(self) -> str:
        self._count += 1
        return f"t{self._count}"


def _node(kind: str, inputs: list[str], outputs: list[str], attributes: Mapping[str, Any]) -> bytes:
    return (
        b"".join(_text(1, name) for name in inputs)
        + b"".join(_text(2, name) for name in outputs)
        + _text(4, kind)
        + b"".join(_bytes(5, _attribute(*item)) for item in attributes.items())
    )


def _attribute(name: str, value: Any) -> bytes:
    """An int, a float, a text, or several ints."""
    start = _text(1, name)
    if isinstance(value, float):
        return start + b"\x15" + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return start + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return start + _text(4, value) + _number(20, 3)
    return start + b"".join(_number(8, one) for one in value) + _number(20, 7)


def _declared(name: str, dtype: str, shape: Shape) -> bytes:
    sizes = (_text(2, n) if isinstance(n, str) else _number(1, n) for n in shape)
    dims = b"".join(_bytes(1, size) for size in sizes)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _TYPES[dtype]) + _bytes(2, dims)))


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def ints(*values: int) -> NDArray[np.int64]:
    """As operators take places and sizes."""
    return np.array(values, np.int64)
