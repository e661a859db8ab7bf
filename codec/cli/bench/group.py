"""`lictor bench`: pictures, entropy coders, exactness, features, lossless codecs, weights."""

from __future__ import annotations

import click

from lictor.codec.cli.bench import entropy, exactness, features, lossless, pictures, weights


class _Bench(click.Group):
    """A group whose command `pictures` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["pictures", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Bench)
def bench() -> None:
    """Measure codecs on pictures (lictor bench IN...), lossless ones, entropy coders, exactness.

    `lictor bench IN...` is short for `lictor bench pictures IN...`, whose --help has the options.
    """


for _command in (
    pictures.pictures,
    entropy.entropy,
    exactness.exactness,
    features.features,
    lossless.lossless,
    weights.weights,
):
    bench.add_command(_command)
