"""Teach plane-hyper a layer's features (models/array/plane_hyper.py).

    python -m lictor.training.features data=features.npy out=runs/f1

The features are cut into samples, their channels' means taken away, and the KLT of what is left is
where the training starts: bits a value plus lambda times the squared error, at qualities drawn at
random. `lictor train-features` is the same with fewer letters.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lictor.codec.arrays import files as feature_files
from lictor.codec.arrays.api import decode_features, encode_features
from lictor.codec.arrays.learned import Planes
from lictor.codec.arrays.planes import Layout
from lictor.codec.format.arrays import kind_of
from lictor.codec.runtime import store
from lictor.models import checkpoint, registry
from lictor.models.array.plane_hyper import LAMBDA_MIN, PlaneHyper, quality_to_lambda
from lictor.models.quality import Quality
from lictor.training import export
from lictor.training import loop as steps
from lictor.training.config import SETTINGS, listing, write
from lictor.training.features_config import Features, configure
from lictor.training.soap import Soap
from lictor.training.state import State, follower, read

QUALITIES = (0.0, 25.0, 50.0, 75.0, 100.0)
WATCHED = 64
"""Samples that are watched, at most."""


# ------------------------------------------------------------------------------- data
def arrays(config: Features) -> Iterator[np.ndarray]:
    """The float arrays of all files."""
    for name in filter(None, config.data.split(",")):
        path = Path(name)
        paths = sorted(p for p in path.rglob("*") if kind_of(p.name)) if path.is_dir() else [path]
        if not paths:
            raise ValueError(f"{path}: no files of arrays")
        for p in paths:
            found = feature_files.read(p.read_bytes(), kind_of(p.name))
            each = found.values() if isinstance(found, dict) else [found]
            yield from (x for x in map(feature_files.plain, each) if x is not None)


def frames(x: np.ndarray, axis: int) -> tuple[Tensor, bool]:
    """An array's frames, float32 (frames, C, rows, columns), and whether it is a sequence."""
    own = axis if axis >= -x.ndim else (1 if x.ndim == 4 else -1)
    if not -x.ndim <= own < x.ndim:
        raise ValueError(f"there is no axis {own} in {x.ndim} dimensions")
    own %= x.ndim
    layout = Layout(x.shape, own, x.shape[own])
    return torch.from_numpy(layout.pack(x.astype(np.float32))), layout.sequence


def samples(config: Features) -> tuple[Tensor, int]:
    """All samples, float32 (samples, C, rows, columns), and the fold that suits them."""
    found = [frames(x, config.axis) for x in arrays(config)]
    if not found:
        raise ValueError(f"{config.data}: holds no float arrays")
    widths = {f.shape[1] for f, _ in found}
    if len(widths) > 1:
        raise ValueError(f"arrays have {sorted(widths)} channels; train on those of one layer")
    rows, columns = (min(config.crop, *(f.shape[i] for f, _ in found)) for i in (2, 3))
    parts = [
        f[:, :, top : top + rows, left : left + columns]
        for f, _ in found
        for top in range(0, f.shape[2] - rows + 1, rows)
        for left in range(0, f.shape[3] - columns + 1, columns)
    ]
    fold = config.fold or (1 if any(sequence for _, sequence in found) else 2)
    return torch.cat(parts), fold


def split(kept: Tensor, config: Features) -> tuple[Tensor, Tensor]:
    """Samples to train on, and those to watch: some from all parts of the data."""
    order = torch.from_numpy(np.random.default_rng(config.seed).permutation(len(kept)))
    count = min(round(config.hold_out * len(kept)) or 1, len(kept) // 2)
    if len(kept) - count < config.batch:
        raise ValueError(f"{len(kept)} samples are less than a batch of {config.batch} and some")
    return kept[order[count:]], kept[order[:count][:WATCHED]]


# ------------------------------------------------------------------------------- model
def create(config: Features, channels: int, fold: int) -> PlaneHyper:
    """An empty model. Raises ValueError for an architecture that codes pictures."""
    model = registry.create(config.model) if config.model in registry.architectures() else None
    if not isinstance(model, PlaneHyper):
        known = ", ".join(registry.architectures(PlaneHyper))
        raise ValueError(f"{config.model!r} codes no features; there are {known}")
    return model.resized(channels, fold)


@torch.no_grad()
def start(model: PlaneHyper, config: Features, kept: Tensor) -> None:
    """Give a model given weights, or what its samples look like and their KLT."""
    if config.weights:
        given = checkpoint.load(config.weights)
        if not (isinstance(given, PlaneHyper) and given.channels == model.channels):
            raise ValueError(f"{given.name} is not for features of {model.channels} channels")
        if given.fold != model.fold:
            raise ValueError(f"{given.name} has a fold of {given.fold}; give fold={given.fold}")
        model.load_state_dict(given.state_dict())
        return
    deviation, mean = torch.std_mean(kept.double(), dim=(0, 2, 3), correction=0)
    model.mean.copy_(mean)
    model.unit.copy_(deviation.square().mean().sqrt())
    # Of a channel that never changes, anything is far out.
    model.spread.copy_(deviation.clamp(min=1e-3 * model.unit.item()))
    covariance, count = torch.zeros(()).double(), 0
    for part in centred(model, kept).split(256):
        wide = F.pad(part, (0, -part.shape[3] % model.fold, 0, -part.shape[2] % model.fold))
        flat = F.pixel_unshuffle(wide, model.fold).permute(0, 2, 3, 1).flatten(0, 2).double()
        covariance, count = covariance + flat.T @ flat, count + len(flat)
    model.start_from_klt(covariance / count)


def centred(model: PlaneHyper, x: Tensor) -> Tensor:
    """Samples as the model is given them."""
    return (x - model.mean[:, None, None]) / model.unit


def groups(model: PlaneHyper, config: Features) -> list[dict[str, Any]]:
    """What is trained, and how fast."""
    slow = ("g_a.shortcut", "g_s.shortcut", "gain.", "inverse_gain.")
    named = list(model.named_parameters())
    quick = [p for n, p in named if not n.startswith(slow)]
    gentle = [p for n, p in named if n.startswith(slow)]
    return [
        {"params": quick, "relative": 1.0, "weight_decay": 1e-4},
        {"params": gentle, "relative": config.gentle, "weight_decay": 0.0},
    ]


# ------------------------------------------------------------------------------- loss
def errors(model: Any, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
    """Bits a value, and squared error as a part of the variance, of each sample."""
    out = model(x, quality)
    return out.bits / x[0].numel(), (out.x_hat - x).square().flatten(1).mean(1)


def loss(bits: Tensor, error: Tensor, quality: Tensor, balance: float) -> Tensor:
    """All rates weigh about alike."""
    weight = quality_to_lambda(quality)
    return ((bits + weight * error) * (LAMBDA_MIN / weight) ** balance).mean()


# ------------------------------------------------------------------------------- loop
def train(config: Features) -> Tensor:
    """Run to the end; returns the held-out samples."""
    run = steps.begin(config)
    found, fold = samples(config)
    kept, held = split(found, config)
    model = create(config, kept.shape[1], fold)
    if not config.resume:
        start(model, config, kept)
    optim = Soap(groups(model, config), lr=config.learning_rate)
    state = State(model.train(), follower(model), optim)
    if config.resume:
        state.restore(run)
    write(config, run / SETTINGS)

    def loss_of(picked: Tensor, quality: Tensor) -> Tensor:
        bits, error = errors(model, centred(model, kept[picked]), quality)
        return loss(bits, error, quality, config.balance)

    steps.run(state, config, len(kept), loss_of, lambda: watch(state, run, held))
    return held


@torch.inference_mode()
def watch(state: State, run: Path, held: Tensor) -> None:
    """Where the averaged weights stand on held-out samples: a line and rows of watch.csv."""
    path, told = run / "watch.csv", []
    new = not path.exists()
    with path.open("a", newline="") as file:
        out = csv.writer(file)
        if new:
            out.writerow(("step", "minutes", "quality", "bits", "error"))
        for quality in QUALITIES:
            x = centred(state.average, held)  # type: ignore[arg-type]
            parts = errors(state.average, x, torch.full((len(held),), quality))
            bits, error = (part.mean().item() for part in parts)
            out.writerow((state.step, f"{state.spent:.2f}", quality, f"{bits:.4f}", f"{error:.6f}"))
            told.append(f"{bits:.3f} b {error:.4f}")
    print(f"step {state.step}: " + "; ".join(told), flush=True)


# ------------------------------------------------------------------------------- end
def finish(config: Features, held: Tensor) -> Path:
    """Weights that code, verified by real files; returns their path."""
    run = Path(config.out)
    saved = read(run)
    channels = saved["average"]["mean"].numel()
    fold = round((saved["average"]["g_a.shortcut.weight"].shape[1] / channels) ** 0.5)
    model = create(config, channels, fold).eval().requires_grad_(False)
    model.load_state_dict(saved["average"])
    name, training = f"{config.model}.{config.tag}", export.recipe(config, saved["step"])

    def check(weights: str) -> dict[str, Any]:
        verify(weights, held.numpy())
        return {}

    return export.publish(run, model, name, training, check)[1]


def verify(weights: str, x: np.ndarray) -> None:
    """Encode and decode an array, and hold the file's bytes against the estimate."""
    models = store.DEFAULT.also(weights)
    planes = Planes(x.astype(np.float64), 1, models.load_for_arrays(weights))
    print(f"{'quality':>7} {'bits':>8} {'MSE':>10} {'bytes against estimate':>23}")
    for quality in export.QUALITIES:
        data = encode_features(x, model=weights, quality=quality, axis=1)
        error = float(np.square(decode_features(data, models=models) - x).mean())
        expected = planes.estimate(Quality.of(quality)) / 8
        gap = len(data) / expected - 1
        print(f"{quality:7g} {8 * len(data) / x.size:8.4f} {error:10.4g} {gap:23.2%}")
        export.refuse_gap(weights, gap, 2 * export.LARGEST_GAP + OVERHEAD / expected)


OVERHEAD = 200
"""Bytes of a file beside what the model expects, at most; more with many channels."""


def main(arguments: list[str]) -> int:
    """Train, then export; returns the exit status."""

    def work() -> str:
        config = configure(arguments)
        weights = finish(config, train(config))
        where = os.path.dirname(weights)
        return f"{weights}: done; LICTOR_CHECKPOINTS={where} lictor encode --model {weights.stem}"

    about = f"{__doc__}\nSettings:\n\n{listing(Features)}"
    return export.command("train-features", about, arguments, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
