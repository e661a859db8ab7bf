"""What data say of a network's layers: second moments of inputs, and of gradients of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lictor.codec.weights.curvature import Calibration, Curvature

Forward = Callable[[nn.Module, Any], Tensor]
"""A network and one batch to its answers, (examples, ...)."""
_PLACES, _WORDS = 64, 256
"""Of a convolution's places, and of other layers' rows, how many of an example are taken."""


def calibrate(
    network: nn.Module,
    batches: Iterable[Any],
    *,
    forward: Forward | None = None,
    classes: bool = True,
    seed: int = 0,
) -> Calibration:
    """Measure how much a network's answers change where its weights are rounded.

    Args:
        network: with the weights that are to be coded, in eval mode. Linear layers and convolutions
            are measured, those in several groups where each channel is one.
        batches: some tens to hundreds of examples, as `forward` takes them. Gradients are of a
            batch as a whole, so that one example each tells the most.
        forward: what makes answers of a batch; None for network(batch).
        classes: whether answers are logits of classes, in their last axis; else they are vectors,
            of which squared errors count.
        seed: of answers that are drawn, and places.

    Returns:
        What `lictor.codec.encode_weights` takes.

    Source: R. Kunstner et al., "Limitations of the empirical Fisher approximation", NeurIPS 2019,
    for why answers are drawn from the network's own.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = _layers(network, generator)
    hooks = [layer.module.register_forward_hook(layer.seen) for layer in layers.values()]
    try:
        for batch in batches:
            with torch.enable_grad():
                answers = forward(network, batch) if forward else network(batch)
                network.zero_grad()
                _loss(answers, classes, generator).backward()
            for layer in layers.values():
                layer.learned()
    finally:
        for hook in hooks:
            hook.remove()
        network.zero_grad()
    found = {f"{name}.weight": layer.curvature() for name, layer in layers.items() if layer.count}
    # Of tensors that are tied, a file may have another name.
    first = {id(p): name for name, p in network.named_parameters()}
    tied = {first[id(layers[n].module.weight)]: n for n in layers if layers[n].count}
    return Calibration(found | {name: found[f"{n}.weight"] for name, n in tied.items()})


def _loss(answers: Tensor, classes: bool, generator: torch.Generator) -> Tensor:
    """What has gradients at the weights whose mean square is the Fisher's diagonal.

    Of classes, a random vector with the covariance that the answers' own draws would have.
    """
    drawn = torch.randn(answers.shape, generator=generator).to(answers)
    if classes:
        shares = answers.detach().softmax(-1)
        drawn = drawn * shares.sqrt()
        drawn = drawn - shares * drawn.sum(-1, keepdim=True)
    return (answers * drawn).sum()


def _layers(network: nn.Module, generator: torch.Generator) -> dict[str, _Layer]:
    found = {}
    for name, module in network.named_modules():
        alone = isinstance(module, nn.Conv2d) and module.groups == module.weight.shape[0]
        whole = isinstance(module, nn.Conv2d) and module.groups == 1
        if isinstance(module, nn.Linear) or whole or (alone and module.weight.shape[1] == 1):
            found[name] = _Layer(module, generator)
    return found


class _Layer:
    """Sums over what one layer has seen."""

    def __init__(self, module: nn.Linear | nn.Conv2d, generator: torch.Generator) -> None:
        self.module, self._generator = module, generator
        self.count = 0
        self._moments: Any = 0.0
        self._gradients: Any = 0.0
        self._batches = 0

    def seen(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook."""
        with torch.no_grad():
            x = self._columns(inputs[0].detach())
            self._moments = self._moments + torch.einsum("gnc,gnd->gcd", x, x).double()
            self.count += x.shape[1]

    def _columns(self, x: Tensor) -> Tensor:
        """What weights are multiplied with: (groups, samples, columns)."""
        if isinstance(self.module, nn.Linear):
            rows = x.reshape(-1, x.shape[-1])
            return rows[self._chosen(len(rows), _WORDS * len(x))][None]
        size = self.module.kernel_size
        if max(size) > 1:
            x = functional.unfold(
                x, size, padding=(size[0] // 2, size[1] // 2), stride=self.module.stride
            )
        else:
            step = self.module.stride
            x = x[:, :, :: step[0], :: step[1]].flatten(2)
        x = x[:, :, self._chosen(x.shape[2], _PLACES)]
        if self.module.groups == 1:
            return x.permute(0, 2, 1).reshape(1, -1, x.shape[1])
        grouped = x.reshape(len(x), self.module.groups, -1, x.shape[2])
        return grouped.permute(1, 0, 3, 2).flatten(1, 2)

    def _chosen(self, count: int, most: int) -> Tensor:
        return torch.randperm(count, generator=self._generator)[:most].sort().values

    def learned(self) -> None:
        """After a batch went backwards."""
        if self.module.weight.grad is not None:
            squares = self.module.weight.grad.detach().double().square()
            self._gradients = self._gradients + squares.flatten(1).sum(1)
            self._batches += 1

    def curvature(self) -> Curvature:
        """What `calibrate` gives of the layer."""
        moments = self._moments / self.count
        inputs = moments.diagonal(dim1=1, dim2=2).sum(1).clamp_min(1e-30)
        rows = self._gradients / max(self._batches, 1) / inputs
        if isinstance(self.module, nn.Linear):
            # Rows are many, and of most some examples tell nothing.
            rows = rows.mean(0, keepdim=True)
        own = rows.float().cpu().numpy()
        return Curvature(moments.float().cpu().numpy(), own, self.count)
