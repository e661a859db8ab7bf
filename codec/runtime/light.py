"""The light runtime: numpy and C of our own, without PyTorch; on the CPU.

It encodes and decodes with what is shipped, in float32. Searches, GPUs, bfloat16 and CompressAI's
models are for PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lictor.codec.runtime import runtime
from lictor.codec.runtime.threads import OwnThreads
from lictor.models.errors import NoSearch
from lictor.models.light import load, threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.entropy import Decoder, Encoder
    from lictor.models.box import Box
    from lictor.models.capabilities import Usual
    from lictor.models.light.load import Light as Model
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality


_TOGETHER = 2**16
"""Pixels of a pass: 16 pictures of 64x64 take half as long as alone, four of 256x256 as long."""


class _Light(runtime.Network):
    def __init__(self, model: Model) -> None:
        self.own = model
        self.model: Any = model.model
        self.name, self.id, self.digest = model.name, model.id, model.digest

    @property
    def runtime(self) -> runtime.Runtime:
        return RUNTIME


class PictureNetwork(_Light, runtime.PictureNetwork):
    """A model for pictures."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        facts = self.model.facts
        self.stride, self.cell, self.takes_maps = facts.stride, facts.cell, facts.takes_maps
        self.analysis_halo, self.synthesis_halo = facts.analysis_halo, facts.synthesis_halo
        self.on_ladder, self.loss = facts.on_ladder, model.loss
        self.together = _TOGETHER if hasattr(self.model, "encode_several") else 0

    def for_depth(self, depth: int) -> PictureNetwork:
        if depth <= 8:
            return self
        deep = type(self)(self.own)
        deep.model = self.model.deep()
        return deep

    def encode(
        self, colours: NDArray[Any], quality: Quality, encoder: Encoder, tile: Box
    ) -> NDArray[np.float32] | None:
        latents: NDArray[np.float32] = self.model.encode(colours, quality, encoder, tile)
        return latents

    def search(
        self,
        colours: NDArray[Any],
        quality: Quality,
        encoder: Encoder,
        effort: int,
        progress: Progress | None,
        tile: Box,
    ) -> float:
        raise NoSearch(
            "the light runtime has no encoder-side search; leave the effort at 0, or take that of "
            "torch"
        )

    def estimate(self, colours: NDArray[Any], quality: Quality, tile: Box) -> float:
        bits: float = self.model.estimate(colours, quality, tile)
        return bits

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder
    ) -> NDArray[np.float32]:
        latents: NDArray[np.float32] = self.model.pull(shape, quality, decoder)
        return latents

    def show(
        self,
        latents: NDArray[np.float32],
        quality: Quality,
        part: Box,
        like: NDArray[Any],
        precision: str,
    ) -> NDArray[Any]:
        shown: NDArray[Any] = self.model.show(latents, quality, part, like)
        return shown

    def encode_several(
        self,
        colours: Sequence[NDArray[Any]],
        qualities: Sequence[Quality],
        encoders: Sequence[Encoder],
    ) -> list[NDArray[np.float32]]:
        latents: list[NDArray[np.float32]] = self.model.encode_several(colours, qualities, encoders)
        return latents

    def pull_several(
        self, shape: tuple[int, int], qualities: Sequence[Quality], decoders: Sequence[Decoder]
    ) -> list[NDArray[np.float32]]:
        latents: list[NDArray[np.float32]] = self.model.pull_several(shape, qualities, decoders)
        return latents

    def show_several(
        self,
        latents: Sequence[NDArray[np.float32]],
        qualities: Sequence[Quality],
        parts: Sequence[Box],
        like: NDArray[Any],
        precision: str,
    ) -> list[NDArray[Any]]:
        shown: list[NDArray[Any]] = self.model.show_several(latents, qualities, parts, like)
        return shown


class TaskNetwork(PictureNetwork, runtime.TaskNetwork):
    """A model for a classifier."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.view = self.model.view

    def answer(
        self, latents: NDArray[np.float32], quality: Quality
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scores, features = self.model.answer(latents, quality)
        return scores, features


class ArrayNetwork(_Light, runtime.ArrayNetwork):
    """A model for arrays."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.channels = self.model.channels

    def usual(self) -> Usual:
        found: Usual = self.model.usual()
        return found

    def encode(self, x: NDArray[np.float32], quality: Quality, encoder: Encoder) -> None:
        self.model.encode(x, quality, encoder)

    def estimate(self, x: NDArray[np.float32], quality: Quality) -> float:
        bits: float = self.model.estimate(x, quality)
        return bits

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder, count: int
    ) -> NDArray[np.float32]:
        latents: NDArray[np.float32] = self.model.pull(shape, quality, decoder, count)
        return latents

    def reconstruct(self, latents: NDArray[np.float32], quality: Quality) -> NDArray[np.float32]:
        planes: NDArray[np.float32] = self.model.reconstruct(latents, quality)
        return planes


def _network(model: Model) -> runtime.Network:
    """Raises NotHere."""
    if model.model is None:
        raise runtime.NotHere(f"{model.name} needs PyTorch")
    if hasattr(model.model, "usual"):
        return ArrayNetwork(model)
    return TaskNetwork(model) if hasattr(model.model, "answer") else PictureNetwork(model)


class Threads:
    """Those that compute a layer."""

    def count(self) -> int:
        return threads.count()

    def use(self, count: int) -> None:
        threads.use(count)


class Light(runtime.Runtime):
    """On the CPU."""

    threads = Threads()

    def __init__(self) -> None:
        threads.use(OwnThreads().count())

    def load(self, name: str, device: str, **places: Any) -> runtime.Network:
        return _network(load.load(name, **places))

    def find(
        self, id: int, name: str, digest: bytes, device: str, **places: Any
    ) -> runtime.Network:
        return _network(load.find(id, name, digest, **places))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Numbers that are none are found where they come out."""
        import numpy as np

        with np.errstate(all="ignore"):
            yield


RUNTIME = Light()
