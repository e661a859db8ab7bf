"""The C source: warnings, and what only C can do wrong."""

import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest

import lictor.entropy
from lictor.entropy import Decoder, Encoder, _rans, gaussian_sigmas, gaussian_tables

SOURCE = Path(lictor.entropy.__file__).with_name("_rans.c")
LIMITED = "-DPy_LIMITED_API=0x030B0000"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("flags", [[LIMITED, "-O3"], ["-O0"]], ids=["abi3", "full"])
def test_compiles_without_warnings(tmp_path, compiler, flags):
    if shutil.which(compiler) is None or not SOURCE.exists():
        pytest.skip(f"no {compiler}, or no source beside the installed package")
    include = sysconfig.get_path("include")
    command = [compiler, "-std=c11", "-fPIC", "-Wall", "-Wextra", "-Werror", *flags]
    command += [f"-I{include}", "-c", str(SOURCE), "-o", str(tmp_path / "out.o")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def good_arrays():
    return [
        np.array([8192, 8191, 1], np.uint16),
        np.array([3], np.uint16),
        np.array([0], np.int32),
        np.array([0], np.uint8),
    ]


@pytest.mark.parametrize(
    "at, value",
    [
        (0, np.array([8192, 8192, 1], np.uint16)),
        (0, np.array([16383, 0, 1], np.uint16)),
        (0, np.array([8192, 8191], np.uint16)),
        (0, np.array([8192, 8191, 1, 5], np.uint16)),
        (1, np.array([2], np.uint16)),
        (1, np.array([65535], np.uint16)),
        (1, np.array([3, 3], np.uint16)),
        (2, np.array([2**30 + 1], np.int32)),
        (2, np.array([], np.int32)),
        (3, np.array([17], np.uint8)),
        (3, np.array([], np.uint8)),
    ],
)
def test_tables_are_checked_again(at, value):
    """Memory safety does not hang on the Python side having looked."""
    arrays = good_arrays()
    _rans.Tables(*arrays)
    arrays[at] = value
    with pytest.raises(ValueError, match="no tables"):
        _rans.Tables(*arrays)


def test_coders_check_their_arguments_again():
    tables = _rans.Tables(*good_arrays())
    one, two = np.zeros(1, np.int32), np.zeros(2, np.uint8)
    with pytest.raises(ValueError):
        _rans.Encoder("scalar").push(one, two, tables, True)
    with pytest.raises(TypeError):
        _rans.Encoder("scalar").push(one, two[:1], gaussian_tables(), True)
    with pytest.raises(ValueError):
        _rans.Decoder(bytes(3), "scalar").pull(two, tables, one, True)
    with pytest.raises(IndexError):
        _rans.Decoder(bytes(3), "scalar").pull(np.ones(1, np.uint8), tables, one, True)
    with pytest.raises(TypeError):
        fixed = np.frombuffer(bytes(4), np.int32)
        _rans.Decoder(bytes(3), "scalar").pull(two[:1], tables, fixed, True)
    for make in (_rans.Encoder, lambda path: _rans.Decoder(bytes(3), path)):
        with pytest.raises(ValueError, match="no such path"):
            make("reference")
    with pytest.raises(ValueError, match="lanes"):
        _rans.Encoder("scalar").finish(2)
    # A table that does not exist has no symbols.
    for path in _rans.paths:
        assert _rans.Encoder(path).push(one, np.ones(1, np.uint8), tables, True) == 0


def test_streams_run_in_threads():
    """The GIL is given away, and streams do not touch each other."""
    rng = np.random.default_rng(0)
    index = rng.integers(0, 128, 200_000, dtype=np.uint8)
    symbols = np.round(rng.normal(size=index.size) * gaussian_sigmas()[index]).astype(np.int32)
    results = [None] * 4

    def work(i):
        encoder = Encoder()
        encoder.push(symbols[i:], index[i:])
        results[i] = (Decoder(encoder.finish()).pull(index[i:]) == symbols[i:]).all()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_one_coder_in_two_threads_is_safe():
    """Whoever comes second is refused; nothing breaks."""
    encoder = Encoder(checksum=False)
    symbols, index = np.zeros(300_000, np.int32), np.zeros(300_000, np.uint8)
    pushed, refused = [], []

    def work():
        for _ in range(20):
            try:
                encoder.push(symbols, index)
                pushed.append(1)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {"this coder is in use by another thread"}
    everything = np.zeros(len(pushed) * 300_000, np.uint8)
    decoder = Decoder(encoder.finish(), checksum=False)
    assert not decoder.pull(everything).any()
    decoder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_leak():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    symbols, index = np.arange(-5000, 5000, dtype=np.int32), np.full(10_000, 30, np.uint8)

    def work():
        encoder = Encoder()
        encoder.push(symbols, index)
        decoder = Decoder(encoder.finish())
        decoder.pull(index)
        _rans.Tables(*good_arrays())

    for _ in range(50):
        work()
    before = resident()
    for _ in range(400):
        work()
    assert resident() - before < 8 << 20  # a leaked stream, 60 kB each, would show as 24 MB
