"""Train a Lictor model on your own pictures.

    python train.py data=photos/                     # fine-tunes lictor-s.mse for ten minutes
    python train.py data=photos/ model=lictor-s minutes=600 out=runs/new      # from scratch
    python train.py recipe.toml out=runs/last resume=true
    torchrun --nproc-per-node 4 train.py 'data=shard-{000..099}.tar' steps=100000 bf16=true

Settings come from their defaults (training/config.py), then TOML files, then key=value. The run
folder holds last.pt (everything needed to resume), settings.toml, log.csv, rd.csv, pictures, and at
the end the weights as NAME.safetensors, ready for `lictor encode --model`. docs/training.md tells
more. `lictor train` is the same with fewer letters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, redirect_stderr
from io import StringIO
from itertools import count, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lictor.codec.errors import CodecError
from lictor.codec.inputs import UsageError
from lictor.datasets.crops import Crops, ResidentCrops
from lictor.datasets.pictures import load, sources
from lictor.datasets.smooth import SmoothCrops
from lictor.models import ModelError, checkpoint, registry
from lictor.models.base import Network
from lictor.models.capabilities import Trainable
from lictor.models.picture.high_bit_depth import HALVED_FROM
from lictor.training import config as settings
from lictor.training import export, validation
from lictor.training import loop as steps
from lictor.training.config import Config
from lictor.training.loop import schedule
from lictor.training.losses import Criterion
from lictor.training.monitor import Watch
from lictor.training.parcels import Parcels
from lictor.training.processes import Stop, Team, join, leave_signals
from lictor.training.recovery import Recovery
from lictor.training.soap import Soap
from lictor.training.speed import fastest
from lictor.training.state import State, follower

Made = tuple[Tensor, Tensor]
"""Smooth crops, float (n, 3, S, S) in 0…1, and the quality of each."""
Batch = tuple[int, Tensor, Tensor, Made | None]
"""Number of the first crop; crops, uint8 (N, 3, S, S); the quality of each; smooth crops beside."""
MOST = 1.0
"""The largest loss that counts where there are screens among the crops: theirs is many times that
of photos (0.9), which they would drown."""


# ------------------------------------------------------------------------------- data
def pictures(config: Config, team: Team) -> tuple[Crops, Crops]:
    """Crops for most of the training and for its end; validation pictures go to the run folder."""
    with nullcontext() if team.leads else redirect_stderr(StringIO()):
        found = load(sources(config.data), config.crop, config.memory * 1e9)
    if config.val:
        held = load(sources(config.val), config.crop, 0) if team.leads else []
    else:
        found, held = validation.split(found, config.hold_out)
    if team.leads and not config.resume:
        validation.keep(held or found[:1], Path(config.out), config.crop)
    early, late = (
        Crops(found, side, config.seed, config.screens)
        for side in (config.crop, config.late_crop or config.crop)
    )
    return early, late


def shares(config: Config, team: Team, start: int) -> Iterator[range]:
    """The crop numbers that this process takes at a time, without end, a step's first at start.

    The crops of a step go to the processes in equal parts, each part in `accumulate` pieces.
    """
    piece = config.batch // (team.size * config.accumulate)
    for step in count(start, config.batch):
        mine = step + team.rank * piece * config.accumulate
        for i in range(config.accumulate):
            yield range(mine + i * piece, mine + (i + 1) * piece)


def batches(crops: Crops, config: Config, team: Team, start: int) -> Iterator[Batch]:
    """What `shares` says: cut on the GPU where the pictures fit, else by loaders."""
    on_gpu = team.device.type == "cuda"
    if on_gpu and all(picture.pixels is not None for picture in crops.pictures):
        feed = resident_batches(ResidentCrops(crops, team.device), config, team, start)
    else:
        feed = iter(loading(crops, config, team, batch_sampler=shares(config, team, start)))
    beside = smooth_batches(crops.size, config, team, start)
    for numbers in shares(config, team, start):
        x, quality = _sent(next(feed), team)
        made = next(beside)
        yield numbers[0], x, quality, made and _sent(made, team)


def _sent(parts: Sequence[Tensor], team: Team) -> tuple[Tensor, Tensor]:
    x, quality = (part.to(team.device, non_blocking=True) for part in parts)
    return x, quality


def resident_batches(
    resident: ResidentCrops, config: Config, team: Team, start: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Photos cut where they live, among them the screens, which loaders make ahead."""
    crops = resident.crops
    numbers = (n for share in shares(config, team, start) for n in share if crops.is_screen(n))
    screens = iter(loading(crops, config, team, sampler=numbers, batch_size=None))
    for share in shares(config, team, start):
        x, quality = resident.batch(share)
        for place, number in enumerate(share):
            if crops.is_screen(number):
                x[place] = torch.as_tensor(next(screens)[0]).to(x.device, non_blocking=True)
        yield x, quality


def smooth_batches(
    size: int, config: Config, team: Team, start: int
) -> Iterator[Sequence[Tensor] | None]:
    """Smooth crops to go with each of `shares`, of qualities that have finer steps for them."""
    count = round(config.smooth * config.batch / (team.size * config.accumulate))
    if not count:
        return repeat(None)
    crops = SmoothCrops(size, config.seed, (HALVED_FROM[0], 100.0))
    keys = ([(share[0], i) for i in range(count)] for share in shares(config, team, start))
    return iter(loading(crops, config, team, batch_sampler=keys))


def loading(crops: Any, config: Config, team: Team, **order: Any) -> DataLoader[Any]:
    """Loaders of crops in some order, in processes of their own."""
    on_gpu = team.device.type == "cuda"
    workers = config.workers if config.workers >= 0 else 8 if on_gpu else 1
    return DataLoader(
        crops,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=on_gpu,
        worker_init_fn=leave_signals,
        **order,
    )


def sample(crops: Crops) -> Tensor:
    """Crops that no step sees, float (600, 3, S, S) in 0…1: what a model starts from."""
    return torch.stack([torch.from_numpy(crops[2**41 + i][0]) for i in range(600)]) / 255


# ------------------------------------------------------------------------------- model
def build(config: Config, crops: Crops) -> Network:
    """The model at its start: given weights, another model's, or what the data look like."""
    given = checkpoint.load(config.weights) if config.weights and not config.resume else None
    if given and not config.model:
        config.model = given.name.partition(".")[0]
    if config.model not in registry.architectures():
        known = ", ".join(registry.architectures(Trainable))
        raise ValueError(f"unknown model {config.model!r}; there are {known}")
    model = registry.create(config.model)
    if not isinstance(model, Trainable):
        raise ValueError(f"{config.model} is not trained by this, but {model.trained_by}")
    if config.resume:
        pass  # State.restore fills it
    elif given and given.name.partition(".")[0] == config.model:
        model.load_state_dict(given.state_dict())
    elif given:
        model.start_from_weights(given, sample(crops))
    else:
        model.start_from_pictures(sample(crops))
    return model


def freeze(model: Network, config: Config) -> None:
    """Leave all as it is but the parts that are to be trained."""
    if not config.parts:
        return
    parts = dict(model.named_children())
    model.requires_grad_(False)
    for name in config.parts.split(","):
        if name not in parts:
            raise ValueError(f"parts: there is no {name!r}; there are {', '.join(parts)}")
        parts[name].requires_grad_(True)


OPTIMISERS: dict[str, Callable[[Any, Config], torch.optim.Optimizer]] = {
    "adamw": lambda groups, c: torch.optim.AdamW(groups, lr=c.learning_rate, betas=(0.9, 0.98)),
    "soap": lambda groups, c: Soap(groups, lr=c.learning_rate, refresh=c.refresh),
}


def optimiser(model: Network, config: Config) -> torch.optim.Optimizer:
    """What starts at a good value (linear shortcuts, gains) moves slowly."""
    if config.optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser is {config.optimiser!r}; there are {', '.join(OPTIMISERS)}")
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    slow = [p for n, p in trained if model.moves_slowly(n)]
    slow_ids = {id(p) for p in slow}
    fast = [p for _, p in trained if id(p) not in slow_ids]
    groups = [
        {"params": fast, "relative": 1.0, "weight_decay": 1e-4},
        {"params": slow, "relative": config.shortcut_rate, "weight_decay": 0.0},
    ]
    return OPTIMISERS[config.optimiser](groups, config)


# ------------------------------------------------------------------------------- loop
def begin(config: Config, team: Team) -> tuple[State, Crops, Crops]:
    """The model at its start, or where the run in config.out was left; crops, and late crops."""
    parts = team.size * config.accumulate
    if config.batch % parts:
        raise ValueError(f"batch is {config.batch}; give a multiple of {parts}, of its parts")
    run = steps.begin(config)
    # What bfloat16 leaves to float32 needs all of its bits.
    torch.backends.cudnn.allow_tf32 = not config.bf16
    early, late = pictures(config, team)
    model = build(config, early).to(team.device).train()
    if team.device.type == "cuda":
        model.to(memory_format=torch.channels_last)  # as its kernels want 1x1 convolutions
    freeze(model, config)
    state = State(model, follower(model), optimiser(model, config))
    if config.resume:
        state.restore(run)
    if team.leads:
        settings.write(config, run / settings.SETTINGS)
    return state, early, late


def train(config: Config, team: Team, stop: Stop) -> State:
    """Run the training that config describes, to its end or until it is told to stop."""
    criterion = Criterion(config, team.device)
    state, early, late = begin(config, team)
    watch = Watch(Path(config.out), team, criterion, steps.progress_of(state, config))
    if not config.resume:
        watch.validate(state)

    recovery = Recovery()
    parcels = Parcels(config.parcels, Path(config.out), f"{config.model}.{config.tag}")

    began = time.monotonic() - 60 * state.spent
    parallel = team.wrap(state.model)
    if config.compile:
        parallel = quickest(parallel, criterion, config, team, batches(early, config, team, 0))
    feed, is_late = batches(early, config, team, state.position), False
    saved = watched = state.spent
    while True:
        progress, stopped = team.largest(steps.progress_of(state, config), stop.signal)
        if progress >= 1 or stopped:
            break
        if not is_late and progress >= 1 - config.late:
            feed, is_late = batches(late, config, team, state.position), True

        noted = torch.zeros(3, device=team.device)
        for part in range(config.accumulate):
            asked = time.perf_counter()
            batch = next(feed)
            watch.waited(time.perf_counter() - asked)
            last = part == config.accumulate - 1
            with nullcontext() if last or team.size == 1 else parallel.no_sync():
                noted += gradient(parallel, criterion, config, batch)
        rate = schedule(state, progress, config)
        state.advance(rate, config.clip, config.ema, config.batch)
        state.spent = (time.monotonic() - began) / 60
        error = watch.step(state, noted, config.batch, rate, progress)
        if error is not None and recovery.needed(error):
            recovery.go_back(state, progress)
            watch.say(f"step {state.step}: astray; back to the averaged weights, at half the rate")

        if team.leads and state.spent - saved >= config.save_every:
            state.save(config)
            saved = state.spent
        if state.spent - watched >= config.watch_every:
            watch.validate(state)
            watched = state.spent
        if team.leads and parcels.due(state):
            parcels.send(state)
    watch.log(state, 0.0, progress)
    if team.leads:
        parcels.send(state)
        state.save(config)
    if not stopped:
        watch.validate(state)
    watch.close()
    stop.signal = int(stopped)
    return state


def quickest(
    model: nn.Module, criterion: Criterion, config: Config, team: Team, feed: Iterator[Batch]
) -> nn.Module:
    """The model, compiled if that is faster; leaves no gradients."""

    def step(model: nn.Module, batch: Batch) -> None:
        gradient(model, criterion, config, batch)

    def say(line: str) -> None:
        if team.leads:
            print(line, file=sys.stderr)

    piece = config.batch // (team.size * config.accumulate)
    quick = fastest(model, step, feed, piece, team.device, say)
    model.zero_grad(set_to_none=True)
    return quick


def gradient(model: nn.Module, criterion: Criterion, config: Config, batch: Batch) -> Tensor:
    """Add a batch's part to the gradient; returns its part of the mean loss, bpp and error."""
    first, crops, quality, made = batch
    # What a task draws at random is a function of (seed, crop number): a resumed run sees the same.
    key = np.random.SeedSequence((config.seed, first)).generate_state(1, np.uint64)
    torch.manual_seed(int(key[0]))
    x = crops.float() / 255
    deep = None
    if made:
        x, quality = torch.cat([x, made[0]]), torch.cat([quality, made[1]])
        deep = torch.arange(len(x), device=x.device) >= len(crops)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.bf16):
        out = model(x, quality, deep)
    loss, *measured = criterion(out, x, quality, deep)
    if config.screens:
        loss = loss * (MOST / loss.detach()).clamp(max=1)
    means = torch.stack([loss.mean(), *(value[: len(crops)].mean() for value in measured)])
    part = means / config.accumulate
    part[0].backward()
    return part.detach()


# ------------------------------------------------------------------------------- command
def finish(config: Config) -> int:
    """Weights that code; returns the exit status."""
    try:
        weights = export.export(Path(config.out), config.measure)
    except (export.ExportFailed, CodecError, UsageError, OSError) as error:
        print(f"lictor train: {error}", file=sys.stderr)
        return 1
    print(
        f"{weights}: done; use it with\n"
        f"  lictor encode photo.png photo.bin --model {weights}\n"
        f"  LICTOR_CHECKPOINTS={weights.parent} lictor decode photo.bin photo.png"
    )
    return 0


def main(arguments: list[str]) -> int:
    """Train, then export; returns the exit status."""
    if arguments in (["--help"], ["-h"]):
        print(f"{__doc__}\nSettings:\n\n{settings.listing()}")
        return 0
    try:
        config = settings.configure(arguments)
        with join() as team, Stop() as stop:
            state = train(config, team, stop)
    except (ValueError, OSError, ModelError) as error:
        print(f"lictor train: {error}", file=sys.stderr)
        return 2
    if not team.leads:
        return 128 + stop.signal if stop.signal else 0
    if stop.signal:
        print(f"stopped at step {state.step}; resume=true out={config.out} goes on")
        return 128 + stop.signal
    return finish(config) if config.export else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
