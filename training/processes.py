"""One process or many: who shares the work, what all agree on, when to stop."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees it."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over all processes."""
        if self.size == 1:
            return model
        # Of 3x3 kernels of one channel, about a stride that is never used.
        warnings.filterwarnings("ignore", "Grad strides do not match")
        return DistributedDataParallel(model)

    def largest(self, *values: float) -> list[float]:
        """The largest of each value over all processes, which then act alike."""
        if self.size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return shared.tolist()

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
            values /= self.size
        return values


@contextmanager
def join() -> Iterator[Team]:
    """The processes that torchrun started (gloo, or nccl on GPUs), or this one alone."""
    rank, size, local = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    team = Team(rank, size, device)
    if size == 1:
        yield team
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield team
    finally:
        dist.destroy_process_group()


class Stop:
    """While entered, the first SIGINT or SIGTERM only sets `signal`; the second acts as ever."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
        signal.signal(number, self._before[number])


def leave_signals(worker: int) -> None:
    """In a loader's process: Ctrl-C and torchrun signal all, but only the trainer may act."""
    for number in Stop.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
