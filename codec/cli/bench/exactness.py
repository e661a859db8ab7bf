"""`lictor bench exactness`: what exact integer networks cost."""

from __future__ import annotations

import click

from lictor.codec import inputs as files
from lictor.codec.cli import options
from lictor.codec.cli.bench import each_file
from lictor.codec.cli.bench import qualities as at


@click.command()
@options.inputs
@options.measured_model
@at.option("Qualities to measure at.")
@options.json_object
def exactness(inputs: tuple[str, ...], model: str, qualities: str, as_json: bool) -> int:
    """Measure what exact integer networks cost in bytes and in time.

    Bytes of the latents in real files against what float networks with ideal Gaussians would need;
    processor seconds of the entropy networks in integers and in floats, one thread.
    """
    from lictor.codec.bench import exactness as measuring

    wanted = at.numbers(qualities)
    return each_file.run(
        inputs,
        files.PICTURES,
        lambda path: measuring.measure(path, model, wanted),
        measuring.report,
        measuring.table,
        as_json,
    )
