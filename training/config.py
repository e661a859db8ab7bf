"""Settings of a training run: defaults, TOML files, key=value. Imports no torch."""

from __future__ import annotations

import difflib
import inspect
import json
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lictor.models import zoo

FINE_TUNED = zoo.TUNED["psnr"]
SETTINGS = "settings.toml"
"""The file of a run folder that holds its settings."""


@dataclass
class Config:
    """Settings of a run."""

    # data
    data: str = ""  # folders, tars: PATH or PATH:LOW:HIGH (shrink), {000..003}, *; commas between
    val: str = ""  # pictures to validate on, as data; none: some of data are held out
    hold_out: float = 0.05  # share of the pictures held out where val is not given
    crop: int = 192  # side of training crops, a multiple of 64
    batch: int = 8  # crops of a step, all processes together
    accumulate: int = 1  # a step's crops are taken in so many parts: less memory
    memory: float = 4.0  # GB of decoded pictures that each process keeps
    smooth: float = 0.0  # made-up smooth crops of 16 bits beside each crop of a picture
    screens: float = 0.0  # share of the crops that are made-up screens and scans instead of photos
    workers: int = -1  # processes that cut crops on the CPU; -1: as the machine wants

    # model
    model: str = ""  # architecture to train from scratch, such as lictor-s
    weights: str = ""  # weights to start from; neither model nor weights: lictor-s.mse
    parts: str = ""  # train only these, such as g_s,inverse_gain; none: all
    tag: str = "mine"  # the new weights are called ARCHITECTURE.TAG

    # loss
    loss: str = "mse"  # mse, visible, ms-ssim, perceptual, recognition, none
    task: str = ""  # MODULE:NAME of a loss of your own, added to it; docs/training.md
    task_weight: float = 1.0

    # schedule
    minutes: float = 10.0  # training time
    steps: int = 0  # if given: so many steps, however long they take
    learning_rate: float = 0.0  # 0: 1e-3 from scratch, 2e-4 from weights
    warmup: int = 200  # steps, or a tenth of the training if that is less
    decay: float = 0.4  # share of the training, at its end, in which the learning rate falls to 0
    optimiser: str = "soap"  # soap, adamw
    refresh: int = 10  # steps between two corrections of soap's bases
    shortcut_rate: float = 0.1  # learning rate of the linear shortcuts and gains, relative
    clip: float = 1.0  # largest norm of a gradient
    ema: float = 0.999  # decay of the averaged weights, which are what is kept
    late: float = 0.0  # share of the training, at its end, in which late_crop holds
    late_crop: int = 0  # side of crops; 0: as before

    # machine
    bf16: bool = False  # bfloat16 where it is harmless; for GPUs, and CPUs that multiply it fast
    compile: bool = False  # let torch compile the model, where that works and is faster
    threads: int = 0  # 0: as many as torch likes
    seed: int = 1

    # run
    out: str = "runs/last"  # run folder
    resume: bool = False  # go on with the run in out, with its settings unless others are given
    save_every: float = 3.0  # minutes between checkpoints
    watch_every: float = 5.0  # minutes between validations
    parcels: str = (
        ""  # folder that gets averaged weights and logs every minute, in pieces of 16 MiB
    )
    export: bool = True  # write and verify the weights at the end
    measure: str = ""  # pictures to measure the finished weights on, as `lictor bench` does


def configure(arguments: list[str]) -> Config:
    """Defaults, then files, then key=value. Raises ValueError for an unknown key or a bad value."""
    # A shell makes several arguments of data=shard-{000..003}.tar.
    data = [a.removeprefix("data=") for a in arguments if a.startswith("data=")]
    config = Config()
    gather(config, [*arguments, f"data={','.join(data)}"] if data else arguments)
    _settle(config)
    _check(config)
    return config


def is_setting(argument: str) -> bool:
    """Whether an argument is KEY=VALUE; a path may hold a = as well."""
    key, equals, _ = argument.partition("=")
    return bool(equals) and key.isidentifier()


def given(argument: str) -> dict[str, Any]:
    """The settings of one argument: KEY=VALUE, or a TOML file. Raises ValueError."""
    if is_setting(argument):
        key, _, text = argument.partition("=")
        return {key: text}
    if Path(argument).suffix != ".toml":
        raise ValueError(f"{argument!r} is neither KEY=VALUE nor a .toml file")
    try:
        return tomllib.loads(Path(argument).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{argument}: {error}") from error


def update(config: Any, settings: dict[str, Any]) -> None:
    """Settings into a dataclass of them. Raises ValueError for an unknown key or a bad value."""
    kinds = {f.name: type(f.default) for f in fields(config)}
    for key, value in settings.items():
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, 1)
            hint = f"did you mean {near[0]!r}?" if near else "`lictor train --settings` lists all"
            raise ValueError(f"unknown setting {key!r}; {hint}")
        setattr(config, key, _convert(key, value, kinds[key]))


def _convert(key: str, value: Any, kind: type) -> Any:
    if kind is bool:
        value = {"true": True, "false": False}.get(str(value).lower())
        if value is None:
            raise ValueError(f"{key} takes true or false")
        return value
    try:
        converted = kind(value)
    except (TypeError, ValueError):
        converted = None
    if converted is None or (isinstance(value, float) and converted != value):
        article = {int: "a whole number", float: "a number", str: "text"}[kind]
        raise ValueError(f"{key} takes {article}, not {value!r}")
    return converted


def _settle(config: Config) -> None:
    """Fill in what other settings decide."""
    if not config.model and not config.weights:
        config.weights = FINE_TUNED
    if not config.learning_rate:
        config.learning_rate = 2e-4 if config.weights else 1e-3


def _check(config: Config) -> None:
    """Raise ValueError for values that cannot work, before any picture is read."""
    if not config.data:
        raise ValueError("name the pictures to train on: data=FOLDER")
    for side in (config.crop, config.late_crop or config.crop):
        if side < 64 or side % 64:
            raise ValueError(f"crops are multiples of 64 pixels, not {side}")
    check(
        config,
        at_least=dict(
            batch=1, accumulate=1, refresh=1, workers=-1, steps=0, warmup=0, threads=0, memory=0
        ),
        shares=("hold_out", "late", "ema", "smooth", "screens"),
        positive=("minutes", "learning_rate", "decay", "clip", "save_every", "watch_every"),
    )


def gather(config: Any, arguments: list[str]) -> None:
    """Arguments into settings; of a run that goes on, those of its folder first."""
    parts = [given(argument) for argument in arguments]
    last = {key: value for settings in parts for key, value in settings.items()}
    update(config, {key: last[key] for key in ("out", "resume") if key in last})
    if config.resume:
        parts.insert(0, given(str(Path(config.out) / SETTINGS)))
    for settings in parts:
        update(config, settings)


def check(
    config: Any, at_least: dict[str, float], shares: tuple[str, ...], positive: tuple[str, ...]
) -> None:
    """Raise ValueError unless settings are at least so much, shares 0…1, or above 0."""
    for key, low in at_least.items():
        if not getattr(config, key) >= low:
            raise ValueError(f"{key} is {getattr(config, key)}; give {low} or more")
    for key in shares:
        if not 0 <= getattr(config, key) <= 1:
            raise ValueError(f"{key} is {getattr(config, key)}; give 0 to 1")
    for key in positive:
        if not getattr(config, key) > 0:  # nor is nan
            raise ValueError(f"{key} is {getattr(config, key)}; give more than 0")


def write(config: Any, path: Path) -> None:
    """A TOML file that gives these settings again."""
    settings = {k: v for k, v in asdict(config).items() if k not in ("out", "resume")}
    # JSON's strings, numbers, true and false are TOML's.
    lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in settings.items()]
    path.write_text("".join(lines), encoding="utf-8")


def listing(kind: type = Config) -> str:
    """Every setting with its default and what it is for."""
    bodies = (
        inspect.cleandoc(inspect.getsource(part).partition('"""Settings of a run."""\n')[2])
        for part in kind.__mro__[:-1]
    )
    return "\n\n".join(bodies)
