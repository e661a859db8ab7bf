"""`lictor bench`: pictures, entropy coders, and features."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lictor.codec import inputs as files
from lictor.codec.cli import options
from lictor.codec.cli import report as cli_report
from lictor.codec.cli.console import Screen, reason, same_for_all_files
from lictor.codec.errors import (
    BadCurves,
    CodecError,
    MissingPackage,
    OutOfMemory,
    TaskUnavailable,
    UnknownCodec,
)
from lictor.codec.inputs import CannotWrite, UsageError, show
from lictor.codec.runtime.threads import cores
from lictor.models import zoo

if TYPE_CHECKING:
    from lictor.codec.bench.contender import Codec
    from lictor.codec.bench.runner import Entry, Measured

DEFAULT_CODECS = f"{zoo.DEFAULT},avif,webp,jpeg"


class _Bench(click.Group):
    """A group whose command `pictures` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["pictures", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Bench)
def bench() -> None:
    """Measure codecs on pictures (lictor bench IN...), entropy coders, or what exactness costs.

    `lictor bench IN...` is short for `lictor bench pictures IN...`, whose --help has the options.
    """


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


@bench.command()
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
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Times are medians of so many.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of codecs that can be told.  [default: all cores; 1 with --jobs]",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Measure so many at a time: no times, no memory.",
)
@click.option("--task", type=click.Choice(["classify"]), help="Also look with a network.")
@click.option(
    "--classifier",
    metavar="NAME",
    help="For --task classify: efficientnet-lite1, timm:NAME …  [default: efficientnet-lite0]",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object.")
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

    if (keep_pictures or page) and not out:
        wanted = "--report" if page else "--keep-pictures"
        raise UsageError(f"{wanted} needs a folder; name it with --out")
    if out and os.path.lexists(out) and not os.path.isdir(out):
        raise UsageError(f"{show(out)}: is a file; --out needs a folder")
    _need_packages(page, anchor)
    found = sources.find(inputs)
    screen = Screen()
    threads = threads or _cores(jobs)
    entries, skipped = _entries(codecs, qualities, points, effort, threads, screen)
    names = [entry.codec.name for entry in entries]
    published = _published(curves, names)
    base = _anchor(anchor, names, published)
    keep = keep_pictures or bool(page)
    how, missing = _options(repeat, jobs, threads, task, classifier, keep, out)
    skipped += missing
    for lack in missing:
        screen.say(f"lictor: {lack['name']} is left out: {lack['reason']}", err=True)
    try:
        measured = _measure(found, entries, how, jobs, screen)
    except (CannotWrite, OutOfMemory) as e:
        screen.say(f"lictor: {e}", err=True)
        return 1
    for failure in measured.failed:
        place = " ".join(filter(None, [failure.image, failure.codec]))
        at = "" if failure.quality is None else f" {failure.quality:g}"
        screen.say(f"lictor: {show(place)}{at}: {failure.reason}", err=True)
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


def _cores(jobs: int) -> int:
    return cores() if jobs == 1 else 1


def _entries(
    codecs: str,
    qualities: tuple[str, ...],
    points: int | None,
    effort: int,
    threads: int,
    screen: Screen,
) -> tuple[list[Entry], list[dict[str, str]]]:
    """The codecs that are here, and why others are not. Raises UsageError."""
    from lictor.codec.bench import catalogue
    from lictor.codec.bench.contender import Missing
    from lictor.codec.bench.runner import Entry

    wanted = [name.strip() for name in codecs.split(",") if name.strip()]
    chosen = _chosen(qualities, wanted)
    entries: dict[str, Entry] = {}
    skipped = []
    for name in wanted:
        try:
            with same_for_all_files():
                codec = catalogue.find(name, effort, threads)
        except Missing as e:
            skipped.append({"name": name, "reason": str(e)})
            screen.say(f"lictor: {name} is left out: {e}", err=True)
            continue
        except UnknownCodec as e:
            raise UsageError(str(e)) from e
        at = chosen.get(name) or chosen.get(codec.name) or chosen.get("")
        entry = Entry(name, effort, codec, _at(codec, at, points))
        same = entries.setdefault(codec.name, entry)
        if same.codec.identity() != codec.identity():
            raise UsageError(f"two weights files are called {codec.name}; rename one")
    if not entries:
        raise UsageError("none of the codecs is here; `lictor bench --list-codecs` says which are")
    return list(entries.values()), skipped


def _chosen(qualities: tuple[str, ...], wanted: list[str]) -> dict[str, list[float]]:
    """What --qualities says, by name; "" for all."""
    chosen = {}
    for text in qualities:
        name, equals, numbers = text.rpartition("=")
        if equals and name not in wanted:
            raise UsageError(f"--qualities {text}: {name} is not among --codecs")
        chosen[name] = _numbers(numbers)
    return chosen


def _numbers(qualities: str) -> list[float]:
    """Numbers with commas between. Raises UsageError."""
    try:
        return [float(number) for number in qualities.split(",")]
    except ValueError:
        raise UsageError(f"--qualities {qualities}: write numbers with commas between") from None


def _at(codec: Codec, chosen: Sequence[float] | None, points: int | None) -> tuple[float, ...]:
    """The qualities to measure a codec at."""
    for quality in chosen or ():
        fault = codec.scale.fault(quality)
        if fault:
            raise UsageError(
                f"--qualities: of {codec.name}, {fault}; give it its own: "
                f"--qualities {codec.name}=..."
            )
    if chosen:
        return tuple(dict.fromkeys(chosen))
    own = tuple(map(float, codec.qualities))  # 4 and 4.0 would be two entries of a journal
    if points is None or points >= len(own):
        return own
    return tuple(own[round(i * (len(own) - 1) / (points - 1))] for i in range(points))


def _published(path: str | None, names: list[str]) -> dict[str, dict[str, Any]]:
    from lictor.codec.bench import curves

    try:
        return curves.published(path, names) if path else {}
    except BadCurves as e:
        raise UsageError(str(e)) from e


def _anchor(
    anchor: str | None, names: list[str], published: dict[str, dict[str, Any]]
) -> str | None:
    from lictor.codec.bench.catalogue import ALIASES

    if anchor is None:
        return None
    for name in (anchor, ALIASES.get(anchor, anchor)):
        if name in names or name in published:
            return name
    known = ", ".join(names)
    raise UsageError(f"--anchor {anchor}: neither measured nor published; give one of {known}")


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
    import torch

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
    torch.set_num_threads(threads)
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


@bench.command()
@click.option("--picture", metavar="FILE", help="Whose latents to code; else a sample photo.")
@options.model
@options.quality
@click.option(
    "--symbols",
    type=click.IntRange(1000),
    default=4_000_000,
    show_default=True,
    help="Symbols of the workloads A and B.",
)
@click.option(
    "--runs", type=click.IntRange(1), default=7, show_default=True, help="Times each is run."
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object.")
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


@bench.command()
@options.inputs
@options.model
@click.option(
    "--qualities",
    metavar="Q,Q,...",
    default="0,25,50,75,100",
    show_default=True,
    help="Qualities to measure at.",
)
@options.json
def exactness(inputs: tuple[str, ...], model: str, qualities: str, as_json: bool) -> int:
    """Measure what exact integer networks cost in bytes and in time.

    Bytes of the latents in real files against what float networks with ideal Gaussians would need;
    processor seconds of the entropy networks in integers and in floats, one thread.
    """
    from lictor.codec.bench import exactness as measuring

    steps = _numbers(qualities)
    paths = [path for path, _ in files.find(inputs, files.PICTURES)]
    screen, failed = Screen(), 0
    rows: list[measuring.Row] = []
    for path in screen.progress(paths, len(paths)):
        try:
            with same_for_all_files():
                rows += measuring.measure(path, model, steps)
        except CodecError as e:
            failed += 1
            screen.say(f"lictor: {show(path)}: {reason(e)}", err=True)
    if rows:
        report = measuring.report(rows)
        click.echo(json.dumps(report) if as_json else measuring.table(report))
    return 1 if failed else 0


@bench.command()
@options.inputs
@click.option(
    "--depth",
    type=click.IntRange(2, 8),
    default=8,
    show_default=True,
    help="Bits of the integers to compare with, whose error the others may make.",
)
@click.option("--model", metavar="NAME|PATH", help="Measure a model of features, too.")
@click.option(
    "--qualities",
    metavar="Q,Q,...",
    default="0,25,50,75,100",
    show_default=True,
    help="Of the model; its error is what the others may make.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object.")
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
    screen, rows, failed = Screen(), [], 0
    wanted = _numbers(qualities)
    paths = [path for path, _ in files.find(inputs, files.ARRAYS)]
    for path in screen.progress(paths, len(paths)):
        try:
            with same_for_all_files():
                rows += measuring.measure(path, depth, model, wanted)
        except (CodecError, OSError) as e:
            failed += 1
            screen.say(f"lictor: {show(path)}: {reason(e)}", err=True)
    if rows:
        report = measuring.report(rows, 0 if model else depth)
        click.echo(json.dumps(report) if as_json else measuring.table(report))
    return 1 if failed else 0
