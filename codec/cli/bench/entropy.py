"""`lictor bench entropy`: our entropy coder and others."""

from __future__ import annotations

import json

import click

from lictor.codec.cli import options
from lictor.codec.cli.console import Screen, reason
from lictor.codec.errors import CodecError
from lictor.codec.inputs import show


@click.command()
@click.option("--picture", metavar="FILE", help="Whose latents to code; else a sample photo.")
@options.measured_model
@options.quality
@options.whole("--symbols", least=1000, default=4_000_000, help="Symbols of the workloads A and B.")
@options.whole("--runs", least=1, default=7, help="Times each is run.")
@options.json_object
def entropy(
    picture: str | None, model: str, quality: float, symbols: int, runs: int, as_json: bool
) -> int:
    """Measure our entropy coder and its peers, single-threaded, in one run.

    Workloads: A and B, drawn from Gaussians, and kodak, the latents of a real picture. Peers,
    where installed: compressai, constriction, torchac.
    """
    from lictor.codec.bench import entropy_coders
    from lictor.codec.image import pillow

    screen = Screen()

    def say(line: str) -> None:
        screen.say(f"lictor: {line}", err=True)

    try:
        pixels = pillow.read(picture).eight_bit_colours() if picture else None
    except (CodecError, OSError) as e:
        say(f"{show(str(picture))}: {reason(e)}")
        return 1
    report = entropy_coders.report(pixels, model, quality, symbols, runs, say)
    click.echo(json.dumps(report) if as_json else entropy_coders.table(report))
    return 0
