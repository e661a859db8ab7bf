"""Inputs of the fuzz target, old crashes among them, replayed: plain, sanitised, and on ARM.

tests/fuzz/run.sh looks for new ones.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS / "fuzz" / "fuzz_rans.c"
WARNINGS = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def inputs():
    found = [*(TESTS / "fuzz" / "corpus").iterdir(), *(TESTS / "crashes").iterdir()]
    return sorted(str(path) for path in found if path.is_file() and path.suffix != ".md")


def replay(tmp_path, compiler, flags, runner=()):
    program = tmp_path / "replay"
    command = [compiler, *WARNINGS, *flags, "-DREPLAY", str(SOURCE), "-o", str(program)]
    subprocess.run(command, check=True)
    run = subprocess.run([*runner, program, *inputs()], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(f"{len(inputs())} inputs\n")
    return run.stdout.split()


def works(tmp_path, compiler, flags):
    """Whether the compiler is there, and can make programs with these flags."""
    if shutil.which(compiler) is None:
        return False
    source = tmp_path / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    command = [compiler, *flags, str(source), "-o", str(tmp_path / "empty")]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("flags", [["-O3"], ["-O1", *SANITIZERS]], ids=["fast", "sanitised"])
def test_replay(tmp_path, compiler, flags):
    if not works(tmp_path, compiler, flags):
        pytest.skip(f"{compiler} cannot compile with {' '.join(flags)}")
    assert len(inputs()) > 50
    assert "scalar" in replay(tmp_path, compiler, flags)


def test_replay_on_arm(tmp_path):
    """NEON, in an emulator."""
    compiler, flags = "aarch64-linux-gnu-gcc", ["-O3", "-static"]
    if shutil.which("qemu-aarch64") is None or not works(tmp_path, compiler, flags):
        pytest.skip("no aarch64-linux-gnu-gcc with its libc, or no qemu-aarch64")
    assert replay(tmp_path, compiler, flags, ["qemu-aarch64"])[:2] == ["neon", "scalar"]


def test_the_target_notices(tmp_path):
    """A coder that is wrong in one path does not pass."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    folder = tmp_path / "tests" / "fuzz"
    folder.mkdir(parents=True)
    (tmp_path / "entropy").mkdir()
    for header in (TESTS.parent / "entropy").glob("rans*.h"):
        text = header.read_text()
        if header.name == "rans.h":  # the state of a lane is off by one where it is renewed
            wrong = text.replace("uint32_t low = x < STATE_LOW;", "uint32_t low = x <= STATE_LOW;")
            assert wrong != text
            text = wrong
        (tmp_path / "entropy" / header.name).write_text(text)
    target = folder / SOURCE.name
    for source in (SOURCE, SOURCE.parent / "fuzz.h"):
        (folder / source.name).write_text(source.read_text())
    program = tmp_path / "replay"
    command = ["gcc", *WARNINGS, "-O1", "-DREPLAY", str(target), "-o", str(program)]
    subprocess.run(command, check=True)
    run = subprocess.run([program, *inputs()], capture_output=True, text=True)
    assert run.returncode != 0 and "fuzz_rans: " in run.stderr
