"""Quantisers of the literature and our own on one network: real bytes, and what its answers lose.

    python examples/quantisers.py lite0 --scored val.tar --others train.tar
    python examples/quantisers.py minilm --quality 30 --quality 45

Each method writes whole files at some qualities, which are decoded and scored as weight_quality.py
does. Prints a table: bits a weight of the file, and the scores. --trained adds runs of
`lictor train-weights`: their files, and their weights with plain levels and with feedback. --start
writes steps that were measured, for such a run to start from. weight_networks.py says what must be
installed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from copy import deepcopy
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from weight_networks import Network, State
from weight_quality import arguments, network

from lictor.codec import decode_weights, encode_weights, weights_info
from lictor.codec.weights import lossy, mixed
from lictor.codec.weights import source as sources
from lictor.codec.weights.curvature import Calibration
from lictor.codec.weights.equalised import Equalised
from lictor.codec.weights.mixed import Mixed, Stepped
from lictor.training.calibrated import calibrate, compress

Row = tuple[str, float, float, dict[str, float]]
"""Method, bits a weight of the whole file, and of its matrices alone, and scores."""


class Study:
    """One network, and what was found out about it."""

    def __init__(self, net: Network, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.values = sum(w.numel() for w in net.weights.values() if w.is_floating_point())
        self.matrices = {
            k: w.reshape(w.shape[0], -1).numpy()
            for k, w in net.weights.items()
            if w.is_floating_point() and w.ndim > 1 and w.numel() >= 256
        }

    def row(self, name: str, data: bytes, state: State | None = None, **how: Any) -> Row:
        """A file's bits, and the scores of what it decodes to."""
        found = state or load(decode_weights(data, **how))
        sizes = {t["name"]: t["bytes"] for t in weights_info(data).tensors}
        sizes = {
            n: b
            for n, b in sizes.items()
            if n.removesuffix(".a").removesuffix(".b") in self.matrices
        }
        matrices = 8 * sum(sizes.values()) / sum(w.size for w in self.matrices.values())
        return name, 8 * len(data) / self.values, matrices, self.net.score(found)

    @cached_property
    def factors(self) -> dict[str, float]:
        """Steps of tensors by what errors of each were measured to cost; measured once."""
        path = self.folder / f"{self.net.name}-factors.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
        inputs = self.net.few
        own = dict(self.net.module.named_parameters())

        def answers() -> Tensor:
            with torch.inference_mode():
                return torch.cat([self.net.module(*batch) for batch in inputs])

        before = answers()

        def changed(name: str, values: np.ndarray) -> float:
            kept = own[name].data
            own[name].data = torch.from_numpy(values).reshape(kept.shape)
            now = answers()
            own[name].data = kept
            return self.distance(before, now)

        costs = mixed.measured({k: w for k, w in self.matrices.items() if k in own}, changed)
        found = mixed.factors(costs, {k: w.size for k, w in self.matrices.items()})
        path.write_text(json.dumps(found, indent=1) + "\n")
        return found

    def distance(self, before: Tensor, now: Tensor) -> float:
        """KL of a classifier's answers; of embeddings 1 less the cosine."""
        if self.net.name == "lite0":
            kl = nn.functional.kl_div(
                now.log_softmax(1), before.log_softmax(1), log_target=True, reduction="none"
            )
            return float(kl.sum(1).mean())
        return float(1 - (before * now).sum(1).mean())

    @cached_property
    def calibration(self) -> Calibration:
        """What errors cost, by pictures one at a time and sentences in fours."""
        return calibrate(
            self.net.module,
            self.shown,
            forward=_forward,
            classes=self.net.name == "lite0",
        )

    @property
    def shown(self) -> list[tuple[Tensor, ...]]:
        """Inputs of `calibration`."""
        size = 1 if self.net.name == "lite0" else 4
        parts = [
            zip(*(x.split(size) for x in batch), strict=True) for batch in self.net.calibration
        ]
        return [one for part in parts for one in part]

    def with_data(self, source: bytes, quality: float, quantiser: str) -> bytes:
        """A file by `compress`; of a classifier's pictures statistics are put right, too."""
        pictures = [x for (x,) in self.net.calibration] if self.net.name == "lite0" else []
        own = deepcopy(self.net.module)
        own.load_state_dict(load(source))
        return compress(
            source,
            own,
            pictures,
            quality=quality,
            calibration=self.calibration,
            quantiser=quantiser,
        )

    @cached_property
    def moments(self) -> dict[str, np.ndarray]:
        """Of each layer the mean square of each column's input."""
        found: dict[str, list[Tensor]] = {}
        hooks = [
            module.register_forward_hook(_keeping(found.setdefault(f"{name}.weight", [])))
            for name, module in self.net.module.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        ]
        with torch.inference_mode():
            self.net.module(*self.net.calibration[0])
        for hook in hooks:
            hook.remove()
        return {k: torch.stack(v).mean(0).numpy() for k, v in found.items() if v}


def _forward(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    found: Tensor = module(*batch)
    return found


def _keeping(into: list[Tensor]) -> Callable[..., None]:
    def keep(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        x = given[0]
        if isinstance(module, nn.Conv2d):
            if module.groups > 1:  # rows have inputs of their own
                return
            size = module.kernel_size
            x = nn.functional.unfold(x, size, stride=module.stride, padding=module.padding)
            x = x.transpose(1, 2)
        into.append(x.reshape(-1, x.shape[-1]).square().mean(0))

    return keep


# ---- methods that change a file's tensors


def low_rank(study: Study, share: float) -> tuple[State, dict[str, tuple[Tensor, Tensor]]]:
    """Matrices as products, where that has fewer values; of inputs' sizes, those that matter.

    share: of the rank at which a product has as many values as its matrix.
    """
    state, factors = study.net.weights, {}
    for name, w in study.matrices.items():
        rank = int(share * w.size / sum(w.shape))
        if rank < 4 or name not in study.moments:
            continue
        weights = np.sqrt(study.moments[name] + 1e-12)
        u, s, v = np.linalg.svd(w * weights, full_matrices=False)
        root = np.sqrt(s[:rank])
        pair = u[:, :rank] * root, root[:, None] * v[:rank] / weights
        factors[name] = tuple(torch.from_numpy(np.ascontiguousarray(f, np.float32)) for f in pair)
    return state, factors


def factored(study: Study, title: str, quality: float, share: float, sparse: float) -> Row:
    """Both factors quantised; the smallest values of each, a part that is given, are 0."""
    state, factors = low_rank(study, share)
    shapes = {name: state.pop(name).shape for name in factors}
    for name, pair in factors.items():
        for letter, f in zip("ab", pair, strict=True):
            least = f.abs().quantile(sparse) if sparse and f.numel() < 1 << 24 else 0
            state[f"{name}.{letter}"] = torch.where(f.abs() < least, 0, f)
    data = encode_weights(save(state), quality=quality, quantiser="trellis")
    back = load(decode_weights(data))
    for name, shape in shapes.items():
        back[name] = (back.pop(f"{name}.a") @ back.pop(f"{name}.b")).reshape(shape)
    return study.row(title, data, back)


# ---- the table


def methods(study: Study, source: bytes, quality: float) -> dict[str, Callable[[], Row]]:
    """All methods at one quality, by their names."""

    def coded(title: str, quantiser: Any) -> Row:
        return study.row(title, encode_weights(source, quality=quality, quantiser=quantiser))

    def nested(title: str, layers: int) -> Row:
        way = Mixed(study.factors, "nested")
        finer = min(quality + 12.5 * np.log2(3), 100.0)
        data = encode_weights(source, quality=finer, quantiser=way)
        return study.row(title, data, layers=layers)

    def with_data(title: str, quantiser: str) -> Row:
        return study.row(title, study.with_data(source, quality, quantiser))

    ways: dict[str, Callable[[], Any]] = {
        **{
            name: partial(str, name)
            for name in ("plain", "deepcabac", "trellis", "factors", "qswd")
        },
        "equalised": lambda: Equalised(study.moments),
        "equalised, trellis": lambda: Equalised(study.moments, trellis=True),
        "mixed, plain": lambda: Mixed(study.factors, "plain"),
        "mixed, deepcabac": lambda: Mixed(study.factors, "deepcabac"),
        "mixed, trellis": lambda: Mixed(study.factors, "trellis"),
        "mixed, equalised": lambda: Mixed(study.factors, Equalised(study.moments)),
        "mixed, equalised, trellis": lambda: Mixed(study.factors, Equalised(study.moments, True)),
        "mixed, factors": lambda: Mixed(study.factors, "factors"),
    }
    finer = min(quality + 12.5, 100.0)
    return {
        **{name: partial(lambda n, w: coded(n, w()), name, way) for name, way in ways.items()},
        **{
            name: partial(nested, name, layers)
            for layers in (3, 2)
            for name in [f"mixed, nested, {layers} of 3 layers"]
        },
        **{
            f"{name}, with data": partial(with_data, f"{name}, with data", name)
            for name in ("diagonal", "feedback", "lord")
        },
        "low rank, 3/4": partial(factored, study, "low rank, 3/4", finer, 0.75, 0.0),
        "sparse factors": partial(factored, study, "sparse factors", finer, 1.0, 0.5),
    }


def trained(study: Study, run: Path, quality: float) -> list[Row]:
    """A run's file, and its weights coded by plain levels of its steps, and with data."""
    data = (run / "weights.safetensors").read_bytes()
    found = [study.row(f"{run.name}", (run / "weights.bin").read_bytes())]
    if (run / "steps.json").exists():
        steps = Stepped(json.loads((run / "steps.json").read_text()), "plain")
        plain = encode_weights(data, quality=quality, quantiser=steps)
        found.append(study.row(f"{run.name}, plain", plain))
    return [*found, study.row(f"{run.name}, feedback", study.with_data(data, quality, "feedback"))]


def table(found: list[Row]) -> str:
    """For a page."""
    scores = list(found[0][-1])
    lines = [" | ".join(("", "method", "bits a weight", "of matrices", *scores, "")).strip()]
    lines.append("|" + "---|" * (3 + len(scores)))
    for name, bits, matrices, own in found:
        cells = (name, f"{bits:.3f}", f"{matrices:.3f}", *(f"{own[s]:.4f}" for s in scores))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, code, score, print."""
    parser = arguments(
        argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
    )
    parser.add_argument("--quality", type=float, action="append", help="repeat for several")
    parser.add_argument("--method", action="append", help="only this one; repeat for several")
    parser.add_argument("--start", type=Path, help="steps.json to write, of the first quality")
    parser.add_argument("--trained", type=Path, action="append", default=[], help="folder of a run")
    a = parser.parse_args()
    torch.set_num_threads(1)
    net = network(a.network, a.scored, a.others)
    source = net.file(a.out).read_bytes()
    study = Study(net, a.out)
    if a.start:
        step = lossy.step_of(lossy.scale_of(sources.opened(source)), (a.quality or [40.0])[0])
        steps = {k: step * v for k, v in study.factors.items()}
        a.start.write_text(json.dumps(steps, indent=1) + "\n")
    found: list[Row] = []
    for quality in a.quality or [50.0, 37.5]:
        for name, made in methods(study, source, quality).items():
            if a.method and name not in a.method:
                continue
            found.append(made())
            print(json.dumps([quality, *found[-1]]), flush=True)
    for run in a.trained:
        rows = trained(study, run, (a.quality or [40.0])[0])
        print(json.dumps(rows), flush=True)
        found += rows
    if found:
        print(table(found))


if __name__ == "__main__":
    main()
