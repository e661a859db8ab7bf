"""Weights as they are shipped: matrices on grids (grids.py), then coded by the weights codec.

    python -m lictor.training.pack WEIGHTS data=photos/ NAME.lictor [loss=0.0006]
    python -m lictor.training.pack WEIGHTS data=photos/ checkpoints/ [loss=0.0006]

WEIGHTS: a .safetensors file that was trained, or a name. `data`: as for `lictor train`, or, for
weights that code arrays, as for `lictor train-features`. `loss`: what rounding may cost, as a part
of rate and squared error together, as a quadratic form has it; what it did cost is printed, of
other samples. Into a folder the weights go under a new number of its index.json, with what an
index.json beside WEIGHTS tells of them, and those for pictures with their preview.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save
from torch import Tensor, nn

from lictor.codec.errors import CodecError
from lictor.codec.weights.api import encode_weights
from lictor.datasets.crops import Crops
from lictor.datasets.pictures import load, sources
from lictor.models import ModelError, checkpoint, packed, zoo
from lictor.models.base import Network
from lictor.models.capabilities import ArrayModel, TaskModel
from lictor.models.coding import gaussian
from lictor.models.coding.quadtree import Heads
from lictor.models.light import load as light
from lictor.models.light.picture import Lictor
from lictor.models.preview import SUFFIX as PREVIEW
from lictor.models.task.student import Student
from lictor.training import export as exporting
from lictor.training import features, listing, preview, state
from lictor.training.features_config import Features
from lictor.training.grids import Curvature, grid

LOSS = 0.0006
SAMPLES, CHECKED, SIDE, SEED = 64, 16, 256, 55
_NEAR = 0.02
"""How far the quadratic form's loss may be from what was asked for."""
_BIAS, _CAP = 11, 16
"""Bits of the mantissa that biases and caps go without."""


class Sample(NamedTuple):
    """x (1, …), and its quality (1,)."""

    x: Tensor
    quality: Tensor


# ------------------------------------------------------------------------------- samples
def samples(model: Network, data: str, count: int) -> Iterator[Sample]:
    """Of what the model codes. Raises ValueError, OSError."""
    if isinstance(model, ArrayModel):
        yield from _planes(model, data, count)
        return
    crops = Crops(load(sources(data), SIDE, 0), SIDE, SEED)
    for i in range(count):
        pixels, quality = crops[i]
        x = torch.from_numpy(pixels)[None].float() / 255
        if isinstance(model, TaskModel):
            size = (model.view, model.view)
            x = F.interpolate(x, size, mode="bilinear", antialias=True).clamp(0, 1)
        yield Sample(x, torch.tensor([float(quality)]))


def _planes(model: ArrayModel, data: str, count: int) -> Iterator[Sample]:
    found, _ = features.samples(Features(data=data))
    chance = torch.Generator().manual_seed(SEED)
    mean, _, unit = model.usual()
    for i in torch.randperm(len(found), generator=chance)[:count].tolist():
        x = (found[i : i + 1] - torch.from_numpy(mean).to(found)[:, None, None]) / unit
        yield Sample(x, 100 * torch.rand(1, generator=chance))


# ------------------------------------------------------------------------------- what errors cost
class Cost(NamedTuple):
    """Bits; mean squared error; log-likelihoods (1, classes) of what a student answers."""

    bits: Tensor
    error: Tensor
    answer: Tensor | None


def _run(model: Network, sample: Sample) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a model makes of a sample: x_hat, bits, and scores of a student."""
    if not isinstance(model, Student):
        made = model(*sample)
        return made.x_hat, made.bits, None
    v_hat, bits = model.squeeze(model.front(sample.x), sample.quality)
    return model._picture(v_hat), bits, model.look(v_hat, sample.quality).scores


def curvatures(model: Network, found: Iterable[Sample]) -> dict[str, list[Curvature]]:
    """Of the loss in each matrix, by the names of tensors.

    The loss: bits, as a part of a sample's; squared error, as a part of a sample's; of a student's
    answers, in nats. Its curvature is the mean of squared gradients of sums whose terms have random
    signs: signs that differ cancel on average, and what is left are the terms' own squares.
    """
    total: dict[str, list[Curvature]] = {}
    for _ in _watched(model, total):
        for sample in found:
            with _signed() as plain:
                x_hat, bits, scores = _run(model, sample)
            error = (x_hat - sample.x).detach().square().sum()
            signs = torch.randint(0, 2, x_hat.shape) * 2 - 1
            parts = [
                bits.sum() / sum(plain) ** 0.5 * np.log(2) ** 0.5,
                (signs * x_hat).sum() / error**0.5,
            ]
            if scores is not None:
                share = scores.softmax(1).detach()
                signs = torch.randint(0, 2, share.shape) * 2 - 1
                parts.append((signs * share.sqrt() * (scores - (share * scores).sum())).sum())
            for part in parts:
                part.backward(retain_graph=True)
    return total


@contextmanager
def _signed() -> Iterator[list[float]]:
    """Meanwhile each symbol's bits have a random sign; gives the sums of the bits themselves."""
    plain: list[float] = []
    own = gaussian.symbol_bits

    def signed(residual: Tensor, s: Tensor) -> Tensor:
        bits = own(residual, s)
        plain.append(bits.sum().item())
        return bits * (torch.randint(0, 2, bits.shape) * 2 - 1)

    gaussian.symbol_bits = signed
    try:
        yield plain
    finally:
        gaussian.symbol_bits = own


def _watched(model: Network, total: dict[str, list[Curvature]]) -> Iterator[None]:
    """While the caller works, gradients of the outputs of all layers add to the curvatures."""
    model.requires_grad_(True)
    handles = []
    for name, layer in model.named_modules():
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            key = f"{name}.weight"
            if isinstance(layer, nn.Linear | Heads) or getattr(layer, "groups", 0) == 1:
                handles.append(layer.register_forward_hook(_dense(key, total)))
            else:
                handles.append(weight.register_hook(_depthwise(key, total)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        model.requires_grad_(False)


def _dense(key: str, total: dict[str, list[Curvature]]) -> Any:
    def seen(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        x = _inputs(layer, given[0].detach())

        def back(gradient: Tensor) -> None:
            g = gradient.movedim(1, -1) if isinstance(layer, nn.Conv2d) else gradient
            g = g.reshape(len(x), -1, g.shape[-1])
            _add(total, key, [_curvature(*both) for both in zip(x, g, strict=True)])

        if out.requires_grad:
            out.register_hook(back)

    return seen


def _inputs(layer: nn.Module, x: Tensor) -> Tensor:
    """What each place of the output is a product of: (matrices, places, columns)."""
    if isinstance(layer, Heads):
        return x
    if isinstance(layer, nn.Conv2d):
        x = F.pad(x, getattr(layer, "around", (0, 0, 0, 0)))
        assert not isinstance(layer.padding, str)
        x = F.unfold(x, layer.kernel_size, padding=layer.padding, stride=layer.stride).mT
    return x.reshape(1, -1, x.shape[-1])


def _curvature(x: Tensor, g: Tensor) -> Curvature:
    """x: (places, columns). g: gradients, (places, rows)."""
    square = g.square()
    inputs = (x * square.mean(1, keepdim=True)).T @ x
    return Curvature(inputs, square.T @ x.square().sum(1), len(x))


def _depthwise(key: str, total: dict[str, list[Curvature]]) -> Any:
    def back(gradient: Tensor) -> None:
        square = gradient.flatten(1).square()
        own = torch.eye(square.shape[1]) * square.mean()
        _add(total, key, [Curvature(own, square.sum(1), square.shape[1] ** 2)])

    return back


def _add(total: dict[str, list[Curvature]], key: str, found: list[Curvature]) -> None:
    if key not in total:
        total[key] = found
        return
    for one, more in zip(total[key], found, strict=True):
        one += more


# ------------------------------------------------------------------------------- rounding
def rounded(
    model: Network, total: dict[str, list[Curvature]], count: int, loss: float
) -> tuple[dict[str, np.ndarray], dict[str, packed.Grid]]:
    """All tensors of a model as they are shipped, and the grids of its matrices.

    total: sums over `count` samples.
    """
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    share = loss * count / sum(state[name].numel() for name in total)
    for _ in range(4):
        grids, lost = {}, 0.0
        for name, curvature in total.items():
            weight = state[name].reshape(*_matrices(state[name]))
            grids[name], own = grid(weight, curvature, share)
            lost += own / count
        if abs(lost / loss - 1) < _NEAR:
            break
        share *= loss / lost
    plain = {name: _shortened(name, tensor.numpy()) for name, tensor in state.items()}
    exact = {name: g.values.reshape(state[name].shape) for name, g in grids.items()}
    return plain | exact, grids


def _matrices(weight: Tensor) -> tuple[int, int, int]:
    return packed.Place("", tuple(weight.shape), packed.BY_ROWS).matrices


def _shortened(name: str, values: np.ndarray) -> np.ndarray:
    """Biases and caps in fewer bits than tell; others as they are."""
    values = np.asarray(values, np.float32)
    bits = _BIAS if name.endswith(".bias") else _CAP if name.endswith(".cap") else 0
    if not bits or not np.isfinite(values).all():
        return values
    words = values.reshape(-1).view(np.uint32) + np.uint32(1 << bits >> 1)
    return (words >> bits << bits).view(np.float32).reshape(values.shape)


# ------------------------------------------------------------------------------- files
def write(model: Network, data: str, path: Path, loss: float) -> None:
    """Write weights as they are shipped, and print what that costs. Raises as `main` has it."""
    torch.manual_seed(SEED)
    given = list(samples(model, data, SAMPLES + CHECKED))
    used, other = given[: len(given) * 4 // 5], given[len(given) * 4 // 5 :]
    tensors, grids = rounded(model, curvatures(model, used), len(used), loss)
    path.write_bytes(_coded(model, tensors, grids, loss))
    read = checkpoint.read(str(path))
    for name, tensor in read.state_dict().items():
        if not np.array_equal(tensor.numpy(), tensors[name]):
            raise ValueError(f"{path}: {name} does not come back as it was; please report it")
    print(f"{path}: {path.stat().st_size} bytes; of other samples, {_told(model, read, other)}")


def _coded(
    model: Network,
    tensors: Mapping[str, np.ndarray],
    grids: Mapping[str, packed.Grid],
    loss: float,
) -> bytes:
    arrays, text = packed.pack(tensors, grids)
    training = json.dumps({"loss": model.loss, "packed": {"loss": loss, "samples": SAMPLES}})
    texts = {"format": packed.FORMAT, "name": model.name, "tensors": text, "training": training}
    return encode_weights(save(arrays, texts))


@torch.no_grad()
def _told(model: Network, read: Network, found: Iterable[Sample]) -> str:
    """What rounding costs, by samples whose bits, errors and answers count alike."""
    bits, errors, nats = [], [], []
    for sample in found:
        (x_hat, own, likely), (x_new, new, now) = _run(model, sample), _run(read, sample)
        bits.append((new.sum() / own.sum()).item())
        before, after = ((x - sample.x).square().mean() for x in (x_hat, x_new))
        errors.append((after / before).item())
        if likely is not None and now is not None:
            told, say = likely.log_softmax(1), now.log_softmax(1)
            nats.append((told.exp() * (told - say)).sum().item())
    parts = [f"{np.mean(bits) - 1:+.3%} bits", f"{np.mean(errors) - 1:+.3%} squared error"]
    if nats:
        parts.append(f"{np.mean(nats):.4f} nats")
    return ", ".join(parts)


def export(run: Path, measure: str = "", into: str = "") -> Path:
    """As `exporting.export`; into: a folder with an index.json, which takes the weights as well."""
    target = exporting.export(run, measure)
    if into:
        ship(str(target), state.averaged(run)[1].data, Path(into))
    return target


def ship(weights: str, data: str, folder: Path, loss: float = LOSS) -> Path:
    """Weights into a folder with an index.json, and the preview of those for pictures."""
    model = checkpoint.load(weights)
    path = folder / f"{model.name}{zoo.PACKED}"
    new = path.with_suffix(".new" + zoo.PACKED)
    write(model, data, new, loss)
    known = listing.listed(folder) | listing.listed(Path(weights).parent)
    told = known.get(model.name, {})
    new.replace(path)
    own = listing.entry(model.name, path, told.get("training", {}))
    more = {key: told[key] for key in ("licence", "summary", "measured") if key in told}
    listing.add(own | more | {"loss": model.loss}, path, folder)
    if isinstance(light.load(str(path)).model, Lictor):
        preview.make(str(path), data, path.with_suffix(PREVIEW))
    return path


def main(arguments: list[str]) -> int:
    """The command above; returns the exit status."""
    named = [a for a in arguments if "=" in a]
    plain = [a for a in arguments if a not in named]
    settings = dict(a.split("=", 1) for a in named)
    if len(plain) != 2 or not {"data"} <= settings.keys() <= {"data", "loss"}:
        print(__doc__, file=sys.stderr)
        return 2
    (weights, out), loss = plain, settings.get("loss", LOSS)
    try:
        if Path(out).is_dir():
            ship(weights, settings["data"], Path(out), float(loss))
        else:
            write(checkpoint.load(weights), settings["data"], Path(out), float(loss))
    except (ValueError, OSError, ModelError, CodecError) as error:
        print(f"pack: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
