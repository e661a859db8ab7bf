"""`lictor bench lossless`: lossless codecs on pictures."""

from __future__ import annotations

import click

from lictor.codec import inputs as files
from lictor.codec.cli import options
from lictor.codec.cli.bench import each_file


@click.command()
@options.inputs
@options.json_object
def lossless(inputs: tuple[str, ...], as_json: bool) -> int:
    """Measure lossless codecs: bits a sub-pixel, and speed of one thread.

    Ours beside PNG, WebP and, where imagecodecs is installed, JPEG 2000 and JPEG XL. Pictures are
    taken as RGB of 8 bits.
    """
    from lictor.codec.bench import lossless as measuring

    codecs = measuring.codecs()
    return each_file.run(
        inputs,
        files.PICTURES,
        lambda path: measuring.measure(path, codecs),
        measuring.report,
        measuring.table,
        as_json,
    )
