"""Settings of `lictor train-weights`: defaults, TOML files, key=value. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lictor.training import config as common
from lictor.training.memory_config import InMemory, check

WAYS = ("diffq", "quant-noise", "ranks")
ANSWERS = ("classes", "values")


@dataclass
class Weights(InMemory):
    """Settings of a run."""

    # data
    data: str = ""  # pictures, as `lictor train` takes them; or MODULE:NAME of what gives a tensor
    crops: int = 1024  # parts of pictures whose answers the network gives once, and learns again
    side: int = 224  # of what the network is shown
    mean: float = 0.5  # of values 0…1, taken away …
    spread: float = 0.5  # … and what the rest is divided by, before the network sees them
    memory: float = 1.0  # GB of decoded pictures

    # model
    network: str = ""  # MODULE:NAME of what makes the network, a torch.nn.Module
    answers: str = "classes"  # classes: divergence of their shares; values: squared error

    # loss
    way: str = (
        "diffq"  # diffq: noise, steps learned; quant-noise: some are rounded; ranks: products
    )
    penalty: float = 0.05  # diffq: what a bit of each weight costs, in nats; ranks: what last parts
    # lose in a step, of what it moves them by
    least: float = 0.02  # ranks: of a matrix' largest part, what the last one has at least
    share: float = 0.5  # quant-noise: of weights that are rounded in a step
    quality: float = 40.0  # of the steps at the start, as `encode_weights` has it
    start: str = ""  # steps.json of another run to start from instead

    # schedule
    minutes: float = 10.0  # training time
    learning_rate: float = 1e-4  # of each tensor's root mean square
    step_rate: float = 0.03  # diffq: learning rate of the steps' logarithms

    # run
    out: str = "runs/weights"  # run folder
    watch_every: float = 3.0  # minutes between looks at held-out crops


def configure(arguments: list[str]) -> Weights:
    """Defaults, then files, then key=value. Raises ValueError for an unknown key or a bad value."""
    config = Weights()
    common.gather(config, arguments)
    if not config.data:
        raise ValueError("name the pictures to train on: data=FOLDER")
    if ":" not in config.network:
        raise ValueError("name what makes the network: network=MODULE:NAME")
    for key, known in (("way", WAYS), ("answers", ANSWERS)):
        if getattr(config, key) not in known:
            raise ValueError(f"{key} is {getattr(config, key)!r}; give {' or '.join(known)}")
    check(
        config,
        at_least={"crops": 2, "side": 8, "penalty": 0, "quality": 0},
        shares=("share", "least"),
        positive=("spread", "step_rate", "memory"),
    )
    return config
