"""From a run to weights that code: written, verified by real files, measured, listed.

The integer form of the entropy networks is a function of the weights file, made anew by whoever
loads it (models/coding/fixed_point.py), so there is no table to forget. That it holds, and that
real files are as long as the model expects, is verified here.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from lictor.codec import api
from lictor.codec.bench import curves, learned, measure, pictures, runner
from lictor.codec.errors import CodecError
from lictor.codec.runtime import store
from lictor.models import ModelError, checkpoint
from lictor.models.base import Network
from lictor.models.zoo import SUFFIX
from lictor.training import listing, state, validation

QUALITIES = (0.0, 50.0, 100.0)
MEASURED_AT = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)
LARGEST_GAP, STREAM_ENDS = 0.01, 8
"""Real bytes may differ from the estimate by so much, and by so many bytes for each picture."""


class ExportFailed(Exception):
    """The weights do not code as the model expects."""


def export(run: Path, measure: str = "") -> Path:
    """Write run/NAME.safetensors and run/index.json from the averaged weights; returns the former.

    measure: a folder of pictures whose curve goes into the index. Raises ExportFailed,
    FileNotFoundError, CodecError.
    """
    model, config, steps = state.averaged(run)
    name = f"{config.model}.{config.tag}"
    training = recipe(config, steps)
    summary = f"trained on {', '.join(training['data'])}"
    samples = validation.kept(run)

    def check(weights: str) -> dict[str, Any]:
        verify(weights, samples)
        return curve(weights, measure) if measure else {}

    return publish(run, model, name, training, check, summary)[1]


def publish(
    run: Path,
    model: Network,
    name: str,
    training: dict[str, Any],
    check: Callable[[str], dict[str, Any]],
    summary: str = "",
) -> tuple[dict[str, Any], Path]:
    """Write run/NAME.safetensors, verify it, and run/index.json.

    check: verifies the weights of a path; returns what it measured.
    Returns the entry of the index, and the weights. Errors: as for `export`, and those of check.
    """
    target = run / f"{name}{SUFFIX}"
    checkpoint.save(model, target, name, training)
    measured = check(str(target))
    entry = listing.entry(name, target, training, summary=summary, measured=measured)
    listing.write(run / listing.INDEX, [entry])
    return entry, target


def recipe(config: Any, steps: int) -> dict[str, Any]:
    """What is told of the making of weights: the settings that shaped them, no folder names."""
    told = {key: value for key, value in asdict(config).items() if key not in _UNTOLD}
    for key in told.keys() & {"data", "val", "measure"}:
        told[key] = [Path(part).name for part in told[key].split(",") if part]
    told["weights"] = Path(config.weights).name
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return told | {"steps": steps, "machine": f"{device}, torch {torch.__version__}"}


_UNTOLD = (
    *("out", "resume", "save_every", "watch_every"),
    *("memory", "workers", "threads", "pool"),
)


def verify(model: str, pictures: Sequence[np.ndarray]) -> None:
    """Encode and decode pictures, and hold the bytes of their latents against the estimate.

    A decoder that gets other latents than were encoded raises LatentMismatch by itself.
    """
    models = store.DEFAULT.also(model)
    if not pictures:
        raise ExportFailed(f"{model}: no validation pictures to verify it on")
    print(f"{'quality':>7} {'bpp':>8} {'PSNR dB':>8} {'bytes against estimate':>23}")
    for quality in QUALITIES:
        data = [api.encode(p, quality=quality, model=model, method="network") for p in pictures]
        psnr = fmean(
            api.psnr(p, np.asarray(api.decode(d, models=models)))
            for p, d in zip(pictures, data, strict=True)
        )
        bpp = fmean(api.info(d).bpp for d in data)
        real = sum(api.info(d).latent_bytes for d in data)
        expected = sum(api.estimate(p, quality=quality, model=model) for p in pictures)
        gap = real / expected - 1
        print(f"{quality:7g} {bpp:8.4f} {psnr:8.3f} {gap:23.2%}")
        refuse_gap(model, gap, LARGEST_GAP + STREAM_ENDS * len(pictures) / expected)


def refuse_gap(model: str, gap: float, allowed: float) -> None:
    """Raise ExportFailed if real files differ from the estimate by more than what is allowed."""
    if not abs(gap) <= allowed:  # not a number, too
        raise ExportFailed(
            f"{model}: real files differ by {gap:.1%} from what the model expects; train it"
            " longer, or with a lower learning rate, and do not use these weights"
        )


def curve(model: str, folder: str) -> dict[str, Any]:
    """Mean bpp and PSNR of real files of a folder's pictures, as index.json has them."""
    codec = learned.model(model, effort=0, threads=torch.get_num_threads())
    entry = runner.Entry(model, 0, codec, MEASURED_AT)
    measured = runner.run(pictures.find([folder]), [entry], measure.Options(timed=False))
    for failure in measured.failed:
        raise ExportFailed(f"{failure.image}: {failure.reason}")
    points = curves.points(measured.rows)
    for p in points:
        print(f"{p['quality']:7g} {p['bpp']:8.4f} {p['psnr']:8.3f}  {Path(folder).name}")
    qualities = ",".join(f"{quality:g}" for quality in MEASURED_AT)
    name = Path(folder).name
    return {
        "command": f"lictor bench {name}/ --codecs {codec.name} --qualities {qualities}",
        f"{name}_quality": [p["quality"] for p in points],
        f"{name}_bpp": [round(p["bpp"], 4) for p in points],
        f"{name}_psnr": [round(p["psnr"], 3) for p in points],
    }


def command(name: str, about: str, arguments: list[str], work: Callable[[], str]) -> int:
    """A command that trains and exports; returns the exit status.

    about: what --help prints. work: does it; returns what to print at the end.
    """
    if arguments in (["--help"], ["-h"]):
        print(about)
        return 0
    try:
        print(work())
    except (ValueError, OSError, ModelError, CodecError, ExportFailed) as error:
        print(f"lictor {name}: {error}", file=sys.stderr)
        return 2
    return 0
