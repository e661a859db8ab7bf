"""The bases of all models: `Network`, and `LatentCodec` of those that code pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.models.box import Box
from lictor.models.errors import NoNumbers, NoSearch
from lictor.models.quality import Quality

if TYPE_CHECKING:
    from lictor.entropy import Decoder, Encoder
    from lictor.models.progress import Progress


@dataclass(frozen=True)
class Output:
    """What a training step sees of a model.

    Attributes:
        x_hat: reconstruction, float (N, 3, H, W), about 0…1 (not clamped).
        bits: estimated bits of each picture, float (N,).
    """

    x_hat: Tensor
    bits: Tensor


class Network(nn.Module):
    """What all models have: weights with a name, and a training view.

    Attributes:
        name: `arch.tag`, such as "lictor-s.mse".
        id: the permanent number of a shipped checkpoint, 0 for any other weights.
        digest: SHA-256 of the weights file, 32 bytes; empty when built without weights.
        loss: what they were trained for, as in `lictor.models.weights.Weights`.
        stride: what is coded is padded to multiples of this many places; of pictures it divides 64.
        cell: places a side that one place of the latents stands for.
        trained_by: how its weights are made; words that follow "is trained".
    """

    name: str = ""
    id: int = 0
    digest: bytes = b""
    loss: str = ""
    stride: int = 64
    cell: int = 16
    trained_by: ClassVar[str] = "by `lictor train`"

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU if there are none."""
        return next((tensor.device for tensor in self.parameters()), torch.device("cpu"))

    def export(self) -> dict[str, Tensor]:
        """What a weights file holds: the state by name, float32, but float16 for matrices."""
        return {name: _compact(name, t.detach()) for name, t in self.state_dict().items()}

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        """Take over the state of another network of this architecture.

        Args:
            tensors: what `export` gave, all floats now float32.

        Raises:
            RuntimeError: names or shapes are not those of this network.
        """
        self.load_state_dict(tensors, assign=True)


class LatentCodec(Network):
    """Pictures in, symbols with their tables out, and back.

    A large picture is coded as tiles, each by itself. What is coded is a partition: each latent
    belongs to one tile. But the transforms see across: latents of a tile come from its pixels and
    those around them, pixels from its latents and those around them. So what a tile decodes to does
    not depend on where its borders are, and no seam can show.

    Attributes:
        analysis_halo: how far from a tile pixels change its latents; a multiple of `cell`.
        synthesis_halo: how far from a tile latents change its pixels, in pixels, likewise.
        takes_maps: whether quality may be a map. It then covers the padded picture or tile, and of
            an encoder the part of the picture it sees, too.
        is_deep: whether this is the model for pictures of more than 8 bits a sample (`deep`).
        on_ladder: whether its quality means the lambda of models/coding/slope.py.
    """

    analysis_halo: int = 0
    synthesis_halo: int = 0
    takes_maps: bool = False
    is_deep: bool = False
    on_ladder: bool = False

    def deep(self) -> LatentCodec:
        """The model of these weights for pictures of more than 8 bits a sample."""
        return self

    def forward(self, x: Tensor, quality: Tensor) -> Output:
        """What a training step sees: pictures as they would be decoded, and their bits.

        Args:
            x: pictures, float (N, 3, H, W) in 0…1, H and W multiples of 64.
            quality: 0…100, float (N,), or (N, H / 16, W / 16) where maps are taken.
        """
        raise NotImplementedError

    def encode(
        self, x: Tensor, quality: Quality, encoder: Encoder, tile: Box | None = None
    ) -> Tensor | None:
        """Push the symbols of one picture, or of a tile of it.

        Args:
            x: the picture, float32 (1, 3, H, W) in 0…1, any H and W.
            quality: 0…100, or a map where the model takes maps.
            encoder: what takes the symbols.
            tile: the part of x to code, all of it if None; the rest is the picture around it,
                `analysis_halo` pixels to each side that does not end the picture.

        Returns:
            The latents as `pull` will give them, where they are at hand; else None.

        Raises:
            ModelError: NoNumbers of a picture that the weights make no numbers of.
        """
        raise NotImplementedError

    def search(
        self,
        x: Tensor,
        quality: Quality,
        encoder: Encoder,
        effort: int,
        progress: Progress | None,
        tile: Box | None = None,
    ) -> float:
        """Push symbols as `encode` does, of latents that are searched for this picture.

        Args:
            x: as for `encode`.
            quality: as for `encode`.
            encoder: as for `encode`.
            effort: 1…9, how long to search.
            progress: called with the steps done and their number; None: nobody is told.
            tile: as for `encode`.

        Returns:
            The bits that the float model expects.

        Raises:
            NoSearch: the model cannot search.
            NoNumbers: as for `encode`.
        """
        raise NoSearch(f"{self.name} has no encoder-side search; leave the effort at 0")

    def pull(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        """Pull the symbols of a picture, or of a tile of one.

        Args:
            shape: (H, W) of what was encoded, in pixels.
            quality: as it was encoded.
            decoder: what gives the symbols.

        Returns:
            Its latents, float32 (1, C, h, w), one place for each `cell` of the padded picture.

        Raises:
            CorruptStream: the stream has fewer symbols.
        """
        raise NotImplementedError

    def reconstruct(self, latents: Tensor, quality: Quality) -> Tensor:
        """The picture of latents, float32 (1, 3, h · cell, w · cell) in 0…1.

        Args:
            latents: as `pull` gives them, float32 (1, C, h, w). Autocast may be on.
            quality: as they were encoded.
        """
        raise NotImplementedError

    def decode(self, shape: tuple[int, int], quality: Quality, decoder: Decoder) -> Tensor:
        """Pull the symbols of a picture, and make it.

        Args and errors: as for `pull`.

        Returns:
            The picture, float32 (1, 3, H, W) in 0…1.
        """
        x_hat = self.reconstruct(self.pull(shape, quality, decoder), quality)
        return x_hat[:, :, : shape[0], : shape[1]]

    def estimate(self, x: Tensor, quality: Quality, tile: Box | None = None) -> float:
        """The bits that the float model expects `encode` to spend, before tables are rounded.

        Args and errors: as for `encode`.
        """
        raise NotImplementedError


def padded(x: Tensor, tile: Box | None, stride: int) -> tuple[Tensor, Box]:
    """Pixels (1, 3, H, W) with the last row and column repeated, and the padded place of the tile.

    Downwards and to the right of the tile's first pixel they become multiples of the stride. That
    of the tile is one in the picture, too: where x ends with the picture, so does the padding.
    """
    height, width = x.shape[-2:]
    tile = tile or Box(0, 0, height, width)
    below, right = -(height - tile.top) % stride, -(width - tile.left) % stride
    return F.pad(x, (0, right, 0, below), mode="replicate"), tile.padded(stride)


def crop(x: Tensor, box: Box) -> Tensor:
    """The part of x (N, C, H, W) in the box."""
    rows, columns = box.place
    return x[:, :, rows, columns]


def refuse_no_numbers(*values: Tensor) -> None:
    """Raise NoNumbers unless all are finite: what is not has neither symbol nor colour."""
    if not all(bool(part.isfinite().all()) for part in values):
        raise NoNumbers(
            "the networks make something that is not a number of this picture; their weights must"
            " have gone wrong in training: use others"
        )


def _compact(name: str, tensor: Tensor) -> Tensor:
    # Ladders are small, and their values are logarithms: half precision would show.
    keep = tensor.ndim < 2 or name.endswith("rungs") or not tensor.is_floating_point()
    return (tensor if keep else tensor.half()).contiguous()
