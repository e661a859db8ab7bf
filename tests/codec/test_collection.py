"""Pictures that others made: typed errors only, and nothing lost without a word.

LICTOR_PICTURES names a folder of them (or several, as PATH does); see collection.py, which also
runs on its own, with the real networks.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

MODEL = "fake.pixels"
PACKAGES = ("skimage", "sklearn", "matplotlib", "scipy", "torch", "tensorboard", "plotly")
FOLDERS = [name for name in os.environ.get("LICTOR_PICTURES", "").split(os.pathsep) if name]


@pytest.fixture(scope="module")
def collection() -> ModuleType:
    path = Path(__file__).with_name("collection.py")
    spec = importlib.util.spec_from_file_location("lictor_collection", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def check(collection: ModuleType, folder: str) -> None:
    paths = collection.pictures(folder)
    outcomes, wrong = collection.run(paths, MODEL, most_pixels=300_000, most_bytes=20_000_000)
    print(folder, len(paths), dict(outcomes))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_pictures_that_packages_bring(collection: ModuleType, package: str):
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    check(collection, spec.submodule_search_locations[0])


@pytest.mark.slow
@pytest.mark.skipif(not FOLDERS, reason="LICTOR_PICTURES names no folder")
@pytest.mark.parametrize("folder", FOLDERS)
def test_pictures_in_a_folder(collection: ModuleType, folder: str):
    check(collection, folder)


def test_losses_are_found(collection: ModuleType, photo: np.ndarray, tmp_path: Path):
    """Or the tests above would prove nothing."""
    from lictor.codec.image import pillow

    see_through = np.dstack([photo, photo[:, :, 0]])
    path = str(tmp_path / "a.png")
    Image.fromarray(see_through).save(path)
    right = pillow.read(path)
    assert collection.silent(path, right) == []
    for pixels in (see_through[:, :, :3], see_through[1:], see_through ^ np.uint8(1)):
        assert collection.silent(path, pillow.Picture(pixels))
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = str(tmp_path / "a.gif")
    frames[0].save(path, save_all=True, append_images=frames[1:])
    picture = pillow.read(path)
    assert collection.silent(path, picture) == []
    assert collection.silent(path, pillow.Picture(picture.pixels)) == ["2 frames, layers or sizes"]


def test_each_outcome_has_a_word(collection: ModuleType, photo: np.ndarray, tmp_path: Path):
    Image.fromarray(photo).save(tmp_path / "whole.png")
    Image.fromarray(photo).convert("CMYK").save(tmp_path / "inks.tif")
    (tmp_path / "text.png").write_bytes(b"no picture")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    outcomes, wrong = collection.run(collection.pictures(str(tmp_path)), MODEL, 10**6, 10**6)
    assert outcomes == {"whole": 1, "with a note": 1, "NotAnImage": 1, "DamagedImage, salvaged": 1}
    assert wrong == []
