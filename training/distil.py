"""Teach a student to see through a few bytes what its teacher sees (models/task/student.py).

    python -m lictor.training.distil data=photos/ out=runs/s1                       # stage 1
    python -m lictor.training.distil data=photos/ out=runs/s2 stage=2 weights=runs/s1/….safetensors

Stage 1 trains g_a, g_s and the entropy model to give the frozen tail what the teacher's front gives
it: distance of features on the way, of the scores, and beta times the bits. Stage 2 freezes what
encodes and trains what comes after, so that files of stage 1 keep their meaning. The second head
learns beside, from latents that it cannot change. No labels are needed. `lictor distil` is the same
with fewer letters.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lictor.datasets.pictures import load, sources
from lictor.models import checkpoint, registry
from lictor.models.task.efficientnet import Front, Tail
from lictor.models.task.student import Student
from lictor.training import export, teacher, teacher_cache, validation
from lictor.training import loop as steps
from lictor.training.config import SETTINGS, listing, write
from lictor.training.distil_config import Distil, configure
from lictor.training.score_klt import klt
from lictor.training.soap import Soap
from lictor.training.state import State, follower, read
from lictor.training.teacher_cache import Pool

QUALITIES = (0.0, 25.0, 50.0, 75.0, 100.0)
KLT_CROPS = 160
FRONT, MIDDLE, FEATURES, SCORES, SMALL = 0.1, 0.5, 1.0, 1.0, 1.0
"""Weights of what a student gets wrong: of the front's output, of block 10's, of the features, each
as a part of its variance; of the scores, in nats; of the second head's picture, as a part."""


COLUMNS = ("step", "minutes", "quality", "bytes", "distortion", "agreement", "small")


class Errors(NamedTuple):
    """Of each picture, all (N,): distortion, bits, whether the first answer is the teacher's."""

    distortion: Tensor
    bits: Tensor
    agrees: Tensor
    small: Tensor


# ------------------------------------------------------------------------------- data
def pools(config: Distil, parts: tuple[Front, Tail]) -> tuple[Pool, Pool]:
    """Crops to train on, and those to watch on."""
    found = load(sources(config.data), config.least, config.memory * 1e9)
    found, held = validation.split(found, config.hold_out, most=len(found) // 2)
    held = load(sources(config.val), 1, 0) if config.val else held
    path = Path(config.pool or Path(config.out) / "pool.safetensors")
    if path.exists():
        kept = Pool.load(path)
    else:
        kept = teacher_cache.fill(
            teacher_cache.random_crops(found, config.crops, config.seed), config.crops, parts
        )
        kept.save(path)
    return kept, teacher_cache.fill(teacher_cache.middles(held), len(held), parts)


# ------------------------------------------------------------------------------- loss
class Criterion:
    """How far a student is from its teacher."""

    def __init__(self, config: Distil, kept: Pool, tail: Tail) -> None:
        self.config, self.tail = config, tail
        sample = kept[:: max(1, len(kept) // 256)]
        self.spread = {
            name: getattr(sample, name).float().var(0).mean().item()
            for name in ("front", "middle", "features")
        }
        self.light = (sample.small.float() / 255).var(0).mean().item()

    def beta(self, quality: Tensor) -> Tensor:
        """What a bit costs; (N,)."""
        return self.config.beta * 2.0 ** (-self.config.octaves * quality / 100)

    def errors(self, model: Student, crops: Pool, quality: Tensor, coder_frozen: bool) -> Errors:
        """What the student gets wrong of crops at a quality (N,)."""
        front = crops.front.float()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not coder_frozen):
            v_hat, bits = model.squeeze(front, quality)
        restored = model.g_s(v_hat, quality)
        seen = model.tail(restored)
        features = crops.features.float()
        with torch.no_grad():
            wanted = self.tail.classes(features)
        apart = F.kl_div(
            seen.scores.log_softmax(1), wanted.log_softmax(1), reduction="none", log_target=True
        )
        distortion = (
            FRONT * self._part("front", restored, front)
            + MIDDLE * self._part("middle", seen.middle, crops.middle.float())
            + FEATURES * self._part("features", seen.features, features)
            + SCORES * apart.sum(1)
        )
        picture = model.preview(v_hat.detach())
        small = (picture - crops.small.float() / 255).square().flatten(1).mean(1) / self.light
        agrees = seen.scores.argmax(1) == wanted.argmax(1)
        return Errors(distortion, bits, agrees, small)

    def _part(self, name: str, seen: Tensor, wanted: Tensor) -> Tensor:
        return (seen - wanted).square().flatten(1).mean(1) / self.spread[name]

    def loss(self, errors: Errors, quality: Tensor) -> Tensor:
        """All rates weigh alike."""
        beta = self.beta(quality)
        balance = (self.config.beta / beta).sqrt()
        return ((errors.distortion + beta * errors.bits) * balance + SMALL * errors.small).mean()


# ------------------------------------------------------------------------------- model
def create(config: Distil) -> Student:
    """An empty student. Raises ValueError for what is none."""
    model = registry.create(config.model) if config.model in registry.architectures() else None
    if not isinstance(model, Student):
        known = ", ".join(registry.architectures(Student))
        raise ValueError(f"{config.model!r} is no student; there are {known}")
    return model


def start(model: Student, config: Distil, kept: Pool, parts: tuple[Front, Tail]) -> None:
    """Give a student given weights, or a KLT between the teacher's two parts."""
    if config.weights:
        model.load_state_dict(checkpoint.load(config.weights).state_dict())
        return
    front, tail = parts
    model.front.load_state_dict(front.state_dict())
    model.tail.load_state_dict(tail.state_dict())
    model.start_from_klt(
        klt(kept.front[:KLT_CROPS].float(), tail), coarse=config.coarse, fine=config.fine
    )


def groups(model: Student, config: Distil) -> list[dict[str, Any]]:
    """What is trained in this stage, and how fast; the rest is frozen."""
    fresh: list[nn.Module]
    slow: list[nn.Module]
    if config.stage == 1:
        fresh = [model.g_a, model.g_s, model.context, model.prior, model.preview]
        slow = [model.gain, model.inverse_gain]
    else:
        fresh, slow = [model.g_s, model.preview], [model.tail.blocks, model.tail.head]
    model.requires_grad_(False)
    shortcuts = [p for n, p in model.named_parameters() if n.startswith(("g_a.sh", "g_s.sh"))]
    held = {id(p) for p in shortcuts}
    quick = [p for part in fresh for p in part.parameters() if id(p) not in held]
    gentle = [p for part in slow for p in part.parameters()]
    gentle += [p for p in shortcuts if config.stage == 1 or p is model.g_s.shortcut.weight]
    for p in (*quick, *gentle):
        p.requires_grad_(True)
    return [
        {"params": quick, "relative": 1.0, "weight_decay": 1e-4},
        {"params": gentle, "relative": config.gentle, "weight_decay": 0.0},
    ]


# ------------------------------------------------------------------------------- loop
def train(config: Distil) -> tuple[State, Pool]:
    """Run the stage that config describes, to its end."""
    run = steps.begin(config)
    model = create(config)
    parts = teacher.load()
    kept, held = pools(config, parts)
    if not config.resume:
        start(model, config, kept, parts)
    parameters = groups(model, config)
    optim: torch.optim.Optimizer
    if config.stage == 1:
        optim = Soap(parameters, lr=config.learning_rate)
    else:
        optim = torch.optim.AdamW(parameters, lr=config.learning_rate, betas=(0.9, 0.98))
    state = State(model.train(), follower(model), optim)
    if config.resume:
        state.restore(run)
    write(config, run / SETTINGS)
    criterion = Criterion(config, kept, parts[1])

    def loss_of(picked: Tensor, quality: Tensor) -> Tensor:
        errors = criterion.errors(model, kept[picked], quality, config.stage == 2)
        return criterion.loss(errors, quality)

    steps.run(state, config, len(kept), loss_of, lambda: watch(state, config, criterion, held))
    return state, held


@torch.inference_mode()
def watch(state: State, config: Distil, criterion: Criterion, held: Pool) -> None:
    """Where the averaged weights stand on held-out pictures: a line and rows of watch.csv."""
    path = Path(config.out) / "watch.csv"
    new, told = not path.exists(), []
    with path.open("a", newline="") as file:
        out = csv.writer(file)
        if new:
            out.writerow(COLUMNS)
        for quality in QUALITIES:
            parts = []
            for some in torch.arange(len(held)).split(config.batch):
                q = torch.full((len(some),), quality)
                parts.append(criterion.errors(state.average, held[some], q, True))  # type: ignore[arg-type]
            e = Errors(*(torch.cat(part).float() for part in zip(*parts, strict=True)))
            size, means = e.bits.mean().item() / 8, [part.mean().item() for part in e]
            row = (state.step, f"{state.spent:.2f}", quality, f"{size:.1f}")
            out.writerow((*row, *(f"{means[i]:.4f}" for i in (0, 2, 3))))
            told.append(f"{size:.0f} B {means[2]:.1%} ({means[0]:.3f}, {means[3]:.3f})")
    print(f"step {state.step}: " + "; ".join(told), flush=True)


# ------------------------------------------------------------------------------- end
def finish(config: Distil) -> Path:
    """Weights that code, verified by real files; returns their path."""
    run = Path(config.out)
    saved = read(run)
    model = registry.create(config.model).eval().requires_grad_(False)
    model.load_state_dict(saved["average"])
    squares = list(teacher_cache.middles(load(sources(config.val or config.data), 1, 0)[:8]))

    def check(weights: str) -> dict[str, Any]:
        export.verify(weights, squares)
        return {}

    name, training = f"{config.model}.{config.tag}", export.recipe(config, saved["step"])
    _, target = export.publish(run, model, name, training, check)
    return target


def main(arguments: list[str]) -> int:
    """Train, then export; returns the exit status."""

    def work() -> str:
        config = configure(arguments)
        train(config)
        weights = finish(config)
        where = os.path.dirname(weights)
        return f"{weights}: done; LICTOR_CHECKPOINTS={where} lictor classify uses it"

    return export.command("distil", f"{__doc__}\nSettings:\n\n{listing(Distil)}", arguments, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
