"""`lictor encode`: pictures, arrays and weights become .bin files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from lictor.codec import inputs as files
from lictor.codec import kinds
from lictor.codec.cli import batch, options
from lictor.codec.cli.file_jobs import Encode
from lictor.codec.errors import CodecError, InvalidTarget, MissingPackage, TaskUnavailable
from lictor.codec.inputs import UsageError, show
from lictor.codec.quality import LOSSLESS
from lictor.models.overfit import sizes

if TYPE_CHECKING:
    from lictor.codec.picture.rate_target import Target


asked = options.together(
    options.quality,
    options.method,
    options.effort,
    options.model,
    options.strip,
    options.salvage,
    options.device,
    options.runtime,
    options.roi,
    options.tune,
    options.targets,
    options.features,
    options.presets,
    options.calibration,
    options.quantiser,
    options.by_data,
)
"""The options that say how files are to be, of every command that makes some."""


@click.command()
@options.paths
@asked
@options.keep_best
@options.weights
@options.suffix
@options.workers
@options.skip
@options.json
def encode(
    paths: tuple[str, ...],
    keep_best: bool,
    kind: str | None,
    base: str | None,
    chain: bool,
    suffix: str,
    workers: int,
    skip: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Encode pictures, arrays of numbers (.npy, .npz) and weights (.safetensors, .pt, .pth).

    IN: pictures, arrays or weights, or folders to search for them through all levels. OUT: a .bin
    file, or a folder for several inputs. Arrays without a target come as near as int8 with one
    scale does; with a --model of features, --quality counts, or --mse or --bits find it. Weights
    come back to the byte; with -q or --bits, with loss; with other targets, or --kind arrays, they
    are arrays.
    """
    inputs, output = options.inputs_and_output(paths, as_json)
    jobs = files.plan(inputs, output, files.ENCODABLE, suffix)
    others = files.left_out(inputs, files.ENCODABLE)
    if others:
        click.echo(f"lictor: {others}", err=True)
    named = kinds.named(jobs[0].target)
    if named:
        raise UsageError(f"{show(jobs[0].target)}: is {named.whose} name; name the output .bin")

    if keep_best and sizes.named(how["model"]) is None:
        raise UsageError("--keep-best is for --model overfit; leave it out")
    sources = [job.source for job in jobs]
    work = Encode(
        given(**how) | ({"base": base} if base else {}),
        mixed=len({kinds.of_input(source) for source in sources}) > 1,
        keep=keep_best,
        kind=kind or "",
        threads=options.threads(workers, jobs),
        bases=options.bases(chain, base, sources, sources),
    )
    return batch.run(jobs, work, as_json, workers=workers, skip=skip)


def given(
    quality: float | str,
    method: str,
    lossless: bool,
    effort: int,
    model: str | None,
    strip: bool,
    salvage: bool,
    device: str,
    roi: tuple[str, ...],
    roi_task: str | None,
    roi_drop: float,
    tune: str | None,
    size: int | None,
    bpp: float | None,
    psnr: float | None,
    ssim: float | None,
    strict: bool,
    network: str | None,
    data: str | None,
    shown: str | None,
    kl: float | None,
    max_drop: float | None,
    **features: Any,
) -> dict[str, Any]:
    """Those of `asked` that the command line has, by the names that kinds take. Raises UsageError.

    features: the options for arrays.
    """
    wanted, method = options.chosen(quality, method, lossless)
    target = _target(strict, size=size, bpp=bpp, psnr=psnr, ssim=ssim)
    _check_roi(roi, roi_task)
    values = {
        "quality": wanted,
        "method": method if _named("method") else None,
        "effort": effort or None,
        "strip": strip or None,
        "roi": _roi(roi, roi_task),
        "roi_drop": roi_drop if _named("roi_drop") else None,
        "tune": tune,
        "target": target,
        "strict": strict or None,
        "salvage": salvage or None,
        "device": device if device != "cpu" else None,
        "model": model,
        **features,
    }
    values["network"] = _by_data(values, network, data, shown, kl, max_drop)
    return {name: value for name, value in values.items() if value is not None}


def _by_data(
    values: Mapping[str, Any],
    network: str | None,
    data: str | None,
    shown: str | None,
    kl: float | None,
    max_drop: float | None,
) -> Any:
    """What codes weights by what data say; None where none are named. Raises UsageError."""
    named: dict[str, Any] = {"--network": network, "--data": data, "--shown": shown}
    named |= {"--kl": kl, "--max-drop": max_drop}
    given = [name for name, value in named.items() if value is not None]
    if not given:
        return None
    if not network or not data:
        raise UsageError(
            f"{given[0]} is for a network and what it is shown; give --network MODULE:NAME and "
            "--data FOLDER"
        )
    aims = [flag for flag, value in (("--kl", kl), ("--max-drop", max_drop)) if value is not None]
    aims += [f"--{name}" for name in ("quality", "bits") if values.get(name) is not None]
    if len(aims) != 1:
        said = " and ".join(aims) + " say different things" if aims else "what is to be is not said"
        raise UsageError(f"{said}; give one of --kl, --max-drop, --quality and --bits")
    if values.get("calibration"):
        raise UsageError("--network calibrates; leave --calibration out")
    if values.get("quantiser"):
        raise UsageError("--network has a quantiser of its own; leave --quantiser out")
    if values.get("quality") == LOSSLESS:
        raise UsageError("--network is for what is lost; leave --lossless out")
    from lictor.training.calibrated.command import Calibrated

    return Calibrated(network, data, shown or "224", kl, max_drop)


def _named(option: str) -> bool:
    """Whether the command line has an option."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def _target(strict: bool, **values: float | None) -> Target | None:
    """What pictures are to reach; None for a quality."""
    from lictor.codec.picture import rate_target

    try:
        target = rate_target.given(**values)
    except (InvalidTarget, MissingPackage) as e:
        raise UsageError(str(e)) from e
    if target and _named("quality"):
        raise UsageError(f"--{target.kind} finds the quality; leave --quality out")
    if strict and not target:
        raise UsageError("--strict is for --size, --bpp, --psnr and --ssim; add one of them")
    return target


def _check_roi(roi: tuple[str, ...], task: str | None) -> None:
    """Raises UsageError where a region cannot be found, before anything is read."""
    if _named("roi_drop") and not (roi or task):
        raise UsageError("--roi-drop is for --roi and --roi-task; add one of them")
    if task:
        from lictor.codec.picture import classifier_view

        try:
            classifier_view.need()
        except TaskUnavailable as e:
            raise UsageError(str(e)) from e


def _roi(named: tuple[str, ...], task: str | None) -> Any:
    """What `lictor.codec.encode` takes as roi."""
    if not named:
        return task
    if task:
        raise UsageError("--roi-task finds its own region; leave --roi out")
    return [_box(text) or _read_map(text) for text in named]


def _box(text: str) -> tuple[float, ...] | None:
    """X,Y,W,H[:WEIGHT]; None if it is the name of a file."""
    place, colon, weight = text.partition(":")
    try:
        x, y, width, height = (int(part) for part in place.split(","))
        return (x, y, width, height, float(weight) if colon else 1.0)
    except ValueError:
        return None


def _read_map(name: str) -> Any:
    from lictor.codec.image import pillow

    try:
        return pillow.read(name).colours
    except (CodecError, OSError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise UsageError(
            f"--roi {show(name)}: neither a box X,Y,W,H[:WEIGHT] nor a picture that can be read "
            f"({reason})"
        ) from e
