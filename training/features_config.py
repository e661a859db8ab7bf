"""Settings of `lictor train-features`: defaults, TOML files, key=value. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lictor.training import config as common
from lictor.training.memory_config import InMemory, check


@dataclass
class Features(InMemory):
    """Settings of a run."""

    # data
    data: str = ""  # .npy, .npz, .safetensors files with float arrays of one layer, or folders
    axis: int = -100  # of the channels; none given: 1 of four axes, else the last
    crop: int = 16  # rows and columns of a sample at most; of a sequence, rows of four

    # model
    model: str = "plane-hyper"  # architecture
    fold: int = 0  # places a side that become one; 0: 2 of maps, 1 of sequences

    # loss
    balance: float = 0.3  # 0: bits at high quality weigh as at low; 1: as the error does

    # schedule
    minutes: float = 15.0  # training time
    learning_rate: float = 1e-3

    # run
    out: str = "runs/features"  # run folder
    watch_every: float = 3.0  # minutes between looks at held-out samples


def configure(arguments: list[str]) -> Features:
    """Defaults, then files, then key=value. Raises ValueError for an unknown key or a bad value."""
    config = Features()
    common.gather(config, arguments)
    if not config.data:
        raise ValueError("name the features to learn from: data=FILE.npy")
    check(config, at_least={"crop": 1, "fold": 0}, shares=("balance",), positive=())
    return config
