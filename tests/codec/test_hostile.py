"""20,000 damaged files, and those that once did harm: see hostile.py."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from lictor.codec import CodecError, decode_picture, info
from lictor.models import zoo

SCRIPT = Path(__file__).with_name("hostile.py")
CRASHES = Path(__file__).parents[1] / "crashes" / "codec"

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    "model, count", [("fake", 19_500), ("lictor-s.mse", 500), ("student-lite0.ce", 100)]
)
def test_damaged_files_end_in_a_typed_error_or_the_right_picture(model: str, count: int):
    if model != "fake" and model not in zoo.index():
        pytest.skip(f"{model} is not in the tree")
    command = [sys.executable, str(SCRIPT), model, "0", str(count)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert result.returncode == 0, (result.stdout + result.stderr)[:3000]


@pytest.fixture(scope="module")
def hostile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lictor_hostile", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@posix
def test_the_cases_are_of_all_kinds(hostile: ModuleType, fake: ModuleType):
    """Most of those with right checksums reach what lies behind them, and some even decode."""
    originals = hostile.originals(fake.SHIPPED.name)
    mended = decoded = unlike = 0
    for number in range(400):
        which, data, is_mended = hostile.case(originals, number)
        assert hostile.case(originals, number) == (which, data, is_mended)
        unlike += data != originals[which]
        mended += is_mended
        try:
            decode_picture(data)
            decoded += 1
        except CodecError as e:
            if is_mended:
                assert "section does not match its checksum" not in str(e)
    assert unlike > 350 and 200 < mended < 300 and decoded > 10


@pytest.mark.parametrize("path", sorted(CRASHES.glob("*.bin")), ids=lambda path: path.stem)
def test_what_once_did_harm(path: Path):
    data = path.read_bytes()
    for work in (info, decode_picture, lambda d: decode_picture(d, salvage=True)):
        with suppress(CodecError):
            work(data)
