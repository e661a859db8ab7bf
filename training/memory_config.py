"""What trainings on things kept in memory have for settings in common. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lictor.training import config as common


@dataclass
class InMemory:
    """Settings of a run."""

    # data
    hold_out: float = 0.03  # share of the data held out, to watch on where nothing else is given

    # model
    weights: str = ""  # weights to start from

    # schedule
    batch: int = 16  # crops or samples of a step
    gentle: float = 0.1  # learning rate of what starts at good values, relative
    steps: int = 0  # if given: so many steps, however long they take
    warmup: int = 50  # steps, or a tenth of the training if that is less
    decay: float = 0.5  # share of the training, at its end, in which the learning rate falls to 0
    clip: float = 1.0  # largest norm of a gradient
    ema: float = 0.995  # decay of the averaged weights, which are what is kept

    # machine
    threads: int = 0  # 0: as many as torch likes
    seed: int = 1

    # run
    tag: str = "mine"  # the new weights are called ARCHITECTURE.TAG
    resume: bool = False  # go on with the run in out, with its settings unless others are given
    save_every: float = 3.0  # minutes between checkpoints


def check(
    config: Any, at_least: dict[str, float], shares: tuple[str, ...], positive: tuple[str, ...]
) -> None:
    """As `config.check`, of these settings and of a run's own."""
    common.check(
        config,
        at_least={"batch": 1, "steps": 0, "warmup": 0, "threads": 0} | at_least,
        shares=("hold_out", "ema", *shares),
        positive=("minutes", "learning_rate", "decay", "clip", "gentle", *positive),
    )
