"""Arrays in chunks: parts without the rest, targets, damage, and files that no encoder wrote."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lictor.codec import decode, decode_features, encode_features, feature_info, open_array
from lictor.codec.arrays import chunks, methods, opened
from lictor.codec.arrays.methods import Chunked
from lictor.codec.cli.main import cli
from lictor.codec.errors import CodecError, CorruptFile, FileError, InvalidOption, InvalidRegion
from lictor.codec.format import arrays as form


def array(shape: tuple[int, ...] = (50, 6, 7), dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).cumsum(0).astype(dtype)


# ---- whole arrays


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.bool_])
@pytest.mark.parametrize("chunk", [23, 49])
def test_chunks_come_back(dtype: type, chunk: int):
    x = array(dtype=dtype)
    data = encode_features(x, max_error=0.05, chunk=chunk)
    back = decode_features(data)
    assert back.dtype == x.dtype and back.shape == x.shape
    assert np.abs(back.astype(float) - x.astype(float)).max() <= 0.05
    (told,) = feature_info(data).arrays
    assert (told["chunks"], told["cut"]) == (-(-50 // chunk), 0)
    assert data[3] == 3  # the format version that has chunks
    assert np.array_equal(decode(data), back)


@pytest.mark.parametrize("chunk", [0, 50, 99])
def test_one_piece_is_a_file_as_before(chunk: int):
    x = array()
    assert encode_features(x, mse=0.01, chunk=chunk) == encode_features(x, mse=0.01)


def test_targets_hold_for_all():
    x = array((2000, 30))
    back = decode_features(encode_features(x, mse=0.01, chunk=1100))
    assert np.square(back.astype(np.float64) - x).mean() <= 0.01
    data = encode_features(x[:400], bits=4, chunk=250)
    assert 3.7 < 8 * len(data) / (400 * 30) <= 4.05
    low, high = float(x.min()), float(x.max())
    step = (high - low) / 255
    int8 = np.square(np.rint((x - low) / step) * step + low - x).mean()
    back = decode_features(encode_features(x, chunk=1100))
    assert np.square(back.astype(np.float64) - x).mean() <= int8 * (1 + 1e-6)


def test_big_endian_and_names():
    x = {"a": array().astype(">f4"), "b": array((3,))}
    data = encode_features(x, max_error=0.1, chunk=30)
    back = decode_features(data)
    assert back["a"].dtype == np.dtype(">f4")
    assert open_array(data, "a")[3].dtype == np.dtype(">f4")
    with pytest.raises(InvalidOption, match="a, b"):
        open_array(data)


def test_bfloat16():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(array()).bfloat16()
    data = encode_features(x, max_error=0.1, chunk=20)
    assert torch.equal(open_array(data)[5:30], decode_features(data)[5:30])


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((2**22,), None),
        ((2**24,), (0, 2**21)),
        ((2**15, 2**10), (0, 2**11)),
        ((2, 2**15, 2**9), (1, 2**11)),
        ((3, 3, 2**21), (2, 2**21 // 9)),
        ((2**24, 0), None),
        ((), None),
    ],
)
def test_large_arrays_are_cut(shape: tuple[int, ...], wanted: tuple[int, int] | None):
    assert chunks.plan(shape, None) == wanted


@pytest.mark.parametrize("chunk", [-1, 1.5, "all"])
def test_chunk_is_a_number_of_rows(chunk: object):
    with pytest.raises(InvalidOption, match="chunk"):
        encode_features(array(), chunk=chunk)  # type: ignore[arg-type]


# ---- parts


INDICES = [
    np.s_[3],
    np.s_[-1],
    np.s_[10:20, :, 3],
    np.s_[..., 2],
    np.s_[5, ..., 1],
    np.s_[45:2:-9, ::2],
    np.s_[7:7],
    np.s_[60:],
    np.s_[np.int64(4), 1:3],
    np.s_[[1, 48]],
    np.s_[None, 2],
    np.s_[:, 2, 3],
    np.s_[()],
    np.s_[...],
]


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_parts_are_those_of_the_whole(index: object, cut: int, monkeypatch: pytest.MonkeyPatch):
    if cut:
        monkeypatch.setattr(chunks, "plan", lambda shape, chunk: (1, 2))
    data = encode_features(array(), max_error=0.1, chunk=8)
    whole, part = decode_features(data), open_array(data)
    assert (part.shape, part.dtype, len(part)) == ((50, 6, 7), "float32", 50)
    assert part.chunk == ((2, 1) if cut else (8, 0))
    assert np.array_equal(part[index], whole[index])
    assert np.array_equal(np.asarray(part), whole)


@pytest.mark.parametrize(
    "index", [np.s_[50], np.s_[-51], np.s_[0, 0, 0, 0], np.s_["a"], np.s_[1.5]]
)
def test_what_is_no_index_is_numpys_error(index: object):
    part = open_array(encode_features(array(), max_error=0.1, chunk=8))
    with pytest.raises(IndexError):
        part[index]


def test_only_what_is_needed_is_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen = []
    real = Chunked.part

    def spy(self: Chunked, number: int) -> form.Array:
        seen.append(number)
        return real(self, number)

    monkeypatch.setattr(Chunked, "part", spy)
    path = tmp_path / "a.lictor"
    path.write_bytes(encode_features(array(), max_error=0.1, chunk=8))
    open_array(path)[9:25:15]
    assert sorted(seen) == [1, 2, 3]


def test_arrays_in_one_piece_are_opened_too():
    data = encode_features(array(), max_error=0.1)
    part = open_array(data)
    assert part.chunk is None and np.array_equal(part[4:6], decode_features(data)[4:6])


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_decode_takes_a_region(index: object):
    data = encode_features(array(), max_error=0.1, chunk=8)
    assert np.array_equal(decode(data, region=index), decode_features(data)[index])


@pytest.mark.parametrize("index", [np.s_[50], np.s_[0, 0, 0, 0], "a", 1.5, np.s_[::0]])
def test_regions_that_are_not_there(index: object):
    for data in (encode_features(array(), max_error=0.1, chunk=n) for n in (0, 8)):
        with pytest.raises(InvalidRegion):
            decode_features(data, region=index)


def test_a_region_of_several_arrays_is_refused():
    data = encode_features({"a": array(), "b": array()}, max_error=0.1)
    with pytest.raises(InvalidOption, match="a, b"):
        decode(data, region=np.s_[3])


def test_a_region_by_the_command_line(tmp_path: Path):
    data = encode_features(array(), max_error=0.1, chunk=8)
    (tmp_path / "a.bin").write_bytes(data)

    def run(output: str, region: str) -> Result:
        paths = [str(tmp_path / "a.bin"), str(tmp_path / output)]
        return CliRunner().invoke(cli, ["decode", *paths, "--region", region])

    assert run("b.npy", "9:25:2, :,3").exit_code == 0
    assert np.array_equal(np.load(tmp_path / "b.npy"), decode_features(data)[9:25:2, :, 3])
    result = run("c.npy", ":,:,:,:")
    assert result.exit_code == 1 and "no such part" in result.output


def test_golden_chunks():
    path = Path(__file__).parents[1] / "golden" / "features"
    found = decode_features((path / "chunks.bin").read_bytes())
    known = json.loads((path / "chunks.json").read_text())
    told = {n: [a.dtype.str, list(a.shape), zlib.crc32(a.tobytes())] for n, a in found.items()}
    assert told == known
    part = open_array(path / "chunks.bin", "tokens")
    assert part.chunk == (10, 0) and np.array_equal(part[13:27, 2], found["tokens"][13:27, 2])


# ---- damage


def test_damage_in_one_chunk_leaves_the_others(tmp_path: Path):
    data = bytearray(encode_features(array(), max_error=0.1, chunk=10))
    whole = decode_features(bytes(data))
    data[len(data) // 2] ^= 1
    with pytest.raises(CorruptFile):
        decode_features(bytes(data))
    part = open_array(bytes(data))
    good = 0
    for start in range(0, 50, 10):
        try:
            assert np.array_equal(part[start : start + 10], whole[start : start + 10])
            good += 1
        except CorruptFile:
            pass
    assert good == 4


def test_every_cut_and_flip_is_refused_or_seen():
    data = encode_features(array((12, 5)), max_error=0.1, chunk=5)
    whole = decode_features(data)
    for length in range(len(data)):
        with pytest.raises(FileError):
            decode_features(data[:length])
    for place in range(len(data)):
        for bit in (1, 128):
            broken = bytearray(data)
            broken[place] ^= bit
            with pytest.raises(FileError):
                decode_features(bytes(broken))
            try:
                found = open_array(bytes(broken))[...]
            except CodecError:
                continue
            assert found.shape == whole.shape


def test_hostile_chunks_are_refused():
    """Right checksums, wrong content: each chunk is read as strictly as an array is."""
    rng = random.Random(3)
    whole = encode_features(array((12, 5)), max_error=0.1, chunk=5)
    for _ in range(300):
        (a,) = methods.read(whole).arrays
        assert isinstance(a, Chunked)
        chunk = a.chunks[rng.randrange(3)]
        broken = bytearray(chunk.payload)
        broken[rng.randrange(len(broken))] = rng.randrange(256)
        chunk.payload = bytes(broken)[: rng.randrange(1, len(broken) + 1)]
        chunk.check, chunk.way = zlib.crc32(chunk.payload), rng.choice([chunk.way, 0, 1, 3, 4])
        data = form.write(form.File(".npy", [a]))
        with suppress(CodecError):
            assert decode_features(data).shape == (12, 5)


@pytest.mark.parametrize("way", [2, 5])
def test_chunks_hold_no_models_and_no_chunks(way: int):
    (a,) = methods.read(encode_features(array((12, 5)), max_error=0.1, chunk=5)).arrays
    assert isinstance(a, Chunked)
    a.chunks[1].way = way
    with pytest.raises((CodecError, ValueError)):
        decode_features(form.write(form.File(".npy", [a])))


def test_older_releases_refuse_chunks_by_the_version():
    data = bytearray(encode_features(array(), max_error=0.1, chunk=5))
    data[3] = 2
    with pytest.raises(FileError):
        decode_features(bytes(data))


def test_rows_of_a_slice():
    assert opened._rows(np.s_[::-4], 10) == (1, 10, np.s_[::-4])
    for index in (np.s_[::-4], np.s_[8:1:-3], np.s_[2:9:4], np.s_[-3:]):
        first, last, own = opened._rows(index, 10)  # type: ignore[misc]
        assert list(range(first, last)[own]) == list(range(10)[index])


def test_npy_files_are_mapped(tmp_path: Path):
    from lictor.codec.arrays import files

    for x in (
        array(),
        array(dtype=">f8"),
        np.zeros((0, 3)),
        np.float32(3),
        np.asfortranarray(array()),
    ):
        np.save(tmp_path / "a.npy", x)
        found = files.mapped(str(tmp_path / "a.npy"))
        assert found.dtype == np.asarray(x).dtype and np.array_equal(found, x)
        assert np.array_equal(decode_features(encode_features(found, max_error=1e-9)), x)
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(CodecError):
        files.mapped(str(tmp_path / "a.npy"))


# ---- memory


_BOUNDED = """
import resource, sys
import numpy as np
from lictor.codec import decode_features, encode_features, feature_info
from lictor.codec.arrays import files
small = np.random.default_rng(0).normal(size=(300, 300)).astype("f4")
decode_features(encode_features(small))  # whatever is loaded and made once
status = open("/proc/self/status").read()
used = int(status.split("VmData:")[1].split()[0]) * 1024
x = files.mapped(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[2]),) * 2)
assert (feature_info(encode_features(x)).arrays[0]["chunks"] or 0) > 4
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA is Linux's")
@pytest.mark.slow
def test_large_arrays_stream_through(tmp_path: Path):
    """What is mapped is coded in 2.5 times its bytes, what is written included."""
    x = np.random.default_rng(0).normal(size=(2**17, 2**7)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    given = [sys.executable, "-c", _BOUNDED, str(tmp_path / "x.npy"), str(5 * x.nbytes // 2)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(given, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


_COMMANDS = """
import resource, sys
import numpy as np
from lictor.codec import decode_features, encode_features
from lictor.codec.cli.main import main
small = np.random.default_rng(0).normal(size=(300, 300)).astype("f4")
decode_features(encode_features(small, chunk=100))  # whatever is loaded and made once
import safetensors.torch
status = open("/proc/self/status").read()
used = int(status.split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv.pop(1)),) * 2)
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA is Linux's")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "bfloat16"])
def test_commands_take_less_memory_than_the_array(kind: str, tmp_path: Path):
    """From a file and from standard input, and back: never all of it, and of .npz one member."""
    import torch
    from safetensors.torch import load_file, save_file

    x = np.random.default_rng(0).normal(size=(2**17, 2**7)).astype(np.float32)
    wide, kind = kind != "bfloat16", "safetensors" if kind == "bfloat16" else kind
    given, most = tmp_path / f"x.{kind}", 2 * x.nbytes // 3 if wide else 7 * x.nbytes // 16
    if kind == "npy":
        np.save(given, x)
    elif kind == "npz":
        np.savez(given, **{f"x{i}": part for i, part in enumerate(np.split(x, 8))})
    else:
        tensor = torch.from_numpy(x)
        save_file({"x": tensor if wide else tensor.bfloat16()}, given)

    def run(words: str, source: Path | None = None) -> None:
        command = [sys.executable, "-c", _COMMANDS, str(most), *words.split()]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        stdin = (source or Path(os.devnull)).open("rb")
        with stdin:
            done = subprocess.run(
                command, env=env, stdin=stdin, capture_output=True, text=True, cwd=tmp_path
            )
        assert done.returncode == 0, done.stderr[-300:]

    error = 0.1 if wide else 0.5
    own = f"--kind arrays --chunk 2048 --max-error {error}"
    run(f"encode {own} x.{kind} a.bin")
    run(f"encode {own} - b.bin", given)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    run(f"decode a.bin y.{kind}")
    if kind == "safetensors":
        back = load_file(tmp_path / "y.safetensors")["x"].float().numpy()
    else:
        whole = np.load(tmp_path / f"y.{kind}")
        back = whole if kind == "npy" else np.concatenate([whole[f"x{i}"] for i in range(8)])
    x = x if wide else tensor.bfloat16().float().numpy()
    assert np.abs(back - x).max() <= error
