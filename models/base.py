"""The interface every model of the registry offers to the codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from lictor.models.errors import NoSearch

if TYPE_CHECKING:
    from lictor.entropy import Decoder, Encoder
    from lictor.models.refine import Progress


@dataclass(frozen=True)
class Output:
    """What a training step sees of a model.

    x_hat: reconstruction, float (N, 3, H, W), about 0..1 (not clamped).
    bits: estimated bits of each picture, float (N,).
    """

    x_hat: Tensor
    bits: Tensor


class LatentCodec(nn.Module):
    """Pictures in, symbols with their tables out, and back.

    Attributes:
        name: `arch.tag`, such as "lictor-s.mse".
        id: the permanent number of a shipped checkpoint, 0 for any other weights.
        digest: SHA-256 of the weights file, 32 bytes; empty when built without weights.
    """

    name: str = ""
    id: int = 0
    digest: bytes = b""

    def forward(self, x: Tensor, quality: Tensor) -> Output:
        """Training view: x float (N, 3, H, W) in 0..1, H and W multiples of 64; quality (N,)."""
        raise NotImplementedError

    def encode(self, x: Tensor, quality: float, encoder: Encoder) -> None:
        """Push the symbols of one picture: x float32 (1, 3, H, W) in 0..1, any H and W."""
        raise NotImplementedError

    def search(
        self, x: Tensor, quality: float, encoder: Encoder, effort: int, progress: Progress | None
    ) -> float:
        """As `encode`, with latents searched for this picture; effort 1…9.

        Returns the bits that the float model expects. Raises NoSearch where a model cannot.
        """
        raise NoSearch(f"{self.name} has no encoder-side search; leave the effort at 0")

    def decode(self, shape: tuple[int, int], quality: float, decoder: Decoder) -> Tensor:
        """Pull the symbols of a picture of shape (H, W); returns float32 (1, 3, H, W) in 0..1."""
        return self.picture(self.latents(shape, quality, decoder), shape, quality)

    def latents(self, shape: tuple[int, int], quality: float, decoder: Decoder) -> Tensor:
        """The first part of `decode`: all symbols, to whatever `picture` takes."""
        raise NotImplementedError

    def picture(self, latents: Tensor, shape: tuple[int, int], quality: float) -> Tensor:
        """The second part of `decode`, for which autocast may be on."""
        raise NotImplementedError

    def estimate(self, x: Tensor, quality: float) -> float:
        """Bits that the float model expects `encode` to spend on x, before tables are rounded."""
        raise NotImplementedError

    def export(self) -> dict[str, Tensor]:
        """What a weights file holds: the state, with matrices in half precision."""
        return {name: _compact(name, t.detach()) for name, t in self.state_dict().items()}

    def adopt(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `export` gave, floats now in float32. RuntimeError if it does not fit."""
        self.load_state_dict(tensors, assign=True)


def _compact(name: str, tensor: Tensor) -> Tensor:
    # Ladders are small, and their values are logarithms: half precision would show.
    keep = tensor.ndim < 2 or name.endswith("rungs") or not tensor.is_floating_point()
    return (tensor if keep else tensor.half()).contiguous()
