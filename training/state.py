"""Everything a run needs to go on as if it had never stopped, and the averaged weights."""

from __future__ import annotations

import copy
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lictor.models import registry
from lictor.models.base import Network
from lictor.training.config import Config

LAST = "last.pt"


@dataclass
class State:
    """Where a run stands.

    average: a second model, whose weights follow those of the first; what is validated and kept.
    step: updates of the weights. position: crops drawn. spent: minutes. skipped: steps whose
    gradient was not finite. Chance is a function of the position, so no random state is needed.
    tempo: factor of the learning rate. warm_from, warm_since: step and progress at which it began
    to warm up.
    """

    model: Network
    average: Network
    optim: torch.optim.Optimizer
    step: int = 0
    position: int = 0
    spent: float = 0.0
    skipped: int = 0
    tempo: float = 1.0
    warm_from: int = 0
    warm_since: float = 0.0
    _unsettled: list[Tensor] = field(default_factory=list)

    def save(self, config: Any) -> None:
        """Write last.pt into the run folder, whole or not at all. config: a dataclass of them."""
        self._settle(0)
        run = Path(config.out)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optim": self.optim.state_dict(),
            "config": asdict(config),
        } | {key: getattr(self, key) for key in _COUNTS}
        temporary = run / f"{LAST}.tmp"
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(run / LAST)

    def restore(self, run: Path) -> None:
        """Take over what run/last.pt holds."""
        saved = read(run)
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        groups = [{k: v for k, v in g.items() if k != "params"} for g in self.optim.param_groups]
        self.optim.load_state_dict(saved["optim"])
        for group, given in zip(self.optim.param_groups, groups, strict=True):
            group.update(given)  # the settings of now
        for key in _COUNTS:
            setattr(self, key, saved.get(key, getattr(self, key)))

    def advance(self, rate: float, clip: float, ema: float, crops: int) -> None:
        """Move the weights; a gradient that is not finite counts as zero, in all processes.

        clip: largest norm of the gradient. crops: of this step.
        """
        for group in self.optim.param_groups:
            group["lr"] = rate * group["relative"]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        sound = torch.isfinite(norm)
        for weight in self.model.parameters():
            if weight.grad is not None:
                weight.grad.masked_fill_(~sound, 0.0)
        self.optim.step()
        self.follow(ema)
        self.optim.zero_grad(set_to_none=True)
        self.position += crops
        self.step += 1
        self._unsettled.append(sound)
        # To ask a GPU how this step went is to wait for it: it is asked about the one before.
        self._settle(1 if norm.is_cuda else 0)

    def _settle(self, left: int) -> None:
        """Count the steps that were none, but for the last ones, so many."""
        while len(self._unsettled) > left:
            if not self._unsettled.pop(0):
                self.step -= 1
                self.skipped += 1

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the averaged weights towards the model's; faster at first."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        averaged, values = (
            [*model.parameters(), *model.buffers()] for model in (self.average, self.model)
        )
        torch._foreach_lerp_(averaged, values, 1 - decay)


_COUNTS = ("step", "position", "spent", "skipped", "tempo", "warm_from", "warm_since")


def follower(model: Network) -> Network:
    """A copy for State.average."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def read(run: Path) -> dict[str, Any]:
    """What run/last.pt holds, on the CPU. Raises FileNotFoundError."""
    if not (run / LAST).is_file():
        raise FileNotFoundError(f"{run}: holds no run that could go on ({LAST} is missing)")
    return torch.load(run / LAST, map_location="cpu", weights_only=True)


def averaged(run: Path) -> tuple[Network, Config, int]:
    """The averaged model of a run, the run's settings, and its steps."""
    saved = read(run)
    model = registry.create(saved["config"]["model"]).eval().requires_grad_(False)
    model.load_state_dict(saved["average"])
    return model, Config(**saved["config"]), saved["step"]
