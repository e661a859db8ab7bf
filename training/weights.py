"""Make a network's weights take fewer bits: it learns to give its own answers with rounded ones.

    python -m lictor.training.weights data=photos/ network=my.module:network out=runs/w1

No labels are needed: what the network itself answers to crops of pictures is what it learns. With
way=diffq each weight gets noise of one step instead of being rounded, so that the steps of tensors
are learned, too: the answers' distance plus `penalty` times the bits of a weight. With
way=quant-noise a random share of the weights is rounded in each step, to steps that stay. At the
end: weights.safetensors, steps.json, and weights.bin, which is coded by these steps. With way=ranks
matrices become products whose ranks are learned (ranks.py): weights.bin then has factors, and
ranks.json says how many parts each has. `lictor train-weights` is the same with fewer letters.

Source: A. Défossez et al., "Differentiable model compression via pseudo quantization noise", TMLR
2022 (arXiv:2104.09987); P. Stock et al., "Training with quantization noise for extreme model
compression", ICLR 2021 (arXiv:2004.07320).
"""

from __future__ import annotations

import csv
import json
import sys
from os.path import exists
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.func import functional_call

from lictor.codec.weights import lossy, source
from lictor.codec.weights.api import encode_weights
from lictor.codec.weights.mixed import Stepped
from lictor.datasets.pictures import load, sources
from lictor.training import export, networks, teacher_cache
from lictor.training import loop as steps
from lictor.training.config import SETTINGS, listing, write
from lictor.training.ranks import Proximal, Ranked
from lictor.training.state import State, follower, read
from lictor.training.weights_config import Weights, configure

FEWEST = lossy.FEWEST
TOGETHER = 32
"""Crops that the network is shown at once where nothing is learned."""


# ------------------------------------------------------------------------------- network
def network(config: Weights) -> nn.Module:
    """The network that is named, with its weights. Raises ValueError."""
    found = networks.made(config.network)
    if config.weights:
        networks.load(found, load_file(config.weights), config.weights)
    return found.requires_grad_(False)


class Rounded(nn.Module):
    """The weights of a network, and the steps that matrices among them are rounded to.

    The network itself is not a part of it: it is called with these weights.
    """

    def __init__(self, of: nn.Module, start: dict[str, float], config: Weights) -> None:
        super().__init__()
        named = {k: p for k, p in of.named_parameters() if p.is_floating_point()}
        self.names = list(named)
        self.weights = nn.ParameterList(p.detach().clone() for p in named.values())
        self.matrices = [k for k, p in named.items() if p.ndim > 1 and p.numel() >= FEWEST]
        logs = [np.log2(start[k]) for k in self.matrices]
        self.logs = nn.Parameter(torch.tensor(logs), requires_grad=config.way == "diffq")
        self.share = config.share

    def steps(self) -> dict[str, Tensor]:
        """Of each matrix."""
        return dict(zip(self.matrices, 2**self.logs, strict=True))

    def given(self, way: str) -> dict[str, Tensor]:
        """Weights by their names: with noise, partly rounded, or, as they will be, "rounded"."""
        own, found = self.steps(), {}
        for name, w in zip(self.names, self.weights, strict=True):
            step = own.get(name)
            if step is None:
                found[name] = w
            elif way == "diffq":
                found[name] = w + (torch.rand_like(w) - 0.5) * step
            else:
                off = ((w / step).round() * step - w).detach()
                kept = torch.rand_like(w) < self.share if way == "quant-noise" else True
                found[name] = w + off * kept
        return found

    def price(self) -> Tensor:
        """About the bits of a weight: as of a Laplacian of each matrix's mean size, on its grid."""
        own, total, count = self.steps(), torch.zeros(()), 0
        for name, w in zip(self.names, self.weights, strict=True):
            if name in own:
                spread = _LAPLACE * w.abs().mean() / own[name]
                total = total + 0.5 * w.numel() * torch.log2(1 + spread**2)
                count += w.numel()
        return total / max(count, 1)

    def told(self) -> float:
        """The bits of a weight, about."""
        return self.price().item()


_LAPLACE = 2 * np.e
"""2^h of a Laplacian of mean size 1, whose differential entropy is h."""


def start(config: Weights, of: nn.Module) -> dict[str, float]:
    """The steps at the start. Raises ValueError for a file that is not for this network."""
    named = {k: p for k, p in of.named_parameters() if p.ndim > 1}
    if config.start:
        given = json.loads(Path(config.start).read_text(encoding="utf-8"))
        if not (isinstance(given, dict) and all(isinstance(s, float) for s in given.values())):
            raise ValueError(f"{config.start} is no file of steps")
    else:
        scale = lossy.scale_of(source.opened(save(_state(of))))
        step = lossy.step_of(scale, config.quality)
        given = dict.fromkeys(named, step)
    missing = [k for k, p in named.items() if p.numel() >= FEWEST and not given.get(k, 0) > 0]
    if missing:
        raise ValueError(f"{config.start} has no step for {missing[0]}")
    return given


def _state(of: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().contiguous().clone() for k, v in of.state_dict().items()}


# ------------------------------------------------------------------------------- data
def inputs(config: Weights) -> tuple[Tensor, Tensor]:
    """Crops to train on and to watch, uint8 (N, 3, side, side); or what was named, of any type."""
    x = _given(config) if ":" in config.data and not exists(config.data) else crops(config)
    held = min(max(round(config.hold_out * len(x)), 1), len(x) // 2)
    if len(x) - held < config.batch:
        raise ValueError(f"{len(x)} crops are less than a batch of {config.batch} and some")
    return x[held:], x[:held]


def _given(config: Weights) -> Tensor:
    found = networks.called(config.data, "data")
    if not isinstance(found, Tensor) or not found.ndim:
        raise ValueError(f"data={config.data} gives no tensor of examples")
    return found[: config.crops]


def crops(config: Weights) -> Tensor:
    """Random parts of pictures."""
    found = load(sources(config.data), 1, config.memory * 1e9)
    made = teacher_cache.random_crops(found, config.crops, config.seed)
    x = torch.stack([torch.from_numpy(np.ascontiguousarray(c.transpose(2, 0, 1))) for c in made])
    if config.side != teacher_cache.VIEW:
        wide = F.interpolate(x.float(), size=config.side, mode="area")
        x = wide.round().to(torch.uint8)
    return x


def shown(config: Weights, x: Tensor) -> Tensor:
    """Crops as the network sees them; other inputs than uint8 as they are."""
    if x.dtype != torch.uint8:
        return x
    return (x.float() / 255 - config.mean) / config.spread


@torch.inference_mode()
def answers(config: Weights, of: nn.Module, x: Tensor) -> Tensor:
    """What the network says of crops. Raises ValueError for what is no tensor of one a crop."""
    parts = [of(shown(config, part)) for part in x.split(TOGETHER)]
    if not all(isinstance(part, Tensor) and part.ndim > 1 for part in parts):
        raise ValueError(f"network={config.network} gives no tensor of answers for each picture")
    return torch.cat(parts).clone()


def distance(config: Weights, now: Tensor, before: Tensor) -> Tensor:
    """How far answers are from others."""
    if config.answers == "classes":
        a, b = now.flatten(1).log_softmax(1), before.flatten(1).log_softmax(1)
        return F.kl_div(a, b, log_target=True, reduction="batchmean")
    return (now - before).square().mean() / before.var().clamp(min=1e-12)


# ------------------------------------------------------------------------------- loop
def train(config: Weights) -> None:
    """Run to the end."""
    run, of = steps.begin(config), network(config)
    kept, held = inputs(config)
    wanted, watched = answers(config, of, kept), answers(config, of, held)
    model: Any = learned(config, of)
    state = State(model, follower(model), _optimiser(model, config))
    if config.resume:
        state.restore(run)
    write(config, run / SETTINGS)

    def loss_of(picked: Tensor, _: Tensor) -> Tensor:
        given = model.given(config.way)
        now = functional_call(of, given, (shown(config, kept[picked]),))
        found = distance(config, now, wanted[picked])
        return found + config.penalty * model.price() if config.way == "diffq" else found

    steps.run(state, config, len(kept), loss_of, lambda: watch(state, config, of, held, watched))


def _optimiser(model: Rounded | Ranked, config: Weights) -> torch.optim.Optimizer:
    """Each tensor moves in proportion to its size: those of a network differ by octaves."""
    groups: list[dict[str, Any]] = [
        {"params": [p], "relative": p.detach().square().mean().sqrt().item()}
        for p in model.parameters()
    ]
    if isinstance(model, Ranked):
        return Proximal(groups, model, config.penalty)
    of_steps = next(group for group in groups if group["params"][0] is model.logs)
    of_steps["relative"] = config.step_rate / config.learning_rate
    return torch.optim.Adam(groups)


def learned(config: Weights, of: nn.Module) -> Rounded | Ranked:
    """The weights that are trained, as they begin. Raises ValueError."""
    return Ranked(of, config) if config.way == "ranks" else Rounded(of, start(config, of), config)


@torch.inference_mode()
def watch(state: State, config: Weights, of: nn.Module, held: Tensor, wanted: Tensor) -> None:
    """How the averaged weights, rounded, do on held-out crops: a line, here and in watch.csv."""
    average, model = cast(Any, (state.average, state.model))
    if isinstance(average, Ranked):
        average.shrink()
        model.shrink(average)
    given = average.given("rounded")
    parts = held.split(TOGETHER)
    now = torch.cat([functional_call(of, given, (shown(config, p),)) for p in parts])
    away, cost = distance(config, now, wanted).item(), average.told()
    what = "values" if config.way == "ranks" else "bits"
    path = Path(config.out) / "watch.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        out = csv.writer(file)
        if new:
            out.writerow(("step", "minutes", what, "distance"))
        out.writerow((state.step, f"{state.spent:.2f}", f"{cost:.4f}", f"{away:.6f}"))
    print(f"step {state.step}: about {cost:.3f} {what} a weight, distance {away:.4f}", flush=True)


# ------------------------------------------------------------------------------- end
def finish(config: Weights) -> Path:
    """The weights, their steps, and the coded file, whose path is returned."""
    run, of = Path(config.out), network(config)
    model = learned(config, of)
    model.load_state_dict(read(run)["average"])
    if isinstance(model, Ranked):
        own, name = model.given("all"), "ranks.json"
        found: dict[str, Any] = dict(zip(model.matrices, model.parts(), strict=True))
        quantiser: Any = "factors"
    else:
        own, name = dict(zip(model.names, model.weights, strict=True)), "steps.json"
        found = {k: s.item() for k, s in model.steps().items()}
        quantiser = Stepped(found)
    state = {k: own[k].detach() if k in own else v for k, v in _state(of).items()}
    data = save({k: v.contiguous() for k, v in state.items()})
    (run / "weights.safetensors").write_bytes(data)
    (run / name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path = run / "weights.bin"
    path.write_bytes(encode_weights(data, quality=config.quality, quantiser=quantiser))
    return path


def main(arguments: list[str]) -> int:
    """Train, then write; returns the exit status."""

    def work() -> str:
        config = configure(arguments)
        train(config)
        path = finish(config)
        return f"{path}: {path.stat().st_size} bytes; `lictor decode` gives .safetensors"

    about = f"{__doc__}\nSettings:\n\n{listing(Weights)}"
    return export.command("train-weights", about, arguments, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
