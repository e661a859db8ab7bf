"""What the coders refuse, in which words, and that nothing is half done then."""

import doctest
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

import lictor.entropy.coder as coder_module
from lictor.entropy import (
    CorruptStream,
    Decoder,
    Encoder,
    backend,
    compress,
    decompress,
    gaussian_tables,
    paths,
)

ZERO = np.zeros(1, np.int32)
TABLE_0 = np.zeros(1, np.uint8)
EXTREMES = [0, 1, -1, 32766, 32767, 32768, -32767, -32768, -32769, 2**31 - 1, -(2**31)]


def test_any_int32(backend):
    """Every table of the Gaussian family codes every int32."""
    symbols = np.tile(np.array(EXTREMES, np.int32), 128)
    index = np.repeat(np.arange(128, dtype=np.uint8), len(EXTREMES))
    encoder = Encoder()
    encoder.push(symbols, index)
    decoder = Decoder(encoder.finish())
    assert (decoder.pull(index) == symbols).all()
    decoder.close()


@pytest.mark.parametrize("array", [[0], (0,), 0, None, np.zeros(1), np.zeros(1, np.int64)])
def test_symbols_of_another_type(backend, array):
    with pytest.raises(TypeError, match="symbols must be a numpy array of int32, not"):
        Encoder().push(array, TABLE_0)


@pytest.mark.parametrize("array", [[0], np.zeros(1, np.int32), np.zeros(1, bool), b"\0"])
def test_index_of_another_type(backend, array):
    with pytest.raises(TypeError, match="index must be a numpy array of uint8, not"):
        Encoder().push(ZERO, array)
    with pytest.raises(TypeError, match="index must be a numpy array of uint8, not"):
        Decoder(bytes(3)).pull(array)


def test_foreign_byte_order(backend):
    with pytest.raises(TypeError, match="int32, not >i4"):
        Encoder().push(np.zeros(1, ">i4"), TABLE_0)


def test_shapes(backend):
    with pytest.raises(ValueError, match=r"symbols must be 1-D, not of shape \(1, 1\)"):
        Encoder().push(ZERO[None], TABLE_0)
    with pytest.raises(ValueError, match=r"index must be 1-D, not of shape \(\)"):
        Encoder().push(ZERO, np.array(0, np.uint8))
    with pytest.raises(ValueError, match="2 symbols with 1 indexes"):
        Encoder().push(np.zeros(2, np.int32), TABLE_0)
    with pytest.raises(ValueError, match="index must be 1-D"):
        Decoder(bytes(3)).pull(TABLE_0[None])


def test_memory_layout(backend):
    with pytest.raises(ValueError, match="symbols must be contiguous"):
        Encoder().push(np.zeros(4, np.int32)[::2], np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="index must be contiguous"):
        Decoder(bytes(3)).pull(np.zeros(4, np.uint8)[::2])
    unaligned = np.frombuffer(bytes(9), np.int32, 2, offset=1)
    with pytest.raises(ValueError, match="symbols must be contiguous"):
        Encoder().push(unaligned, np.zeros(2, np.uint8))


def test_read_only_arrays_are_welcome(backend):
    Encoder().push(np.frombuffer(bytes(8), np.int32), np.frombuffer(bytes(2), np.uint8))


def test_index_beyond_the_tables(backend, mixed):
    with pytest.raises(ValueError, match="index 5 is beyond the last of 5 tables"):
        Encoder(mixed).push(ZERO, np.array([5], np.uint8))
    with pytest.raises(ValueError, match="index 128 is beyond the last of 128 tables"):
        Decoder(bytes(3)).pull(np.array([128], np.uint8))


def test_symbol_without_a_code(backend, mixed):
    """The push that fails leaves no trace, not even of the symbols before the bad one."""
    encoder, clean = Encoder(mixed), Encoder(mixed)
    encoder.push(np.array([99999], np.int32), np.array([0], np.uint8))
    clean.push(np.array([99999], np.int32), np.array([0], np.uint8))
    with pytest.raises(ValueError, match=r"^symbol 2 at position 2 is outside table 1, which has"):
        encoder.push(np.array([12345678, 5, 2], np.int32), np.array([0, 3, 1], np.uint8))
    assert encoder.checksum == clean.checksum
    for each in (encoder, clean):
        each.push(np.array([31, 1], np.int32), np.array([3, 1], np.uint8))
    assert encoder.finish() == clean.finish()


def test_finished(backend):
    encoder = Encoder()
    encoder.push(ZERO, TABLE_0)
    encoder.finish()
    with pytest.raises(RuntimeError, match="finished already"):
        encoder.finish()
    with pytest.raises(RuntimeError, match="make a new Encoder"):
        encoder.push(ZERO, TABLE_0)
    assert encoder.checksum == zlib.crc32(bytes(4))


def test_checksum(backend):
    """CRC-32 of the symbols as little-endian int32, however they are cut."""
    symbols = np.arange(-5, 5, dtype=np.int32)
    index = np.full(10, 50, np.uint8)
    encoder = Encoder()
    assert encoder.checksum == 0
    encoder.push(symbols[:3], index[:3])
    encoder.push(symbols[3:], index[3:])
    assert encoder.checksum == zlib.crc32(symbols.astype("<i4").tobytes())
    decoder = Decoder(encoder.finish())
    decoder.pull(index[:8])
    decoder.pull(index[8:])
    assert decoder.checksum == encoder.checksum


def test_checksum_can_be_left_out(backend):
    encoder = Encoder(checksum=False)
    with pytest.raises(RuntimeError, match="checksum=False"):
        _ = encoder.checksum
    with pytest.raises(RuntimeError, match="checksum=False"):
        _ = Decoder(encoder.finish(), checksum=False).checksum


def test_not_bytes(backend):
    with pytest.raises(TypeError):
        Decoder("text")


def test_choice_of_implementation(monkeypatch):
    for name in paths():
        monkeypatch.setenv("LICTOR_CODER", name)
        assert backend() == name
    for name in ("", "c"):
        monkeypatch.setenv("LICTOR_CODER", name)
        assert backend() == paths()[0]
    monkeypatch.delenv("LICTOR_CODER")
    assert backend() == paths()[0]
    monkeypatch.setenv("LICTOR_CODER", "fast")
    with pytest.raises(ValueError, match="LICTOR_CODER is 'fast'; set it to c or one of"):
        Encoder()
    absent = "neon" if "neon" not in paths() else "avx2"
    monkeypatch.setenv("LICTOR_CODER", absent)
    with pytest.raises(ValueError, match="but this CPU only has"):
        Encoder()


def test_paths_with_pairs_come_first_on_amd_only():
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists():
        pytest.skip("whose CPU this is cannot be read")
    amd = "AuthenticAMD" in cpu.read_text()
    for name in {"avx512", "avx2"} & set(paths()):
        assert paths().index(f"{name}-pairs") - paths().index(name) == (-1 if amd else 1)


def test_a_path_by_its_name(monkeypatch):
    """It goes before the environment, and changes no bytes."""
    monkeypatch.setenv("LICTOR_CODER", "fast")  # would be an error
    symbols, index = np.arange(-50, 50, dtype=np.int32), np.full(100, 60, np.uint8)
    streams = set()
    for path in (*paths(), "reference"):
        encoder = Encoder(path=path)
        encoder.push(symbols, index)
        streams.add(encoder.finish())
        decoder = Decoder(next(iter(streams)), path=path)
        assert (decoder.pull(index) == symbols).all()
        decoder.close()
    assert len(streams) == 1
    for absent in ("neon", "avx2", "fast"):
        if absent not in paths():
            with pytest.raises(ValueError, match=f"path(=| is '){absent}"):
                Decoder(bytes(3), path=absent)


def test_without_the_extension(monkeypatch):
    monkeypatch.setattr(coder_module, "_rans", None)
    coder_module._warn_slow.cache_clear()
    monkeypatch.delenv("LICTOR_CODER", raising=False)
    with pytest.warns(RuntimeWarning, match="codes slowly, in pure Python"):
        assert Encoder().finish() == bytes(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend() == "reference"
    monkeypatch.setenv("LICTOR_CODER", "c")
    with pytest.raises(ImportError, match="without its C extension"):
        Encoder()


def test_in_one_go(backend, mixed):
    symbols, index = np.array([-5, 1, 7, 100], np.int32), np.array([0, 1, 2, 3], np.uint8)
    data = compress(symbols, index, mixed)
    encoder = Encoder(mixed)
    encoder.push(symbols, index)
    assert data == encoder.finish()
    assert (decompress(data, index, mixed) == symbols).all()
    with pytest.raises(CorruptStream):
        decompress(data + b"\0", index, mixed)
    with pytest.raises(CorruptStream):
        decompress(data, index[:-1], mixed)
    assert decompress(compress(symbols[:0], index[:0]), index[:0]).size == 0


def test_checksum_of_every_length(backend):
    """Vectors, and what is left over by them."""
    rng = np.random.default_rng(4)
    symbols = rng.integers(-3, 4, 1100).astype(np.int32)
    index = np.full(symbols.size, 30, np.uint8)
    step = 97 if backend == "reference" else 1
    for count in [*range(0, 300, step), 511, 512, 513, 1023, 1024, 1100]:
        encoder = Encoder()
        encoder.push(symbols[:count], index[:count])
        expected = zlib.crc32(symbols[:count].astype("<i4").tobytes())
        assert encoder.checksum == expected
        decoder = Decoder(encoder.finish())
        decoder.pull(index[:count])
        assert decoder.checksum == encoder.checksum == expected


def test_a_refused_pull_changes_nothing(backend, mixed):
    """An index beyond the tables, also far from the start."""
    index = np.tile(np.arange(5, dtype=np.uint8), 2000)
    symbols = np.tile(np.array([0, 1, 7, 3, 9], np.int32), 2000)
    decoder = Decoder(compress(symbols, index, mixed), mixed)
    wrong = index.copy()
    wrong[9000] = 5
    with pytest.raises(ValueError, match="index 5 is beyond the last of 5 tables"):
        decoder.pull(wrong)
    assert (decoder.pull(index) == symbols).all()
    decoder.close()
    assert decoder.checksum == zlib.crc32(symbols.astype("<i4").tobytes())


def test_a_refused_push_adds_nothing(backend, mixed):
    encoder = Encoder(mixed)
    for symbols, index in (([0, 5], [0, 1]), ([-2, 123456], [3, 200])):
        with pytest.raises(ValueError, match=r"beyond|outside"):
            encoder.push(np.array(symbols, np.int32), np.array(index, np.uint8))
    assert encoder.checksum == 0
    assert encoder.finish() == bytes(3)


def test_corrupt_stream_is_a_value_error():
    assert issubclass(CorruptStream, ValueError)


def test_docstring_example():
    assert doctest.testmod(coder_module).failed == 0


def test_import_is_light():
    """lictor.entropy needs numpy, and nothing else that takes long."""
    code = "import sys, lictor.entropy; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_gaussian_tables_are_made_once():
    assert gaussian_tables() is gaussian_tables()


def test_out_is_filled_and_returned(backend):
    symbols, index = np.array([0, 1, -2], np.int32), np.array([40, 40, 60], np.uint8)
    encoder = Encoder()
    encoder.push(symbols, index)
    out = np.empty(3, np.int32)
    assert Decoder(encoder.finish()).pull(index, out=out) is out
    assert (out == symbols).all()


@pytest.mark.parametrize("out", [np.empty(2, np.int32), np.broadcast_to(np.int32(0), 3)])
def test_out_of_another_shape_or_read_only(backend, out):
    with pytest.raises(ValueError):
        Decoder(bytes(3)).pull(np.zeros(3, np.uint8), out=out)


def test_out_of_another_dtype(backend):
    with pytest.raises(TypeError):
        Decoder(bytes(3)).pull(np.zeros(3, np.uint8), out=np.empty(3, np.int64))
