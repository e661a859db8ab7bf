"""How many threads, and how they wait for one another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def wait_briefly() -> None:
    """Let OpenMP's threads spin for microseconds, then sleep; call it before torch loads.

    Spinning for milliseconds, as GNU's OpenMP does unless told, made an encode beside one other
    busy process take 4.3 s instead of 0.3 s on two cores. Sleeping at once costs half as much time
    again on an idle machine, spinning briefly a tenth. What the user set stays as it is.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Inside, torch computes with so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
