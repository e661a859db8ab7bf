"""Parts done by Ray, on this machine or many: a task each, which has a process that codes.

Ray places tasks and tells of what dies; that a part is committed once is part.py's. Ray Data is
not used: it retries blocks by itself, and names neither the row that ended a worker nor what of
an output is whole.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import Any

from lictor.codec.bulk.coder import Coder
from lictor.codec.bulk.manifest import Head
from lictor.codec.bulk.part import Failure, Task, attempt
from lictor.codec.bulk.plan import Part
from lictor.codec.errors import CodecError, MissingPackage

AHEAD = 1.25
"""Tasks that Ray is given for each place there is: enough that none waits for the driver."""
_PATIENCE = 10.0
"""Seconds that a cluster has to be there."""
_LOOK = 10.0
"""Seconds after which the cluster is asked anew how large it is."""
_NEEDLESS = ("start_api_server", "start_log_monitor", "start_monitor")
"""What a Ray of this machine begins besides, though one run on it asks neither for a dashboard, nor
for logs, nor for machines. Without them its start costs a third less; Ray has no option for it."""


class NoCluster(CodecError):
    """There is no Ray at the address that was given."""


class OnRay:
    """A connection to a cluster, which is begun on this machine if no address is given.

    workers: at most so many tasks at a time; 0: as many as there is room for. cores, gpus: of each.
    """

    def __init__(self, address: str, workers: int, cores: int, gpus: float) -> None:
        self.workers, self.needs = workers, {"CPU": float(cores), "GPU": gpus}
        self._address, self._cores = address, cores
        self._looked, self._room = -_LOOK, 1

    def __enter__(self) -> OnRay:
        ray = need()
        _check_reachable(self._address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        own: dict[str, Any] = {"address": self._address} if self._address else {"address": "local"}
        if not self._address and self.workers:
            own["num_cpus"] = self.workers * self._cores
        try:
            with nullcontext() if self._address else _bare():
                self._context = ray.init(**own, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as e:
            text = " ".join(str(e).split())
            raise NoCluster(f"no Ray at {self._address or 'this machine'}: {text}") from e
        return self

    def __exit__(self, *error: object) -> None:
        need().shutdown()

    @property
    def dashboard(self) -> str:
        """Where Ray tells more, "" if nowhere."""
        url = self._context.dashboard_url
        return f"http://{url}" if url else ""

    def run(self, parts: Sequence[Part], task: Task) -> Iterator[tuple[Part, Head | Failure]]:
        """Each part with what became of it, as they are done; closing it cancels the others."""
        ray = need()
        remote = ray.remote(num_cpus=self._cores, num_gpus=self.needs["GPU"], max_retries=0)(_do)
        waiting, flying = deque(parts), dict[Any, Part]()
        try:
            while waiting or flying:
                while waiting and len(flying) < self._limit():
                    part = waiting.popleft()
                    flying[remote.remote(part, task, self._cores)] = part
                ready, _ = ray.wait(list(flying), timeout=1.0)
                for reference in ready:
                    yield flying.pop(reference), _outcome(reference)
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)

    def _limit(self) -> int:
        """Tasks to have in Ray's hands, by the size that the cluster has now."""
        if monotonic() - self._looked > _LOOK:
            self._looked, there = monotonic(), need().cluster_resources()
            room = min(there.get(name, 0.0) / each for name, each in self.needs.items() if each)
            if room < 1 and not self._address:  # a cluster may grow, a machine does not
                cores, gpus = self.needs.values()
                raise NoCluster(f"this machine has not {cores:g} cores and {gpus:g} GPUs for Ray")
            self._room = max(1, int(room))
        return self.workers or int(AHEAD * self._room) + 1


@contextmanager
def _bare() -> Iterator[None]:
    """Ray begins without what is needless; methods that a version does not have are left out."""
    from ray._private.node import Node

    before = {name: getattr(Node, name) for name in _NEEDLESS if hasattr(Node, name)}
    for name in before:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, own in before.items():
            setattr(Node, name, own)


def _check_reachable(address: str) -> None:
    """Ray itself asks for minutes whether there is someone. Raises NoCluster."""
    host, colon, port = address.rpartition("/")[2].rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except (OSError, ValueError) as e:
        raise NoCluster(f"no Ray at {address}: {e}; give its HOST:PORT") from e


def _outcome(reference: Any) -> Head | Failure:
    """What a task said, or that its process or its machine is gone."""
    ray = need()
    try:
        outcome: Head | Failure = ray.get(reference)
        return outcome
    except ray.exceptions.RayTaskError as e:  # of what a worker has not got: another Lictor, none
        return Failure(f"its worker cannot do it: {' '.join(str(e.cause).split())}")
    except ray.exceptions.RayError as e:
        said = str(e).strip().partition("\n")[0]
        return Failure(f"its worker is gone: {type(e).__name__}: {said}")


def need() -> Any:
    """Ray. Raises MissingPackage."""
    try:
        import ray
    except ImportError as e:
        raise MissingPackage("this needs Ray; pip install 'lictor[ray]'") from e
    return ray


# ---- in Ray's worker

_coders: dict[str, Coder] = {}
"""The one that this process has, by its work: it lives as long as Ray keeps the process."""


def _do(part: Part, task: Task, cores: int) -> Head | Failure:
    key = f"{task.work!r} {cores}"
    if key not in _coders:
        for coder in _coders.values():
            coder.close()
        _coders.clear()
        # The coder's process would load the script that its parent runs, and all of Ray with it.
        vars(sys.modules["__main__"]).pop("__file__", None)
        _coders[key] = Coder(task.work, cores)
    return attempt(part, task, _coders[key])
