"""Arrays of all makers: what is taken comes back as it was, what is not has an error."""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from lictor.codec import decode_features, encode, encode_features, feature_info
from lictor.codec.arrays.files import read, write
from lictor.codec.cli.main import cli
from lictor.codec.errors import (
    CorruptFile,
    FileError,
    InvalidTarget,
    ModelUnavailable,
    TruncatedFile,
    UnsupportedArray,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "features"


def lictor(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="lictor")


def sparse() -> torch.Tensor:
    return torch.eye(4).to_sparse()


def quantised() -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


ODD: dict[str, Any] = {
    "float8": lambda: torch.zeros(4).to(torch.float8_e4m3fn),
    "sparse": sparse,
    "quantised": quantised,
    "meta": lambda: torch.zeros(4, device="meta"),
    "complex": lambda: torch.zeros(4, dtype=torch.complex64),
    "masked": lambda: np.ma.masked_less(np.arange(5.0), 2),
    "structured": lambda: np.zeros(3, [("a", "f4"), ("b", "i2")]),
    "dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "texts": lambda: np.array(["a", "bc"]),
    "objects": lambda: np.array([None, {}], object),
    "ragged": lambda: [[1.0], [2.0, 3.0]],
    "nothing": lambda: None,
    "long double": lambda: np.zeros(3, np.longdouble),
    "many dimensions": lambda: torch.zeros((1,) * 40),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning")
@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_what_is_not_coded_is_named(kind: str) -> None:
    with pytest.raises(UnsupportedArray, match=r"^layer\.7: ") as caught:
        encode_features({"fine": np.zeros(3), "layer.7": ODD[kind]()})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [1, None, ("a",), b"a"])
def test_names_are_texts(key: Any) -> None:
    with pytest.raises(UnsupportedArray, match="is no name of an array"):
        encode_features({key: np.zeros(3)})


def test_names_that_no_file_can_hold() -> None:
    for name in ("x" * 2000, "\ud800"):
        with pytest.raises(UnsupportedArray, match="does not fit the format"):
            encode_features({name: np.zeros(3)})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(4, 6).t(),
        torch.randn(4, 6)[:, ::2],
        torch.randn(3, requires_grad=True),
        torch.randn(2, 3, dtype=torch.float64).expand(5, 2, 3),
        torch.nn.Parameter(torch.randn(3)),
        torch.tensor(2.5),
        torch.arange(5).to(torch.uint16),
        torch.zeros(0, 3),
        torch.tensor([True, False]),
        torch.imag(torch.randn(3, dtype=torch.complex64).conj()),
    ],
    ids=lambda t: str(tuple(t.shape)),
)
def test_tensors_of_any_layout(tensor: torch.Tensor) -> None:
    back = decode_features(encode_features(tensor, max_error=1e-9))
    np.testing.assert_array_equal(back, tensor.detach().resolve_neg().numpy())


@pytest.mark.parametrize(
    "target",
    [
        {"max_error": np.float32(0.1)},
        {"max_error": np.float16(0.1)},
        {"mse": np.float64(1e-3)},
        {"bits": np.int64(4)},
        {"bits": np.array(4)},
        {"bits": torch.tensor(4.0)},
        {"bits": 4},
        {"axis": np.int64(1)},
    ],
    ids=str,
)
def test_numbers_of_all_makers_are_targets(target: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(30, 20))
    plain = {k: int(v) if k == "axis" else float(v) for k, v in target.items()}
    assert encode_features(x, **target) == encode_features(x, **plain)


@pytest.mark.parametrize("bad", ["4", True, None.__class__, 10**400, np.nan, np.bool_(True), 1j])
def test_what_is_no_target(bad: Any) -> None:
    with pytest.raises(InvalidTarget, match="is no target"):
        encode_features(np.zeros(3), bits=bad)


@pytest.mark.parametrize("axis", [1.5, "1", True, [0]])
def test_what_is_no_axis(axis: Any) -> None:
    with pytest.raises(InvalidTarget, match=r"^a: .* is no axis"):
        encode_features({"a": np.zeros((3, 4))}, axis=axis)


def test_models_are_names() -> None:
    with pytest.raises(ModelUnavailable, match="5 is no model"):
        encode_features(np.zeros(3), model=5)  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable, match="5 is no model"):
        encode(Image.new("RGB", (8, 8)), model=5)  # type: ignore[arg-type]


def test_kinds_that_do_not_fit() -> None:
    for arrays, kind in (({"a": np.zeros(2), "b": np.zeros(2)}, ".npy"), (np.zeros(2), ".mat")):
        with pytest.raises(UnsupportedArray, match=r"kinds are \.npy"):
            encode_features(arrays, kind=kind)


# ---- byte order, and texts beside


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", ">i4", ">u2", ">i8", "|u1", "?"])
def test_byte_order_is_kept(dtype: str) -> None:
    x = (np.random.default_rng(0).normal(size=(9, 8)) * 50).astype(dtype)
    back = decode_features(encode_features({"x": x, "y": x.astype(x.dtype.newbyteorder("<"))}))
    assert back["x"].dtype == x.dtype
    assert back["y"].dtype == x.dtype.newbyteorder("<")
    np.testing.assert_array_equal(back["x"], back["y"])
    assert np.abs(back["x"].astype(float) - x.astype(float)).max() < 1


def test_big_endian_files_there_and_back(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(9, 8)).astype(">f4")
    np.save(tmp_path / "x.npy", x)
    assert lictor("encode", tmp_path / "x.npy", tmp_path / "x.bin").exit_code == 0
    for name in ("y.npy", "y.npz", "y.safetensors"):
        assert lictor("decode", tmp_path / "x.bin", tmp_path / name).exit_code == 0
    assert np.load(tmp_path / "y.npy").dtype == np.dtype(">f4")
    with safe_open(tmp_path / "y.safetensors", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("array"), np.load(tmp_path / "y.npy"))


def test_metadata_of_safetensors_there_and_back(tmp_path: Path) -> None:
    texts = {"format": "pt", "ключ": '{"a": 1}\n', "": ""}
    save_file({"w": torch.randn(20, 3)}, tmp_path / "a.safetensors", texts)
    own = "--kind", "arrays"
    assert lictor("encode", tmp_path / "a.safetensors", tmp_path / "a.bin", *own).exit_code == 0
    assert json.loads(lictor("info", tmp_path / "a.bin", "--json").stdout)["metadata"] == texts
    result = lictor("decode", tmp_path / "a.bin", tmp_path / "b.safetensors")
    assert result.exit_code == 0 and "left out" not in result.stderr
    with safe_open(tmp_path / "b.safetensors", "np") as file:
        assert file.metadata() == texts
    result = lictor("decode", tmp_path / "a.bin", tmp_path / "b.npz")
    assert result.exit_code == 0
    (said,) = re.findall(r"its metadata \((.*)\) are left out", result.stderr)
    assert set(said.split(", ")) == set(texts)  # safetensors writes them in an order of its own


def test_safetensors_are_those_of_their_own_writer() -> None:
    from io import BytesIO

    from safetensors.torch import save

    from lictor.codec.arrays import files

    tensors = {
        **{"b": torch.arange(5), "a": torch.randn(3, 2), "é": torch.randn(2, 3).bfloat16()},
        **{"flag": torch.tensor(True), "none": torch.zeros(0, 4), "c": torch.randn(7).double()},
        **{"bytes": torch.arange(3, dtype=torch.uint8), "half": torch.randn(5).half()},
    }
    for texts in ({}, {"format": "pt"}):
        ours = BytesIO()
        given = {k: v if v.dtype == torch.bfloat16 else v.numpy() for k, v in tensors.items()}
        files.write(given, ours, ".safetensors", texts)
        assert ours.getvalue() == save(tensors, texts or None)


@pytest.mark.parametrize("texts", [{"a": 1}, {2: "b"}])
def test_metadata_are_texts(texts: dict[Any, Any]) -> None:
    with pytest.raises(UnsupportedArray, match="metadata are texts"):
        encode_features(np.zeros(3), metadata=texts)


def second_version() -> bytes:
    """A file that needs all of format version 2. Its numbers are dyadic: nothing is rounded."""
    rng = np.random.default_rng(7)
    far = rng.integers(-60, 60, (40, 3)) / 8 + np.array([2.0**31, 0, -(2.0**28)])
    arrays = {"far": far, "big": (rng.integers(-60, 60, (6, 5)) / 4).astype(">f4")}
    return encode_features(arrays, max_error=0.0625, axis=1, metadata={"format": "pt", "ß": "ü"})


def told(data: bytes) -> Any:
    back = decode_features(data)
    arrays = {n: [a.dtype.str, list(a.shape), zlib.crc32(a.tobytes())] for n, a in back.items()}
    return [arrays, feature_info(data).metadata]


def test_golden_of_the_second_version() -> None:
    data = (GOLDEN / "second.bin").read_bytes()
    assert data[3] == 2
    assert told(data) == json.loads((GOLDEN / "second.json").read_text())


def test_what_needs_nothing_of_the_second_version_is_written_as_the_first() -> None:
    assert encode_features({"a": np.zeros((3, 4)), "b": np.arange(3)})[3] == 1
    assert second_version()[3] == 2


def test_damage_to_the_second_version_is_noticed() -> None:
    data = second_version()
    for end in range(1, len(data)):
        with pytest.raises(TruncatedFile):
            decode_features(data[:end])
    for i in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(data)
            bad[i] ^= flip
            with pytest.raises(FileError):
                decode_features(bytes(bad))


def test_shifts_out_of_range_are_damage() -> None:
    from lictor.codec.arrays import lossless, methods
    from lictor.codec.format import arrays as feature_format

    file = methods.read(second_version())
    for shifts in (np.array([2**60, 0, 0]), np.array([-(2**63), 0, 0]), np.zeros(2, np.int64)):
        file.arrays[0].shifts = lossless.pack(shifts)
        with pytest.raises(CorruptFile):
            decode_features(feature_format.write(file))


# ---- files


def npz(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def garbage(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def bad_crc() -> bytes:
    data = bytearray(npz(**{"a.npy": npy(np.arange(500.0))}))
    data[100:110] = bytes(10)
    return bytes(data)


HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}\n"
FAULTS = {
    "unbalanced": (".npy", garbage(b"{'descr': ((((\n"), "cannot be read as .npy"),
    "no header": (".npy", garbage(bytes(range(256))), "cannot be read as .npy"),
    "code": (".npy", garbage(b"__import__('os').getcwd()\n"), "cannot be read as .npy"),
    "odd type": (".npy", garbage(HUGE.replace(b"<f8", b"<q9")), "cannot be read as .npy"),
    "huge": (".npy", garbage(HUGE), "cannot be read as .npy"),
    "objects": (".npz", npz(**{"a.npy": npy(np.array([{}]))}), "member a.npy cannot be read"),
    "checksum": (".npz", bad_crc(), "member a.npy cannot be read"),
    "text": (
        ".npz",
        npz(**{"a.npy": npy(np.zeros(3)), "readme.txt": b"x"}),
        "readme.txt is no array",
    ),
    "folder": (".npz", npz(**{"a.npy": npy(np.zeros(3)), "b/": b""}), "b/ is no array"),
    "two of a name": (".npz", npz(**{"a.npy": npy(np.zeros(3)), "a": npy(np.ones(3))}), "one name"),
    "an array": (".npz", npy(np.zeros(3)), "cannot be read as .npz"),
    "several": (".npy", npz(**{"a.npy": npy(np.zeros(3))}), "it is a .npz file"),
    "texts": (".npz", npz(**{"label.npy": npy(np.array(["a"]))}), "label: an array of str32"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_files_are_named(fault: str, tmp_path: Path) -> None:
    kind, data, words = FAULTS[fault]
    path = tmp_path / f"x{kind}"
    path.write_bytes(data)
    result = lictor("encode", path, tmp_path / "x.bin")
    assert result.exit_code == 1 and words in result.stderr, result.stderr
    assert "unexpected" not in result.stderr and result.stderr.count("\n") == 1


def test_float8_names_its_tensor(tmp_path: Path) -> None:
    tensors = {"ok": torch.zeros(3), "w.8": torch.zeros(4).to(torch.float8_e4m3fn)}
    save_file(tensors, tmp_path / "x.safetensors")
    paths = tmp_path / "x.safetensors", tmp_path / "x.bin"
    result = lictor("encode", *paths, "--kind", "arrays", "--bits", "4")
    assert result.exit_code == 1 and "w.8: a tensor of float8_e4m3fn" in result.stderr


def test_any_name_fits_npz() -> None:
    arrays = {"file": np.arange(3), "a/b": np.zeros((2, 2), ">f4"), "": np.ones(1)}
    out = io.BytesIO()
    write(arrays, out, ".npz")
    back = read(out.getvalue(), ".npz")
    assert list(back) == ["file", "a/b", "array"]
    for was, now in zip(arrays.values(), back.values(), strict=True):
        np.testing.assert_array_equal(was, now)
        assert was.dtype == now.dtype


# ---- options of the other kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    x = np.random.default_rng(0).normal(size=(9, 30)).astype(np.float32)
    np.save(tmp_path / "in" / "a.npy", x)
    Image.new("RGB", (16, 16), (9, 90, 30)).save(tmp_path / "in" / "p.png")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("p.png", ["--bits", "4"], "--bits is for arrays"),
        ("p.png", ["--max-error", "4"], "--max-error is for arrays"),
        ("p.png", ["--axis", "0"], "--axis is for arrays"),
        ("a.npy", ["--roi", "0,0,4,4"], "--roi is for pictures"),
        ("a.npy", ["--roi-task", "classify"], "--roi is for pictures"),
        ("a.npy", ["--strip"], "--strip is for pictures"),
        ("a.npy", ["-q", "0"], "-q is for pictures"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    folder: Path, source: str, options: list[str], words: str
) -> None:
    result = lictor("encode", folder / "in" / source, folder / "x.bin", *options)
    assert result.exit_code == 2 and words in result.stderr
    assert not (folder / "x.bin").exists()


def test_of_both_kinds_each_takes_its_own(folder: Path) -> None:
    options = ["--bits", "4", "-q", "20", "--strip", "--model", "fake.pixels"]
    assert lictor("encode", folder / "in", folder / "out", *options).exit_code == 0
    assert feature_info((folder / "out" / "a.bin").read_bytes()).bits <= 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--region", "0,0,4,4"], "there is no such part of an array (9, 30)"),  # a picture's
        (["--bf16"], "--bf16 is for pictures"),
        (["--reduce", "2"], "--reduce is for pictures"),
    ],
)
def test_what_pictures_have_is_not_for_arrays(folder: Path, options: list[str], words: str) -> None:
    lictor("encode", folder / "in" / "a.npy", folder / "a.bin")
    result = lictor("decode", folder / "a.bin", folder / "b.npy", *options)
    assert result.exit_code == 1 and words in result.stderr
    assert not (folder / "b.npy").exists()


def test_bits_that_are_too_few_are_said(folder: Path) -> None:
    result = lictor("encode", folder / "in" / "a.npy", folder / "a.bin", "--bits", "0.01")
    assert result.exit_code == 0 and "0.01 are too few for it" in result.stderr


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    (GOLDEN / "second.bin").write_bytes(second_version())
    (GOLDEN / "second.json").write_text(json.dumps(told(second_version())) + "\n")
