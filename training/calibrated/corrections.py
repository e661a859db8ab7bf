"""Statistics and biases that suit rounded weights: each layer's outputs as they were on the mean.

Rounding moves what layers give. From the first layer to the last, with all before already put
right, batch normalisations get the mean and the variance that they now see, biases are moved by
what outputs are off: by as much as examples show, so that few examples are enough.

Source: M. Nagel et al., "Data-free quantization through weight equalization and bias correction",
ICCV 2019 (arXiv:1906.04721), section 4.2; X. Sun et al., "Hybrid 8-bit floating point training and
inference", NeurIPS 2019, for new statistics of normalisations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float32]
_LEAST = 1e-8
"""A variance below is none."""


def corrections(
    network: nn.Module, state: dict[str, Tensor], run: Callable[[nn.Module], Any]
) -> dict[str, Floats]:
    """Tensors that take the place of a network's own beside rounded weights.

    Args:
        network: as it was, in eval mode.
        state: its tensors with the weights as they are decoded.
        run: shows a network all examples, in one batch.

    Returns:
        Means and variances of batch normalisations, and biases of other layers, by their names.
    """
    return Mended(network, run).of(state)[1]


class Mended:
    """A network whose weights are rounded in one way or another, put right while it runs.

    answers: of the network as it is.
    """

    def __init__(self, network: nn.Module, run: Callable[[nn.Module], Any]) -> None:
        self._network, self._run = network, run
        with torch.inference_mode():
            seen = _Statistics(network)
            self.answers = run(network)
            seen.done()
        self._was = seen.found

    def of(self, state: dict[str, Tensor]) -> tuple[Any, dict[str, Floats]]:
        """Answers with these tensors, and what was changed for them."""
        with torch.inference_mode():
            rounded = deepcopy(self._network)
            rounded.load_state_dict(state)
            mended = _Mending(rounded, self._was)
            answers = self._run(rounded)
            mended.done()
        return answers, mended.changed


def _normalisations(network: nn.Module) -> dict[str, nn.Module]:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, kinds) and module.running_mean is not None
    }


def _biased(network: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None
    }


def _moments(x: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of channels."""
    axes = [i for i in range(x.ndim) if i != channels % x.ndim]
    var, mean = torch.var_mean(x.float(), axes, correction=0)
    return mean, var


class _Hooks(ABC):
    """What is done before each normalisation of a network, and after each layer with a bias."""

    def __init__(self, network: nn.Module) -> None:
        self._hooks = [
            module.register_forward_pre_hook(self._before(name))
            for name, module in _normalisations(network).items()
        ]
        self._hooks += [
            module.register_forward_hook(self._after(name))
            for name, module in _biased(network).items()
        ]

    @abstractmethod
    def _before(self, name: str) -> Callable[..., None]:
        """The hook of a normalisation."""

    @abstractmethod
    def _after(self, name: str) -> Callable[..., Tensor | None]:
        """The hook of a layer with a bias."""

    def done(self) -> None:
        for hook in self._hooks:
            hook.remove()


class _Statistics(_Hooks):
    """They see what normalisations get and what biased layers give."""

    def __init__(self, network: nn.Module) -> None:
        self.found: dict[str, tuple[Tensor, Tensor]] = {}
        super().__init__(network)

    def _before(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.found[name] = _moments(inputs[0], 1)

        return hook

    def _after(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.found[name] = _moments(output, 1 if isinstance(module, nn.Conv2d) else -1)

        return hook


class _Mending(_Hooks):
    """They put a rounded network right while it runs."""

    def __init__(self, network: nn.Module, was: dict[str, tuple[Tensor, Tensor]]) -> None:
        self.changed: dict[str, Floats] = {}
        self._was = was
        super().__init__(network)

    def _before(self, name: str) -> Callable[..., None]:
        def hook(module: Any, inputs: tuple[Tensor, ...]) -> None:
            mean, var = _moments(inputs[0], 1)
            old_mean, old_var = self._was[name]
            module.running_mean += mean - old_mean
            grown = torch.where(old_var > _LEAST, var / old_var.clamp_min(_LEAST), 1.0)
            module.running_var *= grown.clamp(0.25, 4.0)
            self._keep(f"{name}.running_mean", module.running_mean)
            self._keep(f"{name}.running_var", module.running_var)

        return hook

    def _after(self, name: str) -> Callable[..., Tensor]:
        def hook(module: Any, inputs: Any, output: Tensor) -> Tensor:
            channel = 1 if isinstance(module, nn.Conv2d) else -1
            off = _moments(output, channel)[0] - self._was[name][0]
            module.bias -= off
            self._keep(f"{name}.bias", module.bias)
            shape = [1] * output.ndim
            shape[channel] = -1
            return output - off.reshape(shape)

        return hook

    def _keep(self, name: str, values: Tensor) -> None:
        self.changed[name] = values.detach().float().cpu().numpy().copy()
