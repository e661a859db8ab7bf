"""`lictor bench pictures`: codecs on pictures, with real files."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lictor.codec.cli import options
from lictor.codec.cli import report as cli_report
from lictor.codec.cli.bench import contenders
from lictor.codec.cli.console import Screen, same_for_all_files
from lictor.codec.errors import CodecError, MissingPackage, OutOfMemory, TaskUnavailable
from lictor.codec.inputs import CannotWrite, UsageError, show
from lictor.codec.runtime import runtime
from lictor.codec.runtime.threads import cores
from lictor.models import zoo

if TYPE_CHECKING:
    from lictor.codec.bench.runner import Entry, Measured

DEFAULT_CODECS = f"{','.join(zoo.TUNED.values())},avif,webp,jpeg"


def _list_codecs(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from lictor.codec.bench import catalogue

    for row in catalogue.rows():
        click.echo(row["name"] + (f"  ({', '.join(row['aliases'])})" if row["aliases"] else ""))
        if row["missing"]:
            click.echo(f"    not here: {row['missing']}")
            continue
        points = ",".join(f"{quality:g}" for quality in row["qualities"])
        click.echo(f"    {row['version']}; quality {row['quality']}; measured at {points}")
    ctx.exit()


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "--codecs",
    metavar="NAME,...",
    default=DEFAULT_CODECS,
    show_default=True,
    help="What to measure: peers, models, weights files. NAME-e5: with that effort.",
)
@click.option(
    "--list-codecs",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_codecs,
    help="Show all names, what is here, and what is missing.",
)
@click.option(
    "--qualities",
    metavar="[NAME=]Q,Q,...",
    multiple=True,
    help="Qualities to measure at, of one codec or of all; may be given again.  [default: as "
    "--list-codecs shows]",
)
@click.option(
    "--points", type=click.IntRange(2), metavar="N", help="Only so many of the default qualities."
)
@options.effort
@click.option("--out", metavar="FOLDER", help="Write results and files; go on with what is there.")
@click.option("--keep-pictures", is_flag=True, help="Write originals and decoded pictures, too.")
@click.option(
    "--report",
    "page",
    metavar="FILE.html",
    help="Also make a page to look at (lictor report); keeps pictures.",
)
@click.option(
    "--anchor", metavar="NAME", help="What BD-rates are against.  [default: the first peer]"
)
@click.option("--curves", metavar="JSON", help="Published curves to compare with.")
@options.whole("--repeat", least=1, default=3, help="Times are medians of so many.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of codecs that can be told.  [default: all cores; 1 with --jobs]",
)
@options.whole(
    "-j", "--jobs", least=1, default=1, help="Measure so many at a time: no times, no memory."
)
@click.option("--task", type=click.Choice(["classify"]), help="Also look with a network.")
@click.option(
    "--classifier",
    metavar="NAME",
    help="For --task classify: efficientnet-lite1, timm:NAME …  [default: efficientnet-lite0]",
)
@options.json_object
def pictures(
    inputs: tuple[str, ...],
    codecs: str,
    qualities: tuple[str, ...],
    points: int | None,
    effort: int,
    out: str | None,
    keep_pictures: bool,
    page: str | None,
    anchor: str | None,
    curves: str | None,
    repeat: int,
    threads: int | None,
    jobs: int,
    task: str | None,
    classifier: str | None,
    as_json: bool,
) -> int:
    """Measure codecs on pictures: real files, bits, distances, times, BD-rates.

    IN: pictures, folders to search through all levels, or tar files. With --out the same command
    goes on where it was interrupted. BD-rates and MS-SSIM: pip install 'lictor[bench]'.
    """
    from lictor.codec.bench import pictures as sources
    from lictor.codec.bench import results

    keep = keep_pictures or bool(page)
    _check_folder(out, "--report" if page else "--keep-pictures", needed=keep)
    _need_packages(page, anchor)
    found = sources.find(inputs)
    screen = Screen()
    threads = threads or (cores() if jobs == 1 else 1)
    entries, skipped = contenders.entries(codecs, qualities, points, effort, threads, screen)
    names = [entry.codec.name for entry in entries]
    published = contenders.published(curves, names)
    base = contenders.against(anchor, names, published)
    how, missing = _options(repeat, jobs, threads, task, classifier, keep, out)
    skipped += missing
    for lack in missing:
        screen.say(f"lictor: {lack['name']} is left out: {lack['reason']}", err=True)
    try:
        measured = _measure(found, entries, how, jobs, screen)
    except (CannotWrite, OutOfMemory) as e:
        screen.say(f"lictor: {e}", err=True)
        return 1
    _tell_failures(measured, screen)
    report = results.assemble(
        measured,
        entries,
        how,
        sources=found,
        skipped=skipped,
        published=published,
        anchor=base,
        jobs=jobs,
        command=shlex.join(["lictor", *sys.argv[1:]]),
    )
    if out:
        results.write(report, out)
    if as_json:
        click.echo(json.dumps(report, allow_nan=False))
    elif measured.rows:
        click.echo(results.table(report))
    if page and out:
        try:
            screen.say(f"lictor: {cli_report.write(out, page)}", err=True)
        except (CodecError, CannotWrite) as e:
            screen.say(f"lictor: {e}", err=True)
            return 1
    return 1 if measured.failed else 0


def _check_folder(out: str | None, wanted: str, needed: bool) -> None:
    """Raises UsageError where no folder can be, or none is named and what is wanted needs one."""
    if needed and not out:
        raise UsageError(f"{wanted} needs a folder; name it with --out")
    if out and os.path.lexists(out) and not os.path.isdir(out):
        raise UsageError(f"{show(out)}: is a file; --out needs a folder")


def _tell_failures(measured: Measured, screen: Screen) -> None:
    for failure in measured.failed:
        place = " ".join(filter(None, [failure.image, failure.codec]))
        at = "" if failure.quality is None else f" {failure.quality:g}"
        screen.say(f"lictor: {show(place)}{at}: {failure.reason}", err=True)


def _need_packages(page: str | None, anchor: str | None) -> None:
    """Raises UsageError where a package is missing that what was asked for cannot do without."""
    from lictor.codec.bench import bd_rate
    from lictor.codec.bench.contender import Missing
    from lictor.codec.report import build

    try:
        if page:
            build.need_plotly()
        if anchor:
            bd_rate.require()
    except (MissingPackage, Missing) as e:
        raise UsageError(str(e)) from e


def _options(
    repeat: int,
    jobs: int,
    threads: int,
    task: str | None,
    classifier: str | None,
    keep: bool,
    out: str | None,
) -> tuple[Any, list[dict[str, str]]]:
    """How to measure, and which metrics cannot be."""
    from lictor.codec.bench import metrics
    from lictor.codec.bench.measure import Options

    if classifier and not task:
        raise UsageError("--classifier is for --task classify; add that")
    if task:
        from lictor.codec.bench import classify

        classifier = classifier or classify.DEFAULT
        try:
            classify.classifier(classifier)
        except TaskUnavailable as e:
            raise UsageError(str(e)) from e
    runtime.get(runtime.chosen()).threads.use(threads)
    ready, missing = metrics.available()
    how = Options(
        repeat=repeat,
        timed=jobs == 1,
        threads=threads,
        metrics=tuple(ready),
        classifier=classifier,
        keep=keep,
        out=out,
    )
    return how, [{"name": name, "reason": why} for name, why in missing.items()]


def _measure(
    found: Sequence[Any], entries: list[Entry], how: Any, jobs: int, screen: Screen
) -> Measured:
    from lictor.codec.bench import runner

    total = len(found) * sum(len(entry.qualities) for entry in entries)
    done = 0
    try:
        with same_for_all_files(), screen.bar(total, "file") as advance:

            def told(count: int, what: str) -> None:
                nonlocal done
                done += count
                advance(count, what)

            return runner.run(found, entries, how, jobs, told)
    except KeyboardInterrupt:
        if how.out:
            screen.say(
                f"lictor: {done} of {total} files are measured; the same command goes on from "
                "there",
                err=True,
            )
        raise
