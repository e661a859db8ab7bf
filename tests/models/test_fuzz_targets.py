"""The fuzz targets of the methods in C: what they once failed on, and what chance makes up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]
FLAGS = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "target", ["field", "linear", "numbers", "overfit", "photo", "screen", "wiener", "words"]
)
def test_replay_with_sanitizers(tmp_path: Path, target: str, compiler: str):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    program = tmp_path / "replay"
    source = TESTS / "fuzz" / f"fuzz_{target}.c"
    command = [compiler, *FLAGS, "-fno-sanitize-recover=all", "-DREPLAY", source, "-o", program]
    made = subprocess.run([*command, "-lm"], capture_output=True, text=True)
    if made.returncode and "sanitize" in made.stderr:
        pytest.skip(f"{compiler} has no sanitizers")
    assert made.returncode == 0, made.stderr
    rng = np.random.default_rng(1)
    inputs = [path for path in (TESTS / "crashes" / target).glob("*") if path.is_file()]
    for number in range(40):
        inputs.append(tmp_path / f"{number}.bin")
        inputs[-1].write_bytes(rng.bytes(int(rng.integers(6, 400))))
    done = subprocess.run([program, *inputs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
