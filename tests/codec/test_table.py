"""The Markdown tables of a benchmark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lictor.codec.cli.main import cli
from lictor.codec.errors import BadResults
from lictor.codec.report import markdown


@pytest.fixture
def folder(results_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results_folder, tmp_path / "results"))


def change(folder: Path, **changes: object) -> dict:
    path = folder / "results.json"
    results = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(results))
    return results


def written(folder: Path) -> list[list[str]]:
    """The cells of all tables."""
    lines = markdown.write(folder, folder / "t.md").read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]


def rates(**codecs: float | None) -> dict[str, object]:
    return {
        name.replace("_", "-"): {
            "mean_curve": rate,
            "per_image_mean": rate and rate / 2,
            "worst": ["a|b", 12.5] if rate else None,
        }
        for name, rate in codecs.items()
    }


def test_codecs_by_bd_rate_without_published_ones(folder: Path):
    metric = {"psnr": rates(jpeg=0.0, old=-20.0, lictor_test=-12.34), "ms_ssim": {}}
    change(folder, bd_rate={"anchor": "jpeg", "metric": metric})
    header, _, *rows = written(folder)
    assert header[-1] == "decode"
    assert [row[0] for row in rows] == ["`lictor-test`", "`jpeg`"]
    assert rows[0][1:5] == ["−12.3 %", "−6.2 %", r"a\|b +12.5 %", "–"]
    assert rows[1][1:5] == ["0", "0", "–", "–"]


def test_published_curves_of_the_same_codec_stand_beside_it(folder: Path):
    by_psnr = rates(jpeg=0.0, lictor_test=5.0) | {"jpeg (published)": {"mean_curve": 0.21}}
    change(folder, bd_rate={"anchor": "jpeg", "metric": {"psnr": by_psnr}})
    header, _, *rows = written(folder)
    assert header[-1] == "earlier"
    assert {row[0]: row[-1] for row in rows} == {"`jpeg`": "+0.2 %", "`lictor-test`": "–"}


def test_times_are_medians(folder: Path):
    curves = json.loads((folder / "results.json").read_text())["curves"]
    for place, seconds in enumerate((0.5, 0.1, 0.25)):
        curves["jpeg"][place]["encode_s"] = seconds
        curves["jpeg"][place]["decode_s"] = None
    metric = {"psnr": rates(jpeg=0.0)}
    change(folder, bd_rate={"anchor": "jpeg", "metric": metric}, curves=curves)
    assert written(folder)[-1][-2:] == ["0.250 s", "–"]


def test_what_a_classifier_saw(folder: Path):
    seen = {"top1": [0.5, None], "top5": [None, None], "agreement": [0.66, 0.8]}
    task = {
        "at_bpp": {"bpp": [0.1, 0.25], "codecs": {"jpeg": seen | {"feature_distance": [0.3, 0.2]}}},
        "original": {"images": 3, "top1": 0.75, "top5": None},
    }
    change(folder, task=task, bd_rate=None)
    text = markdown.write(folder, folder / "t.md").read_text()
    assert "Top-1, 75 % on the originals." in text and "Top-5" not in text
    cells = written(folder)
    assert cells[0] == ["bpp", "0.1", "0.25"]
    assert [row for row in cells if row[0] == "`jpeg`"] == [
        ["`jpeg`", "50 %", "–"],
        ["`jpeg`", "66 %", "80 %"],
        ["`jpeg`", "0.30", "0.20"],
    ]


def test_nothing_to_tabulate(folder: Path):
    change(folder, bd_rate=None, task=None)
    with pytest.raises(BadResults, match="neither BD-rates"):
        markdown.write(folder, folder / "t.md")


def test_the_command(folder: Path):
    change(folder, bd_rate={"anchor": "jpeg", "metric": {"psnr": rates(jpeg=0.0)}})
    target = folder / "t.md"
    command = ["report", str(folder), "--pictures", "0", "--table", str(target)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(target)
    assert target.read_text().startswith("BD-rates against `jpeg`, 3 pictures.\n\n| codec |")
