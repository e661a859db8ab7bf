"""PyTorch as a runtime."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lictor import models
from lictor.codec.errors import DeviceUnavailable
from lictor.codec.runtime import runtime
from lictor.models.base import crop, padded, refuse_no_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lictor.entropy import Decoder, Encoder
    from lictor.models.box import Box
    from lictor.models.capabilities import ArrayModel, Usual
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality

AUTO = runtime.AUTO
"""CUDA's GPU where there is one, else the CPU."""

_TOGETHER_HERE = 2**16
"""Pixels of a pass on the CPU, as the light runtime has them."""
_TOGETHER_THERE = 2**22
"""Likewise on a GPU: as many as two large tiles have, which fill any."""


# ---- networks


class PictureNetwork(runtime.PictureNetwork):
    """A model for pictures. The arrays it takes and gives share memory with tensors on the CPU."""

    @property
    def runtime(self) -> runtime.Runtime:
        return RUNTIME

    def __init__(self, model: models.LatentCodec) -> None:
        self.model = model
        self.name, self.id, self.digest = model.name, model.id, model.digest
        self.stride, self.cell, self.takes_maps = model.stride, model.cell, model.takes_maps
        self.analysis_halo, self.synthesis_halo = model.analysis_halo, model.synthesis_halo
        self.on_ladder, self.loss = model.on_ladder, model.loss
        if hasattr(model, "encode_several"):
            self.together = _TOGETHER_THERE if model.device.type != "cpu" else _TOGETHER_HERE

    def for_depth(self, depth: int) -> PictureNetwork:
        return type(self)(self.model.deep()) if depth > 8 else self

    def encode(
        self, colours: NDArray[Any], quality: Quality, encoder: Encoder, tile: Box
    ) -> NDArray[np.float32] | None:
        x = tensor(colours).to(self.model.device)
        with transforming(x.device):
            latents = self.model.encode(x, quality, encoder, tile)
        return None if latents is None else array(latents[0])

    def search(
        self,
        colours: NDArray[Any],
        quality: Quality,
        encoder: Encoder,
        effort: int,
        progress: Progress | None,
        tile: Box,
    ) -> float:
        x = tensor(colours).to(self.model.device)
        with transforming(x.device):
            return self.model.search(x, quality, encoder, effort, progress, tile)

    def estimate(self, colours: NDArray[Any], quality: Quality, tile: Box) -> float:
        return self.model.estimate(tensor(colours).to(self.model.device), quality, tile)

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder
    ) -> NDArray[np.float32]:
        return array(self.model.pull(shape, quality, decoder)[0])

    def show(
        self,
        latents: NDArray[np.float32],
        quality: Quality,
        part: Box,
        like: NDArray[Any],
        precision: str,
    ) -> NDArray[Any]:
        y_hat = batch(latents).to(self.model.device)
        with transforming(y_hat.device, precision):
            x = self.model.reconstruct(y_hat, quality)
            refuse_no_numbers(x.sum())  # all are in 0…1, unless they are no numbers
            return samples(crop(x, part), like.shape[-1], like.dtype)

    def encode_several(
        self,
        colours: Sequence[NDArray[Any]],
        qualities: Sequence[Quality],
        encoders: Sequence[Encoder],
    ) -> list[NDArray[np.float32]]:
        model: Any = self.model
        x = torch.cat([padded(tensor(one), None, self.stride)[0] for one in colours])
        with transforming(model.device):
            return list(array(model.encode_several(x.to(model.device), qualities, encoders)))

    def pull_several(
        self, shape: tuple[int, int], qualities: Sequence[Quality], decoders: Sequence[Decoder]
    ) -> list[NDArray[np.float32]]:
        model: Any = self.model
        return list(array(model.pull_several(shape, qualities, decoders)))

    def show_several(
        self,
        latents: Sequence[NDArray[np.float32]],
        qualities: Sequence[Quality],
        parts: Sequence[Box],
        like: NDArray[Any],
        precision: str,
    ) -> list[NDArray[Any]]:
        model: Any = self.model
        y_hat = torch.cat([batch(one) for one in latents]).to(model.device)
        with transforming(y_hat.device, precision):
            x = model.reconstruct_several(y_hat, qualities)
            refuse_no_numbers(x.sum())
            kind = like.shape[-1], like.dtype
            pairs = zip(x[:, None], parts, strict=True)
            return [samples(crop(one, part), *kind) for one, part in pairs]


class TaskNetwork(PictureNetwork, runtime.TaskNetwork):
    """A model for a classifier."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.view = model.view

    def answer(
        self, latents: NDArray[np.float32], quality: Quality
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        model: Any = self.model
        seen = model.answer(batch(latents).to(model.device), quality)
        return array(seen.scores[0]), array(seen.features[0])


class ArrayNetwork(runtime.ArrayNetwork):
    """A model for arrays."""

    @property
    def runtime(self) -> runtime.Runtime:
        return RUNTIME

    def __init__(self, model: ArrayModel) -> None:
        self.model = model
        self.name, self.id, self.digest = model.name, model.id, model.digest
        self.channels = model.channels

    def usual(self) -> Usual:
        return self.model.usual()

    def encode(self, x: NDArray[np.float32], quality: Quality, encoder: Encoder) -> None:
        self.model.encode(self._tensor(x), quality, encoder)

    def estimate(self, x: NDArray[np.float32], quality: Quality) -> float:
        return self.model.estimate(self._tensor(x), quality)

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder, count: int
    ) -> NDArray[np.float32]:
        return array(self.model.pull(shape, quality, decoder, count))

    def reconstruct(self, latents: NDArray[np.float32], quality: Quality) -> NDArray[np.float32]:
        # In the order in memory that `pull` gave them: kernels go by that.
        y_hat = torch.from_numpy(latents).to(self.model.device)
        return array(self.model.reconstruct(y_hat, quality))

    def _tensor(self, x: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.model.device)


def network(model: models.Network) -> runtime.Network:
    """A model of lictor.models as a network of this runtime."""
    if isinstance(model, models.ArrayModel):
        return ArrayNetwork(model)
    assert isinstance(model, models.LatentCodec)  # what does not code arrays codes pictures
    return TaskNetwork(model) if isinstance(model, models.TaskModel) else PictureNetwork(model)


# ---- where, and how precisely


def has_gpu() -> bool:
    """Whether AUTO means one."""
    return torch.cuda.is_available()


def placed(model: models.Network, device: str) -> models.Network:
    """The model on a device, by PyTorch's name for it, or AUTO. Raises DeviceUnavailable."""
    if not isinstance(device, (str, torch.device)):
        raise DeviceUnavailable(f"device is {device!r}; give a name: cpu, auto, or cuda")
    device = str(device)
    if device == AUTO:
        device = "cuda" if has_gpu() else "cpu"
    return model if device == "cpu" else _copy(model, device)


@lru_cache(maxsize=4)
def _copy(model: models.Network, device: str) -> models.Network:
    try:
        torch.zeros(1, dtype=torch.float64, device=device).cpu()
        return copy.deepcopy(model).to(device)
    except (RuntimeError, AssertionError, TypeError) as e:
        if "out of memory" in str(e):
            raise
        reason = str(e).splitlines()[0]
        raise DeviceUnavailable(
            f"device {device!r} cannot be used ({reason}); give cpu, auto, or cuda where there is "
            "a GPU"
        ) from e


@contextmanager
def transforming(device: torch.device, precision: str = "float32") -> Iterator[None]:
    """In here analysis and synthesis run as precisely as was asked for.

    float32 is meant as such: GPUs would multiply with 10 bits of it. With bfloat16, last layers and
    sums stay in float32.
    """
    with ExitStack() as stack:
        if precision == "bfloat16":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        elif device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
        yield


# ---- samples and numbers


def tensor(colours: NDArray[Any]) -> Tensor:
    """From (H, W, 1 or 3) to float32 (1, 3, H, W) in 0…1; gray becomes three equal channels."""
    height, width, _ = colours.shape
    x = np.empty((1, 3, height, width), np.float32)
    x[0] = colours.transpose(2, 0, 1)
    x /= np.iinfo(colours.dtype).max
    return torch.from_numpy(x)


def samples(x: Tensor, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """From float (1, 3, H, W) to (H, W, 1 or 3); gray is the mean of the three channels."""
    if channels == 1:
        x = x.mean(dim=1, keepdim=True)
    most = int(np.iinfo(dtype).max)
    x = x[0].mul(most).round().clamp(0, most).to(torch.uint8 if most == 255 else torch.int32)
    return x.permute(1, 2, 0).contiguous().cpu().numpy().astype(dtype, copy=False)


def batch(latents: NDArray[np.float32]) -> Tensor:
    """(C, h, w) as (1, C, h, w), in the order in memory that it has: kernels go by that."""
    x = torch.from_numpy(latents)
    by_place = x.permute(1, 2, 0)
    return by_place[None].permute(0, 3, 1, 2) if by_place.is_contiguous() else x[None]


def array(x: Tensor) -> NDArray[np.float32]:
    """Without a copy if it is float32 of the CPU: in the order, too, that networks like."""
    return x.float().cpu().numpy()


# ---- all together


class Threads:
    """Those of PyTorch's operations."""

    def count(self) -> int:
        return torch.get_num_threads()

    def use(self, count: int) -> None:
        torch.set_num_threads(count)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Inside, torch computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Torch(runtime.Runtime):
    """On the CPU, or on a GPU by PyTorch's name for it."""

    threads = Threads()

    def load(self, name: str, device: str, **places: Any) -> runtime.Network:
        return network(placed(models.load(name, **places), device))

    def find(
        self, id: int, name: str, digest: bytes, device: str, **places: Any
    ) -> runtime.Network:
        return network(placed(models.find(id, name, digest, **places), device))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Without gradients."""
        try:
            with torch.inference_mode():
                yield
        except RuntimeError as e:
            if "allocate" not in str(e):
                raise
            raise MemoryError(str(e)) from e


RUNTIME = Torch()
