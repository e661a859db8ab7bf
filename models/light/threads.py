"""Parts of a layer side by side, in threads: its C code lets the interpreter go meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

_own = threading.local()
_count = 1


def count() -> int:
    """How many threads work on a layer that this one computes."""
    return getattr(_own, "count", _count)


def use(count: int) -> None:
    """From now on, inside this thread; inside new ones, too."""
    global _count
    _own.count = _count = max(1, count)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="lictor-layer")


def spread(places: int, least: int, work: Callable[[int, int], None]) -> None:
    """Do work(first, last) for 0…places - 1 in parts.

    Args:
        places: how many there are.
        least: of a part: where there are fewer, handing them over would take longer.
        work: does places first…last - 1; is called from several threads.
    """
    parts = min(count(), max(1, places // least))
    if parts == 1:
        work(0, places)
        return
    ends = [places * i // parts for i in range(parts + 1)]
    others = [_pool().submit(work, *ends[i : i + 2]) for i in range(1, parts)]
    work(0, ends[1])
    for other in others:
        other.result()
