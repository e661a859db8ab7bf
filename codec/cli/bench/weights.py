"""`lictor bench weights`: lossless codecs on files of weights."""

from __future__ import annotations

import click

from lictor.codec import kinds
from lictor.codec.cli import options
from lictor.codec.cli.bench import each_file


@click.command()
@options.inputs
@click.option(
    "--cast",
    "casts",
    multiple=True,
    type=click.Choice(["bf16", "fp16", "fp32", "fp8"]),
    help="Measure the files' floats as this type instead; repeat it for several. Needs PyTorch.",
)
@options.whole("--runs", least=1, default=3, metavar="N", help="Times each is run; least counts.")
@options.json_object
def weights(inputs: tuple[str, ...], casts: tuple[str, ...], runs: int, as_json: bool) -> int:
    """Measure lossless codecs on .safetensors files: size, and speed of one thread.

    Ours beside zstd and, where they are installed, zipnn and lmzip.
    """
    from lictor.codec.bench import weights as measuring

    return each_file.run(
        inputs,
        kinds.WEIGHTS.suffixes,
        lambda path: measuring.measure(path, casts, runs),
        measuring.report,
        measuring.table,
        as_json,
    )
