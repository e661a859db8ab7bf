"""Who computes networks: arrays in, arrays out, and nothing else of it seen outside.

A runtime is a file beside torch.py and an entry of RUNTIMES. Devices, autocast, threads and
whatever its tensors are stay in there. What decides a probability must be the same integers in
every one (docs/exactness.md); what a picture looks like may differ by a level.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from lictor.codec.errors import InvalidOption, InvalidPrecision, MissingPackage, OutOfMemory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lictor.entropy import Decoder, Encoder
    from lictor.models.box import Box
    from lictor.models.capabilities import Usual
    from lictor.models.progress import Progress
    from lictor.models.quality import Quality

RUNTIMES = {"light": "lictor.codec.runtime.light", "torch": "lictor.codec.runtime.torch"}
"""Where each is; its module has a `RUNTIME`."""
DEFAULT = "light"
FORCED = "LICTOR_RUNTIME"
"""The environment variable that names the one to take."""
CPU, AUTO = "cpu", "auto"
NO_TORCH = "this needs PyTorch, which is not installed; pip install 'lictor[torch]'"
PRECISIONS = ("float32", "bfloat16")
"""Of the synthesis."""


def check_precision(precision: str) -> str:
    """Raises InvalidPrecision."""
    if precision not in PRECISIONS:
        raise InvalidPrecision(f"precision is {precision!r}; give one of {', '.join(PRECISIONS)}")
    return precision


class NotHere(Exception):
    """A runtime has no networks of this architecture; another may."""


class Network(ABC):
    """A model with its weights, on a device.

    name, id, digest: as in `lictor.models.base.Network`.
    """

    name: str
    id: int
    digest: bytes

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """What computes it."""


class PictureNetwork(Network):
    """Codes pictures, a tile at a time, or several pictures in one piece each in one pass.

    stride, cell, analysis_halo, synthesis_halo, takes_maps, on_ladder: as in
    `lictor.models.base.LatentCodec`. loss: what its weights were trained for, as in
    `lictor.models.weights.Weights`. model: what the runtime computes, one object for all networks
    that may share a pass. together: pixels that a pass should have; 0: it is for one picture.
    """

    model: Any
    loss: str = ""
    together: int = 0

    stride: int
    cell: int
    analysis_halo: int
    synthesis_halo: int
    takes_maps: bool
    on_ladder: bool

    @abstractmethod
    def for_depth(self, depth: int) -> PictureNetwork:
        """As it codes samples of so many bits; the same weights."""

    @abstractmethod
    def encode(
        self, colours: NDArray[Any], quality: Quality, encoder: Encoder, tile: Box
    ) -> NDArray[np.float32] | None:
        """Push the symbols of a tile; its latents as `pull` gives them, where they are at hand.

        colours: uint8 or uint16 (H, W, 1 or 3), over their full range: the tile and what is around
            it, `analysis_halo` pixels to each side that does not end the picture. quality: of the
            same places.
        """

    @abstractmethod
    def search(
        self,
        colours: NDArray[Any],
        quality: Quality,
        encoder: Encoder,
        effort: int,
        progress: Progress | None,
        tile: Box,
    ) -> float:
        """As `encode`, after a search; the bits that the network expects. Raises ModelError."""

    @abstractmethod
    def estimate(self, colours: NDArray[Any], quality: Quality, tile: Box) -> float:
        """Bits that `encode` is expected to spend."""

    @abstractmethod
    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder
    ) -> NDArray[np.float32]:
        """Latents (C, h, w) of a tile of (height, width) pixels; (h, w) are cells of it, padded."""

    @abstractmethod
    def show(
        self,
        latents: NDArray[np.float32],
        quality: Quality,
        part: Box,
        like: NDArray[Any],
        precision: str,
    ) -> NDArray[Any]:
        """The samples of a part of the picture that latents (C, h, w) make.

        part: in pixels. like: an array of as many channels and the type to give, (..., 1 or 3) of
        uint8 or uint16; gray is the mean of three. Rounds to nearest, halves to even.
        """

    def encode_several(
        self,
        colours: Sequence[NDArray[Any]],
        qualities: Sequence[Quality],
        encoders: Sequence[Encoder],
    ) -> list[NDArray[np.float32]]:
        """As `encode` of each, for whole pictures alike in size once padded, without maps."""
        raise NotImplementedError

    def pull_several(
        self, shape: tuple[int, int], qualities: Sequence[Quality], decoders: Sequence[Decoder]
    ) -> list[NDArray[np.float32]]:
        """As `pull` of each, likewise; shape: of one of the pictures."""
        raise NotImplementedError

    def show_several(
        self,
        latents: Sequence[NDArray[np.float32]],
        qualities: Sequence[Quality],
        parts: Sequence[Box],
        like: NDArray[Any],
        precision: str,
    ) -> list[NDArray[Any]]:
        """As `show` of each, likewise."""
        raise NotImplementedError


class TaskNetwork(PictureNetwork):
    """Codes pictures for a classifier. view: side of the square that it looks at."""

    view: int

    @abstractmethod
    def answer(
        self, latents: NDArray[np.float32], quality: Quality
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores (K,) and features, of latents (C, h, w)."""


class ArrayNetwork(Network):
    """Codes arrays as planes, so many channels of them."""

    channels: int

    @abstractmethod
    def usual(self) -> Usual:
        """What its channels look like."""

    @abstractmethod
    def encode(self, x: NDArray[np.float32], quality: Quality, encoder: Encoder) -> None:
        """Push the symbols of planes, (N, channels, h, w), in units of the model."""

    @abstractmethod
    def estimate(self, x: NDArray[np.float32], quality: Quality) -> float:
        """Bits that `encode` is expected to spend."""

    @abstractmethod
    def pull(
        self, shape: tuple[int, int], quality: Quality, decoder: Decoder, count: int
    ) -> NDArray[np.float32]:
        """Latents (N, M, h', w') of `count` planes of a shape."""

    @abstractmethod
    def reconstruct(self, latents: NDArray[np.float32], quality: Quality) -> NDArray[np.float32]:
        """The planes of latents, (N, channels, h, w), padded below and to the right."""


class Threads(Protocol):
    """How many threads work, in all and inside one of them."""

    def count(self) -> int:
        """Those that there are for all work."""

    def use(self, count: int) -> None:
        """From now on, inside this thread; inside new ones, too."""


class Runtime(ABC):
    """Loads models and computes them.

    Errors: ModelError of lictor.models, DeviceUnavailable, NotHere.
    """

    threads: Threads

    @abstractmethod
    def load(self, name: str, device: str, **places: Any) -> Network:
        """The model of a name or path; device, places: as `Store` has them."""

    @abstractmethod
    def find(self, id: int, name: str, digest: bytes, device: str, **places: Any) -> Network:
        """The model that a file was written with."""

    @abstractmethod
    def working(self) -> AbstractContextManager[None]:
        """Networks run in here. Where memory does not suffice, MemoryError."""


@lru_cache
def get(name: str = DEFAULT) -> Runtime:
    """A runtime by its name; what it needs is imported now. Raises MissingPackage."""
    try:
        found: Runtime = import_module(RUNTIMES[name]).RUNTIME
    except ModuleNotFoundError as e:
        if e.name != "torch":
            raise
        raise MissingPackage(NO_TORCH) from e
    return found


def forced(name: str | None = None) -> str | None:
    """The runtime that is to be taken: a name that is given, or that the environment gives.

    Raises InvalidOption for one that there is not.
    """
    name = name or os.environ.get(FORCED) or None
    if name is not None and name not in RUNTIMES:
        raise InvalidOption(f"runtime is {name!r}; give one of {', '.join(RUNTIMES)}")
    return name


def chosen(name: str | None = None, device: str = CPU, heavy: bool = False) -> str:
    """The name of the runtime that does what is asked for: that which is forced, or the lightest.

    Args:
        name: one that is forced; None: what the environment says.
        device: where networks are to run.
        heavy: whether a search, bfloat16 or gradients are asked for.

    Raises:
        InvalidOption: there is none of this name, or it cannot do this.
    """
    wanted = forced(name)
    on_cpu = device in (CPU, AUTO) or (isinstance(device, str) and device.startswith(f"{CPU}:"))
    if wanted == "light" and (heavy or not on_cpu):
        what = "no search and no bfloat16" if heavy else f"no device {device!r}"
        raise InvalidOption(f"the light runtime has {what}; take that of torch")
    if wanted is None and device == AUTO and find_spec("torch") is not None:
        return "torch" if import_module(RUNTIMES["torch"]).has_gpu() else _lightest(heavy)
    return wanted or _lightest(heavy or not on_cpu)


def _lightest(heavy: bool) -> str:
    return "torch" if heavy else "light"


@contextmanager
def enough_memory(width: int, height: int) -> Iterator[None]:
    """Work on a picture of so many pixels: MemoryError becomes OutOfMemory."""
    try:
        yield
    except MemoryError as e:
        raise OutOfMemory(
            f"not enough memory for {width}x{height} pixels; use a smaller picture or a "
            "larger machine"
        ) from e
