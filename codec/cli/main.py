"""The `lictor` command.

Standard output carries what was asked for (a file with `-`, or a report), standard error all else.
With --json every line of the report is one JSON object, one for each file.

Exit status: 0, all done; 1, a file failed (it is named on standard error, and the others were
done); 2, the command could not start; 130 and 143, interrupted and terminated. LICTOR_DEBUG=1
shows the traceback of every error.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli import batch, options, serve, streams
from lictor.codec.cli import report as cli_report
from lictor.codec.cli.bench import bench
from lictor.codec.cli.file_jobs import Classify, Decode, Encode, Inform, Verify
from lictor.codec.errors import (
    CodecError,
    InvalidTarget,
    MissingPackage,
    TaskUnavailable,
    UnknownFormat,
)
from lictor.codec.inputs import STREAM, CannotWrite, Job, UsageError, show
from lictor.codec.runtime.threads import wait_briefly

if TYPE_CHECKING:
    from lictor.codec.picture.rate_target import Target


class _Group(click.Group):
    """Errors on one line of standard error, and the exit status described above."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except click.exceptions.Abort:
            status = _fail("lictor: interrupted", 130)
        except UsageError as e:
            status = _fail(f"lictor: {e}", 2)
        except click.ClickException as e:
            status = _fail(_usage_line(e), 2)
        except CannotWrite as e:  # standard output; others are said where they are written
            status = _fail(f"lictor: {e}", 1)
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


@cli.command()
@options.paths
@options.quality
@options.effort
@options.model
@options.strip
@options.salvage
@options.device
@options.roi
@options.targets
@options.features
@options.workers
@options.skip
@options.json
def encode(
    paths: tuple[str, ...],
    quality: float,
    effort: int,
    model: str,
    strip: bool,
    salvage: bool,
    device: str,
    roi: tuple[str, ...],
    roi_task: str | None,
    roi_drop: float,
    size: int | None,
    bpp: float | None,
    psnr: float | None,
    ssim: float | None,
    strict: bool,
    workers: int,
    skip: bool,
    as_json: bool,
    **features: Any,
) -> int:
    """Encode pictures, and arrays of numbers (.npy, .npz, .safetensors).

    IN: pictures or arrays, or folders to search for both through all levels. OUT: a .bin file, or
    a folder for several inputs. Arrays without a target come as near as int8 with one scale does;
    with a --model of features, --quality counts, or --mse or --bits find it.
    """
    inputs, output = _split(paths, as_json)
    jobs = files.plan(inputs, output, files.ENCODABLE, ".bin")
    others = files.left_out(inputs, files.ENCODABLE)
    if others:
        click.echo(f"lictor: {others}", err=True)
    named = kinds.named(jobs[0].target)
    if named:
        raise UsageError(f"{show(jobs[0].target)}: is {named.whose} name; name the output .bin")

    target = _target(strict, size=size, bpp=bpp, psnr=psnr, ssim=ssim)
    _check_roi(roi, roi_task)
    given = {
        "quality": quality if _named("quality") else None,
        "effort": effort or None,
        "strip": strip or None,
        "roi": _roi(roi, roi_task),
        "roi_drop": roi_drop if _named("roi_drop") else None,
        "target": target,
        "strict": strict or None,
        "salvage": salvage or None,
        "device": device if device != "cpu" else None,
        "model": model if _named("model") else None,
        **features,
    }
    work = Encode(
        {name: value for name, value in given.items() if value is not None},
        mixed=len({kinds.of_input(job.source) for job in jobs}) > 1,
    )
    return batch.run(jobs, work, as_json, workers=workers, skip=skip)


def _named(option: str) -> bool:
    """Whether the command line has an option."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def _target(strict: bool, **values: float | None) -> Target | None:
    """What pictures are to reach; None for a quality."""
    from lictor.codec.picture import rate_target

    try:
        target = rate_target.given(**values)
    except (InvalidTarget, MissingPackage) as e:
        raise UsageError(str(e)) from e
    if target and _named("quality"):
        raise UsageError(f"--{target.kind} finds the quality; leave --quality out")
    if strict and not target:
        raise UsageError("--strict is for --size, --bpp, --psnr and --ssim; add one of them")
    return target


def _check_roi(roi: tuple[str, ...], task: str | None) -> None:
    """Raises UsageError where a region cannot be found, before anything is read."""
    if _named("roi_drop") and not (roi or task):
        raise UsageError("--roi-drop is for --roi and --roi-task; add one of them")
    if task:
        from lictor.codec.picture import classifier_view

        try:
            classifier_view.need()
        except TaskUnavailable as e:
            raise UsageError(str(e)) from e


def _roi(named: tuple[str, ...], task: str | None) -> Any:
    """What `lictor.codec.encode` takes as roi."""
    if not named:
        return task
    if task:
        raise UsageError("--roi-task finds its own region; leave --roi out")
    return [_box(text) or _read_map(text) for text in named]


def _box(text: str) -> tuple[float, ...] | None:
    """X,Y,W,H[:WEIGHT]; None if it is the name of a file."""
    place, colon, weight = text.partition(":")
    try:
        x, y, width, height = (int(part) for part in place.split(","))
        return (x, y, width, height, float(weight) if colon else 1.0)
    except ValueError:
        return None


def _read_map(name: str) -> Any:
    from lictor.codec.image import pillow

    try:
        return pillow.read(name).colours
    except (CodecError, OSError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise UsageError(
            f"--roi {show(name)}: neither a box X,Y,W,H[:WEIGHT] nor a picture that can be read "
            f"({reason})"
        ) from e


class _Region(click.ParamType):
    """X,Y,W,H."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int, int, int]:
        try:
            x, y, width, height = (int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value} is not four whole numbers with commas between", param, ctx)
        return x, y, width, height


@cli.command()
@options.paths
@click.option(
    "--region",
    type=_Region(),
    metavar="X,Y,W,H",
    help="Only W x H pixels, X from the left and Y from the top; large pictures need less time.",
)
@click.option(
    "--salvage",
    is_flag=True,
    help="Decode what is not damaged and paint over what is; the status is 1 if anything is.",
)
@options.device
@click.option(
    "--bf16",
    is_flag=True,
    help="Make the picture in bfloat16: faster on GPUs and some CPUs, and a little less precise.",
)
@options.workers
@options.skip
@options.json
def decode(
    paths: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    salvage: bool,
    device: str,
    bf16: bool,
    workers: int,
    skip: bool,
    as_json: bool,
) -> int:
    """Decode .bin files.

    IN: .bin files, or folders to search for them through all levels. OUT: a picture, whose
    extension says its format, or a folder for PNG files. Arrays become .npy, .npz or
    .safetensors: by the extension, else as they were given.
    """
    inputs, output = _split(paths, as_json)
    jobs = files.plan(inputs, output, files.BINS, ".png")
    if len(jobs) > 1 or jobs[0].target != output:
        jobs = [_named_for_content(job) for job in jobs]
    pictures = [job for job in jobs if kinds.named(job.target) in (None, kinds.PICTURES)]
    format = _picture_format(pictures) if pictures else ""
    given = {
        "region": region,
        "salvage": salvage or None,
        "precision": "bfloat16" if bf16 else None,
        "device": device if device != "cpu" else None,
    }
    work = Decode(format, {name: value for name, value in given.items() if value is not None})
    return batch.run(jobs, work, as_json, workers=workers, skip=skip)


def _named_for_content(job: Job) -> Job:
    """A job of decoding into a folder: the output gets the extension that its content needs."""
    if job.source == STREAM or os.path.isdir(job.source) or files.special(job.source):
        return job  # what is looked at of a pipe is gone
    try:
        with open(job.source, "rb") as file:
            start = file.read(kinds.START)
    except OSError:
        return job  # the error shows when the job is done
    suffix = kinds.of_file(start).suffix(start)
    return replace(job, target=os.path.splitext(job.target)[0] + suffix)


def _picture_format(jobs: list[Job]) -> str:
    if len(jobs) > 1 or jobs[0].target == STREAM or files.special(jobs[0].target):
        return "PNG"
    from lictor.codec.image import pillow

    try:
        return pillow.format_of(jobs[0].target)
    except UnknownFormat as e:
        raise UsageError(f"{show(jobs[0].target)}: {e}") from e


@cli.command()
@options.inputs
@click.option(
    "--latents",
    is_flag=True,
    help="Also decode the latents, compare them with the file's checksum, and show their hash, by "
    "which two machines can be compared.",
)
@options.device
@options.json
def info(inputs: tuple[str, ...], latents: bool, device: str, as_json: bool) -> int:
    """Show what the headers of .bin files say, without decoding them."""
    jobs = [Job(path) for path, _ in files.find(inputs, files.BINS)]

    return batch.run(
        jobs, Inform(latents, device), as_json, lambda row: kinds.of_row(row).line(row)
    )


@cli.command()
@options.inputs
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Answers of each file.",
)
@options.device
@options.json
def classify(inputs: tuple[str, ...], top: int, device: str, as_json: bool) -> int:
    """Say what is on pictures that `lictor encode --model student-lite0.ce` encoded.

    The file holds what a classifier needs, and no picture: a network that comes with the weights
    answers with classes of ImageNet. They are named where timm is installed.
    """
    jobs = [Job(path) for path, _ in files.find(inputs, files.BINS)]
    return batch.run(jobs, Classify(top, device), as_json, _class_line)


def _class_line(row: dict[str, Any]) -> str:
    answers = (
        f"{a['name'] or 'class ' + str(a['class'])} {a['probability']:.1%}" for a in row["answers"]
    )
    return f"{', '.join(answers)}; {row['bytes']} bytes"


@cli.command()
@options.inputs
@options.quality
@options.effort
@options.model
@options.workers
@options.json
def verify(
    inputs: tuple[str, ...], quality: float, effort: int, model: str, workers: int, as_json: bool
) -> int:
    """Encode pictures, decode each twice, and compare all that should agree.

    The status is 1 if anything does not: pixels of the two decodes (made with different numbers
    of threads), latents, or the file's size and the model's own estimate of it.
    """
    jobs = [Job(path) for path, _ in files.find(inputs, files.PICTURES)]
    work = Verify(quality=quality, effort=effort, model=model)
    return batch.run(jobs, work, as_json, _verify_line, workers=workers)


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
@options.json
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
    _script("train.py", _settings(inputs, resume, given))


@cli.command()
@click.argument("inputs", nargs=-1, metavar="DIR... [KEY=VALUE...] [FILE.toml...]")
@click.option("--out", metavar="FOLDER", help="Run folder.  [default: runs/student]")
@click.option("--minutes", metavar="M", help="Training time.  [default: 30]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--weights", metavar="NAME|PATH", help="Start from these, as stage=2 must.")
@click.option("--settings", is_flag=True, help="List every setting that KEY=VALUE can give.")
def distil(inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None) -> int:
    """Train a student of EfficientNet-Lite0 on pictures of your own, without labels.

    DIR: folders to search for pictures through all levels, or tar shards. Stage 1 makes weights
    that code; stage=2 with --weights of stage 1 adapts what looks at files.
    """
    from lictor.training import distil

    return distil.main(["--help"] if settings else _settings(inputs, resume, given))


@cli.command("train-features")
@click.argument("inputs", nargs=-1, metavar="FILE... [KEY=VALUE...] [SETTINGS.toml...]")
@click.option("--out", metavar="FOLDER", help="Run folder.  [default: runs/features]")
@click.option("--minutes", metavar="M", help="Training time.  [default: 15]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--weights", metavar="NAME|PATH", help="Start from these.")
@click.option("--settings", is_flag=True, help="List every setting that KEY=VALUE can give.")
def train_features(
    inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None
) -> int:
    """Train a model for features of your own, those of one layer of a network.

    FILE: .npy, .npz, .safetensors files, or folders of them. `lictor encode features.npy f.bin
    --model` takes the weights it makes.
    """
    from lictor.training import features

    return features.main(["--help"] if settings else _settings(inputs, resume, given))


def _settings(inputs: tuple[str, ...], resume: bool, given: dict[str, str | None]) -> list[str]:
    """Arguments of a training command as settings."""
    from lictor.training.config import is_setting

    pictures = [i for i in inputs if not (is_setting(i) or i.endswith(".toml"))]
    arguments = [i for i in inputs if i not in pictures]
    arguments += [f"{key}={value}" for key, value in given.items() if value is not None]
    if pictures:
        arguments.append(f"data={','.join(pictures)}")
    if resume:
        arguments.append("resume=true")
    return arguments


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


cli.add_command(bench)


cli.add_command(cli_report.report)
cli.add_command(serve.serve)


# ---- running over files


def _split(paths: tuple[str, ...], as_json: bool) -> tuple[tuple[str, ...], str]:
    """The inputs and, last, the output."""
    *inputs, output = paths
    if not inputs:
        raise UsageError(f"{show(output)}: an input and an output are needed; name both")
    if output == STREAM and as_json:
        raise UsageError("--json and the output - both need standard output; name a file")
    return tuple(inputs), output


# ---- the process


def _terminate(number: int, frame: Any) -> None:
    sys.exit(128 + number)  # unwinds, so that temporary files are removed


def main() -> None:
    """Entry point of the `lictor` command."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    streams.prepare()
    wait_briefly()
    cli.main(prog_name="lictor")
