"""Which way of running a model is the fastest here, and what bounds it: a probe of a few steps.

A graph compiled by torch takes a minute to make and may fail to be made, and on a GPU a step may
wait for the host, or for crops. Measured before a training, and said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

STEPS = 5


@dataclass(frozen=True)
class Pace:
    """Seconds of a step: in all, of which the host needs to set it going, and to bring crops."""

    whole: float
    launch: float
    crops: float

    @property
    def bound(self) -> str:
        """What the step waits for most."""
        if self.crops > self.whole / 3:
            return "crops"
        return "the host" if self.launch > 0.9 * self.whole else "the device"

    def told(self, crops: int) -> str:
        """For people; crops: of a step."""
        return (
            f"{crops / self.whole:.0f} crops/s, a step in {1e3 * self.whole:.0f} ms, of which the"
            f" host takes {1e3 * self.launch:.0f} to launch it and {1e3 * self.crops:.0f} for crops"
        )


def fastest(
    model: nn.Module,
    step: Callable[[Any, Any], object],
    feed: Iterator[Any],
    crops: int,
    device: torch.device,
    say: Callable[[str], None],
) -> nn.Module:
    """The model, or a compiled model if that can be made and is faster.

    On a GPU, one whose kernels are started as one graph is tried, too: many small ones wait for
    the host.

    Args:
        model: as it is.
        step: forward and backward of a model and a batch.
        feed: batches; a few are used up.
        crops: of a batch.
        device: where all that happens.
        say: takes lines for people.
    """
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: model,
        "compiled": lambda: torch.compile(model),
    }
    if device.type == "cuda":
        ways["one graph"] = lambda: torch.compile(model, mode="reduce-overhead")
    best, least = model, float("inf")
    for name, make in ways.items():
        try:
            made = make()
            pace = _pace(made, step, feed, device)
        except Exception as error:  # whatever a compiler may raise: there is another way
            if name == "plain":
                raise
            reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            say(f"{name}: failed ({reason}); done without")
            with suppress(AttributeError):
                torch._dynamo.reset()
            continue
        say(f"{name}: {pace.told(crops)}; bound by {pace.bound}")
        if pace.whole < least:
            best, least = made, pace.whole
    return best


def _pace(
    model: Any,
    step: Callable[[Any, Any], object],
    feed: Iterator[Any],
    device: torch.device,
) -> Pace:
    step(model, next(feed))  # compiles, and fills caches
    _wait(device)
    brought = 0.0
    began = time.perf_counter()
    for _ in range(STEPS):
        asked = time.perf_counter()
        batch = next(feed)
        brought += time.perf_counter() - asked
        step(model, batch)
    launched = time.perf_counter() - began - brought
    _wait(device)
    whole = time.perf_counter() - began
    return Pace(whole / STEPS, launched / STEPS, brought / STEPS)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
