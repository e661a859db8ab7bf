"""A benchmark of one codec of ours over files: bad files are named, the others measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from lictor.codec import inputs as files
from lictor.codec.cli.console import Screen, reason, same_for_all_files
from lictor.codec.errors import CodecError
from lictor.codec.inputs import show

Row = TypeVar("Row")


def run(
    inputs: tuple[str, ...],
    suffixes: frozenset[str],
    measure: Callable[[str], list[Row]],
    report: Callable[[list[Row]], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
    as_json: bool,
) -> int:
    """Measure each file, show a report on all; returns the exit status.

    suffixes: of the files that folders are searched for. measure: the rows of one file. table: a
    report for people; as_json: show it as one JSON object instead.
    """
    screen, failed = Screen(), 0
    rows: list[Row] = []
    paths = [path for path, _ in files.find(inputs, suffixes)]
    for path in screen.progress(paths, len(paths)):
        try:
            with same_for_all_files():
                rows += measure(path)
        except (CodecError, OSError) as e:
            failed += 1
            screen.say(f"lictor: {show(path)}: {reason(e)}", err=True)
    if rows:
        made = report(rows)
        click.echo(json.dumps(made) if as_json else table(made))
    return 1 if failed else 0
