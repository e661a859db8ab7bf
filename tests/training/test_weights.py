"""`lictor train-weights` on a small network: both ways, resuming, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load, load_file, save_file
from torch import nn

from lictor.codec import decode_weights, weights_info
from lictor.codec.cli.main import cli
from lictor.training import weights
from lictor.training.ranks import Proximal, Ranked, nested
from lictor.training.weights_config import Weights

MADE = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, 4), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10))

def other():
    return 3

def several():
    class Two(nn.Module):
        def forward(self, x):
            return x, x
    return Two()

def square():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 30))
    with torch.no_grad():
        made[2].weight[:] = torch.randn(30, 3) @ torch.randn(3, 64) + 1e-3 * torch.randn(30, 64)
    return made

def values():
    return torch.randn(40, 40, generator=torch.Generator().manual_seed(1))

def none():
    return [1, 2]
"""
QUICK = (
    "crops=12",
    "batch=4",
    "side=32",
    "hold_out=0.2",
    "threads=1",
    "watch_every=100",
    "steps=3",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures and a module of its own name, which is the current one."""
    name = f"made_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MADE)
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 256, (60, 70, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAME", name)
    return tmp_path


def arguments(place: Path, *more: str, made: str = "network") -> list[str]:
    module = next(place.glob("made_*.py")).stem
    return [f"data={place}", f"network={module}:{made}", f"out={place / 'run'}", *QUICK, *more]


@pytest.mark.parametrize("way", ["diffq", "quant-noise"])
def test_what_is_coded_is_what_was_trained(place: Path, way: str):
    assert weights.main(arguments(place, f"way={way}")) == 0
    run = place / "run"
    steps = json.loads((run / "steps.json").read_text())
    before = weights.network(weights.configure(arguments(place))).state_dict()
    now, coded = (
        load_file(run / "weights.safetensors"),
        load(decode_weights((run / "weights.bin").read_bytes())),
    )
    assert list(steps) == ["0.weight", "5.weight"]
    assert now.keys() == coded.keys() == before.keys()
    for name, step in steps.items():
        assert not torch.equal(now[name], before[name])
        assert (now[name] - before[name]).abs().max() < 1e-3
        assert (coded[name] - now[name]).abs().max() < 3 * step  # of a trellis
    assert (len(set(steps.values())) > 1) == (way == "diffq")
    assert torch.equal(now["1.running_mean"], before["1.running_mean"])
    assert (run / "watch.csv").read_text().startswith("step,minutes,bits,distance")
    assert weights.main(arguments(place)) == 2  # holds a run
    more = ["resume=true", "steps=4", f"start={run / 'steps.json'}"]
    assert weights.main(arguments(place, *more)) == 0


def test_bits_become_fewer_where_they_cost(place: Path):
    config = arguments(place, "steps=40", "penalty=5", "learning_rate=1e-4", "step_rate=0.05")
    assert weights.main(config) == 0
    rows = (place / "run" / "watch.csv").read_text().splitlines()[1:]
    first, last = (float(row.split(",")[2]) for row in (rows[0], rows[-1]))
    assert last < first - 0.5


def test_rounded_weights_are_on_the_grid():
    of = nn.Linear(40, 20)
    model = weights.Rounded(of, {"weight": 0.125}, Weights(way="quant-noise", share=0.5))
    whole, part = model.given("rounded")["weight"] * 8, model.given("quant-noise")["weight"] * 8
    assert torch.equal(whole, whole.round())
    on = (part == part.round()).float().mean()
    assert 0.3 < on < 0.7
    noisy = weights.Rounded(of, {"weight": 0.125}, Weights()).given("diffq")["weight"]
    assert 0.03 < (noisy - of.weight).abs().max() <= 0.0625
    assert torch.equal(model.given("rounded")["bias"], of.bias)


def test_gradients_pass_what_is_rounded():
    model = weights.Rounded(nn.Linear(40, 20), {"weight": 0.125}, Weights(way="quant-noise"))
    model.given("quant-noise")["weight"].sum().backward()
    assert torch.equal(model.weights[0].grad, torch.ones(20, 40))
    assert model.logs.grad is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["network=nothing"], "MODULE:NAME"),
        (["network=not_there:x"], "cannot be made"),
        (["way=both"], "diffq or quant-noise"),
        (["crops=3"], "less than a batch"),
        (["share=2"], "0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(place: Path, capsys, more, said):
    assert weights.main(arguments(place, *more)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("made", "said"), [("other", "no torch"), ("several", "no tensor")])
def test_other_networks_are_refused(place: Path, capsys, made, said):
    assert weights.main(arguments(place, made=made)) == 2
    assert said in capsys.readouterr().err


def test_weights_and_steps_of_another_network_are_refused(place: Path, capsys):
    save_file({"x": torch.zeros(3)}, place / "other.safetensors")
    assert weights.main(arguments(place, f"weights={place / 'other.safetensors'}")) == 2
    assert "another network" in capsys.readouterr().err
    (place / "steps.json").write_text('{"x": 0.5}')
    assert weights.main(arguments(place, f"start={place / 'steps.json'}")) == 2
    assert "no step for" in capsys.readouterr().err


def test_ranks_are_found_and_coded_as_products(place: Path):
    module = next(place.glob("made_*.py")).stem
    named = [f"data={module}:values", "way=ranks", "learning_rate=1e-3", "steps=30", "penalty=0.3"]
    named += ["answers=values", "watch_every=0.0001", "quality=60"]
    assert weights.main(arguments(place, *named, made="square")) == 0
    run = place / "run"
    ranks = json.loads((run / "ranks.json").read_text())
    assert set(ranks) == {"0.weight", "2.weight"}
    assert ranks["0.weight"] > 20 > 6 > ranks["2.weight"]
    now = load_file(run / "weights.safetensors")
    assert torch.linalg.matrix_rank(now["2.weight"], rtol=1e-5) == ranks["2.weight"]
    data = (run / "weights.bin").read_bytes()
    methods = {t["name"]: t["method"] for t in weights_info(data).tensors}
    assert methods["2.weight"] == f"factors of rank {ranks['2.weight']}"
    off = load(decode_weights(data))["2.weight"] - now["2.weight"]
    assert off.square().mean() < 0.05 * now["2.weight"].square().mean()
    rows = (run / "watch.csv").read_text().splitlines()
    assert rows[0] == "step,minutes,values,distance"
    shares = [float(row.split(",")[2]) for row in rows[1:]]
    assert shares == sorted(shares, reverse=True)  # ranks that are gone do not come back
    more = ["resume=true", "steps=32"]
    assert weights.main(arguments(place, *named, *more, made="square")) == 0


def test_products_begin_as_their_matrices_and_lose_their_last_parts_first():
    of = nn.Linear(40, 20)
    model = Ranked(of, Weights(way="ranks"))
    assert torch.allclose(model.given("all")["weight"], of.weight, atol=1e-6)
    ranks = {int(torch.linalg.matrix_rank(model.given("ranks")["weight"])) for _ in range(60)}
    assert min(ranks) == 10 and max(ranks) == 20
    assert torch.equal(model.given("ranks")["bias"], of.bias)
    left, right = model.left[0], model.right[0]
    before = left.detach().norm(dim=0)
    groups = [{"params": [p], "lr": 1e-2} for p in model.parameters()]
    Proximal(groups, model, 0.5).step()
    shares = left.detach().norm(dim=0) / before
    assert bool((shares.diff() < 0).all()) and 0.99 < shares[0] < 1
    with torch.no_grad():
        right[15:] = 1e-5
    Proximal(groups, model, 0.5).step()
    assert not right[15:].any() and bool(right[:15].any(1).all())
    assert model.told() == 1
    with torch.no_grad():
        left[:, 7:] = 0
    model.shrink()
    assert model.parts() == [7]
    assert model.told() == 7 * 60 / 800


def test_matrices_to_which_gradients_say_little_lose_more():
    model = Ranked(nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32)), Weights(way="ranks"))
    groups = [{"params": [p], "lr": 1e-3} for p in model.parameters()]
    optimiser = Proximal(groups, model, 4.0)
    before = [left.detach().norm() for left in model.left]
    for size, pair in zip((1e-4, 1.0), zip(model.left, model.right, strict=True), strict=True):
        for factor in pair:
            factor.grad = size * torch.randn_like(factor)
    optimiser.step()
    little, much = (1 - x.detach().norm() / b for x, b in zip(model.left, before, strict=True))
    assert little > 2 * much


@pytest.mark.parametrize("most", [0.0, 0.1, 0.7, 5.0])
def test_what_a_penalty_leaves_is_the_least_of_both(most: float):
    x = np.random.default_rng(0).normal(size=(6, 4)) / np.arange(1, 7)[:, None]

    def cost(kept: np.ndarray) -> float:
        tails = sum(np.linalg.norm(kept[b:]) for b in range(len(kept)))
        return 0.5 * float(np.square(kept - x).sum()) + most * tails

    shares = nested(np.linalg.norm(x, axis=1).tolist(), most)
    assert shares == sorted(shares, reverse=True) and 0 <= shares[-1] <= shares[0] <= 1
    best = np.array(shares)[:, None] * x
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-2, 1e-1):
        assert all(cost(best) <= cost(best + size * rng.normal(size=x.shape)) for _ in range(30))
        assert cost(best) <= cost((1 - size) * best) and cost(best) <= cost((1 + size) * best)


def test_thin_matrices_stay_whole():
    of = nn.Sequential(nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 64, 1))
    model = Ranked(of, Weights(way="ranks"))
    assert model.matrices == ["1.weight"]
    assert model.given("ranks")["1.weight"].shape == (64, 64, 1, 1)
    assert torch.equal(model.given("ranks")["0.weight"], of[0].weight)


def test_what_gives_no_examples_is_refused(place: Path, capsys):
    module = next(place.glob("made_*.py")).stem
    assert weights.main(arguments(place, f"data={module}:none", made="square")) == 2
    assert "no tensor of examples" in capsys.readouterr().err


def test_settings_are_listed():
    result = CliRunner().invoke(cli, ["train-weights", "--settings"])
    assert result.exit_code == 0
    assert "way: str" in result.output
