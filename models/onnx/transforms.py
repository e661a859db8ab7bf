"""g_a, h_a and g_s as graphs in float32, on (1, channels, h, w)."""

from __future__ import annotations

import numpy as np

from lictor.models.coding.units import ANCHORS
from lictor.models.light.layers import Array
from lictor.models.light.part import Part
from lictor.models.onnx.graph import Graph, Value, ints

_SLOPE = 0.125


class Transform:
    """Layers in a graph.

    Args:
        graph: what they are put into.
        quality: 0…100, float32 (1,).
    """

    def __init__(self, graph: Graph, quality: Value | None = None) -> None:
        self.graph, self.quality = graph, quality

    def floats(self, values: Array) -> Value:
        """Weights as the file has them, in float32."""
        if values.dtype == np.float32:
            return self.graph.constant(values)
        return self.graph.op("Cast", values, to=1)

    def number(self, value: float) -> Value:
        """For all places."""
        return self.graph.constant(np.array(value, np.float32))

    def conv(self, part: Part, x: Value, stride: int = 1, pad: int = 0, groups: int = 1) -> Value:
        """A convolution by its name."""
        weight = part("weight")
        bias = self.floats(part("bias")) if f"{part.prefix}bias" in part.tensors else None
        kernel = list(weight.shape[2:])
        return self.graph.op(
            "Conv", x, self.floats(weight), bias, kernel_shape=kernel, strides=[stride] * 2,
            pads=[pad] * 4, group=groups,
        )  # fmt: skip

    def depthwise(self, part: Part, x: Value) -> Value:
        """3x3."""
        return self.conv(part, x, pad=1, groups=len(part("weight")))

    def leaky(self, x: Value) -> Value:
        """Leaky ReLU."""
        return self.graph.op("LeakyRelu", x, alpha=_SLOPE)

    def block(self, part: Part, x: Value) -> Value:
        """A residual block."""
        op = self.graph.op
        h = self.depthwise(part["spatial"], self.leaky(self.conv(part["enter"], x)))
        x = x + self.conv(part["leave"], h)
        value, gate = self.graph.split(self.conv(part["expand"], x), 2, axis=1)
        cap = self.floats(part("cap").reshape(1, -1, 1, 1))
        return x + self.conv(part["project"], value * op("Min", op("Relu", gate), cap))

    def blocks(self, part: Part, x: Value) -> Value:
        """Several."""
        number = 0
        while part[number]:
            x, number = self.block(part[number], x), number + 1
        return x

    def factor(self, part: Part) -> Value:
        """Exp of a ladder at the quality, (1, channels, 1, 1)."""
        assert self.quality is not None
        op, rungs = self.graph.op, self.floats(part("rungs"))
        place = self.quality * self.number((ANCHORS - 1) / 100)
        low = op("Clip", op("Floor", place), self.number(0), self.number(ANCHORS - 2))
        row = op("Cast", low, to=7)
        first, second = op("Gather", rungs, row), op("Gather", rungs, row + ints(1))
        exponent = first + (second - first) * (place - low)
        return op("Reshape", op("Exp", exponent), ints(1, -1, 1, 1))


def analysis(graph: Graph, part: Part, latent: int) -> None:
    """The picture to y."""
    picture = graph.input("picture", "float32", [1, 3, "H", "W"])
    t = Transform(graph, graph.input("quality", "float32", [1]))
    own, op = part["g_a"], graph.op
    x = picture - t.number(0.5)
    h = t.conv(own["enter"], _unshuffled(t, x, 8)) * t.factor(own["gain8"]["log"])
    h = t.conv(own["down"], t.blocks(own["blocks8"], h), stride=2)
    h = t.blocks(own["blocks16"], h * t.factor(own["gain16"]["log"]))
    v = t.conv(own["leave"], h) + t.conv(own["shortcut"], _unshuffled(t, x, 16))
    y = op("Mul", v, t.factor(part["gain"]))
    graph.output("y", y, "float32", [1, latent, "h", "w"])


def hyper_analysis(graph: Graph, part: Part, latent: int, side: int) -> None:
    """Y to z, before it is rounded."""
    y, t = graph.input("y", "float32", [1, latent, "h", "w"]), Transform(graph)
    body = part["h_a"]["body"]
    h = t.leaky(t.conv(body[0], graph.op("Asinh", y)))
    h = t.depthwise(body[4], t.leaky(t.conv(body[2], h, stride=2)))
    graph.output("z", t.conv(body[5], h, stride=2), "float32", [1, side, "a", "b"])


def synthesis(graph: Graph, part: Part, latent: int) -> None:
    """What y was decoded to, to the picture."""
    y_hat = graph.input("y_hat", "float32", [1, latent, "h", "w"])
    t = Transform(graph, graph.input("quality", "float32", [1]))
    own = part["g_s"]
    v = y_hat * t.factor(part["inverse_gain"])
    h = t.blocks(own["blocks16"], t.conv(own["enter"], v) * t.factor(own["gain16"]["log"]))
    h = _shuffled(t, t.conv(own["up"], h), 2) * t.factor(own["gain8"]["log"])
    h = _shuffled(t, t.conv(own["leave"], t.blocks(own["blocks8"], h)), 8)
    x = h + _shuffled(t, t.conv(own["shortcut"], v), 16) + t.number(0.5)
    shown = graph.op("Clip", x, t.number(0), t.number(1))
    graph.output("picture", shown, "float32", [1, 3, "H", "W"])


def _shuffled(t: Transform, x: Value, size: int) -> Value:
    return t.graph.op("DepthToSpace", x, blocksize=size, mode="CRD")


def _unshuffled(t: Transform, x: Value, size: int) -> Value:
    """The inverse: SpaceToDepth, but with the channel running slowest."""
    op = t.graph.op
    wide = op("SpaceToDepth", x, blocksize=size)
    apart = op("Reshape", wide, ints(1, size * size, 3, -1))
    moved = op("Transpose", apart, perm=[0, 2, 1, 3])
    # The sizes of places are those that SpaceToDepth found.
    places = op("Slice", op("Shape", wide), ints(2), ints(4), ints(0))
    return op("Reshape", moved, op("Concat", ints(1, 3 * size * size), places, axis=0))
