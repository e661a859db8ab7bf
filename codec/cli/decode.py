"""`lictor decode`: .bin files become pictures, arrays and weights."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli import batch, options
from lictor.codec.cli.file_jobs import Decode
from lictor.codec.errors import UnknownFormat
from lictor.codec.inputs import STREAM, Job, UsageError, show
from lictor.codec.picture import arguments


class _Region(click.ParamType):
    """X,Y,W,H of a picture, or a part of an array as Python has it."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        parts = value.split(",")
        try:
            if ":" in value or "..." in value:
                return tuple(_index(part.strip()) for part in parts)
            x, y, width, height = (int(part) for part in parts)
        except ValueError:
            self.fail(
                f"{value} is not four whole numbers with commas between, nor a part of an array, "
                "100:200,:,3",
                param,
                ctx,
            )
        return x, y, width, height


def _index(text: str) -> Any:
    """What Python has between the commas of an index."""
    if text == "...":
        return Ellipsis
    if ":" not in text:
        return int(text)
    return slice(*(int(end) if end.strip() else None for end in text.split(":")))


asked = options.together(
    click.option(
        "--region",
        type=_Region(),
        metavar="X,Y,W,H",
        help="Only W x H pixels, X from the left and Y from the top; large pictures need less "
        "time. Of an array, a part as Python has it: 100:200,:,3.",
    ),
    click.option(
        "--reduce",
        type=click.Choice([str(by) for by in arguments.REDUCTIONS]),
        default="1",
        help="A preview of so many times fewer pixels a side; less time than the whole.",
    ),
    click.option(
        "--salvage",
        is_flag=True,
        help="Decode what is not damaged; of pictures paint over what is, of weights leave damaged "
        "tensors out. The status is 1 if anything is.",
    ),
    options.calibration,
    options.device,
    options.runtime,
    click.option(
        "--bf16",
        is_flag=True,
        help="Make the picture in bfloat16: faster on GPUs and some CPUs, and a little less "
        "precise.",
    ),
)
"""The options that say what is decoded and how, of every command that does."""


@click.command()
@options.paths
@asked
@click.option(
    "--tensor",
    multiple=True,
    metavar="NAME",
    help="Of weights only this tensor; repeat it for several. A single one may become an .npy.",
)
@click.option(
    "--base", metavar="FILE", help="Of weights: the .safetensors file that they were encoded with."
)
@click.option(
    "--layers",
    type=click.IntRange(1),
    metavar="N",
    help="Of weights that were encoded in layers only N of them, from the coarsest on.",
)
@options.chain
@options.workers
@options.skip
@options.json
def decode(
    paths: tuple[str, ...],
    tensor: tuple[str, ...],
    base: str | None,
    layers: int | None,
    chain: bool,
    workers: int,
    skip: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Decode .bin files.

    IN: .bin files, or folders to search for them through all levels. OUT: a picture, whose
    extension says its format, or a folder for PNG files. Arrays become .npy, .npz or
    .safetensors: by the extension, else as they were given. Weights become the .safetensors file
    that they were.
    """
    inputs, output = options.inputs_and_output(paths, as_json)
    jobs = files.plan(inputs, output, files.BINS, ".png")
    if len(jobs) > 1 or jobs[0].target != output:
        jobs = [_named_for_content(job) for job in jobs]
    pictures = [job for job in jobs if kinds.named(job.target) in (None, kinds.PICTURES)]
    format = _picture_format(pictures) if pictures else ""
    if chain and workers != 1:
        raise UsageError("--chain decodes one file after another; leave -j out")
    own = {"tensor": tensor or None, "base": base, "layers": layers}
    work = Decode(
        format,
        given(**how) | {name: value for name, value in own.items() if value},
        options.threads(workers, jobs),
        options.bases(chain, base, [job.source for job in jobs], [job.target for job in jobs]),
    )
    return batch.run(jobs, work, as_json, workers=workers, skip=skip)


def given(
    region: tuple[Any, ...] | None,
    reduce: str,
    salvage: bool,
    calibration: str | None,
    device: str,
    bf16: bool,
) -> dict[str, Any]:
    """Those of `asked` that the command line has, by the names that kinds take."""
    values = {
        "region": region,
        "reduce": int(reduce) if reduce != "1" else None,
        "salvage": salvage or None,
        "calibration": calibration,
        "precision": "bfloat16" if bf16 else None,
        "device": device if device != "cpu" else None,
    }
    return {name: value for name, value in values.items() if value is not None}


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
