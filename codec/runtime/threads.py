"""How many threads, and how they wait for one another."""

import os


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


class OwnThreads:
    """For work without networks: as many as OMP_NUM_THREADS says, else a thread for each core."""

    def count(self) -> int:
        """All that there are."""
        given = os.environ.get("OMP_NUM_THREADS", "")
        return max(1, int(given)) if given.isdecimal() else cores()

    def use(self, count: int) -> None:
        """Nothing in there has threads of its own."""
