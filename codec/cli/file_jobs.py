"""What the commands do to one file, here or in a worker process (process_pool.py).

Each of the classes holds a command's options and, called with a job, returns a row of the report.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import parent_process
from time import perf_counter
from typing import IO, Any

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli.console import reason, same_for_all_files
from lictor.codec.errors import DeviceUnavailable, ModelUnavailable, NoClassifier
from lictor.codec.format.elements import Bytes
from lictor.codec.format.names import SUFFIXES
from lictor.codec.inputs import STREAM, Job, UsageError
from lictor.codec.kinds.payload import Kind, Row

Work = Callable[[Job], Row]


@dataclass(frozen=True)
class Encode:
    """A picture or arrays to a .bin file; "ok" is false if it is not what was asked for.

    options: those that were given, by the names that kinds.py has; for kinds that take them.
    mixed: some inputs are of one kind, some of another. Each then takes the options that it knows.
    keep: Ctrl-C ends a training, and what was found is coded.
    kind: all inputs are of the kind with this name; "" for what each is. threads: for one file.
    bases: of inputs that have one of their own.
    """

    options: dict[str, Any] = field(default_factory=dict)
    mixed: bool = False
    keep: bool = False
    kind: str = ""
    threads: int = 1
    bases: dict[str, str] = field(default_factory=dict)

    def __call__(self, job: Job) -> Row:
        """Read, encode, write."""
        kind, note = self._kind(job.source, _start(job))
        options = self._own(kind) | _base(self.bases, job, kind.options)
        content = _content(kind, job, options.get("salvage", False))
        if kind.streams:
            with files.writing(job.target) as file:
                row = self._coded(kind, content, options, file)
        else:  # the output is opened late, when all can be written
            buffer = io.BytesIO()
            row = self._coded(kind, content, options, buffer)
            with files.writing(job.target) as file:
                file.write(buffer.getbuffer())
        return _noted(row, note)

    def of_bytes(self, name: str, data: bytes) -> tuple[str, bytes, Row]:
        """A file that is in memory: the extension it gets, its bytes, its row."""
        kind, note = self._kind(name, data[: kinds.START])
        options = self._own(kind)
        others = [kinds.flag(n, v) for n, v in self.options.items() if n not in options]
        content = kind.read(name, data, salvage=options.get("salvage", False))
        buffer = io.BytesIO()
        row = self._coded(kind, content, options, buffer)
        notes = [f"without {', '.join(others)}, which {kind.name} do not take"] if others else []
        row = {**row, "notes": (*row.get("notes", ()), *notes)}
        return SUFFIXES[0], buffer.getvalue(), _noted(row, note)

    def _kind(self, name: str, start: bytes) -> tuple[Kind, str]:
        return kinds.for_encoding(name, start, self.options, self.kind, self.mixed)

    def _coded(self, kind: Kind, content: Any, options: dict[str, Any], file: IO[bytes]) -> Row:
        if "threads" in kind.options:
            options["threads"] = self.threads
        with same_for_all_files(kind.common), _steps_bar() as progress, _kept(self.keep) as kept:
            taken = kind.takes(kept)
            options |= {name: value for name, value in kept.items() if name in taken}
            return kind.encode_into(file, content, options, progress)

    def _own(self, kind: Kind) -> dict[str, Any]:
        """Those of the options that a kind takes. Raises UsageError where it has to take all."""
        given = dict(self.options)
        if "model" in given:
            try:
                kind.check_model(given["model"])
            except ModelUnavailable as e:
                if not self.mixed:
                    raise UsageError(str(e)) from e
                del given["model"]  # it is for the other kind's
        wrong = "" if self.mixed else kinds.not_taken(kind, given)
        if wrong:
            raise UsageError(wrong)
        if self.mixed and kind is kinds.WEIGHTS:
            given.pop("quality", None)  # it is the pictures'
            if "bits" not in given:
                given.pop("quantiser", None)
        taken = kind.takes(given)
        return {name: value for name, value in given.items() if name in taken}


@dataclass(frozen=True)
class Decode:
    """A .bin file to a picture, to arrays or weights; "ok" is false if parts of it were lost.

    format: of pictures. options: those that were given, as `lictor.codec.decode` takes them.
    threads: for one file. bases: of inputs that have one of their own.
    """

    format: str
    options: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    bases: dict[str, str] = field(default_factory=dict)

    def __call__(self, job: Job) -> Row:
        """Read, decode, write."""
        data = files.read_bin(job.source)
        kind = self._kind(data)
        kinds.refuse_name(kind, job.target)
        content = self._content(kind, data, _base(self.bases, job, kind.decode_options))
        with (
            same_for_all_files(kind.decode_common if kind.streams else ()),
            files.writing(job.target) as file,
        ):
            notes = kind.write(content, file, job.target, self.format)
        return kind.decoded(content, data, notes)

    def of_bytes(self, name: str, data: bytes) -> tuple[str, bytes, Row]:
        """A file that is in memory: the extension it gets, its bytes, its row."""
        kind = self._kind(data)
        content, suffix, file = self._content(kind, data, {}), kind.suffix(data), io.BytesIO()
        notes = kind.write(content, file, suffix, self.format)
        return suffix, file.getvalue(), kind.decoded(content, data, notes)

    def _kind(self, data: Bytes) -> Kind:
        kind = kinds.of_file(data)
        kinds.refuse(kind, self.options, kind.decode_options, kinds.flag)
        return kind

    def _content(self, kind: Kind, data: Bytes, own: dict[str, Any]) -> Any:
        if "threads" in kind.decode_options:
            own = {**own, "threads": self.threads}
        with same_for_all_files(kind.decode_common), _steps_bar() as progress:
            return kind.unpack(data, {**self.options, **own}, progress)


@dataclass(frozen=True)
class Verify:
    """A file encoded, decoded twice and compared; "ok" says whether all agrees.

    Files of weights, which must come back to the byte; all others are pictures.
    """

    quality: float | str | None
    effort: int
    model: str | None
    method: str

    def __call__(self, job: Job) -> Row:
        """Read and verify."""
        if kinds.of_input(job.source, _start(job)) is kinds.WEIGHTS:
            return kinds.WEIGHTS.verified(_content(kinds.WEIGHTS, job))
        return self._verified(_content(kinds.PICTURES, job))

    def of_bytes(self, name: str, data: bytes) -> tuple[str, bytes, Row]:
        """A file that is in memory: no output, its row."""
        if kinds.of_input(name, data[: kinds.START]) is kinds.WEIGHTS:
            return "", b"", kinds.WEIGHTS.verified(kinds.WEIGHTS.read(name, data))
        return "", b"", self._verified(kinds.PICTURES.read(name, data))

    def _verified(self, picture: Any) -> Row:
        from lictor.codec import api

        with same_for_all_files():
            report = api.verify(
                picture,
                quality=self.quality,
                model=self.model,
                effort=self.effort,
                method=self.method,
            )
        return {"ok": report.ok, **vars(report), "notes": picture.notes}


@dataclass(frozen=True)
class Inform:
    """What the header of a .bin file says, and what hash its decoded latents have."""

    latents: bool
    device: str = "cpu"

    def __call__(self, job: Job) -> Row:
        """Read, and decode no more than asked for."""
        data = files.read_bin(job.source)
        kind = kinds.of_file(data)
        kinds.refuse(kind, ["latents"] * self.latents, kind.info_options, kinds.flag)
        row = {**vars(kind.info(data))}
        if self.latents:
            from lictor.codec import api

            with same_for_all_files((DeviceUnavailable,)):
                row["latents_sha256"] = api.latents(data, device=self.device).sha256
        return row


@dataclass(frozen=True)
class Classify:
    """The answer of a student's tail to a file of its own: the classes with the highest scores."""

    top: int
    device: str = "cpu"

    def __call__(self, job: Job) -> Row:
        """Read and decode."""
        from lictor.codec import api
        from lictor.codec.cli import labels

        data = files.read_bin(job.source)
        kind = kinds.of_file(data)
        if kind is not kinds.PICTURES:
            raise NoClassifier(
                f"holds {kind.one}, not what a student wrote; `lictor decode` gives them"
            )
        with same_for_all_files((DeviceUnavailable,)):
            answer = api.classify(data, device=self.device)
        order = answer.scores.argsort()[::-1][: self.top]
        best = [
            {"class": int(k), "name": labels.name(int(k)), "probability": float(p)}
            for k, p in zip(order, answer.probabilities[order], strict=True)
        ]
        return {"bytes": len(data), "answers": best}


def _base(bases: dict[str, str], job: Job, taken: Collection[str]) -> dict[str, str]:
    """The base of a job as an option, where its kind takes one."""
    own = bases.get(job.source) if "base" in taken else None
    return {"base": own} if own else {}


def _noted(row: Row, note: str) -> Row:
    """A row that says something more, if there is anything."""
    return {**row, "notes": (note, *row.get("notes", ()))} if note else row


def _start(job: Job) -> bytes:
    """The first bytes of what has no name."""
    return files.peek(kinds.START) if job.source == STREAM else b""


def _content(kind: Kind, job: Job, salvage: bool = False) -> Any:
    """What an input holds. What can be read but once is read whole: Pillow goes back and forth."""
    once = job.source == STREAM or files.special(job.source)
    if once and kind.maps:
        with files.kept(job.source) as name:
            return kind.read(name, salvage=salvage)
    return kind.read(job.source, files.read(job.source) if once else None, salvage=salvage)


@contextmanager
def _steps_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Shows the tiles or the search of one picture on standard error, below the bar of the files.

    Nothing is shown of work that reports no steps, or by workers, whose bars would write over one
    another.
    """
    if parent_process() or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def _kept(keep: bool) -> Iterator[dict[str, Any]]:
    """As options: what says that Ctrl-C was pressed; pressed again, it ends the work as ever."""
    if not keep or parent_process():
        yield {}
        return
    before = signal.getsignal(signal.SIGINT)
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, press)
    try:
        yield {"stop": lambda: pressed}
    finally:
        signal.signal(signal.SIGINT, before)


class _Bar:
    """Steps, the time that is left, and what is said of how things stand."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._said = ""

    def __call__(self, done: int, count: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            options = {"unit": "step", "file": sys.stderr, "leave": False, "mininterval": 0}
            self._bar = tqdm(total=count, **options)
        self._bar.total = count  # a search for a target begins again, perhaps with another effort
        self._bar.set_postfix_str(self._said, refresh=False)
        self._bar.update(done - self._bar.n)

    def say(self, text: str) -> None:
        self._said = text

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


# ---- and what becomes of it


@dataclass(frozen=True)
class Outcome:
    """What became of one job: a row of the report, or the reason why there is none.

    full: nothing more can be written where the output was to go.
    """

    row: Row | None = None
    error: str = ""
    full: bool = False
    seconds: float = 0.0


def attempt(work: Work, job: Job) -> Outcome:
    """Do a job. Raises only what concerns all jobs: UsageError, BrokenPipeError."""
    start = perf_counter()
    try:
        return Outcome(work(job), seconds=perf_counter() - start)
    except (UsageError, BrokenPipeError):
        raise
    except Exception as e:
        return Outcome(error=reason(e), full=isinstance(e, files.DiskFull))
