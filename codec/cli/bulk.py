"""`lictor bulk`: from shards to shards, on this machine or on a cluster."""

from __future__ import annotations

from typing import Any

import click

from lictor.codec import bulk as defaults
from lictor.codec import inputs, kinds
from lictor.codec.cli import decode, encode, options, verify
from lictor.codec.cli.file_jobs import Decode, Encode, Verify


class _Bulk(click.Group):
    """A group whose command `encode` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["encode", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Bulk)
def bulk() -> None:
    """Encode, decode or verify by the million: lictor bulk SRC... DST.

    SRC: folders, patterns, tar shards or Parquet files, here or in object stores (s3://, gs://).
    DST: a folder, for shards and a manifest; the same command goes on where a run ended.
    `lictor bulk SRC... DST` is short for `lictor bulk encode SRC... DST`.
    """


_placed = options.together(
    click.argument("paths", nargs=-1, required=True, metavar="SRC... DST"),
    click.option(
        "--on",
        "where",
        default=defaults.HERE,
        show_default=True,
        metavar="here|ray|ADDRESS",
        help="Processes of this machine; a Ray of this machine; or the cluster at an address "
        "(auto: the one that this machine is in).",
    ),
    options.whole(
        "-j",
        "--jobs",
        "workers",
        least=0,
        default=0,
        metavar="N",
        help="Workers at a time; 0: as many as there are cores, or GPUs, for.",
    ),
    options.whole("--cores", least=1, default=1, metavar="N", help="On Ray: cores of each worker."),
    click.option(
        "--gpus",
        type=click.FloatRange(0),
        default=0.0,
        show_default=True,
        metavar="G",
        help="On Ray: GPUs of each worker, 0.5 for two on one; with --device cuda.",
    ),
    options.whole(
        "--shard",
        "items",
        least=0,
        default=0,
        metavar="N",
        help=f"Inputs of a shard at most; 0: {defaults.ITEMS}, and fewer where there are few.",
    ),
    click.option(
        "--shard-size",
        type=options.Size(),
        default=str(defaults.SIZE),
        metavar="BYTES",
        help="Bytes of input of a shard at most; 256MiB unless told.",
    ),
    click.option(
        "--column", default="", metavar="NAME", help="Of Parquet files, which holds the bytes."
    ),
    click.option(
        "--only",
        default="",
        metavar="EXT,...",
        help="Code only files with these extensions; others travel along untouched.",
    ),
    click.option("--retry", is_flag=True, help="Do shards anew in which inputs failed."),
    options.json_object,
)


@bulk.command("encode")
@_placed
@encode.asked
@click.option("--measure", is_flag=True, help="The manifest tells each picture's PSNR.")
def bulk_encode(measure: bool, **given: Any) -> int:
    """Encode pictures and arrays; other columns and files of a sample travel along."""
    placed, how = _parted(given)
    work = Encode(encode.given(**how) | ({"measure": True} if measure else {}), mixed=True)
    return _run("encode", work, kinds.SUFFIXES, **placed)


@bulk.command("decode")
@_placed
@decode.asked
def bulk_decode(**given: Any) -> int:
    """Decode .bin files of shards to PNG files, .npy, .npz and .safetensors."""
    placed, how = _parted(given)
    return _run("decode", Decode("PNG", decode.given(**how)), inputs.BINS, **placed)


@bulk.command("verify")
@_placed
@verify.asked
def bulk_verify(**given: Any) -> int:
    """Verify pictures and weights; DST is given the manifest alone."""
    placed, how = _parted(given)
    return _run("verify", verify.work(**how), verify.VERIFIED, **placed, keeps=False)


_PLACED = frozenset(("paths", "where", "workers", "cores", "gpus", "items", "shard_size")).union(
    ("column", "only", "retry", "as_json")
)


def _parted(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of _placed, and the others."""
    how = {name: value for name, value in given.items() if name not in _PLACED}
    return {name: given[name] for name in _PLACED}, how


def _run(
    what: str,
    work: Encode | Decode | Verify,
    known: frozenset[str],
    *,
    keeps: bool = True,
    **placed: Any,
) -> int:
    """What takes a run is loaded when there is one: it would slow down each `lictor`."""
    from lictor.codec.cli import bulk_run

    sources, target = options.inputs_and_output(placed.pop("paths"), False)
    asked = bulk_run.Asked(what, work, known, sources, target, keeps, **placed)
    return bulk_run.run(asked)
