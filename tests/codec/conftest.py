"""Fixtures: pictures that packages ship, and a model that needs no weights."""

from __future__ import annotations

import importlib.util
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
