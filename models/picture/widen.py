"""A large model that starts as a small one: what was learned there need not be learned again.

After Net2Net (Chen, Goodfellow, Shlens, ICLR 2016). Old channels keep their weights and do not
listen to new ones; new channels start at random and listen to all. New blocks start as the
identity. So the large model codes as the small one does, until training lets the new be heard.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from lictor.models.base import Network
from lictor.models.errors import ModelError

_GROUPS = 4
"""Latents come in four groups (quadtree.py): each grows by itself."""

_LATENTS = {
    "gain.rungs": 1,
    "inverse_gain.rungs": 1,
    "context.scale.rungs": 1,
    "octave": 0,
    "smooth": 0,
    "g_a.leave.weight": 0,
    "g_a.leave.bias": 0,
    "g_a.shortcut.weight": 0,
    "g_s.enter.weight": 1,
    "g_s.shortcut.weight": 1,
    "h_a.body.0.weight": 1,
    "from_known.weight": 1,
}
"""Ends of the names of weights that touch latents, and the dimension that does."""

_HEARD = ("rungs", "g_s.shortcut.weight")
"""What belongs to new channels themselves, and what makes new latents visible."""


class Growable(Protocol):
    """What a model has that can start as a smaller one; `Lictor` says what each is."""

    name: str
    g_a: Any
    sizes: Any

    def state_dict(self) -> dict[str, Any]:
        """The weights by name."""

    def start_from_klt(self, basis: Tensor, deviation: Tensor) -> None:
        """Make the linear shortcuts a KLT."""


@torch.no_grad()
def grow(small: Network, large: Growable, basis: Tensor, deviation: Tensor) -> None:
    """Give `large` the weights of `small`, in place.

    basis: (768, 768) KLT of flattened 16x16 blocks, deviation: (768,) of its coefficients, as for
    `start_from_klt`; the latents that `small` lacks begin as what its shortcut cannot see.
    Raises ModelError where small is of another kind, or not smaller.
    """
    if not isinstance(small, type(large)):
        raise ModelError(f"{small.name} is of another kind; start from weights of lictor-s")
    weights = small.state_dict()
    if any(vars(small.sizes)[key] > size for key, size in vars(large.sizes).items()):
        raise ModelError(f"{small.name} does not fit into this model; start it without weights")
    large.start_from_klt(*_unseen(small, large, basis, deviation))
    for name, new in large.state_dict().items():
        if name in weights:
            _set(name, new, weights[name])
        elif name.endswith(("leave.weight", "leave.bias", "project.weight", "project.bias")):
            new.zero_()


def _unseen(
    small: Growable, large: Growable, basis: Tensor, deviation: Tensor
) -> tuple[Tensor, Tensor]:
    """A start for all latents of `large`; only that of the new ones will remain.

    The new ones are the KLT of what is left of a block without the part that `small` sees.
    """
    rows = small.g_a.shortcut.weight.flatten(1).double()
    left = torch.eye(rows.shape[1], dtype=torch.float64) - torch.linalg.pinv(rows) @ rows
    half = (basis.double() * deviation.double()[:, None]) @ left
    _, sigma, directions = torch.linalg.svd(half, full_matrices=False)
    latent = large.sizes.latent
    old = _places(small.sizes.latent, latent, _GROUPS)
    new = torch.ones(latent, dtype=torch.bool).index_fill(0, old, False)
    start = torch.zeros(latent, rows.shape[1])
    spread = torch.full((latent,), float(deviation[0]))
    start[new] = directions[: int(new.sum())].float()
    spread[new] = sigma[: int(new.sum())].float()
    return start, spread


def _set(name: str, new: Tensor, old: Tensor) -> None:
    """Copy `old` to its places in `new`; old channels do not listen to new ones."""
    places = [
        _places(before, after, _parts(name, dim))
        for dim, (before, after) in enumerate(zip(old.shape, new.shape, strict=True))
    ]
    if not name.endswith(_HEARD):
        new[places[0]] = 0
    new[torch.meshgrid(*places, indexing="ij")] = old


def _parts(name: str, dim: int) -> int:
    """Into how many equal parts this dimension falls, each of which grows at its end."""
    if any(name.endswith(end) and dim == at for end, at in _LATENTS.items()):
        return _GROUPS
    if name.startswith(("h_s.body.0", "h_s.body.4")) and dim == 0:
        return 4  # one for each pixel that a place becomes (Upsample)
    if ("expand" in name and dim == 0) or ("heads" in name and dim == 1):
        return 2  # value and gate; mean and scale
    return 1


def _places(old: int, new: int, parts: int) -> Tensor:
    """Indexes in a dimension of size `new` of what was 0…old-1."""
    index = torch.arange(old).reshape(parts, -1)
    return (index + torch.arange(parts)[:, None] * (new - old) // parts).flatten()
