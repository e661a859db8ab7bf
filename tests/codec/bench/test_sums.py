"""BD-rates, curves, metrics and memory are what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from lictor.codec.bench import bd_rate, curves, memory, metrics
from lictor.codec.bench.rows import Row
from lictor.codec.errors import BadCurves

ANCHOR = [(0.5, 25.0), (1.0, 30.0), (2.0, 35.0), (4.0, 40.0)]


def row(image: str, quality: float, size: int, psnr: float | None, codec: str = "c") -> Row:
    return Row(image, codec, quality, size, size / 100, psnr, *[None] * 3, 0.1, 0.2, *[None] * 4)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25])
def test_bd_rate_of_a_scaled_curve(factor: float):
    scaled = [(factor * rate, value) for rate, value in ANCHOR]
    assert bd_rate.bd_rate(ANCHOR, scaled) == pytest.approx(100 * (factor - 1), abs=1e-6)


@pytest.mark.parametrize(
    "other",
    [[], [(1.0, 30.0)], [(1.0, 50.0), (2.0, 60.0)], [(1.0, 30.0), (2.0, 29.0), (3.0, 36.0)]],
)
def test_no_bd_rate_without_a_common_range(other: bd_rate.Curve):
    assert bd_rate.bd_rate(ANCHOR, other) is None
    assert bd_rate.bd_rate(other, ANCHOR) is None


def test_ms_ssim_is_compared_in_decibels():
    assert bd_rate.curve("ms_ssim", [1, 2, 3], [0.9, 0.99, 1.0]) == [
        (1, pytest.approx(10)),
        (2, pytest.approx(20)),
    ]
    assert bd_rate.curve("psnr", [1, 2], [None, 30.0]) == [(2, 30.0)]


def test_against_an_anchor_on_each_picture():
    def scaled(factor: float) -> bd_rate.Curve:
        return [(factor * rate, value) for rate, value in ANCHOR]

    each = {
        "a": {"x": ANCHOR, "y": ANCHOR, "z": ANCHOR},
        "b": {"x": scaled(0.5), "y": scaled(1.5)},
    }
    found = bd_rate.compare("a", {"a": ANCHOR, "b": scaled(0.9), "p": scaled(2)}, each)
    assert found["b"]["mean_curve"] == pytest.approx(-10)
    assert found["b"]["per_image_mean"] == pytest.approx(0, abs=1e-6)
    assert found["b"]["images"] == 2
    assert found["b"]["worst"] == ["y", pytest.approx(50)]
    assert found["p"] == {
        "mean_curve": pytest.approx(100),
        "per_image_mean": None,
        "images": 0,
        "worst": None,
    }


def test_points_are_means_over_pictures():
    rows = [row("a", 50, 100, 30.0), row("b", 50, 300, 34.0), row("a", 7, 40, 26.0)]
    low, high = curves.points(rows)
    assert (low["quality"], low["images"]) == (7, 1)
    assert (high["bpp"], high["psnr"], high["encode_s"]) == (2.0, 32.0, 0.1)
    error = fmean(255**2 / 10 ** (p / 10) for p in (30.0, 34.0))
    assert high["psnr_of_mean_mse"] == pytest.approx(10 * math.log10(255**2 / error))
    assert high["ms_ssim"] is None


def test_a_lossless_picture_has_no_finite_mean():
    (point,) = curves.points([row("a", 1, 10, None), row("b", 1, 10, 30.0)])
    assert point["psnr"] is None
    assert point["psnr_of_mean_mse"] == pytest.approx(30 + 10 * math.log10(2))
    (point,) = curves.points([row("a", 1, 10, None)])
    assert point["psnr_of_mean_mse"] is None


def test_curves_are_of_pictures_that_all_codecs_have():
    rows = [row(i, q, 10, 30.0, c) for i in "xy" for q in (1, 2) for c in ("a", "b")]
    rows = [r for r in rows if (r.image, r.quality, r.codec) != ("x", 2, "b")]
    assert curves.complete(rows, {"a": (1, 2), "b": (1, 2)}) == ["y"]
    assert curves.complete(rows, {"a": (1, 2), "b": (1,), "broken": (1,)}) == ["x", "y"]


def test_what_is_not_monotone_is_named():
    rows = [row("a", 0, 100, 30.0), row("a", 50, 90, 31.0), row("a", 100, 200, 32.0)]
    assert curves.not_monotone(rows) == ["a: quality 0 to 50"]
    assert curves.not_monotone(rows[1:]) == []
    qp = [row("a", 22, 300, 40.0), row("a", 32, 100, 35.0), row("a", 27, 200, 35.0)]
    assert curves.not_monotone(qp) == ["a: quality 32 to 27"]


def test_published_curves(tmp_path: Path):
    path = tmp_path / "curves.json"
    own = {"bpp": [1, 2], "psnr": [30, 35]}
    path.write_text(json.dumps({"x": own | {"ms_ssim": [0.9, None]}, "y": own, "z": {"bpp": [1]}}))
    found = curves.published(str(path), taken=["x"])
    assert list(found) == ["x (published)", "y"]
    assert found["y"] == {"source": "", "bpp": [1, 2], "psnr": [30, 35], "ms_ssim": None}


@pytest.mark.parametrize("text", ["", "[]", '{"a": {"psnr": [1, 2]}}', '{"a": {"psnr": ["x", 2]}}'])
def test_bad_curves(tmp_path: Path, text: str):
    path = tmp_path / "curves.json"
    path.write_text(text)
    with pytest.raises(BadCurves, match="no curves"):
        curves.published(str(path))


def test_metrics_of_real_pictures(china: np.ndarray):
    ready, _ = metrics.available(("psnr", "ms_ssim"))
    noisy = np.clip(china + np.random.default_rng(1).normal(0, 10, china.shape), 0, 255)
    noisy = noisy.astype(np.uint8)
    assert ready["psnr"](china, china) == math.inf
    assert ready["psnr"](china, noisy) == pytest.approx(28.3, abs=0.4)
    assert ready["ms_ssim"](china, china) == pytest.approx(1)
    assert 0.9 < ready["ms_ssim"](china, noisy) < 0.99
    assert ready["ms_ssim"](china[:160], noisy[:160]) is None
    assert ready["ms_ssim"](china[:161], noisy[:161]) is not None


def test_ssimulacra2_sees_what_is_worse(china: np.ndarray):
    pytest.importorskip("ssimulacra2")
    measure = metrics.available(("ssimulacra2",))[0]["ssimulacra2"]
    crop = china[:96, :128]
    noisy = crop ^ np.uint8(4)
    assert measure(crop, crop) == 100
    assert 100 > measure(crop, noisy) > measure(crop, crop ^ np.uint8(16))
    assert measure(crop[:7], crop[:7]) is None


def test_lpips_where_its_weights_are(
    china: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("lpips")
    import torch
    from torchvision.models import alexnet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    _, missing = metrics.available(("lpips",))
    assert "weights are not here" in missing["lpips"]
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(alexnet().state_dict(), folder / "alexnet-owt-7be5be79.pth")
    ready, missing = metrics.available(("lpips",))
    assert not missing
    crop = china[:128, :128]
    assert ready["lpips"](crop, crop) == pytest.approx(0, abs=1e-6)
    blurred = crop[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)
    assert ready["lpips"](crop, blurred) > 0
    metrics._lpips_network.cache_clear()


def test_memory_at_the_peak():
    def task() -> int:
        return int(np.ones(80_000_000, np.uint8)[-1])

    memory.peak(task)
    result, used = memory.peak(task)
    assert result == 1
    if used is not None:
        assert 75 < used < 130
