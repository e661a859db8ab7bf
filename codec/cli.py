"""The `lictor` command.

Standard output carries what was asked for (a file with `-`, or a report), standard error all else.
With --json every line of the report is one JSON object, one for each file.

Exit status: 0, all done; 1, a file failed (it is named on standard error, and the others were
done); 2, the command could not start; 130 and 143, interrupted and terminated. LICTOR_DEBUG=1
shows the traceback of every error.
"""

from __future__ import annotations

import json
import math
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from lictor.codec import feature_cli, files
from lictor.codec.bitstream import MAX_PIXELS
from lictor.codec.errors import (
    BadCurves,
    CodecError,
    InvalidQuality,
    ModelUnavailable,
    UnknownFormat,
)
from lictor.codec.files import STREAM, Job, UsageError, show
from lictor.codec.threads import wait_briefly

if TYPE_CHECKING:
    from lictor.codec.image import Picture


class _Group(click.Group):
    """Errors on one line of standard error, and the exit status described above."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.Abort:
            status = _fail("lictor: interrupted", 130)
        except UsageError as e:
            status = _fail(f"lictor: {e}", 2)
        except click.ClickException as e:
            status = _fail(_usage_line(e), 2)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> int:
    if os.environ.get("LICTOR_DEBUG"):
        traceback.print_exc()
    click.echo(message, err=True)
    return status


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None or "\n" in message:  # the help itself, after a bare `lictor`
        return message
    path = context.command_path
    return f"{path}: {message.rstrip('.')}; see {path} --help"


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lictor", message="%(prog)s %(version)s")
def cli() -> None:
    """Lictor, a learned image codec: photo.png to photo.bin and back.

    A name of - stands for standard input or output. Existing outputs are overwritten, whole or
    not at all.
    """


_json = click.option("--json", "as_json", is_flag=True, help="Report as JSON, one line a file.")
_quality = click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    default=50.0,
    show_default=True,
    help="0 (smallest file) to 100 (best picture), in steps of 0.25.",
)
_model = click.option(
    "--model",
    default="lictor-s.mse",
    show_default=True,
    metavar="NAME|PATH",
    help="A checkpoint that `lictor models` lists, or a .safetensors file of your own.",
)
_effort = click.option(
    "--effort",
    type=click.IntRange(0, 9),
    default=0,
    show_default=True,
    metavar="0-9",
    help="Search for each picture's best latents: 1 takes seconds, 9 minutes a megapixel. Files "
    "get smaller, pictures better; decoding stays as it is.",
)
_strip = click.option(
    "--strip", is_flag=True, help="Leave EXIF and the ICC profile out; colours become sRGB."
)
_TARGETS = (
    click.option("--max-error", type=float, metavar="E", help="Arrays: no value further off."),
    click.option("--mse", type=float, metavar="M", help="Arrays: mean squared error, at most."),
    click.option("--bits", type=float, metavar="B", help="Arrays: bits per value, of the file."),
    click.option("--axis", type=int, metavar="N", help="Arrays: axis of the channels, else found."),
)


def _feature_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `encode` that are for arrays."""
    for option in reversed(_TARGETS):
        command = option(command)
    return command


_paths = click.argument("paths", nargs=-1, required=True, metavar="IN... OUT")
_inputs = click.argument("inputs", nargs=-1, required=True, metavar="IN...")


@cli.command()
@_paths
@_quality
@_effort
@_model
@_strip
@_feature_options
@_json
def encode(
    paths: tuple[str, ...],
    quality: float,
    effort: int,
    model: str,
    strip: bool,
    as_json: bool,
    **features: Any,
) -> int:
    """Encode pictures, and arrays of numbers (.npy, .npz, .safetensors).

    IN: pictures or arrays, or folders to search for both through all levels. OUT: a .bin file, or
    a folder for several inputs. Arrays without a target come as near as int8 with one scale does.
    """
    inputs, output = _split(paths, as_json)
    jobs = files.plan(inputs, output, files.ENCODABLE, ".bin")
    feature_cli.check_output(jobs[0])
    if len(jobs) == 1 and os.path.splitext(jobs[0].target)[1].lower() in files.PICTURES:
        raise UsageError(f"{show(jobs[0].target)}: is a picture's name; name the output .bin")

    def work(job: Job) -> dict[str, Any]:
        from lictor.codec import api, image

        if feature_cli.kind(job):
            return feature_cli.encode(job, features)
        picture = _picture(job)
        if strip:
            picture = image.stripped(picture)
        with _same_for_all_files(), _search_bar(effort) as progress:
            data = api.encode(
                picture, quality=quality, model=model, effort=effort, progress=progress
            )
        with files.writing(job.target) as file:
            file.write(data)
        return _row(api.info(data), picture.notes)

    return _run(jobs, work, as_json)


@cli.command()
@_paths
@_json
def decode(paths: tuple[str, ...], as_json: bool) -> int:
    """Decode .bin files.

    IN: .bin files, or folders to search for them through all levels. OUT: a picture, whose
    extension says its format, or a folder for PNG files. Arrays become .npy, .npz or
    .safetensors: by the extension, else as they were given.
    """
    inputs, output = _split(paths, as_json)
    jobs = files.plan(inputs, output, files.BINS, ".png")
    if len(jobs) > 1 or jobs[0].target != output:
        jobs = feature_cli.named_for_content(jobs)
    pictures = [job for job in jobs if not feature_cli.is_arrays(job.target)]
    format = _picture_format(pictures) if pictures else ""

    def work(job: Job) -> dict[str, Any]:
        from lictor.codec import api, image

        data = files.read_bin(job.source)
        if feature_cli.is_features(data):
            return feature_cli.decode(job, data)
        feature_cli.refuse_picture(job.target)
        picture = api.decode_picture(data)
        with files.writing(job.target) as file:
            notes = image.write(picture, file, format)
        return _row(api.info(data), notes)

    return _run(jobs, work, as_json)


def _picture_format(jobs: list[Job]) -> str:
    if len(jobs) > 1 or jobs[0].target == STREAM or files.special(jobs[0].target):
        return "PNG"
    from lictor.codec import image

    try:
        return image.format_of(jobs[0].target)
    except UnknownFormat as e:
        raise UsageError(f"{show(jobs[0].target)}: {e}") from e


@cli.command()
@_inputs
@_json
def info(inputs: tuple[str, ...], as_json: bool) -> int:
    """Show what the headers of .bin files say, without decoding them."""
    jobs = [Job(path) for path, _ in files.find(inputs, files.BINS)]

    def work(job: Job) -> dict[str, Any]:
        from lictor.codec import api

        data = files.read_bin(job.source)
        return feature_cli.row(data) if feature_cli.is_features(data) else vars(api.info(data))

    return _run(jobs, work, as_json, _info_line)


def _info_line(row: dict[str, Any]) -> str:
    if "arrays" in row:
        return feature_cli.line(row)
    model = row["model"] or f"unknown model {row['model_id']}"
    colour = ("gray", "gray with alpha", "RGB", "RGB with alpha")[row["channels"] - 1]
    parts = (("alpha_bytes", "alpha"), ("icc_bytes", "colour profile"), ("exif_bytes", "EXIF"))
    of_which = ", ".join(f"{row[key]} of {name}" for key, name in parts if row[key])
    return (
        f"{row['width']}x{row['height']} {colour}, {row['bit_depth']} bits, {model} (weights "
        f"{row['weights']}), quality {row['quality']:g}, {row['bytes']} bytes"
        f"{f' ({of_which})' if of_which else ''}, {row['bpp']:.3f} bpp, format "
        f"{row['format_version']}"
    )


@cli.command()
@_inputs
@_quality
@_effort
@_model
@_json
def verify(inputs: tuple[str, ...], quality: float, effort: int, model: str, as_json: bool) -> int:
    """Encode pictures, decode each twice, and compare all that should agree.

    The status is 1 if anything does not: pixels of the two decodes (made with different numbers
    of threads), latents, or the file's size and the model's own estimate of it.
    """
    jobs = [Job(path) for path, _ in files.find(inputs, files.PICTURES)]
    disagreements = 0

    def work(job: Job) -> dict[str, Any]:
        from lictor.codec import api

        nonlocal disagreements
        picture = _picture(job)
        with _same_for_all_files():
            report = api.verify(picture, quality=quality, model=model, effort=effort)
        disagreements += not report.ok
        return {"ok": report.ok, **vars(report), "notes": picture.notes}

    status = _run(jobs, work, as_json, _verify_line)
    return 1 if disagreements else status


def _verify_line(row: dict[str, Any]) -> str:
    verdict = "ok"
    if not row["same"]:
        verdict = "DISAGREES: two decodes differ"
    elif not row["sized"]:
        verdict = "DISAGREES: size is not what the model expected"
    return (
        f"{verdict}; {row['psnr']:.2f} dB, {row['bytes']} bytes, {row['bpp']:.3f} bpp, estimate "
        f"{row['estimate']:.0f} bytes ({row['gap']:+.2%}), encoded in {row['encode_seconds']:.2f} "
        f"s, decoded in {row['decode_seconds']:.2f} s"
    )


@cli.command()
@_json
def models(as_json: bool) -> None:
    """List the models: shipped ones, and those of LICTOR_CHECKPOINTS."""
    from lictor.models import zoo

    rows: list[dict[str, Any]] = []
    for entry in zoo.index().values():
        rows.append({**vars(entry), "bytes": _size(zoo.shipped_folder() / entry.file)})
    for path in zoo.own_files():
        own = {"name": path.stem, "id": 0, "file": str(path), "bytes": _size(path)}
        rows.append({**own, "summary": "your own"})
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    if not rows:
        click.echo("lictor: no models; set LICTOR_CHECKPOINTS to a folder of yours", err=True)
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        size = "missing" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f} MB"
        click.echo(f"{row['name']:{width}}  {size:>8}  {row['summary']}")
        peers = row.get("measured", {}).get("kodak_bd_rate_percent", {})
        if peers:
            rates = ", ".join(f"{rate:+.1f} % against {peer}" for peer, rate in peers.items())
            click.echo(f"{'':{width}}  {'':>8}  bits on Kodak at equal PSNR: {rates}")


@cli.command()
@click.argument("inputs", nargs=-1, metavar="DIR... [KEY=VALUE...] [FILE.toml...]")
@click.option("--out", metavar="FOLDER", help="Run folder.  [default: runs/last]")
@click.option("--minutes", metavar="M", help="Training time.  [default: 10]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--weights", metavar="NAME|PATH", help="Start from these.  [default: lictor-s.mse]")
@click.option("--model", metavar="NAME", help="Start from scratch with this architecture.")
@click.option("--val", metavar="DIR", help="Pictures to validate on, else some are held out.")
@click.option("--loss", metavar="NAME", help="mse, ms-ssim or perceptual.  [default: mse]")
@click.option("--settings", is_flag=True, help="List every setting that KEY=VALUE can give.")
def train(inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None) -> None:
    """Train a model on pictures of your own.

    DIR: folders to search for pictures through all levels, or tar shards. Fine-tunes lictor-s.mse
    for ten minutes unless told otherwise; `lictor encode --model` takes the weights it makes.
    """
    if settings:
        _script("train.py", ["--help"])
    from lictor.training.config import is_setting

    pictures = [i for i in inputs if not (is_setting(i) or i.endswith(".toml"))]
    arguments = [i for i in inputs if i not in pictures]
    arguments += [f"{key}={value}" for key, value in given.items() if value is not None]
    if pictures:
        arguments.append(f"data={','.join(pictures)}")
    if resume:
        arguments.append("resume=true")
    _script("train.py", arguments)


def _script(name: str, arguments: list[str]) -> None:
    """Run a script that lies beside the packages; it ends with an exit status of its own."""
    import lictor.training

    path = os.path.join(os.path.dirname(next(iter(lictor.training.__path__))), name)
    before, sys.argv = sys.argv, [path, *arguments]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        sys.argv = before


@cli.command()
@click.argument("run")
@click.option("--measure", metavar="DIR", default="", help="Also measure on pictures.")
@click.option("--into", metavar="FOLDER", default="", help="Add to the index.json of this folder.")
def export(run: str, measure: str, into: str) -> int:
    """Write and verify the weights of a training run, as `lictor train` does at its end.

    RUN: the folder of a run, finished or not. Real files must be within 1 % of the estimate.
    """
    from lictor.training.export import ExportFailed
    from lictor.training.export import export as write

    try:
        click.echo(write(Path(run), measure, into))
    except (ExportFailed, CodecError, OSError) as e:
        return _fail(f"lictor export: {e}", 1)
    return 0


@cli.command("import")
@click.argument("architecture")
@click.argument("weights")
@click.argument("out")
def import_(architecture: str, weights: str, out: str) -> None:
    """Make CompressAI weights usable here.

    ARCHITECTURE: bmshj2018-factorized, bmshj2018-hyperprior, mbt2018-mean or cheng2020-anchor.
    WEIGHTS: a state dict that torch.save wrote. OUT: ARCHITECTURE.TAG.safetensors, or a folder.
    """
    from lictor import models

    try:
        click.echo(models.import_weights(architecture, weights, out))
    except (models.ModelError, OSError) as e:
        raise UsageError(str(e)) from e


def _size(path: os.PathLike[str]) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:
        return None


class _Bench(click.Group):
    """A group whose command `pictures` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["pictures", *args]
        return super().parse_args(ctx, args)


@cli.group(cls=_Bench)
def bench() -> None:
    """Measure pictures (lictor bench IN...), entropy coders or features (lictor bench features).

    `lictor bench IN...` is short for `lictor bench pictures IN...`.
    """


@bench.command()
@_inputs
@_model
@_effort
@click.option(
    "--qualities",
    metavar="Q,Q,...",
    default="0,15,30,50,70,85,100",
    show_default=True,
    help="Qualities to measure at.",
)
@click.option(
    "--anchors",
    metavar="JSON",
    help='Curves to give BD-rates against: {name: {"bpp": [...], "psnr": [...]}}.',
)
@_json
def pictures(
    inputs: tuple[str, ...],
    model: str,
    effort: int,
    qualities: str,
    anchors: str | None,
    as_json: bool,
) -> int:
    """Measure bits, PSNR and time of a model on pictures, from real files.

    BD-rates (PCHIP) need the package bjontegaard: pip install 'lictor[bench]'.
    """
    paths = [path for path, _ in files.find(inputs, files.PICTURES)]
    try:
        steps = [float(q) for q in qualities.split(",")]
    except ValueError:
        raise UsageError(f"--qualities {qualities}: write numbers with commas between") from None
    from lictor.codec import bench as measuring

    try:
        curves = measuring.read_anchors(anchors) if anchors else {}
    except BadCurves as e:
        raise UsageError(str(e)) from e
    screen, rows, failed = _Screen(), [], 0
    for job in screen.progress([Job(path) for path in paths]):
        try:
            with _same_for_all_files():
                rows += measuring.measure(job.source, model, steps, effort)
        except CodecError as e:
            failed += 1
            screen.say(f"lictor: {show(job.source)}: {_reason(e)}", err=True)
    if rows:
        report = measuring.report(rows, curves)
        click.echo(json.dumps(report) if as_json else measuring.table(report))
    return 1 if failed else 0


@bench.command()
@click.option("--picture", metavar="FILE", help="Whose latents to code; else a sample photo.")
@_model
@_quality
@click.option(
    "--symbols",
    type=click.IntRange(1000),
    default=4_000_000,
    show_default=True,
    help="Symbols of the workloads A and B.",
)
@click.option(
    "--runs", type=click.IntRange(1), default=7, show_default=True, help="Times each is run."
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object.")
def entropy(
    picture: str | None, model: str, quality: float, symbols: int, runs: int, as_json: bool
) -> int:
    """Measure our entropy coder and its peers, single-threaded, in one run.

    Workloads: A and B, drawn from Gaussians, and kodak, the latents of a real picture. Peers,
    where installed: compressai, constriction, torchac.
    """
    from lictor.codec import bench_entropy, image

    screen = _Screen()

    def say(line: str) -> None:
        screen.say(f"lictor: {line}", err=True)

    try:
        pixels = image.read(picture).eight_bit_colours() if picture else None
    except (CodecError, OSError) as e:
        say(f"{show(str(picture))}: {_reason(e)}")
        return 1
    report = bench_entropy.report(pixels, model, quality, symbols, runs, say)
    click.echo(json.dumps(report) if as_json else bench_entropy.table(report))
    return 0


@bench.command("features")
@_inputs
@click.option(
    "--depth",
    type=click.IntRange(2, 8),
    default=8,
    show_default=True,
    help="Bits of the integers to compare with, whose error the others may make.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object.")
def bench_of_features(inputs: tuple[str, ...], depth: int, as_json: bool) -> int:
    """Measure the feature codec on arrays (.npy, .npz, .safetensors), and what else there is.

    Beside it: intN+zstd and float16+zstd; blosc2 and zfp where installed.
    """
    from lictor.codec import bench_features

    screen, rows, failed = _Screen(), [], 0
    for job in screen.progress([Job(path) for path, _ in files.find(inputs, files.FEATURES)]):
        try:
            rows += bench_features.measure(job.source, depth)
        except (CodecError, OSError) as e:
            failed += 1
            screen.say(f"lictor: {show(job.source)}: {_reason(e)}", err=True)
    if rows:
        report = bench_features.report(rows, depth)
        click.echo(json.dumps(report) if as_json else bench_features.table(report))
    return 1 if failed else 0


# ---- running over files


def _split(paths: tuple[str, ...], as_json: bool) -> tuple[tuple[str, ...], str]:
    """The inputs and, last, the output."""
    *inputs, output = paths
    if not inputs:
        raise UsageError(f"{show(output)}: an input and an output are needed; name both")
    if output == STREAM and as_json:
        raise UsageError("--json and the output - both need standard output; name a file")
    return tuple(inputs), output


def _picture(job: Job) -> Picture:
    from PIL import Image

    from lictor.codec import image

    # Twice this is where Pillow refuses. Its own limit, 179 megapixels, is for those who open what
    # strangers send; here the user names the files.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
    return image.read(files.read(STREAM) if job.source == STREAM else job.source)


@contextmanager
def _same_for_all_files() -> Iterator[None]:
    """What is wrong with the model or the quality is wrong with the command, not with a file."""
    try:
        yield
    except (ModelUnavailable, InvalidQuality) as e:
        raise UsageError(str(e)) from e


@contextmanager
def _search_bar(effort: int) -> Iterator[Callable[[int, int], None] | None]:
    """Shows the search of one picture on standard error, below the bar of the files."""
    if not effort or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="step", file=sys.stderr, leave=False) as bar:

        def progress(done: int, count: int) -> None:
            bar.update(done - bar.n)
            if bar.total != count:
                bar.total = count
                bar.refresh()

        yield progress


def _row(info: Any, notes: tuple[str, ...]) -> dict[str, Any]:
    keys = ("width", "height", "channels", "bit_depth", "model", "quality", "bytes", "bpp")
    return {**{key: getattr(info, key) for key in keys}, "notes": notes}


def _run(
    jobs: list[Job],
    work: Callable[[Job], dict[str, Any]],
    as_json: bool,
    line: Callable[[dict[str, Any]], str] | None = None,
) -> int:
    """Do each job, report on it, go on after errors; returns the exit status.

    line: a job's line on standard output, for commands whose result is a report.
    """
    screen = _Screen()
    rows, failed, start = [], 0, perf_counter()
    for job in screen.progress(jobs):
        begin = perf_counter()
        named = {"input": job.source} | ({"output": job.target} if job.target else {})
        try:
            row = work(job)
        except (UsageError, BrokenPipeError):
            raise
        except Exception as e:
            failed += 1
            reason = _reason(e)
            screen.say(f"lictor: {show(job.source)}: {reason}", err=True)
            if as_json:
                screen.say_json({**named, "error": reason})
            continue
        rows.append(row)
        for note in row.get("notes", ()):
            screen.say(f"lictor: {show(job.source)}: {note}", err=True)
        if as_json:
            screen.say_json({**named, **row, "seconds": perf_counter() - begin})
        elif line:
            screen.say(f"{show(job.source)}: {line(row)}")
    if rows and not line:
        screen.say(_summary(jobs, rows, failed, perf_counter() - start), err=True)
    return 1 if failed else 0


def _summary(jobs: list[Job], rows: list[dict[str, Any]], failed: int, seconds: float) -> str:
    size = sum(row["bytes"] for row in rows)
    if any("arrays" in row for row in rows):
        cost = f"{size} bytes, {seconds:.2f} s"
    else:
        pixels = sum(row["width"] * row["height"] for row in rows)
        cost = f"{size} bytes, {8 * size / pixels:.3f} bpp, {seconds:.2f} s"
    if len(jobs) == 1 and "arrays" in rows[0]:
        what = feature_cli.line(rows[0])
        return f"{show(jobs[0].source)} -> {show(jobs[0].target)}: {what}, {seconds:.2f} s"
    if len(jobs) == 1:
        shape = f"{rows[0]['width']}x{rows[0]['height']}"
        return f"{show(jobs[0].source)} -> {show(jobs[0].target)}: {shape}, {cost}"
    return f"{len(rows)} files: {cost}" + (f"; {failed} failed" if failed else "")


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    if os.environ.get("LICTOR_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, (CodecError, files.CannotWrite)):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller picture or a larger machine"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {text}; please report it with what LICTOR_DEBUG=1 shows"


class _Screen:
    """Lines for the user, above a progress bar while there is one."""

    def __init__(self) -> None:
        self._bar: Any = None

    def progress(self, jobs: list[Job]) -> Iterator[Job]:
        """The jobs, with a bar on standard error if there are several and someone can see it."""
        if len(jobs) == 1 or not sys.stderr.isatty():
            yield from jobs
            return
        from tqdm import tqdm

        with tqdm(jobs, unit="file", file=sys.stderr, leave=False) as self._bar:
            yield from self._bar
        self._bar = None

    def say(self, line: str, *, err: bool = False) -> None:
        """One line on standard output or standard error."""
        if self._bar is None:
            click.echo(line, err=err)
        else:
            self._bar.write(line, file=sys.stderr if err else sys.stdout)

    def say_json(self, row: dict[str, Any]) -> None:
        """One JSON object on standard output; what JSON has no number for becomes null."""
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        self.say(json.dumps(finite))


# ---- the process


def _terminate(number: int, frame: Any) -> None:
    sys.exit(128 + number)  # unwinds, so that temporary files are removed


def main() -> None:
    """Entry point of the `lictor` command."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    wait_briefly()
    cli.main(prog_name="lictor")
