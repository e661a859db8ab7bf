"""`lictor bench features`: the feature codec, and what else there is."""

from __future__ import annotations

import click

from lictor.codec import inputs as files
from lictor.codec.cli import options
from lictor.codec.cli.bench import each_file
from lictor.codec.cli.bench import qualities as at
from lictor.codec.errors import MissingPackage
from lictor.codec.inputs import UsageError


@click.command()
@options.inputs
@options.whole(
    "--depth",
    least=2,
    most=8,
    default=8,
    help="Bits of the integers to compare with, whose error the others may make.",
)
@click.option("--model", metavar="NAME|PATH", help="Measure a model of features, too.")
@at.option("Of the model; its error is what the others may make.")
@options.json_object
def features(
    inputs: tuple[str, ...], depth: int, model: str | None, qualities: str, as_json: bool
) -> int:
    """Measure the feature codec on arrays (.npy, .npz, .safetensors), and what else there is.

    Beside it: intN+zstd and float16+zstd; blosc2 and zfp where installed.
    """
    from lictor.codec.bench import features as measuring

    try:
        measuring.need_zstd()
    except MissingPackage as e:
        raise UsageError(str(e)) from e
    wanted = at.numbers(qualities)
    return each_file.run(
        inputs,
        files.ARRAYS,
        lambda path: measuring.measure(path, depth, model, wanted),
        lambda rows: measuring.report(rows, 0 if model else depth),
        measuring.table,
        as_json,
    )
