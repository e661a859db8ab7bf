"""Promises about a network's answers: in Python and on the command line, and those not to keep."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load, load_file, save, save_file
from torch import nn

from lictor.codec import decode_weights
from lictor.codec.cli.main import cli
from lictor.codec.errors import InvalidOption, InvalidTarget
from lictor.training import networks
from lictor.training.calibrated import answers, disagreement, divergence, reach
from lictor.training.calibrated.examples import Shown, split
from lictor.training.calibrated.search import Search

MADE = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, 4), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 3))

def other():
    return nn.Linear(3, 4)

def batches():
    return list(torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(0)).split(1))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in subfolders, a module, and the network's weights."""
    folder = tmp_path_factory.mktemp("reach")
    (folder / "made_for_reach.py").write_text(MADE)
    rng = np.random.default_rng(0)
    for i in range(30):
        (folder / "photos" / f"kind{i % 3}").mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
        image = Image.fromarray(pixels).resize((50, 40), Image.Resampling.BICUBIC)
        image.save(folder / "photos" / f"kind{i % 3}" / f"{i}.png")
    namespace: dict[str, Any] = {}
    exec(MADE, namespace)
    made = namespace["network"]()
    with torch.no_grad():
        made[5].weight.mul_(8)
    save_file(made.state_dict(), folder / "m.safetensors")
    return folder


@pytest.fixture
def lictor(place: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(place)

    def run(*more: str, network: str = "network", data: str = "photos") -> Result:
        named = ["--network", f"made_for_reach:{network}", "--data", data, "--shown", "32"]
        return CliRunner().invoke(cli, ["encode", "m.safetensors", "m.bin", *named, *more])

    return run


@pytest.mark.parametrize(
    ("asked", "measure", "most"),
    [(["--kl", "0.01"], "KL", 0.01), (["--max-drop", "0.1"], "loss of accuracy", 0.1)],
)
def test_the_promise_holds_for_what_is_decoded(
    lictor: Any, place: Path, asked: list[str], measure: str, most: float
) -> None:
    result = lictor(*asked, "--json")
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)
    lost = row["lost"][measure]
    assert lost["mean"] <= most and lost["low"] <= lost["mean"] <= lost["high"]
    assert lost["examples"] == 15 and "did not calibrate" in result.stderr
    assert row["bits"] < 8
    # What was said is what a decoder gives, on the same pictures.
    made = networks.made("made_for_reach:network")
    shown = split(range(30)).measuring
    files = sorted((place / "photos").rglob("*.png"))
    own = Shown(32)
    x = torch.cat([own(np.asarray(Image.open(files[i]))) for i in shown])
    found = []
    for state in (load(decode_weights(place / "m.bin")), load_file(place / "m.safetensors")):
        made.load_state_dict(state)
        with torch.no_grad():
            found.append(made(x))
    assert float(divergence(*found).mean()) == pytest.approx(row["lost"]["KL"]["mean"], rel=1e-3)
    others = row["lost"]["other first answers"]["mean"]
    assert float(disagreement(*found).mean()) == pytest.approx(others)


def test_less_may_be_lost_in_more_bits(lictor: Any) -> None:
    rows = [json.loads(lictor("--kl", kl, "--json").stdout) for kl in ("0.1", "0.001")]
    assert rows[0]["bytes"] < rows[1]["bytes"] and rows[0]["quality"] < rows[1]["quality"]


def test_bits_and_a_quality_calibrate_too(lictor: Any) -> None:
    row = json.loads(lictor("-q", "40", "--json").stdout)
    assert row["quality"] == 40 and row["lost"]["KL"]["mean"] >= 0
    row = json.loads(lictor("--bits", "6.5", "--json").stdout)
    assert row["bits"] <= 6.5


def test_data_may_be_what_gives_batches(lictor: Any) -> None:
    row = json.loads(lictor("--kl", "0.02", "--json", data="made_for_reach:batches").stdout)
    assert row["lost"]["KL"]["mean"] <= 0.02 and "loss of accuracy" not in row["lost"]


def test_what_cannot_be_reached_says_what_was(lictor: Any, place: Path) -> None:
    (place / "m.bin").unlink(missing_ok=True)
    result = lictor("--kl", "1e-12")
    assert result.exit_code == 1 and not (place / "m.bin").exists()
    assert "KL is" in result.output and "at quality 100" in result.output
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "other", "said"),
    [
        (["--kl", "0.1", "-q", "30"], {}, "different things"),
        ([], {}, "not said"),
        (["--kl", "0.1", "--base", "m.safetensors"], {}, "base"),
        (["--kl", "0.1", "--max-error", "1"], {}, "--network is for weights"),
        (["--kl", "0.1"], {"network": "other"}, "another network"),
        (["--kl", "0.1"], {"network": "nothing"}, "cannot be made"),
        (["--kl", "0.1"], {"data": "made_for_reach:nothing"}, "cannot be made"),
        (["--kl", "0.1", "--shown", "0"], {}, "SIDE"),
        (["--kl", "0.1", "--shown", "3"], {}, "cannot be shown"),
        (["--kl", "0.1"], {"data": "photos/kind0/0.png"}, "too few"),
    ],
)
def test_what_cannot_be_is_refused(
    lictor: Any, more: list[str], other: dict[str, str], said: str
) -> None:
    result = lictor(*more, **other)
    assert result.exit_code in (1, 2) and said in result.output, result.output
    assert len(result.stderr.strip().splitlines()) == 1


def test_options_that_need_a_network(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for option in (["--kl", "0.1"], ["--network", "a:b"], ["--data", "photos"], ["--shown", "32"]):
        result = CliRunner().invoke(cli, ["encode", "m.safetensors", "m.bin", *option])
        assert result.exit_code == 2 and "--data FOLDER" in result.output


class Words(nn.Module):
    """Vectors of words in a row, of any number: their mean, through a layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 24)
        self.layer = nn.Linear(24, 16)

    def forward(self, words: list[int]) -> torch.Tensor:
        return self.layer(self.table(torch.tensor(words)).mean(0, keepdim=True))


def test_a_network_of_words_and_a_measure_of_ones_own() -> None:
    made = Words().eval()
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 50, rng.integers(1, 9)).tolist() for _ in range(40)]

    def turned(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return 1 - nn.functional.cosine_similarity(found, wanted)

    told: list[int] = []
    found = reach(
        save({f"file.{k}": v for k, v in made.state_dict().items()}),
        made,
        texts,
        most=1e-3,
        distance=turned,
        classes=False,
        name=lambda name: name.removeprefix("file."),
        progress=lambda done, count: told.append(done),
    )
    assert found.lost["distance"].mean <= 1e-3 and told == list(range(1, len(told) + 1))
    back = load(decode_weights(found.data))
    again = Words()
    again.load_state_dict({k.removeprefix("file."): v for k, v in back.items()})
    shown = split(texts).measuring
    with torch.no_grad():
        off = [float(turned(again(text), made(text))) for text in shown]
    assert np.mean(off) == pytest.approx(found.lost["distance"].mean, rel=1e-3, abs=1e-7)


def test_promises_that_cannot_be() -> None:
    made = Words().eval()
    data, texts = save(made.state_dict()), [[1], [2, 3]] * 5

    def never(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(found))

    with pytest.raises(InvalidTarget, match="distance is 1"):
        reach(data, made, texts, most=0.5, distance=never, classes=False)
    with pytest.raises(InvalidOption, match="from 0 on"):
        reach(data, made, texts, most=-1, classes=False)
    with pytest.raises(InvalidOption, match="too few"):
        reach(data, made, texts[:5], most=1, classes=False)


# ---- the parts


@pytest.mark.parametrize("slope", [-0.35, -0.1, -0.02])
def test_a_search_takes_few_tries(slope: float) -> None:
    def missing(quality: float, target: float) -> float:
        return slope * (quality - target) + 0.2 * slope * float(np.sin(quality))

    def attempt(target: float, quality: float) -> tuple[float, float]:
        return quality, missing(quality, target)

    for target in (5.0, 37.0, 90.0):
        tries: list[int] = []
        search = Search(partial(attempt, target), 0.1)
        found = search.run(40, -0.2, tries.append)
        assert found is not None and missing(found, target) <= 0
        assert found - target < max(0.1 / -slope, 0.5) + 1
        assert len(tries) <= 7


def test_a_search_that_is_in_vain() -> None:
    search: Search[float] = Search(lambda quality: (quality, 1.0), 0.1)
    assert search.run(40, -0.2, lambda done: None) is None and search.nearest == 100
    assert Search(lambda quality: (quality, -3.0), 0.1).run(40, -0.2, lambda done: None) == 0


def test_intervals() -> None:
    share = answers.figure(torch.tensor([1.0] * 5 + [0.0] * 95))
    assert share.mean == pytest.approx(0.05)
    assert share.low == pytest.approx(0.0215, abs=1e-3)
    assert share.high == pytest.approx(0.1118, abs=1e-3)
    none = answers.figure(torch.zeros(50))
    assert none.low == 0 and 0.05 < none.high < 0.1
    values = torch.arange(100.0)
    found = answers.figure(values)
    assert found.high - found.mean == pytest.approx(1.96 * float(values.std()) / 10)
    assert answers.figure(torch.tensor([2.0])).low == 2
