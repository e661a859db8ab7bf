"""What `--qualities` says: at which qualities to measure a codec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from lictor.codec.inputs import UsageError

if TYPE_CHECKING:
    from lictor.codec.bench.contender import Codec


def option(help: str) -> Callable[..., Any]:
    """`--qualities` of a command that measures one model."""
    return click.option(
        "--qualities",
        metavar="Q,Q,...",
        default="0,25,50,75,100",
        show_default=True,
        help=help,
    )


def numbers(qualities: str) -> list[float]:
    """Numbers with commas between. Raises UsageError."""
    try:
        return [float(number) for number in qualities.split(",")]
    except ValueError:
        raise UsageError(f"--qualities {qualities}: write numbers with commas between") from None


def by_codec(qualities: tuple[str, ...], wanted: list[str]) -> dict[str, list[float]]:
    """What --qualities says, by name; "" for all."""
    chosen = {}
    for text in qualities:
        name, equals, own = text.rpartition("=")
        if equals and name not in wanted:
            raise UsageError(f"--qualities {text}: {name} is not among --codecs")
        chosen[name] = numbers(own)
    return chosen


def of(codec: Codec, chosen: Sequence[float] | None, points: int | None) -> tuple[float, ...]:
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
