"""Where the networks run, and how precisely the last of them does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache

import torch

from lictor.codec.errors import DeviceUnavailable, InvalidPrecision
from lictor.models.base import Network

PRECISIONS = ("float32", "bfloat16")
AUTO = "auto"
"""CUDA's GPU where there is one, else the CPU."""


def placed(codec: Network, device: str) -> Network:
    """The model on a device, by PyTorch's name for it, or AUTO. Raises DeviceUnavailable."""
    if not isinstance(device, (str, torch.device)):
        raise DeviceUnavailable(f"device is {device!r}; give a name: cpu, auto, or cuda")
    device = str(device)
    if device == AUTO:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return codec if device == "cpu" else _copy(codec, device)


@lru_cache(maxsize=4)
def _copy(codec: Network, device: str) -> Network:
    try:
        torch.zeros(1, dtype=torch.float64, device=device).cpu()
        return copy.deepcopy(codec).to(device)
    except (RuntimeError, AssertionError, TypeError) as e:
        if "out of memory" in str(e):
            raise
        reason = str(e).splitlines()[0]
        raise DeviceUnavailable(
            f"device {device!r} cannot be used ({reason}); give cpu, auto, or cuda where there is "
            "a GPU"
        ) from e


def check_precision(precision: str) -> str:
    """Raises InvalidPrecision."""
    if precision not in PRECISIONS:
        raise InvalidPrecision(f"precision is {precision!r}; give one of {', '.join(PRECISIONS)}")
    return precision


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
