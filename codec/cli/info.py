"""`lictor info`: what the headers of files say."""

from __future__ import annotations

import click

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli import batch, options
from lictor.codec.cli.file_jobs import Inform
from lictor.codec.inputs import Job


@click.command()
@options.inputs
@click.option(
    "--latents",
    is_flag=True,
    help="Also decode the latents, compare them with the file's checksum, and show their hash, by "
    "which two machines can be compared.",
)
@options.device
@options.runtime
@options.json
def info(inputs: tuple[str, ...], latents: bool, device: str, as_json: bool) -> int:
    """Show what the headers of .bin files say, without decoding them."""
    jobs = [Job(path) for path, _ in files.find(inputs, files.BINS)]

    return batch.run(
        jobs, Inform(latents, device), as_json, lambda row: kinds.of_row(row).line(row)
    )
