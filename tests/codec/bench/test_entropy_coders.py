"""`lictor bench entropy`: what it reports, on workloads small enough for a test."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from lictor.codec.bench import entropy_coders, entropy_workloads
from lictor.codec.cli.main import cli
from lictor.entropy import Encoder, Tables, gaussian_sigmas, gaussian_tables, paths

pytest.importorskip("scipy")


@pytest.fixture(autouse=True)
def no_slow_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchac compiles itself."""
    peers = tuple(p for p in entropy_coders.PEERS if p.__name__ != "torchac")
    monkeypatch.setattr(entropy_coders, "PEERS", peers)


def test_report_as_json(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("compressai")
    pytest.importorskip("constriction")
    arguments = ["bench", "entropy", "--json", "--symbols", "20000", "--runs", "1"]
    result = CliRunner().invoke(cli, [*arguments, "--model", "no.such"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert "no workload kodak" in result.stderr
    assert set(report) == {"A", "B"}
    for rows in report.values():
        assert {
            "lictor",
            "compressai.ans",
            "compressai.gaussian_conditional",
            "constriction.range.grouped",
            "constriction.ans.gaussian",
        } <= set(rows)
        assert {f"lictor.{path}" for path in paths()[1:-1]} <= set(rows)
        assert rows["lictor.two_threads"]["decode_scaling"] > 0
        for row in rows.values():
            assert row["encode_msym_s"] > 0 and row["decode_msym_s"] > 0
            assert -0.5 < row["overhead_pct"] < 5
            assert row["counted"]


def test_report_for_a_person(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(entropy_coders, "PEERS", ())
    arguments = ["bench", "entropy", "--symbols", "5000", "--runs", "1", "--model", "no.such"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.stderr
    assert "A: 5000 symbols" in result.stdout and "lictor.scalar" in result.stdout


def test_a_peer_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    def absent_package(work: entropy_coders.Workload):
        raise AssertionError

    monkeypatch.setattr(entropy_coders, "PEERS", (absent_package,))
    said: list[str] = []
    rows = entropy_coders.measure(entropy_coders.synthetic("A", 1000), 1, said.append)
    assert said == ["absent_package is not installed and is left out"]
    assert all(name.startswith("lictor") for name in rows)


@pytest.mark.parametrize("name, bits, smallest", [("A", 1.5145, 0.0), ("B", 0.379, 0.51)])
def test_workloads_are_those_of_the_reference(name: str, bits: float, smallest: float):
    work = entropy_coders.synthetic(name, 300_000)
    assert work.bits.mean() == pytest.approx(bits, rel=0.04)
    sigma = gaussian_sigmas()[work.index]
    assert sigma.max() <= 257
    if smallest:
        assert (work.index == 0).mean() == pytest.approx(smallest, abs=0.02)
    else:
        assert (sigma < 0.5).mean() == pytest.approx(0.607, abs=0.02)
        assert (sigma > 16).mean() == pytest.approx(0.045, abs=0.01)


def test_ideal_bits_are_those_of_the_tables():
    index = np.repeat(np.arange(0, 96, 5), 3).astype(np.uint8)
    symbols = np.round(gaussian_sigmas()[index] * np.tile([0, 1, -2], 20)).astype(np.int32)
    ideal = entropy_workloads.ideal_bits(symbols, index)
    assert gaussian_tables().cost(symbols, index) == pytest.approx(ideal, rel=0.03, abs=0.02)


def test_a_coder_that_errs_is_found(monkeypatch: pytest.MonkeyPatch):
    def wrong(work: entropy_coders.Workload):
        for name, coder in entropy_coders.ours(work):
            yield (
                f"wrong {name}",
                entropy_coders.Coder(
                    work, coder.encode, lambda data: work.symbols + 1, len, "", "lictor"
                ),
            )

    wrong.__name__ = "json"
    monkeypatch.setattr(entropy_coders, "PEERS", (wrong,))
    with pytest.raises(RuntimeError, match="does not give back the symbols of workload A"):
        entropy_coders.measure(entropy_coders.synthetic("A", 1000), 1, print)


def test_latents_are_what_a_model_pushes(monkeypatch: pytest.MonkeyPatch):
    """Those with Gaussian tables; the others mean nothing to the peers."""
    from lictor import models

    other = Tables.from_frequencies([[16384, 0]], offsets=0)
    symbols, index = np.arange(-5, 5, dtype=np.int32), np.full(10, 30, np.uint8)

    class Model:
        def encode(self, picture, quality: float, encoder: Encoder) -> None:
            assert picture.shape[:2] == (1, 3) and 0 <= picture.max() <= 1
            encoder.push(symbols, index)
            encoder.push(np.zeros(3, np.int32), np.zeros(3, np.uint8), other)
            encoder.push(symbols, index, gaussian_tables())

    monkeypatch.setattr(models, "load", lambda name: Model())
    work = entropy_coders.latents(None, "a.model", 50)
    assert (work.symbols == np.tile(symbols, 2)).all() and (work.index == 30).all()


def test_pictures_need_not_be_named(tmp_path):
    for arguments in (["bench", str(tmp_path)], ["bench", "pictures", str(tmp_path)]):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 2
        assert "no pictures" in result.stderr


def test_a_picture_that_cannot_be_read(tmp_path):
    """One line, before anything is measured."""
    (tmp_path / "text.png").write_text("no picture")
    for name, reason in (("text.png", "not a picture"), ("absent.png", "cannot be read")):
        result = CliRunner().invoke(cli, ["bench", "entropy", "--picture", str(tmp_path / name)])
        assert result.exit_code == 1 and not result.stdout
        assert result.stderr.count("\n") == 1 and reason in result.stderr


def test_gray_pictures_are_coded_as_rgb(monkeypatch: pytest.MonkeyPatch):
    from lictor import models

    class Model:
        def encode(self, picture, quality: float, encoder: Encoder) -> None:
            assert picture.shape == (1, 3, 4, 5)
            encoder.push(np.zeros(2, np.int32), np.zeros(2, np.uint8))

    monkeypatch.setattr(models, "load", lambda name: Model())
    gray = np.full((4, 5, 1), 200, np.uint8)
    assert entropy_coders.latents(gray, "a.model", 50).symbols.size == 2
