"""What a model can do. Ask with isinstance, or `registry.architectures(capability)` of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from lictor.entropy import Decoder, Encoder
    from lictor.models.base import LatentCodec, Output
    from lictor.models.box import Box
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality


class Model(Protocol):
    """What all of them have; `lictor.models.base.Network` says more."""

    name: str
    id: int
    digest: bytes

    @property
    def device(self) -> torch.device:
        """Where the weights are."""


@runtime_checkable
class PictureModel(Model, Protocol):
    """Codes pictures, a tile at a time; all is as in `LatentCodec`, of which most are."""

    stride: int
    cell: int
    analysis_halo: int
    synthesis_halo: int
    takes_maps: bool
    is_deep: bool

    def deep(self) -> LatentCodec:
        """The model of these weights for pictures of more than 8 bits a sample."""

    def encode(
        self, x: Tensor, quality: Quality, encoder: Encoder, tile: Box | None = None
    ) -> None:
        """Push the symbols of a picture, as in `LatentCodec.encode`."""

    def search(
        self,
        x: Tensor,
        quality: Quality,
        encoder: Encoder,
        effort: int,
        progress: Progress | None,
        tile: Box | None = None,
    ) -> float:
        """Push the symbols of latents that are searched for, as in `LatentCodec.search`."""

    def pull(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        """The latents of a picture, as in `LatentCodec.pull`."""

    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        """The picture of latents, as in `LatentCodec.reconstruct`."""

    def estimate(self, x: Tensor, quality: Quality, tile: Box | None = None) -> float:
        """The bits that `encode` is expected to spend, as in `LatentCodec.estimate`."""


@runtime_checkable
class TaskModel(PictureModel, Protocol):
    """Codes pictures for a classifier, which is part of it.

    Attributes:
        view: side in pixels of the square that it looks at, the middle of a picture.
    """

    view: int

    def answer(self, latents: Tensor, quality: Quality) -> Any:
        """What the classifier makes of latents: scores (1, K) and features (1, C), float.

        Args:
            latents: as `pull` gives them, float32 (1, C, h, w).
            quality: as they were encoded.
        """


class Usual(NamedTuple):
    """What the channels of the arrays look like that a model was made for, in their units.

    Attributes:
        mean: float64 (channels,).
        spread: float64 (channels,).
        unit: what is 1 in what the model is given.
    """

    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    unit: float


@runtime_checkable
class ArrayModel(Model, Protocol):
    """Codes arrays as planes.

    Attributes:
        channels: of each plane.
    """

    channels: int

    def usual(self) -> Usual:
        """What its channels look like."""

    def encode(self, x: Tensor, quality: Quality, encoder: Encoder) -> None:
        """Push the symbols of planes.

        Args:
            x: float32 (N, channels, h, w), in units of the model (`Usual.unit`).
            quality: 0…100.
            encoder: what takes the symbols.

        Raises:
            ModelError: NoNumbers of planes that the weights make no numbers of.
        """

    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder, count: int = 1
    ) -> Tensor:
        """The latents of planes, float32 (count, C, h', w').

        Args:
            shape: (h, w) of each plane.
            quality: as they were encoded.
            decoder: what gives the symbols.
            count: how many planes, N of what was encoded.

        Raises:
            CorruptStream: the stream has fewer symbols.
        """

    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        """The planes of latents, float32 (N, channels, h, w), padded below and to the right.

        Args:
            latents: as `pull` gives them, float32 (N, C, h', w').
            quality: as they were encoded.
        """

    def estimate(self, x: Tensor, quality: Quality) -> float:
        """The bits that `encode` is expected to spend.

        Args and errors: as for `encode`.
        """


@runtime_checkable
class Trainable(Protocol):
    """What train.py trains: a network of pictures in, pictures and bits out, with a start."""

    def forward(self, x: Tensor, quality: Tensor, deep: Tensor | None = None) -> Output:
        """A training step's view.

        Args:
            x: pictures, float (N, 3, H, W) in 0…1, sides multiples of 64.
            quality: 0…100, float (N,).
            deep: bool (N,), which of them have more than 8 bits a sample; None: none.
        """

    def start_from_pictures(self, sample: Tensor) -> None:
        """Become a working codec before any training.

        Args:
            sample: crops of pictures to train on, float (N, 3, S, S) in 0…1.
        """

    def start_from_weights(self, given: Any, sample: Tensor) -> None:
        """Begin as a model of another architecture.

        Args:
            given: that model.
            sample: as for `start_from_pictures`, for what that model lacks.

        Raises:
            ModelError: this model cannot begin as that one.
        """

    def moves_slowly(self, parameter: str) -> bool:
        """Whether a parameter starts at a good value, so that training is to move it little.

        Args:
            parameter: its name in the state of the network.
        """
