"""Two photos, and training runs of a tiny model on them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from lictor.training import validation

HERE = Path(__file__).parent
QUICK = ("crop=64", "batch=4", "workers=0", "seed=5", "threads=1")


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def on_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where results are the same to the last bit; but for tests marked gpu."""
    if not request.node.get_closest_marker("gpu"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    return _load("lictor_tiny", HERE / "tiny.py")


@pytest.fixture(scope="session")
def script(tiny: ModuleType) -> ModuleType:
    """train.py, which is a script and not part of the package."""
    return _load("lictor_train", tiny.SCRIPT)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(data.astronaut()[:448]).save(folder / "astronaut.png")
    Image.fromarray(data.coffee()).save(folder / "coffee.png")
    return folder


@pytest.fixture(scope="session")
def start(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to start from: quicker than a KLT of the photos."""
    from lictor.models import checkpoint, registry

    torch.manual_seed(1)
    model = registry.create(tiny.NAME)
    model.start_from_klt(torch.linalg.qr(torch.randn(768, 32))[0].T, torch.full((32,), 0.2))
    path = tmp_path_factory.mktemp("weights") / f"{tiny.NAME}.start.safetensors"
    checkpoint.save(model, path, f"{tiny.NAME}.start", {})
    return path


@pytest.fixture
def arguments(photos: Path, start: Path) -> Callable[..., list[str]]:
    """Arguments of a quick run: (out, more…)."""

    def make(out: Path, *more: str) -> list[str]:
        return [f"data={photos}", f"out={out}", f"weights={start}", *QUICK, *more]

    return make


@pytest.fixture
def run(
    script: ModuleType, arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Run train.py in this process, without export: (out, more…) to exit status."""
    monkeypatch.setattr(script, "finish", lambda config: 0)
    monkeypatch.setattr(validation, "SIDE", 128)
    return lambda out, *more: script.main(arguments(out, *more))
