"""What the commands do to one file, here or in a worker process (process_pool.py).

Each of the classes holds a command's options and, called with a job, returns a row of the report.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lictor.codec import inputs as files
from lictor.codec.cli import features as feature_cli
from lictor.codec.cli.console import reason, same_for_all_files
from lictor.codec.errors import DeviceUnavailable, NoClassifier
from lictor.codec.format.picture import MAX_PIXELS
from lictor.codec.inputs import STREAM, Job, UsageError

if TYPE_CHECKING:
    from lictor.codec.image.pillow import Picture
    from lictor.codec.picture.rate_target import Reached, Target

Row = dict[str, Any]
Work = Callable[[Job], Row]


@dataclass(frozen=True)
class Encode:
    """A picture or arrays to a .bin file; "ok" is false if parts of a picture were not there.

    features: the options for arrays. salvage: take what there is of a damaged picture.
    quality, model: None where none was named. roi: as `lictor.codec.encode` takes it.
    mixed: some inputs are pictures, some arrays. target: what pictures are to reach, in place of a
    quality; strict: "ok" is false of one that does not.
    """

    quality: float | None
    effort: int
    model: str | None
    strip: bool
    device: str = "cpu"
    roi: Any = None
    roi_drop: float = 40.0
    features: dict[str, Any] = field(default_factory=dict)
    mixed: bool = False
    target: Target | None = None
    strict: bool = False
    salvage: bool = False

    def __call__(self, job: Job) -> Row:
        """Read, encode, write."""
        arrays = bool(feature_cli.kind(job))
        model = feature_cli.model_for(self.model, arrays, self.mixed)
        if not self.mixed:
            quality = None if model else self.quality
            picture_only = {"effort": self.effort or None, "strip": self.strip or None}
            feature_cli.refuse_options(
                arrays, {"quality": quality, "roi": self.roi, **picture_only}, self.features
            )
        if arrays:
            if self.target and not self.mixed:
                raise UsageError(
                    f"--{self.target.kind} is for pictures; for arrays: --max-error, --mse, --bits"
                )
            quality = self.quality if model else None
            return feature_cli.encode(job, {**self.features, "model": model, "quality": quality})
        from lictor.codec import api
        from lictor.codec.image import pillow

        picture = _picture(job, self.salvage)
        if self.strip:
            picture = pillow.stripped(picture)
        options = {
            "model": model or api.DEFAULT_MODEL,
            "effort": self.effort,
            "roi": self.roi,
            "roi_drop": self.roi_drop,
            "device": self.device,
        }
        told: Row = {}
        with same_for_all_files(), _steps_bar() as progress:
            if self.target is None:
                quality = 50.0 if self.quality is None else self.quality
                data = api.encode(picture, quality=quality, progress=progress, **options)
            else:
                reached = api.encode_to(picture, self.target, progress=progress, **options)
                data, told = reached.data, self._told(reached)
        with files.writing(job.target) as file:
            file.write(data)
        row = _row(api.info(data), (*picture.lost, *picture.notes))
        lost = {"ok": False} if picture.lost else {}
        return {**row, **told, **lost, "notes": (*row["notes"], *told.get("notes", ()))}

    def _told(self, reached: Reached) -> Row:
        """How near a file came to its target."""
        assert self.target
        return {
            "target": {self.target.kind: self.target.value},
            "reached": reached.value,
            "encodings": reached.encodings,
            "met": reached.met,
            "notes": (reached.note,) if reached.note else (),
        } | ({"ok": False} if self.strict and not reached.met else {})


@dataclass(frozen=True)
class Decode:
    """A .bin file to a picture, or to arrays; "ok" is false if parts of it were lost."""

    format: str
    region: tuple[int, int, int, int] | None = None
    salvage: bool = False
    precision: str = "float32"
    device: str = "cpu"

    def __call__(self, job: Job) -> Row:
        """Read, decode, write."""
        data = files.read_bin(job.source)
        if feature_cli.is_features(data):
            return feature_cli.decode(job, data, self.region, self.precision != "float32")
        feature_cli.refuse_picture(job.target)
        from lictor.codec import api
        from lictor.codec.image import pillow

        with same_for_all_files((DeviceUnavailable,)), _steps_bar() as progress:
            picture = api.decode_picture(
                data,
                region=self.region,
                salvage=self.salvage,
                progress=progress,
                precision=self.precision,
                device=self.device,
            )
        with files.writing(job.target) as file:
            notes = pillow.write(picture, file, self.format)
        if picture.lost:  # the file cannot be parsed to tell more
            return {**_size_row(picture, data), "ok": False, "notes": (*picture.lost, *notes)}
        return _row(api.info(data), notes)


@dataclass(frozen=True)
class Verify:
    """A picture encoded, decoded twice and compared; "ok" says whether all agrees."""

    quality: float
    effort: int
    model: str

    def __call__(self, job: Job) -> Row:
        """Read and verify."""
        from lictor.codec import api

        picture = _picture(job)
        with same_for_all_files():
            report = api.verify(picture, quality=self.quality, model=self.model, effort=self.effort)
        return {"ok": report.ok, **vars(report), "notes": picture.notes}


@dataclass(frozen=True)
class Inform:
    """What the header of a .bin file says, and what hash its decoded latents have."""

    latents: bool
    device: str = "cpu"

    def __call__(self, job: Job) -> Row:
        """Read, and decode no more than asked for."""
        from lictor.codec import api

        data = files.read_bin(job.source)
        if feature_cli.is_features(data):
            return feature_cli.row(data)
        row = {**vars(api.info(data))}
        if self.latents:
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
        if feature_cli.is_features(data):
            raise NoClassifier("holds arrays, not what a student wrote; `lictor decode` gives them")
        with same_for_all_files((DeviceUnavailable,)):
            answer = api.classify(data, device=self.device)
        order = answer.scores.argsort()[::-1][: self.top]
        best = [
            {"class": int(k), "name": labels.name(int(k)), "probability": float(p)}
            for k, p in zip(order, answer.probabilities[order], strict=True)
        ]
        return {"bytes": len(data), "answers": best}


def _picture(job: Job, salvage: bool = False) -> Picture:
    from PIL import Image

    from lictor.codec.image import pillow

    # Twice this is where Pillow refuses. Its own limit, 179 megapixels, is for those who open what
    # strangers send; here the user names the files.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
    # What can be read but once is read whole: Pillow goes back and forth.
    once = job.source == STREAM or files.special(job.source)
    return pillow.read(files.read(job.source) if once else job.source, salvage)


def _row(info: Any, notes: tuple[str, ...]) -> Row:
    keys = ("width", "height", "channels", "bit_depth", "model", "quality", "bytes", "bpp")
    return {**{key: getattr(info, key) for key in keys}, "notes": notes}


def _size_row(picture: Picture, data: bytes) -> Row:
    height, width, channels = picture.pixels.shape
    return {
        "width": width,
        "height": height,
        "channels": channels,
        "bit_depth": picture.depth,
        "bytes": len(data),
        "bpp": 8 * len(data) / (width * height),
    }


@contextmanager
def _steps_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Shows the tiles or the search of one picture on standard error, below the bar of the files.

    Nothing is shown of work that reports no steps, or by workers, whose bars would write over one
    another.
    """
    from multiprocessing import parent_process

    if parent_process() or not sys.stderr.isatty():
        yield None
        return
    bar: Any = None

    def progress(done: int, count: int) -> None:
        nonlocal bar
        if bar is None:
            from tqdm import tqdm

            bar = tqdm(total=count, unit="step", file=sys.stderr, leave=False, mininterval=0)
        bar.total = count  # a search for a target begins again, perhaps with another effort
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()


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
