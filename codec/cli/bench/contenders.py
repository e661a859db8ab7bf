"""Which codecs to measure, at which qualities, and what to hold them against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lictor.codec.cli.bench import qualities as at
from lictor.codec.cli.console import Screen, same_for_all_files
from lictor.codec.errors import BadCurves, UnknownCodec
from lictor.codec.inputs import UsageError

if TYPE_CHECKING:
    from lictor.codec.bench.runner import Entry


def entries(
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
    chosen = at.by_codec(qualities, wanted)
    found: dict[str, Entry] = {}
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
        named = chosen.get(name) or chosen.get(codec.name) or chosen.get("")
        entry = Entry(name, effort, codec, at.of(codec, named, points))
        same = found.setdefault(codec.name, entry)
        if same.codec.identity() != codec.identity():
            raise UsageError(f"two weights files are called {codec.name}; rename one")
    if not found:
        raise UsageError("none of the codecs is here; `lictor bench --list-codecs` says which are")
    return list(found.values()), skipped


def published(path: str | None, names: list[str]) -> dict[str, dict[str, Any]]:
    """The curves of a file, by codec; none without a file. Raises UsageError."""
    from lictor.codec.bench import curves

    try:
        return curves.published(path, names) if path else {}
    except BadCurves as e:
        raise UsageError(str(e)) from e


def against(
    anchor: str | None, names: list[str], published: dict[str, dict[str, Any]]
) -> str | None:
    """The codec that BD-rates are against, by its name in a report. Raises UsageError."""
    from lictor.codec.bench.catalogue import ALIASES

    if anchor is None:
        return None
    for name in (anchor, ALIASES.get(anchor, anchor)):
        if name in names or name in published:
            return name
    known = ", ".join(names)
    raise UsageError(f"--anchor {anchor}: neither measured nor published; give one of {known}")
