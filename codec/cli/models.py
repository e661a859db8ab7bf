"""`lictor models`, `import`, `export-onnx`: the weights here, and their ways in and out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from lictor.codec.cli import options
from lictor.codec.inputs import UsageError


@click.command()
@options.json
def models(as_json: bool) -> None:
    """List the models: shipped ones, and those of LICTOR_CHECKPOINTS."""
    from lictor.models import zoo

    rows: list[dict[str, Any]] = []
    for entry in zoo.index().values():
        rows.append({**vars(entry), "bytes": _size(zoo.shipped_folder() / entry.file)})
    for path in zoo.own_files():
        own = {"name": path.stem, "id": 0, "file": str(path), "bytes": _size(path)}
        rows.append({**own, "summary": "your own"})
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    if not rows:
        click.echo("lictor: no models; set LICTOR_CHECKPOINTS to a folder of yours", err=True)
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        size = "missing" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f} MB"
        click.echo(f"{row['name']:{width}}  {size:>8}  {row['summary']}")
        peers = row.get("measured", {}).get("kodak_bd_rate_percent", {})
        if peers:
            rates = ", ".join(f"{rate:+.1f} % against {peer}" for peer, rate in peers.items())
            click.echo(f"{'':{width}}  {'':>8}  bits on Kodak at equal PSNR: {rates}")


def _size(path: os.PathLike[str]) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:
        return None


@click.command("import")
@click.argument("architecture")
@click.argument("weights")
@click.argument("out")
def import_(architecture: str, weights: str, out: str) -> None:
    """Make CompressAI weights usable here.

    ARCHITECTURE: bmshj2018-factorized, bmshj2018-hyperprior, mbt2018-mean or cheng2020-anchor.
    WEIGHTS: a state dict that torch.save wrote. OUT: ARCHITECTURE.TAG.safetensors, or a folder.
    """
    from lictor import models

    try:
        click.echo(models.import_weights(architecture, weights, out))
    except (models.ModelError, OSError) as e:
        raise UsageError(str(e)) from e


@click.command("export-onnx")
@click.argument("name")
@click.option("--into", metavar="FOLDER", default=".", help="Where files are put.  [default: .]")
def export_onnx(name: str, into: str) -> None:
    """Write the networks of a model as ONNX graphs, for apps of your own; see docs/onnx.md.

    NAME: a model that codes pictures and that `lictor models` lists, or a .safetensors file. Files
    are called NAME.analysis.onnx and so on. Neither PyTorch nor the package onnx is needed.
    """
    from lictor import models
    from lictor.models.onnx.export import export

    try:
        for path in export(name, Path(into)):
            click.echo(path)
    except (models.ModelError, OSError) as e:
        raise UsageError(str(e)) from e
