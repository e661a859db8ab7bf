"""The loop that trainings on things kept in memory have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lictor.training.state import LAST, State


class Schedule(Protocol):
    """The settings that the loop needs."""

    minutes: float
    steps: int
    batch: int
    learning_rate: float
    warmup: int
    decay: float
    clip: float
    ema: float
    threads: int
    seed: int
    out: str
    resume: bool
    save_every: float
    watch_every: float


def begin(config: Schedule) -> Path:
    """The run folder, made if it is not there, with threads and seed set.

    Raises ValueError for a folder that holds a run that is not to go on.
    """
    run = Path(config.out)
    if not config.resume and (run / LAST).exists():
        raise ValueError(f"{run} holds a run; go on with it (resume=true), or name another out")
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    run.mkdir(parents=True, exist_ok=True)
    return run


def batches(size: int, config: Schedule, position: int) -> Iterator[Tensor]:
    """Numbers of samples, and so their qualities, without end: a function of (seed, position)."""
    while True:
        random = np.random.default_rng((config.seed, position // size))
        order = torch.from_numpy(random.permutation(size))
        for start in range(position % size, size - config.batch + 1, config.batch):
            yield order[start : start + config.batch]
        position += size - position % size


def run(
    state: State,
    config: Schedule,
    size: int,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    watch: Callable[[], None],
) -> None:
    """Train to the end.

    Args:
        state: as it begins, or as it was restored.
        config: settings.
        size: how many samples there are.
        loss_of: of the samples with these numbers, (N,), at these qualities, (N,).
        watch: called now and then; tells how good the averaged weights are.
    """
    feed = batches(size, config, state.position)
    began = time.monotonic() - 60 * state.spent
    saved = watched = state.spent
    if not config.resume:
        watch()
    mean: list[float] = []
    while (progress := progress_of(state, config)) < 1:
        picked = next(feed)
        random = np.random.default_rng((config.seed, 1, state.position))
        quality = torch.from_numpy(random.uniform(0, 100, len(picked)).astype(np.float32))
        loss = loss_of(picked, quality)
        loss.backward()
        rate = schedule(state, progress, config)
        state.advance(rate, config.clip, config.ema, config.batch)
        mean.append(loss.item())
        state.spent = (time.monotonic() - began) / 60
        if state.step % 50 == 0:
            print(f"step {state.step}  {state.spent:.1f} min  loss {np.mean(mean):.4f}", flush=True)
            mean.clear()
        if state.spent - saved >= config.save_every:
            state.save(config)
            saved = state.spent
        if state.spent - watched >= config.watch_every:
            watch()
            watched = state.spent
    state.save(config)
    watch()


def progress_of(state: State, config: Schedule) -> float:
    """How much of the training is done, 0…1."""
    done = state.step + state.skipped
    return done / config.steps if config.steps else state.spent / config.minutes


def schedule(state: State, progress: float, config: Schedule) -> float:
    """The learning rate: linear warm-up, as given for most of progress 0…1, a straight fall to 0.

    Warm-up ends after a tenth of the progress at the latest. Until the fall a run does not know its
    own length: what was saved before can train for longer.
    """
    if state.step == state.warm_from:  # minutes may have gone before the first step
        state.warm_since = progress
    steps, share = state.step + 1 - state.warm_from, progress - state.warm_since
    rise = min(1.0, max(steps / max(config.warmup, 1), 10 * share))
    fall = max(min(1.0, (1 - progress) / config.decay), 0.0)
    return config.learning_rate * state.tempo * rise * fall
