"""`lictor classify`: what is on pictures, from files that hold none."""

from __future__ import annotations

from typing import Any

import click

from lictor.codec import inputs as files
from lictor.codec.cli import batch, options
from lictor.codec.cli.file_jobs import Classify
from lictor.codec.inputs import Job


@click.command()
@options.inputs
@options.whole("--top", least=1, most=1000, default=3, metavar="N", help="Answers of each file.")
@options.device
@options.runtime
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
