"""`lictor report`: a page from what `lictor bench --out` wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lictor.codec.cli import options


@click.command()
@click.argument("folder", metavar="OUT")
@click.argument("target", metavar="[report.html]", required=False)
@options.whole(
    "--pictures",
    least=0,
    default=6,
    metavar="N",
    help="How many pictures can be looked at, worst first; fewer if the page would exceed 60 MB.",
)
@click.option("--plots", metavar="FOLDER", help="Also write the plots there, as PNG and SVG.")
@click.option("--table", metavar="FILE.md", help="Also write its tables there, as Markdown.")
def report(
    folder: str, target: str | None, pictures: int, plots: str | None, table: str | None
) -> int:
    """Make a page of a benchmark: plots, BD-rates, and the pictures side by side.

    OUT: the folder that `lictor bench --out OUT` wrote. The page goes to OUT/report.html unless
    named; it is one file that needs nothing else. Needs: pip install 'lictor[bench]'.
    """
    from lictor.codec.errors import CodecError
    from lictor.codec.inputs import CannotWrite

    try:
        if plots:
            from lictor.codec.report import plots as plotting

            plotting.need_matplotlib()  # before the page is made
        click.echo(write(folder, target, pictures))
        if plots:
            for path in plotting.write(folder, plots):
                click.echo(path)
        if table:
            from lictor.codec.report import markdown as tables

            click.echo(tables.write(folder, table))
    except (CodecError, CannotWrite) as e:
        click.echo(f"lictor report: {e}", err=True)
        return 1
    return 0


def write(folder: str, target: str | None, pictures: int = 6) -> Path:
    """Write the page, with a bar; returns where it is. Raises CodecError, CannotWrite."""
    from lictor.codec.report import build as reporting

    with _bar() as progress:
        return reporting.report(folder, target, pictures, progress)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """Shows on standard error, if someone can see it, how many pictures are embedded."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="picture", file=sys.stderr, leave=False) as bar:

        def progress(done: int, count: int) -> None:
            bar.total = count
            bar.update(done - bar.n)

        yield progress
