"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., 2024, arXiv 2409.11321).

A gradient matrix is turned into the basis in which its rows and columns are least correlated, and
Adam runs there. Learned codecs reach the same loss in far fewer steps than with Adam; the price is
a few matrix products per weight, small beside the convolutions of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

WIDEST = 512
"""Sides longer than this keep their own basis: an eigenbasis costs the cube of its size."""

EVERY = 2
"""Steps between two looks at the correlations, which change slowly."""


class Soap(torch.optim.Optimizer):
    """Matrices, convolutions and stacks of matrices by SOAP; vectors and depthwise kernels by Adam.

    betas: decay of the first moment, of the second moment and of the preconditioner.
    refresh: steps between two corrections of the eigenbases.
    Param groups may set lr and weight_decay (decoupled).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.95, 0.98, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        refresh: int = 10,
    ) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, refresh=refresh)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """One step of every parameter, once any has a gradient; a missing one counts as zero."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[Any, list[Tensor]] = {}
            for weight in group["params"]:
                alike.setdefault((_matrix(weight).shape, weight.device), []).append(weight)
            for weights in alike.values():
                if self.state[weights[0]] or any(w.grad is not None for w in weights):
                    self._update(weights, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """A step of all weights of one shape, as one stack: a GPU has a tenth as much to start.

        The first one's state is that of all.
        """
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        grad = torch.stack([_matrix(g) for g in grads])
        state = self.state[weights[0]]
        beta1, beta2, beta3 = group["betas"]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(grad)
            state["square"] = torch.zeros_like(grad)
            state["sides"] = _sides(grad)
        state["step"] += 1
        step = state["step"]
        for side in state["sides"]:
            if (step - 1) % EVERY == 0:
                _correlate(side, grad, beta3**EVERY if step > 1 else 0.0)
            if side["basis"] is None:
                side["basis"] = _eigenvectors(side["correlation"])
            elif step % group["refresh"] == 0:
                state["mean"] = _refresh(side, state["mean"])

        turned = _turn(grad, state["sides"])
        mean, square = state["mean"], state["square"]
        mean.lerp_(turned, 1 - beta1)
        square.mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
        scale = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        move = _turn_back((mean / (1 - beta1**step)).div_(scale), state["sides"])
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        moves = [part.view_as(weight) for part, weight in zip(move, weights, strict=True)]
        torch._foreach_add_(weights, moves, alpha=-group["lr"])


def _matrix(grad: Tensor) -> Tensor:
    """A convolution's gradient as (out, in * k * k); stacks of matrices and vectors as they are."""
    return grad.flatten(1) if grad.ndim == 4 else grad


def _sides(grad: Tensor) -> list[dict[str, Any]]:
    """Correlation and eigenbasis of each side of (weights, …, m, n) that is worth turning."""
    if grad.ndim < 3 or min(grad.shape[-2:]) <= 9:  # vectors, 3x3 kernels, ladders
        return []
    return [
        {"axis": axis, "correlation": grad.new_zeros(*grad.shape[:-2], size, size), "basis": None}
        for axis in (-2, -1)
        if (size := grad.shape[axis]) <= WIDEST
    ]


def _correlate(side: dict[str, Any], grad: Tensor, decay: float) -> None:
    """Follow G G^T, or G^T G."""
    rows = grad if side["axis"] == -2 else grad.mT
    side["correlation"].lerp_(rows @ rows.mT, 1 - decay)


def _eigenvectors(correlation: Tensor) -> Tensor:
    """Columns are eigenvectors; of any scale, and where most eigenvalues are nothing but noise.

    LAPACK gives up on correlations of a rank far below their size, as first ones are: in float32,
    and in float64 where most of them is exactly zero. A multiple of the identity turns nothing.
    """
    largest = correlation.abs().amax((-2, -1), keepdim=True)
    largest = largest.clamp(min=torch.finfo(correlation.dtype).tiny)
    scaled = (correlation / largest).double()
    scaled.diagonal(dim1=-2, dim2=-1).add_(1e-12)
    return torch.linalg.eigh(scaled)[1].to(correlation.dtype)


def _refresh(side: dict[str, Any], mean: Tensor) -> Tensor:
    """Bring the basis nearer to the eigenvectors; returns the first moment in the new basis.

    One step of orthogonal iteration: the vectors keep their order, and with it the second moments
    their meaning.
    """
    old, mean = side["basis"], _turn_back(mean, [side])
    side["basis"] = _orthonormal(side["correlation"], old)
    return _turn(mean, [side])


def _orthonormal(correlation: Tensor, basis: Tensor) -> Tensor:
    """The columns of correlation @ basis, made orthonormal one after the other; stacks."""
    if not correlation.is_cuda:
        return torch.linalg.qr(correlation @ basis)[0]
    return cholesky_qr(correlation.double(), basis.double()).to(basis.dtype)


def cholesky_qr(correlation: Tensor, basis: Tensor) -> Tensor:
    """What QR makes of correlation @ basis; for whole stacks at once, as a GPU's QR is not.

    By Cholesky factors of the columns' products, thrice for accuracy (Fukaya et al. 2020). Columns
    of like length make the products sound in float64. Where it fails, as on zeros, the basis stays.
    """
    least = 1e-12 * correlation.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    q = correlation @ basis + least * basis
    one = torch.eye(q.shape[-1], dtype=q.dtype, device=q.device)
    for _ in range(3):
        q = q / q.norm(dim=-2, keepdim=True)
        factor, _ = torch.linalg.cholesky_ex(q.mT @ q + 1e-13 * one)
        q = torch.linalg.solve_triangular(factor, q.mT, upper=False).mT
    sound = (q.mT @ q - one).abs().amax((-2, -1), keepdim=True) < 1e-9  # nan is not
    return torch.where(sound, q, basis)


def _turn(x: Tensor, sides: list[dict[str, Any]]) -> Tensor:
    """Into the eigenbases."""
    for side in sides:
        x = side["basis"].mT @ x if side["axis"] == -2 else x @ side["basis"]
    return x


def _turn_back(x: Tensor, sides: list[dict[str, Any]]) -> Tensor:
    for side in sides:
        x = side["basis"] @ x if side["axis"] == -2 else x @ side["basis"].mT
    return x
