"""Faults on a Ray cluster of this machine, and what of the inputs is lost, doubled or half.

    python tests/bulk/faults.py [NAME...] [--large]

Prints the table of docs/scale.md. It takes minutes, `store` moto and s3fs, `disk` root; --large is
10,000 small pictures and one of 100 megapixels.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulk_work import POISON

from lictor.codec import kinds
from lictor.codec.bulk import manifest, storage

HERE = Path(__file__).parent
TARS, EACH, SIDE = 6, 10, 48
TRIES = 240


@dataclass
class Count:
    """What there is in the end."""

    fault: str
    statuses: list[int]
    inputs: int
    outputs: int
    named: int
    lost: int
    double: int
    half: int

    def line(self) -> str:
        """A row of the table."""
        runs = ", ".join("killed" if s < 0 else str(s) for s in self.statuses)
        counts = (self.inputs, self.outputs, self.named, self.lost, self.double, self.half)
        return f"| {self.fault} | {runs} | {' | '.join(map(str, counts))} |"


# ---- pictures


def tars(folder: Path, count: int = TARS, each: int = EACH) -> set[str]:
    """Tars of small pictures with a label each; the inputs in them, as a manifest names them."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photo = np.asarray(load_sample_images().images[0])
    folder.mkdir(parents=True)
    names = set()
    for number in range(count):
        path = folder / f"in-{number:03}.tar"
        with tarfile.open(path, "w") as tar:
            for i in range(each):
                n = number * each + i
                y, x = 7 * n % (427 - SIDE), 23 * n % (640 - SIDE)
                picture = io.BytesIO()
                Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(picture, "png")
                put(tar, f"{n:05}.png", picture.getvalue())
                put(tar, f"{n:05}.cls", b"%d" % (n % 10))
                names.add(f"{path}:{n:05}.png")
    return names


def put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


# ---- what there is in the end


def count(fault: str, statuses: list[int], inputs: set[str], target: str) -> Count:
    """The account of a target. Outputs are held against hashes and their own checksums."""
    rows = list(manifest.rows(target))
    told = Counter(row["input"] for row in rows)
    outputs, stray, half = Counter[str](), 0, 0
    expected = {row["output"]: row["sha256"] for row in rows if "output" in row}
    for entry in storage.of(target).find(target) or []:
        if not entry.path.endswith(".tar"):
            stray += not entry.path.endswith((".jsonl", "/run"))
            continue
        for name, data in unpacked(entry.path):
            if name.endswith(".cls"):
                continue
            outputs[name] += 1
            kinds.of_file(data).check(data)
            half += hashlib.sha256(data).hexdigest() != expected.get(name)
    if "://" not in target:
        stray += sum(1 for path in Path(target).rglob(".*"))
    lost = len(inputs - told.keys()) + len(expected.keys() - outputs.keys())
    double = sum(n - 1 for n in (*told.values(), *outputs.values()))
    named = sum("error" in row for row in rows)
    return Count(fault, statuses, len(inputs), outputs.total(), named, lost, double, half + stray)


def unpacked(path: str) -> Iterator[tuple[str, bytes]]:
    with storage.of(path).open(path) as file, tarfile.open(fileobj=file) as tar:
        for info in tar:
            member = tar.extractfile(info)
            assert member is not None
            yield info.name, member.read()


# ---- a cluster, and who dies


class Machines:
    """A head without cores, and two machines with one core each, all of them here."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def command(self, source: str, target: str, *more: str) -> list[str]:
        """Of the driver."""
        drive = [sys.executable, str(HERE / "drive.py"), "bulk", source, target, "-q", "30"]
        return [*drive, "--shard", "5", "--on", self.cluster.address, *more]

    def lose(self) -> None:
        """A raylet is killed, with all that it runs; another machine comes."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))

    def workers(self) -> list[int]:
        """Processes of Ray that have a part."""
        return [pid for pid, title in descendants(os.getpid()) if title.startswith("ray::_do")]

    def coders(self) -> list[int]:
        """Processes of ours that have a picture."""
        found = [pid for worker in self.workers() for pid, _ in descendants(worker)]
        return [pid for pid in found if "spawn_main" in cmdline(pid)]


def descendants(pid: int) -> list[tuple[int, str]]:
    """All processes below one, with their command lines."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(path.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return [(one, cmdline(one)) for one in found]


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def wait_for(what: Callable[[], Any]) -> Any:
    for _ in range(TRIES):
        if found := what():
            return found
        time.sleep(0.25)
    raise SystemExit("faults.py: what should have happened did not within a minute")


class Faults:
    """Each method is a fault; it gives the account of it."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines, self.folder = machines, folder
        self.inputs = tars(folder / "in")

    def _run(self, source: Path | str, target: Path | str) -> Any:
        return subprocess.Popen(self.machines.command(str(source), str(target)))

    def _during(self, name: str, fault: Callable[[Any], None]) -> Count:
        """A fault once two parts are done; then the command again where it was killed."""
        target = self.folder / name
        driver = self._run(self.folder / "in", target)
        wait_for(lambda: len(list(target.glob("manifest/*.jsonl"))) >= 2)
        fault(driver)
        statuses = [driver.wait()]
        if statuses[0]:
            statuses.append(self._run(self.folder / "in", target).wait())
        return count(name, statuses, self.inputs, str(target))

    def none(self) -> Count:
        """Nothing happens."""
        return self._during("none", lambda driver: None)

    def coder(self) -> Count:
        """The process that codes is killed −9."""
        return self._during("coder", lambda _: self._kill(self.machines.coders))

    def worker(self) -> Count:
        """Ray's worker is killed −9."""
        return self._during("worker", lambda _: self._kill(self.machines.workers))

    def raylet(self) -> Count:
        """A machine is lost."""
        return self._during("raylet", lambda _: self.machines.lose())

    def driver(self) -> Count:
        """The command is killed −9 and started again."""
        return self._during("driver", lambda driver: driver.kill())

    def _kill(self, who: Callable[[], list[int]]) -> None:
        os.kill(wait_for(who)[0], signal.SIGKILL)

    def disk(self) -> Count:
        """A file system that is full, and larger the next time. Mounting it is root's."""
        target = self.folder / "disk"
        target.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=72k", "none", target], check=True)
        try:
            statuses = [self._run(self.folder / "in", target / "out").wait()]
            subprocess.run(["mount", "-o", "remount,size=9m", target], check=True)
            statuses.append(self._run(self.folder / "in", target / "out").wait())
            return count("disk", statuses, self.inputs, str(target / "out"))
        finally:
            subprocess.run(["umount", target], check=True)

    def store(self) -> Count:
        """An object store that answers one request in four with 503."""
        files = storage.Remote("s3://in")._files
        files.makedirs("bucket", exist_ok=True)
        for path in (self.folder / "in").iterdir():
            storage.of("s3://bucket").write(f"s3://bucket/in/{path.name}", path.read_bytes())
        statuses = [self._run("s3://bucket/in", "s3://bucket/out").wait()]
        inputs = {name.replace(str(self.folder), "s3://bucket") for name in self.inputs}
        return count("store", statuses, inputs, "s3://bucket/out")

    def shard(self) -> Count:
        """One tar of the source is cut in its middle."""
        source = self.folder / "cut"
        inputs = _cut(source, tars(source))
        statuses = [self._run(source, self.folder / "shard").wait()]
        return count("shard", statuses, inputs, str(self.folder / "shard"))

    def poison(self) -> Count:
        """A picture that ends every process that is given it."""
        source = self.folder / "poisoned"
        inputs = _poisoned(source, tars(source))
        statuses = [self._run(source, self.folder / "poison").wait()]
        return count("poison", statuses, inputs, str(self.folder / "poison"))

    def all(self) -> Count:
        """A tar that is cut and a picture that ends its process; meanwhile everybody dies once."""
        source, target = self.folder / "both", self.folder / "all"
        inputs = _poisoned(source, _cut(source, tars(source)))
        driver = self._run(source, target)
        faults = (
            lambda: self._kill(self.machines.coders),
            lambda: self._kill(self.machines.workers),
            self.machines.lose,
            driver.kill,
        )
        for number, fault in enumerate(faults):
            wait_for(lambda done=2 * number + 1: len(list(target.glob("manifest/*"))) >= done)
            fault()
        statuses = [driver.wait(), self._run(source, target).wait()]
        return count("all", statuses, inputs, str(target))

    def large(self) -> Count:
        """10,000 small pictures, and one of 100 megapixels among them."""
        import numpy as np
        from PIL import Image
        from sklearn.datasets import load_sample_images

        source = self.folder / "many"
        inputs = tars(source, 10, 1000)
        photo = np.asarray(load_sample_images().images[1])
        sheet = np.tile(photo, (24, 16, 1))[:10000, :10000]
        picture = io.BytesIO()
        Image.fromarray(sheet).save(picture, "jpeg", quality=90)
        with tarfile.open(source / "in-500.tar", "w") as tar:
            put(tar, "large.jpg", picture.getvalue())
        inputs.add(f"{source}/in-500.tar:large.jpg")
        command = self.machines.command(str(source), str(self.folder / "large"))
        command[command.index("--shard") + 1] = "500"
        statuses = [subprocess.run(command, check=False).returncode]
        return count("large", statuses, inputs, str(self.folder / "large"))


def _cut(source: Path, inputs: set[str]) -> set[str]:
    """One of the tars is cut in its middle; the inputs that are left."""
    path = source / "in-003.tar"
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        cut = tar.getmembers()[11]
    path.write_bytes(data[: cut.offset_data + 1])
    return inputs - {f"{path}:{30 + i:05}.png" for i in range(5, EACH)}


def _poisoned(source: Path, inputs: set[str]) -> set[str]:
    """A tar with a picture that ends its process comes last; the inputs with it."""
    with tarfile.open(source / "in-999.tar", "w") as tar:
        put(tar, "poison.png", POISON)
    return inputs | {f"{source}/in-999.tar:poison.png"}


QUICK = ("none", "coder", "worker", "raylet", "driver", "disk", "store", "shard", "poison", "all")


@contextmanager
def failing_store() -> Iterator[None]:
    """moto's S3 here, of whose answers one in four is 503; the environment says where it is."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application: Any = DomainDispatcherApplication(create_backend_app)
    chance, own = random.Random(5), {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}

    def failing(environ: Any, start: Any) -> Any:
        if chance.random() < 0.25:
            start("503 Slow Down", [("Content-Type", "text/plain")])
            return [b"slow down"]
        return application(environ, start)

    server = make_server("127.0.0.1", 0, failing, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    own |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    os.environ.update(own)
    try:
        yield
    finally:
        server.shutdown()


def main(names: list[str]) -> list[Count]:
    """The faults that are named, on one cluster."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE), before)))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["SLOW"] = "0" if names == ["large"] else "0.1"
    store = failing_store() if "store" in names else nullcontext()
    with store, tempfile.TemporaryDirectory() as folder:
        machines = Machines()
        try:
            faults = Faults(machines, Path(folder))
            counts = []
            for name in names:
                counts.append(getattr(faults, name)())
                print(json.dumps(vars(counts[-1])), file=sys.stderr, flush=True)
            return counts
        finally:
            machines.cluster.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*QUICK, []], default=[])
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    found = main(["large"] if given.large else [*(given.names or QUICK)])
    print("| fault | exit status of each run | inputs | outputs | named | lost | double | half |")
    print("|---|---|---|---|---|---|---|---|")
    for one in found:
        print(one.line())
    bad = any(one.lost or one.double or one.half for one in found)
    sys.exit(1 if bad else 0)
