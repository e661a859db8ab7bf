"""What bulk costs beside `lictor encode -j 2`: processor seconds of the same pictures, in turn.

    python tests/bulk/cost.py FOLDER [ROUNDS] [--ray]

Processor time is that of the command and of all its processes, whoever began and whoever buried
them, as a control group counts it: that needs Linux, and root. (Ray's processes are not in the
times that a parent is told of its children.)
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LICTOR = [sys.executable, "-m", "lictor.codec"]
GROUPS = Path("/sys/fs/cgroup")


class Group:
    """Processes whose time is counted together."""

    def __init__(self) -> None:
        old = GROUPS / "cpuacct"  # of the first version of control groups
        self.old = old.is_dir()
        self.folder = (old if self.old else GROUPS) / f"lictor-cost-{os.getpid()}"
        self.folder.mkdir()

    def seconds(self) -> float:
        """User and system time of all that were in it."""
        if self.old:
            return int((self.folder / "cpuacct.usage").read_text()) / 1e9
        lines = (self.folder / "cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6

    def run(self, command: list[str]) -> float:
        """The time that a command takes."""
        before = self.seconds()
        join = f'echo $$ > {self.folder}/cgroup.procs; exec "$@"'
        line = ["sh", "-c", join, "sh", *command]
        subprocess.run(line, check=True, stderr=subprocess.DEVNULL)
        while (self.folder / "cgroup.procs").read_text():  # some end after their command
            time.sleep(0.1)
        return self.seconds() - before


def main(folder: str, rounds: int, quality: str, ray: bool) -> None:
    """A line for each way."""
    group = Group()
    count = sum(1 for path in Path(folder).rglob("*") if path.is_file())
    ways = {"encode -j 2": ["encode"], "bulk -j 2": ["bulk"]}
    if ray:
        ways["bulk -j 2 --on ray"] = ["bulk", "--on", "ray"]
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way, command in ways.items():
            with tempfile.TemporaryDirectory() as target:
                line = [*LICTOR, command[0], folder, os.path.join(target, "out"), *command[1:]]
                taken[way].append(group.run([*line, "-j", "2", "-q", quality]))
        print(f"round {number + 1}: {[round(t[-1], 2) for t in taken.values()]}", file=sys.stderr)
    group.folder.rmdir()
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
