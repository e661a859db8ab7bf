"""Settings of `lictor train-features`: defaults, TOML files, key=value. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lictor.training import config as common


@dataclass
class Features:
    """Settings of a run."""

    # data
    data: str = ""  # .npy, .npz, .safetensors files with float arrays of one layer, or folders
    hold_out: float = 0.03  # share of the samples held out, to watch on
    axis: int = -100  # of the channels; none given: 1 of four axes, else the last
    crop: int = 16  # rows and columns of a sample at most; of a sequence, rows of four

    # model
    model: str = "plane-hyper"  # architecture
    weights: str = ""  # weights to start from
    tag: str = "mine"  # the new weights are called ARCHITECTURE.TAG
    fold: int = 0  # places a side that become one; 0: 2 of maps, 1 of sequences

    # loss
    balance: float = 0.3  # 0: bits at high quality weigh as at low; 1: as the error does

    # schedule
    minutes: float = 15.0  # training time
    steps: int = 0  # if given: so many steps, however long they take
    batch: int = 16  # samples of a step
    learning_rate: float = 1e-3
    gentle: float = 0.1  # that of the linear shortcuts and gains, relative
    warmup: int = 50  # steps
    decay: float = 0.5  # share of the training, at its end, in which the learning rate falls to 0
    clip: float = 1.0  # largest norm of a gradient
    ema: float = 0.995  # decay of the averaged weights, which are what is kept

    # machine
    threads: int = 0  # 0: as many as torch likes
    seed: int = 1

    # run
    out: str = "runs/features"  # run folder
    resume: bool = False  # go on with the run in out, with its settings unless others are given
    save_every: float = 3.0  # minutes between checkpoints
    watch_every: float = 3.0  # minutes between looks at held-out samples


def configure(arguments: list[str]) -> Features:
    """Defaults, then files, then key=value. Raises ValueError for an unknown key or a bad value."""
    config = Features()
    common.gather(config, arguments)
    if not config.data:
        raise ValueError("name the features to learn from: data=FILE.npy")
    common.check(
        config,
        at_least={"batch": 1, "crop": 1, "fold": 0, "steps": 0, "warmup": 0, "threads": 0},
        shares=("hold_out", "ema", "balance"),
        positive=("minutes", "learning_rate", "decay", "clip", "gentle"),
    )
    return config
