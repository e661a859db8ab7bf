"""`lictor train`, `distil`, `train-features`, `train-weights`, and `export` of what they made."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lictor.codec.cli import options
from lictor.codec.cli.console import fail
from lictor.codec.errors import CodecError


def _run(folder: str, minutes: int, weights: str) -> Callable[..., Any]:
    """The options of every command that trains; folder and minutes are those without them.

    What is not given is None: the defaults stand with the settings (training/config.py), which a
    file of settings and a resumed run may change.
    """
    return options.together(
        click.option("--out", metavar="FOLDER", help=f"Run folder.  [default: {folder}]"),
        click.option("--minutes", metavar="M", help=f"Training time.  [default: {minutes}]"),
        click.option("--resume", is_flag=True, help="Go on with the run in --out."),
        click.option("--weights", metavar="NAME|PATH", help=weights),
    )


_settings_list = click.option(
    "--settings", is_flag=True, help="List every setting that KEY=VALUE can give."
)


@click.command()
@click.argument("inputs", nargs=-1, metavar="DIR... [KEY=VALUE...] [FILE.toml...]")
@_run("runs/last", 10, "Start from these.  [default: lictor-s.mse]")
@click.option("--model", metavar="NAME", help="Start from scratch with this architecture.")
@click.option("--val", metavar="DIR", help="Pictures to validate on, else some are held out.")
@click.option("--loss", metavar="NAME", help="mse, ms-ssim or perceptual.  [default: mse]")
@_settings_list
def train(inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None) -> None:
    """Train a model on pictures of your own.

    DIR: folders to search for pictures through all levels, or tar shards. Fine-tunes lictor-s.mse
    for ten minutes unless told otherwise; `lictor encode --model` takes the weights it makes.
    """
    if settings:
        _script("train.py", ["--help"])
    _script("train.py", _settings(inputs, resume, given))


@click.command()
@click.argument("inputs", nargs=-1, metavar="DIR... [KEY=VALUE...] [FILE.toml...]")
@_run("runs/student", 30, "Start from these, as stage=2 must.")
@_settings_list
def distil(inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None) -> int:
    """Train a student of EfficientNet-Lite0 on pictures of your own, without labels.

    DIR: folders to search for pictures through all levels, or tar shards. Stage 1 makes weights
    that code; stage=2 with --weights of stage 1 adapts what looks at files.
    """
    from lictor.training import distil

    return distil.main(["--help"] if settings else _settings(inputs, resume, given))


@click.command("train-features")
@click.argument("inputs", nargs=-1, metavar="FILE... [KEY=VALUE...] [SETTINGS.toml...]")
@_run("runs/features", 15, "Start from these.")
@_settings_list
def train_features(
    inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None
) -> int:
    """Train a model for features of your own, those of one layer of a network.

    FILE: .npy, .npz, .safetensors files, or folders of them. `lictor encode features.npy f.bin
    --model` takes the weights it makes.
    """
    from lictor.training import features

    return features.main(["--help"] if settings else _settings(inputs, resume, given))


@click.command("train-weights")
@click.argument("inputs", nargs=-1, metavar="DIR... [KEY=VALUE...] [SETTINGS.toml...]")
@click.option("--network", metavar="MODULE:NAME", help="What makes the network, a torch Module.")
@_run("runs/weights", 10, "Weights of the network, .safetensors.  [default: as it is made]")
@_settings_list
def train_weights(
    inputs: tuple[str, ...], resume: bool, settings: bool, **given: str | None
) -> int:
    """Make the weights of a network of your own take fewer bits.

    DIR: folders to search for pictures through all levels, or tar shards. The network learns to
    give its own answers with rounded weights; no labels are needed. Writes weights.safetensors, the
    steps of its tensors, and the coded weights.bin.
    """
    from lictor.training import weights

    return weights.main(["--help"] if settings else _settings(inputs, resume, given))


def _settings(inputs: tuple[str, ...], resume: bool, given: dict[str, str | None]) -> list[str]:
    """Arguments of a training command as settings."""
    from lictor.training.config import is_setting

    pictures = [i for i in inputs if not (is_setting(i) or i.endswith(".toml"))]
    arguments = [i for i in inputs if i not in pictures]
    arguments += [f"{key}={value}" for key, value in given.items() if value is not None]
    if pictures:
        arguments.append(f"data={','.join(pictures)}")
    if resume:
        arguments.append("resume=true")
    return arguments


def _script(name: str, arguments: list[str]) -> None:
    """Run a script that lies beside the packages; it ends with an exit status of its own."""
    import lictor.training

    path = os.path.join(os.path.dirname(next(iter(lictor.training.__path__))), name)
    before, sys.argv = sys.argv, [path, *arguments]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        sys.argv = before


@click.command()
@click.argument("run")
@click.option("--measure", metavar="DIR", default="", help="Also measure on pictures.")
@click.option("--into", metavar="FOLDER", default="", help="Add to the index.json of this folder.")
def export(run: str, measure: str, into: str) -> int:
    """Write and verify the weights of a training run, as `lictor train` does at its end.

    RUN: the folder of a run, finished or not. Real files must be within 1 % of the estimate.
    """
    from lictor.models import ModelError
    from lictor.training.export import ExportFailed
    from lictor.training.pack import export as write

    try:
        click.echo(write(Path(run), measure, into))
    except (ExportFailed, CodecError, ModelError, ValueError, OSError) as e:
        return fail(f"lictor export: {e}", 1)
    return 0
