"""g_s and its gradients in C, for searches on a CPU: models/light has both ways.

The same to rounding as those of PyTorch, in less than half of the time on one core.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lictor.models.light import reference, threads
from lictor.models.light.gradients import Kept, SynthesisBack
from lictor.models.light.layers import kernels, put_together, spread_out
from lictor.models.light.part import Part
from lictor.models.light.transforms import Synthesis
from lictor.models.quality import STEPS

_SQUARE = 8


class QuickSynthesis:
    """Computes what a g_s of PyTorch does, with its weights as they are now."""

    def __init__(self, g_s: nn.Module) -> None:
        part = Part({name: own.detach().numpy() for name, own in g_s.state_dict().items()})
        self.there, self.back = Synthesis(part), SynthesisBack(part)

    def __call__(self, v: Tensor, quality: Tensor) -> Tensor:
        """As g_s gives it, a half more; gradients pass to v."""
        found: Tensor = _Synthesised.apply(v, quality, self)
        return found


def quick(g_s: nn.Module) -> QuickSynthesis | None:
    """Of weights on a CPU, where there was a C compiler; else None."""
    on_cpu = all(own.device.type == "cpu" for own in g_s.parameters())
    return QuickSynthesis(g_s) if on_cpu and kernels is not reference else None


class _Synthesised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, quality: Tensor, g_s: QuickSynthesis) -> Tensor:
        threads.use(torch.get_num_threads())
        ctx.steps, ctx.g_s, kept = quality.numpy() * (STEPS / 100), g_s, Kept()
        wanted = kept if ctx.needs_input_grad[0] else None
        ctx.kept_of_blocks = kept
        squares = g_s.there(v.permute(0, 2, 3, 1).contiguous().numpy(), ctx.steps, wanted)
        return torch.from_numpy(put_together(squares, _SQUARE)).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        squares = spread_out(grad.permute(0, 2, 3, 1).numpy(), _SQUARE)
        found = ctx.g_s.back(squares, ctx.steps, ctx.kept_of_blocks)
        return torch.from_numpy(found).permute(0, 3, 1, 2), None, None
