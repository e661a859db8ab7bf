"""The entropy networks as graphs: integers in float64, as models/coding/LATENTS.md has them.

Tensors are (1, h, w, channels). Products, sums and floors of such numbers are exact wherever
doubles are those of IEEE 754, so that every runtime finds the tables that the encoder had.
"""

from __future__ import annotations

import numpy as np

from lictor.entropy import FINE_OCTAVES, SCALES, SCALES_PER_OCTAVE
from lictor.models.coding.units import ANCHORS, FRACTION, LIMIT, ORDER, WEIGHT
from lictor.models.light.layers import Array
from lictor.models.light.part import Part
from lictor.models.onnx.graph import Graph, Shape, Value, ints
from lictor.models.quality import STEPS

_RUNG = STEPS // (ANCHORS - 1)
_POSITIVE = 2**30
"""Added before integers are divided: runtimes round towards 0, rungs are rounded down."""
_END = 2**31 - 1


class Exact:
    """Layers in a graph.

    Args:
        graph: what they are put into.
        step: the quality, int64 (1,).
    """

    def __init__(self, graph: Graph, step: Value) -> None:
        self.graph, self.step = graph, step

    def number(self, value: float) -> Value:
        """For all places."""
        return self.graph.constant(np.array(value, np.float64))

    def rounded(self, x: Value) -> Value:
        """floor(x + 1/2)."""
        return self.graph.op("Floor", x + self.number(0.5))

    def held(self, x: Value, low: float = -LIMIT, high: float = LIMIT) -> Value:
        """Clamped."""
        return self.graph.op("Clip", x, self.number(low), self.number(high))

    def requantised(self, x: Value) -> Value:
        """Sums of products as activations."""
        return self.held(self.rounded(x * self.number(2.0**-WEIGHT)))

    def integers(self, values: Array, bits: int) -> Value:
        """Weights as the file has them, which the runtime multiplies by 2**bits when it starts."""
        wide = self.graph.op("Cast", values, to=11)
        return self.rounded(wide * self.number(2.0**bits))

    def pointwise(self, x: Value, weight: Array, bias: Array) -> Value:
        """Weight (outputs, inputs)."""
        matrix = self.integers(np.ascontiguousarray(weight.T), WEIGHT)
        return self.requantised(x @ matrix + self.integers(bias, WEIGHT + FRACTION))

    def of(self, part: Part, x: Value) -> Value:
        """A pointwise layer by its name."""
        return self.pointwise(x, part("weight"), part("bias"))

    def depthwise(self, part: Part, x: Value) -> Value:
        """3x3, as nine shifted products: few runtimes have convolutions of float64."""
        weight, op = part("weight"), self.graph.op
        padded = op("Pad", x, ints(0, 1, 1, 0, 0, 1, 1, 0), mode="constant")
        total = self.integers(part("bias"), WEIGHT + FRACTION)
        for i in range(9):
            y, x_ = divmod(i, 3)
            ends = ints(*(n - 2 if n < 2 else _END for n in (y, x_)))
            moved = op("Slice", padded, ints(y, x_), ends, ints(1, 2))
            tap = np.ascontiguousarray(weight[:, 0, y, x_])
            total = total + moved * self.integers(tap, WEIGHT)
        return self.requantised(total)

    def leaky(self, x: Value) -> Value:
        """max(x, round(x / 8))."""
        return self.graph.op("Max", x, self.rounded(x * self.number(0.125)))

    def upsample(self, x: Value, channels: int) -> Value:
        """(1, h, w, 4C) to (1, 2h, 2w, C)."""
        op = self.graph.op
        first = op("Transpose", x, perm=[0, 3, 1, 2])
        wide = op("DepthToSpace", first, blocksize=2, mode="DCR")
        return op("Transpose", wide, perm=[0, 2, 3, 1])

    def ladder(self, rungs: Array) -> Value:
        """The rung of the quality, float64 (1, channels)."""
        values = np.floor(np.asarray(rungs, np.float64) * 2.0**FRACTION + 0.5).astype(np.int64)
        op, of = self.graph.op, self.graph.constant(values)
        low = op("Min", self.step / ints(_RUNG), ints(ANCHORS - 2))
        t = self.step - low * ints(_RUNG)
        first, second = op("Gather", of, low), op("Gather", of, low + ints(1))
        mixed = first * (ints(_RUNG) - t) + second * t
        halves = mixed * ints(2) + ints(_RUNG + 2 * _RUNG * _POSITIVE)
        return op("Cast", halves / ints(2 * _RUNG) - ints(_POSITIVE), to=11)

    def index(self, scale: Value) -> Value:
        """The coder's table of each scale, uint8."""
        s = scale * self.number(2.0**-FRACTION)
        fine = self.graph.op("Min", s, self.number(FINE_OCTAVES))
        steps = self.rounded((s + fine) * self.number(SCALES_PER_OCTAVE))
        return self.graph.op("Cast", self.held(steps, 0, SCALES - 1), to=2)


def hyper_synthesis(graph: Graph, part: Part, side: int, prior: int) -> None:
    """Z's symbols to the prior."""
    step = graph.input("step", "int64", [1])
    z = graph.input("z", "int32", [1, "a", "b", side])
    e, body = Exact(graph, step), part["body"]
    h = e.held(graph.op("Cast", z, to=11) * e.number(2.0**FRACTION))
    h = e.depthwise(body[3], e.leaky(e.upsample(e.of(body[0], h), side)))
    h = e.leaky(e.depthwise(body[7], e.leaky(e.upsample(e.of(body[4], h), prior))))
    p = e.leaky(e.of(body[9], h) + e.ladder(part["bias"]("rungs")))
    graph.output("prior", p, "float64", [1, "h", "w", prior])


def side_tables(graph: Graph, part: Part, side: int) -> None:
    """The tables of z, the same at every place."""
    e = Exact(graph, graph.input("step", "int64", [1]))
    graph.output("index", e.index(e.ladder(part("rungs"))), "uint8", [1, side])


def context_step(graph: Graph, part: Part, k: int, octave: Array, prior: int) -> None:
    """The prior and what is known of y to means and tables of the next quarter."""
    latent, op = octave.size, graph.op
    e = Exact(graph, graph.input("step", "int64", [1]))
    own, group = part["steps"][k], latent // 4
    f = e.of(own["from_prior"], graph.input("prior", "float64", [1, "h", "w", prior]))
    units = np.ldexp(1.0, octave.astype(np.int32))
    if k:
        known = graph.input("known", "float64", [1, "h", "w", latent])
        f = f + e.of(own["from_known"], e.held(e.rounded(known / units)))
    f = e.leaky(e.depthwise(own["spatial"], e.leaky(f)))
    ladder = e.ladder(part["scale"]("rungs"))
    means, tables = [], []
    for phase in range(4):
        first = (phase ^ ORDER[k]) * group
        at = ints(phase // 2, phase % 2), ints(_END, _END), ints(1, 2), ints(2, 2)
        weight, bias = own["heads"]("weight")[phase], own["heads"]("bias")[phase]
        out = e.pointwise(op("Slice", f, *at), weight, bias)
        mean, scale = graph.split(out, 2, axis=3)
        base = op("Slice", ladder, ints(first), ints(first + group), ints(1))
        means.append(e.rounded(mean * units[first : first + group]))
        tables.append(e.index(scale + base))
    places: Shape = (4, "h2", "w2", group)
    graph.output("mean", op("Concat", *means, axis=0), "float64", places)
    graph.output("index", op("Concat", *tables, axis=0), "uint8", places)
