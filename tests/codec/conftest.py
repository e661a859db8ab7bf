"""Fixtures: pictures that packages ship, and a model that needs no weights."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from lictor import models

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lictor_fake_model", HERE / "fake.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def only_fake_models(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("load", "find", "index"):
        monkeypatch.setattr(models, name, getattr(fake, name))
    monkeypatch.setenv("LICTOR_RUNTIME", "torch")  # which the fake is for


@pytest.fixture(scope="session")
def china() -> np.ndarray:
    """A photo, uint8 (427, 640, 3)."""
    import sklearn.datasets

    return _shipped(sklearn.datasets, "images/china.jpg")


@pytest.fixture(scope="session")
def camera() -> np.ndarray:
    """A gray photo, uint8 (512, 512)."""
    import skimage.data

    return _shipped(skimage.data, "camera.png")


def _shipped(package: ModuleType, name: str) -> np.ndarray:
    assert package.__file__
    with Image.open(Path(package.__file__).parent / name) as image:
        return np.array(image)


@pytest.fixture
def photo(china: np.ndarray) -> np.ndarray:
    """A small part of the photo, of odd sides: uint8 (31, 45, 3)."""
    return np.ascontiguousarray(china[200:231, 300:345])


# ---- results of a benchmark, as `lictor bench --out` lays them out

EVIL = "<img src=x onerror=alert(1)>"
"""A picture's name that must stay text."""


@pytest.fixture(scope="session")
def results_folder(china: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, three codecs (all Pillow's), three qualities. Read it only."""
    folder = tmp_path_factory.mktemp("results")
    pictures = {
        EVIL: china[200:264, 300:396],
        "sub/sky": china[:64, :96],
        "tower": china[100:196, 100:164],
    }
    codecs = {
        "jpeg": ("JPEG", "jpg", {}),
        "lictor-test": ("WEBP", "webp", {"method": 0}),
        "webp </script>": ("WEBP", "webp", {"method": 6}),
    }
    results: dict = {
        "lictor": "0.1.0",
        "commit": None,
        "date": "2026-11-22T13:05:00+00:00",
        "machine": {"cpu": "a CPU", "cores": 2, "threads": 1, "python": "3.11.2"},
        "versions": {"pillow": "12.0"},
        "images": [],
        "codecs": [
            {"name": name, "label": f"{name}, a label", "version": "1", "settings": more}
            | {"kmac_per_pixel": None, "weights": None}
            for name, (_, _, more) in codecs.items()
        ],
        "command": "lictor bench pictures/ --out results",
        "failed": [{"image": EVIL, "codec": "jpeg", "quality": 5, "reason": "too few bits"}],
        "skipped": [{"name": "vtm", "reason": "EncoderApp is not on PATH"}],
        "rows": [],
        "published": {"old": {"source": "a paper", "bpp": [1, 2], "psnr": [25, 30]}},
        "task": {"classifier": "a classifier", "curves": {}},
    }
    for name, pixels in pictures.items():
        base = folder / "pictures" / name.replace("<", "_")
        base.mkdir(parents=True)
        original = Image.fromarray(np.ascontiguousarray(pixels))
        original.save(base / "original.png")
        size = {"width": original.width, "height": original.height}
        where = str((base / "original.png").relative_to(folder))
        results["images"].append({"name": name, **size, "sha256": "0" * 64, "file": where})
        for codec, (format, suffix, more) in codecs.items():
            for quality in (10, 50, 90):
                stem = base / f"{codec.split()[0]}-{quality}"
                row = _coded(original, stem, format, suffix, {**more, "quality": quality})
                for key in ("file", "decoded"):
                    row[key] = str(row[key].relative_to(folder))
                results["rows"].append({"image": name, "codec": codec, "quality": quality, **row})
    results["curves"] = {codec: _curve(results["rows"], codec) for codec in codecs}
    for name, curve in results["curves"].items():
        results["task"]["curves"][name] = [
            {"quality": p["quality"], "bpp": p["bpp"], "top1": None, "agreement": p["ms_ssim"]}
            for p in curve
        ]
    rates = {"jpeg": 0.0, "lictor-test": -12.34, "webp </script>": 5.0}
    results["bd_rate"] = {
        "anchor": "jpeg",
        "metric": {
            "psnr": {
                name: {"mean_curve": rate, "per_image_mean": rate + 1, "worst": [EVIL, rate + 2]}
                for name, rate in rates.items()
            }
            | {"old": {"mean_curve": 50.0, "per_image_mean": None, "worst": None}}
        },
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def _coded(original: Image.Image, stem: Path, format: str, suffix: str, options: dict) -> dict:
    buffer = io.BytesIO()
    original.save(buffer, format, **options)
    stem.with_name(f"{stem.name}.{suffix}").write_bytes(buffer.getvalue())
    with Image.open(buffer) as image:
        decoded = image.convert("RGB")
    decoded.save(stem.with_name(f"{stem.name}.png"))
    error = np.square(np.asarray(original, float) - np.asarray(decoded, float)).mean()
    return {
        "bytes": buffer.tell(),
        "bpp": 8 * len(buffer.getvalue()) / (original.width * original.height),
        "psnr": 10 * np.log10(255**2 / error),
        "ms_ssim": 1 - error / 5000,
        "ssimulacra2": 100 - error**0.5,
        "lpips": None,
        "encode_s": 0.01,
        "decode_s": 0.02,
        "peak_memory_mb": None,
        "file": stem.with_name(f"{stem.name}.{suffix}"),
        "decoded": stem.with_name(f"{stem.name}.png"),
    }


def _curve(rows: list[dict], codec: str) -> list[dict]:
    points = []
    for quality in sorted({row["quality"] for row in rows}):
        own = [row for row in rows if row["codec"] == codec and row["quality"] == quality]
        keys = ("bpp", "psnr", "ms_ssim", "ssimulacra2", "encode_s", "decode_s")
        means = {key: float(np.mean([row[key] for row in own])) for key in keys}
        points.append({"quality": quality, "lpips": None, "psnr_of_mean_mse": None, **means})
    return points
