"""Settings of `lictor distil`: defaults, TOML files, key=value. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lictor.training import config as common
from lictor.training.memory_config import InMemory, check


@dataclass
class Distil(InMemory):
    """Settings of a run."""

    # data
    data: str = ""  # folders, tars: PATH or PATH:LOW:HIGH, {000..003}, *; commas between
    val: str = ""  # pictures to watch on, as data; none: some of data are held out
    least: int = 96  # shortest side of a picture that is used
    crops: int = 3000  # crops that the teacher sees, once, before the training
    pool: str = ""  # file of what it saw, used if it is there; pool.safetensors in out
    memory: float = 4.0  # GB of decoded pictures that are kept

    # model
    model: str = "student-lite0"  # architecture
    stage: int = 1  # 1: what codes; 2: what looks at it, with that frozen
    coarse: float = 1.6  # quantisation steps at the start, at quality 0 and at 100, in deviations
    fine: float = 0.3

    # loss
    beta: float = 1e-3  # what a bit costs at quality 0
    octaves: float = 4.0  # how many times that is halved up to quality 100

    # schedule
    minutes: float = 30.0  # training time
    learning_rate: float = 0.0  # 0: 1e-3 in stage 1, 1e-4 in stage 2

    # run
    out: str = "runs/student"  # run folder
    watch_every: float = 5.0  # minutes between looks at held-out pictures


def configure(arguments: list[str]) -> Distil:
    """Defaults, then files, then key=value. Raises ValueError for an unknown key or a bad value."""
    config = Distil()
    common.gather(config, arguments)
    if not config.learning_rate:
        config.learning_rate = 1e-3 if config.stage == 1 else 1e-4
    _check(config)
    return config


def _check(config: Distil) -> None:
    """Raise ValueError for values that cannot work, before any picture is read."""
    if not config.data:
        raise ValueError("name the pictures to learn from: data=FOLDER")
    if config.stage not in (1, 2):
        raise ValueError(f"stage is {config.stage}; give 1 or 2")
    if config.stage == 2 and not config.weights:
        raise ValueError("stage 2 starts from weights of stage 1: weights=PATH")
    if config.crops < config.batch:
        raise ValueError(f"crops is {config.crops}; give at least one batch ({config.batch})")
    check(
        config,
        at_least={"memory": 0, "least": 1},
        shares=(),
        positive=("beta", "coarse", "fine"),
    )
