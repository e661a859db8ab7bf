"""Files of a size, of bits per pixel, of a measured quality."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lictor.codec import decode, encode, info, inputs
from lictor.codec.cli.main import cli
from lictor.codec.errors import InvalidTarget, MissingPackage, TargetMissed
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import rate_target
from lictor.codec.picture.rate_target import MOST, Reached, Search, Target
from lictor.codec.runtime.ssim import ssim
from lictor.models.quality import Quality

MODEL = "fake.pixels"
STEPS = 401


# ---- the search, on curves that are given


def search(
    values: np.ndarray, target: Target, effort: int = 0, slow: np.ndarray | None = None
) -> tuple[Reached, list[tuple[int, int]]]:
    """Search on values of all steps; with an effort on others. Also what was made: step, effort."""
    asked: list[tuple[int, int]] = []

    def make(quality: Quality, effort: int) -> bytes:
        step = quality.highest
        asked.append((step, effort))
        return bytes([step // 256, step % 256, effort])

    def measure(data: bytes) -> float:
        curve = values if slow is None or not data[2] else slow
        return float(curve[data[0] * 256 + data[1]])

    return Search(target, 512 * 768, make, measure, lambda data: 30).run(effort), asked


curves = st.builds(
    lambda start, rise, bend, noise, seed: np.exp(
        np.log(start)
        + rise * np.linspace(0, 1, STEPS) ** bend
        + noise * np.random.default_rng(seed).standard_normal(STEPS)
    ),
    start=st.floats(1, 1e6),
    rise=st.floats(0, 8),
    bend=st.floats(0.3, 3),
    noise=st.sampled_from([0.0, 0.001, 0.01, 0.3]),
    seed=st.integers(0, 99),
)
"""From flat and smooth to far from monotone."""


@given(curves, st.floats(1, 1e7), st.sampled_from(["size", "bpp", "psnr"]))
@settings(max_examples=300, deadline=None)
def test_any_curve(values: np.ndarray, wanted: float, kind: str):
    values = np.floor(values) if kind == "size" else values
    reached, asked = search(values, Target(kind, wanted))
    assert reached.encodings == len(asked) == len(set(asked)) <= MOST
    step = round(reached.quality * 4)
    assert (step, 0) in asked and reached.value == values[step]
    near = abs(reached.value / wanted - 1) <= 0.01 and (kind != "size" or reached.value <= wanted)
    assert bool(reached.note) == (not near)
    assert reached.met or not near
    if reached.met and not near:
        assert kind == "size" and reached.value <= wanted < values[step + 1]
    if kind == "size" and reached.value > wanted:
        assert (values[[step for step, _ in asked]] > wanted).all() and values[0] > wanted


@given(st.floats(3.0, 4.5), st.floats(0.8, 1.3), st.floats(0.05, 0.95))
@settings(max_examples=200, deadline=None)
def test_smooth_curves_are_met(rise: float, bend: float, place: float):
    """Of any slope that pictures have: as near as the steps of quality allow."""
    values = np.floor(2000 * np.exp(rise * np.linspace(0, 1, STEPS) ** bend))
    wanted = float(values[int(place * (STEPS - 1))])
    reached, _ = search(values, Target("size", wanted))
    assert reached.met and reached.value <= wanted


@given(st.floats(-0.3, 0.1), st.integers(5_000, 100_000))
@settings(max_examples=100, deadline=None)
def test_with_an_effort_the_bound_holds_too(change: float, wanted: int):
    values = np.floor(2000 * np.exp(4 * np.linspace(0, 1, STEPS)))
    slow = np.floor(values * np.exp(change))
    reached, asked = search(values, Target("size", wanted), 5, slow)
    assert reached.value <= wanted and reached.encodings == len(asked) <= MOST
    assert reached.data[2] == 5 or "with the effort no file was that small" in reached.note
    assert reached.value > 0.9 * min(wanted, slow[-1])


def test_where_no_file_of_an_effort_is_small_enough():
    values = np.full(STEPS, 1000.0)
    reached, _ = search(values, Target("size", 1010), 5, values * 2)
    assert (reached.data[2], reached.value) == (0, 1000)
    assert reached.note and not search(values * 2, Target("size", 1010), 5)[0].met


@pytest.mark.parametrize(
    "kind, wanted, quality, words",
    [("size", 100, 0, "lowest"), ("size", 10**6, 100, "highest"), ("psnr", 70, 100, "highest")],
)
def test_beyond_what_there_is(kind: str, wanted: float, quality: float, words: str):
    values = np.geomspace(2000, 60000, STEPS) if kind == "size" else np.linspace(20, 40, STEPS)
    reached, _ = search(values, Target(kind, wanted))
    assert (reached.quality, reached.met) == (quality, False)
    assert words in reached.note


def test_lossless_pictures_have_no_psnr():
    values = np.where(np.arange(STEPS) > 10, np.inf, 30.0)
    reached, _ = search(values, Target("psnr", 35))
    assert reached.encodings <= MOST and not reached.met


# ---- arguments


@pytest.mark.filterwarnings("ignore::lictor.codec.errors.TargetMissed")
def test_numbers_of_any_kind(photo: np.ndarray):
    """The fake's steps are coarse; here it matters what a number is taken for."""
    plain = encode(photo, model=MODEL, size=3500)
    for size in (np.int64(3500), np.float32(3500), 3500.0, "3.5kB", "3.5 KB", "3500B", "3500"):
        assert encode(photo, model=MODEL, size=size) == plain
    assert encode(photo, model=MODEL, bpp=np.float32(20)) == encode(photo, model=MODEL, bpp=20)
    found = [encode(photo, model=MODEL, psnr=value) for value in (np.float16(35), np.int8(35), 35)]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "given",
    [
        {"size": 2000, "bpp": 1},
        {"size": 2000, "quality": 50},
        {"psnr": 30, "quality": np.float32(50)},
        *({"size": value} for value in (0, -1, 0.5, math.nan, math.inf, "", "20 cows", [1])),
        *({"bpp": value} for value in (0, -1, math.nan, math.inf, "much", np.zeros(2), 1j)),
        *({"psnr": value} for value in (0, -3, math.inf, {}, np.array("x"))),
        *({"ssim": value} for value in (0, 1, 1.5, -0.1, math.nan)),
    ],
)
def test_targets_that_are_none(photo: np.ndarray, given: dict):
    with pytest.raises(InvalidTarget) as caught:
        encode(photo, model=MODEL, **given)
    assert "\n" not in str(caught.value)


def test_ssim_needs_its_package(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(MissingPackage, match="pytorch-msssim; pip install"):
        encode(photo, model=MODEL, ssim=0.9)


def test_pictures_without_a_window_have_no_ssim():
    with pytest.raises(InvalidTarget, match="11x11"):
        encode(np.zeros((10, 50, 3), np.uint8), model=MODEL, ssim=0.9)


# ---- pictures


def test_region_of_interest(china: np.ndarray):
    photo = china[100:196, 300:428]
    data = encode(photo, model=MODEL, size=9000, roi=[(0, 0, 64, 64)], roi_drop=20)
    assert 8600 <= len(data) <= 9000
    about = info(data)
    assert about.map_bytes and about.quality - about.quality_low == 20


def test_strip_counts(china: np.ndarray):
    """Metadata take their part of the size, unless they are left out."""
    picture = Picture(china[100:196, 300:428], exif=b"MM\0*" + np.random.default_rng(0).bytes(3000))
    stripped, whole = (encode(picture, model=MODEL, size=11000, strip=s) for s in (True, False))
    assert len(stripped) <= 11000 and len(whole) <= 11000
    assert info(whole).exif_bytes > 3000 and not info(stripped).exif_bytes
    assert info(whole).quality < info(stripped).quality


def test_python_is_told(photo: np.ndarray):
    with pytest.warns(TargetMissed, match="100 bytes wanted, .* quality 0 is the lowest"):
        data = encode(photo, model=MODEL, size=100)
    assert info(data).quality == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(photo, model=MODEL, size=8780)


def test_ssim_is_that_of_the_package(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    """Strips give what the whole gives, and other bits of the same picture do, too."""
    import torch
    from pytorch_msssim import ssim as reference

    a = np.ascontiguousarray(china[:150, :80])
    b = np.asarray(Image.fromarray(a).reduce(2).resize((80, 150)))
    planes = [torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32)) for x in (a, b)]
    expected = float(reference(*planes, data_range=255))
    for rows in (256, 7):
        monkeypatch.setattr("lictor.codec.runtime.ssim._ROWS", rows)
        assert ssim(a, b) == pytest.approx(expected, abs=1e-5)
    deep = (x.astype(np.uint16) * 257 for x in (a, b))
    assert ssim(*deep) == pytest.approx(expected, abs=1e-5)


def test_ssim_target(china: np.ndarray):
    photo = china[:96, :128]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TargetMissed)  # the fake's steps are coarse
        data = encode(photo, model=MODEL, ssim=0.95)
    assert abs(ssim(photo, np.asarray(decode(data))) - 0.95) < 0.005


# ---- the command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, china: np.ndarray) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(china[100:196, 300:428]).save("a.png")
    return tmp_path


def lictor(*args: str) -> Result:
    return CliRunner().invoke(cli, args, prog_name="lictor")


@pytest.mark.usefixtures("here")
def test_command():
    result = lictor("encode", "a.png", "a.bin", "--size", "9kB", "--json", "--model", MODEL)
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)
    assert row["target"] == {"size": 9000} and row["met"] is True
    assert row["bytes"] == row["reached"] == os.path.getsize("a.bin")
    assert 8900 <= row["bytes"] <= 9000
    assert f"quality {row['quality']:g} after {row['encodings']} encoding" in result.stderr
    strict = lictor("encode", "a.png", "b.bin", "--bpp", "8", "--strict", "--model", MODEL)
    assert strict.exit_code == 0, strict.output
    assert abs(info(Path("b.bin").read_bytes()).bpp - 8) <= 0.08


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("target", [("--size", "50"), ("--size", "1MB"), ("--psnr", "200")])
def test_command_that_misses(target: tuple[str, str]):
    """The nearest is made and said; with --strict the status says it, too."""
    arguments = ("encode", "a.png", "a.bin", *target, "--model", MODEL)
    result = lictor(*arguments)
    assert result.exit_code == 0 and "wanted" in result.stderr, result.output
    made = Path("a.bin").read_bytes()
    Path("a.bin").unlink()
    strict = lictor(*arguments, "--strict", "--json")
    assert strict.exit_code == 1 and Path("a.bin").read_bytes() == made
    row = json.loads(strict.stdout)
    assert row["met"] is row["ok"] is False and "wanted" in row["notes"][0]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--size", "6kB", "--bpp", "1"], "give one of size, bpp"),
        (["--size", "6kB", "-q", "50"], "leave --quality out"),
        (["--size", "6 cows"], "is no size"),
        (["--size", "0"], "is no size"),
        (["--psnr", "nan"], "psnr is nan"),
        (["--ssim", "98"], "a number between 0 and 1"),
        (["--strict"], "--strict is for --size"),
        (["--roi-drop", "20"], "--roi-drop is for --roi"),
    ],
)
def test_calls_that_make_no_sense(arguments: list[str], reason: str):
    result = lictor("encode", "a.png", "a.bin", *arguments, "--model", MODEL)
    assert result.exit_code == 2 and reason in result.stderr, result.output
    assert result.stderr.count("\n") == 1 and not Path("a.bin").exists()


@pytest.mark.usefixtures("here")
def test_targets_are_for_pictures(monkeypatch: pytest.MonkeyPatch):
    np.save("a.npy", np.ones((4, 4), np.float32))
    monkeypatch.setattr(inputs, "peek", lambda size: Path("a.npy").read_bytes()[:size])
    for source in ("a.npy", "-"):
        result = lictor("encode", source, "a.bin", "--size", "1kB")
        assert result.exit_code == 2 and "--size is for pictures" in result.stderr, result.output
    result = lictor("encode", "a.npy", "a.png", "out", "--size", "6kB", "--json", "--model", MODEL)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0 and ["target" in row for row in rows] == [False, True]


@pytest.mark.usefixtures("here")
def test_packages_are_missed_before_the_work(monkeypatch: pytest.MonkeyPatch, fake: ModuleType):
    monkeypatch.setattr(fake.Fake, "encode", lambda *_: pytest.fail("work has begun"))
    for package, option in (
        ("pytorch_msssim", ("--ssim", "0.9")),
        ("efficientnet_lite_pytorch", ("--roi-task", "classify")),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        result = lictor("encode", "a.png", "a.bin", *option, "--model", MODEL)
        assert result.exit_code == 2 and "pip install 'lictor[" in result.stderr, result.output
        assert result.stderr.count("\n") == 1


def test_guesses_are_of_the_typical_picture():
    """What the first guess is made from covers all qualities, in their order."""
    for curve in (rate_target._BITS, rate_target._PSNR, rate_target._SSIM):
        assert (len(curve) - 1) * rate_target._RUNG == STEPS - 1
        assert list(curve) == sorted(curve)
