"""Mixed from few components: they are quantised and coded, and beside them the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lictor.codec.arrays.methods.coded import Coded
from lictor.codec.format.arrays import MAX_COMPONENTS, block, bounds, positive
from lictor.codec.format.picture import Bytes, Reader, Writer

if TYPE_CHECKING:
    import numpy.typing as npt

    from lictor.codec.arrays.low_rank import Mix, Mixer
    from lictor.codec.arrays.quantiser import Quantiser
    from lictor.codec.arrays.quick import Quick
    from lictor.codec.arrays.target import Distance

_PART = 2**17
"""Values that are mixed together."""


@dataclass
class Mixed(Coded):
    """step: the distance of the levels of components, of which there are so many.

    low, high: decoded values are held between them; infinite for none.
    basis: the stream of the mixtures' weights.
    """

    code = 3

    step: float = 1.0
    components: int = 1
    low: float = -math.inf
    high: float = math.inf
    basis: Bytes = b""

    def own_syntax(self, io: Reader | Writer) -> None:
        """The step, how many, the bounds, the weights."""
        self.step = positive(io, "step", self.step)
        if self.axis < 0:
            raise io.complaint("an array without channels is said to be mixed")
        channels = self.shape[self.axis]
        # No more than channels or places: then the weights are no more than the values.
        most = min(channels, self.size // channels, MAX_COMPONENTS)
        self.components = io.varint("number of components", self.components, 1, most)
        self.low, self.high = bounds(io, self.low, self.high, "<dd")
        self.basis = block(io, "weights of the mixtures", self.basis)

    @staticmethod
    def mixer(quantiser: Quantiser, distance: Distance) -> Mixer | None:
        """An array's components that matter at this distance; None if there are none, or many."""
        from lictor.codec.arrays import low_rank

        if not quantiser.finite.all() or distance.unit:
            return None
        return low_rank.mixer(quantiser.x, quantiser.axes(), distance.mse, quantiser.rounded)

    @classmethod
    def encode(cls, quantiser: Quantiser, mixer: Mixer, step: float) -> Mixed:
        """With a step. Raises Uncodable."""
        q = quantiser
        return cls._of(q.name, q.dtype, q.raw.shape, mixer, step, q.quick)

    @classmethod
    def _of(
        cls, name: str, dtype: str, shape: tuple[int, ...], mixer: Mix, step: float, quick: bool
    ) -> Mixed:
        parts = mixer.parts
        basis, coded = mixer.encode(step, shape, quick)
        return cls(
            name,
            dtype,
            shape,
            axis=mixer.axis,
            coded=coded,
            step=step,
            components=len(parts.rows),
            low=parts.low,
            high=parts.high,
            basis=basis,
        )

    @classmethod
    def quickly(cls, quick: Quick, near: Distance) -> Mixed | None:
        """Within an error, where components are found without a search; else None."""
        import numpy as np

        from lictor.codec.arrays import low_rank

        try:
            found = low_rank.quickly(quick, near.mse)
        except np.linalg.LinAlgError:
            return None
        if found is None:
            return None
        mixer, step = found
        return cls._of("", quick.dtype, quick.shape, mixer, step, True)

    def decode(self, model: Any = None) -> npt.NDArray[Any]:
        """As Coded.decode, in parts."""
        import numpy as np

        from lictor.codec.arrays import context, low_rank, stream
        from lictor.codec.arrays.dtypes import from_float64
        from lictor.codec.arrays.lossless import unpack_patch

        mixture = low_rank.unpack(self.basis, self.components, self.shape[self.axis])
        inner = low_rank.shape_of(self.shape, self.axis, self.components)
        levels = stream.decode(self.coded, context.grid(inner, self.axis))
        raw = np.empty(self.shape, "uint16" if self.dtype == "bfloat16" else self.dtype)
        whole = raw.reshape(shape := context.outside(self.shape, self.axis))
        cut = list(context.parts(shape, _PART))
        mixed = mixture.each((part for part, _ in cut), levels, self.step, self.low, self.high)
        for (_, where), values in zip(cut, mixed, strict=True):
            part = np.moveaxis(whole[where], 1, 0)
            if self.dtype == "float32":  # rounded on the way
                np.copyto(part, values.reshape(part.shape), casting="same_kind")
            else:
                part[...] = from_float64(self.dtype, values).reshape(part.shape)
        unpack_patch(self.patch, raw)
        return raw

    def describe(self) -> dict[str, Any]:
        """With step and components."""
        said = super().describe()
        size = said["bytes"] + len(self.basis)
        return {**said, "step": self.step, "components": self.components, "bytes": size}
