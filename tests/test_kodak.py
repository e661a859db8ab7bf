"""What the shipped model is worth: real files of the Kodak pictures, by the command of a user."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parent.parent.parent / "shared"
KODAK = SHARED / "data" / "kodak"
CURVES = SHARED / "reference" / "kodak_curves.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (KODAK.is_dir() and CURVES.is_file()), reason="no Kodak pictures here"),
]


@pytest.fixture(scope="module")
def report():
    command = [sys.executable, "-m", "lictor.codec", "bench", KODAK, "--json"]
    command += ["--qualities", "0,20,40,60,80,100", "--anchors", CURVES]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["rows"]) == 24 * 6
    return report


@pytest.mark.parametrize(
    "peer, most", [("jpeg-420-prog", -45), ("webp-m6", -15), ("avif-aom-s6-444-psnr", 7)]
)
def test_bits_at_equal_psnr(report, peer, most):
    assert report["bd_rate"][peer] < most


def test_quality_is_monotone_on_every_picture(report):
    assert report["not_monotone"] == []


def test_files_are_as_large_as_the_model_estimates(report):
    for row in report["rows"]:
        assert abs(row["bytes"] - row["estimate"]) <= 0.005 * row["estimate"] + 40, row
