"""examples/onnx_synthesis.mjs: latents by WebAssembly, the picture by onnxruntime-web.

Needs the npm package onnxruntime-web, where Node finds it: `npm install onnxruntime-web` at the
root of the repository, or elsewhere and NODE_PATH=…/node_modules.
"""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from lictor.codec import decode, encode
from lictor.models import zoo
from lictor.models.onnx.export import graphs

ROOT = Path(__file__).parents[2]
MODEL = "lictor-s.mse"


def _neighbour(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"lictor_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [_neighbour("test_node").program(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def package() -> None:
    if MODEL not in zoo.index():
        pytest.skip("the shipped weights are not in the tree")
    if run("-p", "require.resolve('onnxruntime-web')").returncode:
        pytest.skip("needs onnxruntime-web: npm install onnxruntime-web, here or in NODE_PATH")


@pytest.mark.usefixtures("package")
def test_the_picture_is_that_of_the_runtime(tmp_path: Path):
    from skimage import data

    for what, graph in graphs(MODEL).items():
        (tmp_path / f"{MODEL}.{what}.onnx").write_bytes(graph)
    photo = data.astronaut()[:150, 150:333]
    coded = encode(photo, quality=45, method="network")
    (tmp_path / "a.bin").write_bytes(coded)
    done = run("examples/onnx_synthesis.mjs", tmp_path, tmp_path / "a.bin", tmp_path / "a.ppm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == f"{MODEL}, 183x150, 256 channels of latents"
    with Image.open(tmp_path / "a.ppm") as image:
        shown = np.asarray(image, int)
    assert np.abs(shown - np.asarray(decode(coded))).max() <= 1
