"""What bulk costs beside `lictor encode -j 2`: processor seconds of the same pictures, in turn.

    python tests/bulk/cost.py FOLDER [ROUNDS] [--ray]

Processor time is that of the command and of all its processes; those of Ray, which outlive whoever
began them, become ours and are waited for.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

LICTOR = [sys.executable, "-m", "lictor.codec"]


_PR_SET_CHILD_SUBREAPER = 36


def seconds(command: list[str]) -> float:
    """User and system time of a command and of all processes below it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(folder: str, rounds: int, quality: str, ray: bool) -> None:
    """A line for each way."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    count = sum(1 for path in Path(folder).rglob("*") if path.is_file())
    ways = {"encode -j 2": ["encode"], "bulk -j 2": ["bulk"]}
    if ray:
        ways["bulk -j 2 --on ray"] = ["bulk", "--on", "ray"]
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way, command in ways.items():
            with tempfile.TemporaryDirectory() as target:
                line = [*LICTOR, command[0], folder, os.path.join(target, "out"), *command[1:]]
                taken[way].append(seconds([*line, "-j", "2", "-q", quality]))
        print(f"round {number + 1}: {[round(t[-1], 2) for t in taken.values()]}", file=sys.stderr)
    base = taken["encode -j 2"]
    for way, times in taken.items():
        ratio = statistics.median(a / b for a, b in zip(times, base, strict=True))
        middle = statistics.median(times)
        print(f"{way}: {1000 * middle / count:.2f} ms a picture of {count}, {ratio:.3f} of encode")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument("-q", "--quality", default="40")
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    main(given.folder, given.rounds, given.quality, given.ray)
