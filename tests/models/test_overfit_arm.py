"""Overfitted pictures decode on ARM, in an emulator, to the samples that they have here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from lictor.models.box import Box
from lictor.models.overfit import coder, sizes, training

SOURCE = Path(__file__).with_name("overfit_decoder.c")
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Wno-unused-function", "-static"]
COMPILER, RUNNER = "aarch64-linux-gnu-gcc", "qemu-aarch64"


@pytest.mark.skipif(not coder.available(), reason="the C extension was not built")
@pytest.mark.parametrize("size", sizes.SIZES.values(), ids=lambda size: size.name)
def test_same_symbols_and_samples_on_arm(tmp_path: Path, size: sizes.Size):
    program = tmp_path / "decoder"
    if shutil.which(COMPILER) is None or shutil.which(RUNNER) is None:
        pytest.skip(f"no {COMPILER}, or no {RUNNER}")
    made = subprocess.run([COMPILER, *FLAGS, SOURCE, "-o", program], capture_output=True, text=True)
    if made.returncode and "stdio.h" in made.stderr:
        pytest.skip(f"{COMPILER} has no libc")
    assert made.returncode == 0, made.stderr
    shape = height, width = 75, 102
    photo = data.astronaut()[100 : 100 + height, 180 : 180 + width]
    x = np.ascontiguousarray(photo.transpose(2, 0, 1), np.float32) / 255
    found = training.train(x, 0.02, size, 100)
    networks = found.networks.whole()
    stream = coder.encode(networks, found.grids, shape)
    symbols = coder.joined(found.grids)
    samples = np.empty((height, width, 3), np.uint16)
    coder.synthesize(networks, symbols, shape, Box(0, 0, height, width), samples)
    assert symbols.any() and samples.std() > 1000
    (tmp_path / "networks").write_bytes(networks)
    (tmp_path / "stream").write_bytes(stream)
    subprocess.run(
        [RUNNER, program, str(height), str(width), "networks", "stream", "out"],
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "out").read_bytes() == symbols.tobytes() + samples.tobytes()
