"""What the shipped model is worth, and whether the benchmark measures as others did.

Real files of the Kodak pictures, by the command of a user.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lictor.codec.bench import bd_rate, catalogue, curves, measure, pictures, runner

SHARED = Path(__file__).parent.parent.parent / "shared"
KODAK = SHARED / "data" / "kodak"
CURVES = SHARED / "reference" / "kodak_curves.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (KODAK.is_dir() and CURVES.is_file()), reason="no Kodak pictures here"),
]


@pytest.fixture(scope="module")
def report():
    command = [sys.executable, "-m", "lictor.codec", "bench", KODAK, "--json", "-j", "2"]
    command += ["--codecs", "lictor-s.mse", "--qualities", "0,20,40,60,80,100", "--curves", CURVES]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["rows"]) == 24 * 6
    return report


@pytest.mark.parametrize(
    "peer, most", [("jpeg-420-prog", -50), ("webp-m6", -24), ("avif-aom-s6-444-psnr", 0)]
)
def test_bits_at_equal_psnr(report, peer, most):
    assert report["bd_rate_all"]["psnr"][peer]["lictor-s.mse"] < most


def test_quality_is_monotone_on_every_picture(report):
    assert report["not_monotone"] == {"lictor-s.mse": []}


def test_files_are_as_large_as_the_model_estimates(report):
    for row in report["rows"]:
        assert abs(row["bytes"] - row["estimate"]) <= 0.005 * row["estimate"] + 40, row


PEERS = {
    "avif-aom-s6-444-psnr": (5, 20, 48, 70),
    "jpeg-420-prog": (4, 8, 15, 25, 40, 60, 75, 85, 91),
    "webp-m6": (0, 15, 50, 82, 90),
}


@pytest.fixture(scope="module")
def own():
    """Curves of the peers at some of the qualities that were measured before."""
    entries = [
        runner.Entry(name, 0, catalogue.find(name), tuple(map(float, qualities)))
        for name, qualities in PEERS.items()
    ]
    how = measure.Options(timed=False)
    measured = runner.run(pictures.find([str(KODAK)]), entries, how, jobs=2)
    assert not measured.failed
    return {name: curves.points(r for r in measured.rows if r.codec == name) for name in PEERS}


@pytest.fixture(scope="module")
def known():
    return json.loads(CURVES.read_text())


@pytest.mark.parametrize("name", PEERS)
def test_peers_are_set_as_those_measured_before(own, known, name):
    """Other versions of the libraries may differ in the third digit."""
    for point in own[name]:
        at = known[name]["q"].index(point["quality"])
        assert point["bpp"] == pytest.approx(known[name]["bpp"][at], rel=0.02)
        assert point["psnr"] == pytest.approx(known[name]["psnr"][at], abs=0.1)
        before = known[name]["psnr_from_mean_mse"][at]
        assert point["psnr_of_mean_mse"] == pytest.approx(before, abs=0.1)


@pytest.mark.parametrize("name", ["jpeg-420-prog", "webp-m6"])
def test_bd_rates_agree_with_those_measured_before(own, known, name):
    def line(points):
        return bd_rate.curve("psnr", [p["bpp"] for p in points], [p["psnr"] for p in points])

    def before(name):
        return bd_rate.curve("psnr", known[name]["bpp"], known[name]["psnr"])

    anchor = "avif-aom-s6-444-psnr"
    ours = bd_rate.bd_rate(line(own[anchor]), line(own[name]))
    assert ours == pytest.approx(bd_rate.bd_rate(before(anchor), before(name)), abs=3)
