"""Train a Lictor model on your own pictures.

    python train.py data=photos/ out=runs/mine minutes=60
    python train.py recipe.toml resume=true

Settings come from the defaults below, then a TOML file if one is named, then key=value. `data` is a
comma-separated list of folders and tars, each PATH or PATH:LOW:HIGH (shrink by a random factor).
The run folder holds last.pt (everything needed to resume), log.csv and, at the end, the weights as
NAME.safetensors, ready for `lictor encode --model`.
"""

from __future__ import annotations

import csv
import difflib
import math
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from lictor.datasets.pictures import Crops, Source
from lictor.models import checkpoint, registry
from lictor.models.base import LatentCodec
from lictor.models.lictor import Lictor
from lictor.models.rate import quality_to_lambda


# ------------------------------------------------------------------------------- configuration
@dataclass
class Config:
    """Settings of a run; each can be given as key=value."""

    data: str = ""  # folders and tars of pictures, separated by commas
    out: str = "runs/last"  # run folder
    model: str = "lictor-s"  # architecture
    tag: str = "mine"  # the weights are called MODEL.TAG
    weights: str = ""  # start from these weights, a name or a .safetensors file
    minutes: float = 60.0  # training time; the learning rate falls to zero over it
    crop: int = 192  # multiple of 64
    batch: int = 8
    learning_rate: float = 1e-3
    shortcut_rate: float = 0.1  # learning rate of the linear shortcuts and gains, relative
    warmup: int = 200  # steps
    clip: float = 1.0  # largest norm of a gradient
    ema: float = 0.999  # decay of the averaged weights, which are what is kept
    bf16: bool = False  # autocast; faster on a GPU, and on CPUs with AMX
    threads: int = 0  # 0: as many as torch likes
    workers: int = 1  # processes that cut crops
    seed: int = 1
    save_every: float = 3.0  # minutes
    resume: bool = False  # go on from out/last.pt


def configure(arguments: list[str]) -> Config:
    """Defaults, then files, then key=value. Raises ValueError for an unknown key or a bad value."""
    config = Config()
    kinds = {f.name: type(getattr(config, f.name)) for f in fields(Config)}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        given = {key: text} if equals else tomllib.loads(Path(argument).read_text())
        for key, value in given.items():
            if key not in kinds:
                near = difflib.get_close_matches(key, kinds, 1)
                raise ValueError(
                    f"unknown setting {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                )
            setattr(config, key, _convert(key, value, kinds[key]))
    if not config.data:
        raise ValueError("name the pictures to train on: data=FOLDER")
    return config


def _convert(key: str, value: Any, kind: type) -> Any:
    if kind is bool and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise ValueError(f"{key} takes true or false, not {value!r}")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{key} takes {kind.__name__}, not {value!r}") from None


# ------------------------------------------------------------------------------- data
def batches(crops: Crops, config: Config, start: int) -> Iterator[Tensor]:
    """Float batches (N, 3, S, S) in 0…1 without end, the first one at crop number start."""
    ahead = Subset(crops, range(start, 2**40))
    loader = DataLoader(
        ahead,
        batch_size=config.batch,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    for batch in loader:
        yield batch.float() / 255


def klt(crops: Crops, count: int) -> tuple[Tensor, Tensor]:
    """KLT of 16x16x3 blocks: orthonormal rows (count, 768), largest first, and their deviations."""
    sample = torch.stack([torch.from_numpy(crops[2**41 + i]) for i in range(600)])
    blocks = torch.nn.functional.pixel_unshuffle(sample / 255 - 0.5, 16)
    flat = blocks.permute(0, 2, 3, 1).reshape(-1, blocks.shape[1]).double()
    # About zero, not about the mean: v must be zero where the picture is middle gray.
    variance, basis = torch.linalg.eigh(flat.T @ flat / len(flat))
    order = variance.argsort(descending=True)[:count]
    return basis[:, order].T.float(), variance[order].clamp(min=0).sqrt().float()


# ------------------------------------------------------------------------------- model
def build(config: Config, crops: Crops) -> LatentCodec:
    """The model at its starting point: given weights, or shortcuts that are a KLT of the data."""
    if config.weights:
        return checkpoint.load(config.weights).requires_grad_(True)
    if config.model not in registry.architectures():
        known = ", ".join(registry.architectures())
        raise ValueError(f"unknown model {config.model!r}; there are {known}")
    model = registry.create(config.model)
    if not isinstance(model, Lictor):
        raise ValueError(f"{config.model} is trained with CompressAI; then `lictor import` it")
    model.start_from_klt(*klt(crops, model.sizes.latent))
    return model


def optimiser(model: LatentCodec, config: Config) -> torch.optim.AdamW:
    """AdamW, with what starts at a good value (linear shortcuts, gains) moving slowly."""
    slow = [p for n, p in model.named_parameters() if "shortcut" in n or "gain" in n]
    slow_ids = {id(p) for p in slow}
    fast = [p for p in model.parameters() if id(p) not in slow_ids]
    groups = [
        {"params": fast, "relative": 1.0, "weight_decay": 1e-4},
        {"params": slow, "relative": config.shortcut_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def loss_of(model: LatentCodec, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rate + lambda * MSE, each rate weighed alike; and bpp and MSE (0…255) of each picture."""
    out = model(x, quality)
    bpp = out.bits / (x.shape[-1] * x.shape[-2])
    mse = (out.x_hat - x).square().flatten(1).mean(1) * 255**2
    lagrange = quality_to_lambda(quality)
    return ((bpp + lagrange * mse) * (0.01 / lagrange).sqrt()).mean(), bpp, mse


# ------------------------------------------------------------------------------- loop
def train(config: Config) -> Path:
    """Run the training that config describes; returns the weights file."""
    torch.manual_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = Path(config.out)
    run.mkdir(parents=True, exist_ok=True)
    crops = Crops([Source.parse(s) for s in config.data.split(",")], config.crop, config.seed)

    model = build(config, crops).to(device).train()
    average = {n: p.detach().clone() for n, p in model.state_dict().items()}
    optim = optimiser(model, config)
    step, spent, skipped = 0, 0.0, 0
    if config.resume:
        state = torch.load(run / "last.pt", map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average = state["average"]
        optim.load_state_dict(state["optim"])
        step, spent, skipped = state["step"], state["spent"], state["skipped"]
        torch.set_rng_state(state["random"].cpu())

    def save() -> None:
        state = {
            "model": model.state_dict(),
            "average": average,
            "optim": optim.state_dict(),
            "step": step,
            "spent": spent,
            "skipped": skipped,
            "random": torch.get_rng_state(),
            "config": asdict(config),
        }
        torch.save(state, run / "last.tmp")
        (run / "last.tmp").replace(run / "last.pt")

    log_file = (run / "log.csv").open("a", newline="")
    log = csv.writer(log_file)
    if not log_file.tell():
        log.writerow(["step", "minutes", "loss", "bpp", "mse", "learning_rate", "skipped"])
    progress = tqdm(unit="step", disable=not sys.stderr.isatty())
    clock, saved, noted = time.monotonic(), spent, []
    for batch in batches(crops, config, step * config.batch):
        if spent >= config.minutes:
            break
        rate = config.learning_rate * schedule(step, spent / config.minutes, config.warmup)
        for group in optim.param_groups:
            group["lr"] = rate * group["relative"]
        x = batch.to(device, non_blocking=True)
        quality = torch.rand(len(x), device=device) * 100
        autocast = torch.autocast(device.type, torch.bfloat16) if config.bf16 else nullcontext()
        with autocast:
            loss, bpp, mse = loss_of(model, x, quality)
        optim.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        if torch.isfinite(norm):
            optim.step()
            step += 1
            follow(average, model, min(config.ema, (1 + step) / (10 + step)))
        else:
            skipped += 1
        noted.append((loss.item(), bpp.mean().item(), mse.mean().item()))
        now = time.monotonic()
        spent, clock = spent + (now - clock) / 60, now
        if len(noted) == 50:
            means = [sum(column) / len(noted) for column in zip(*noted, strict=True)]
            log.writerow(
                [step, f"{spent:.2f}", *(f"{m:.5g}" for m in means), f"{rate:.3g}", skipped]
            )
            log_file.flush()
            progress.set_postfix(
                loss=f"{means[0]:.4f}", bpp=f"{means[1]:.3f}", minutes=f"{spent:.1f}"
            )
            noted.clear()
        progress.update()
        if spent - saved >= config.save_every:
            save()
            saved = spent
    save()
    log_file.close()

    model.load_state_dict(average)
    name = f"{config.model}.{config.tag}"
    target = run / f"{name}.safetensors"
    checkpoint.save(model.eval().cpu(), target, name, training=recipe(config, step))
    print(target)
    return target


def recipe(config: Config, steps: int) -> dict[str, Any]:
    """What the weights file says of its making: the settings that shaped it, no folder names."""
    settings = asdict(config) | {"steps": steps}
    for place in ("out", "resume", "save_every", "workers", "threads", "tag"):
        del settings[place]
    settings["data"] = [Path(source).name for source in config.data.split(",")]
    settings["weights"] = Path(config.weights).name
    return settings


def schedule(step: int, progress: float, warmup: int) -> float:
    """Linear warm-up, then a cosine from 1 to 0 over progress 0…1."""
    return (
        min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    )


@torch.no_grad()
def follow(average: dict[str, Tensor], model: LatentCodec, decay: float) -> None:
    """Move the averaged weights towards the model's."""
    for name, value in model.state_dict().items():
        average[name].lerp_(value, 1 - decay)


if __name__ == "__main__":
    try:
        train(configure(sys.argv[1:]))
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")
