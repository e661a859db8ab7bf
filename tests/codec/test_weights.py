"""Weights: every file of tensors comes back to the byte, and damage costs no more than it hits."""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from lictor import codec
from lictor.codec.cli.main import cli
from lictor.codec.errors import (
    CorruptFile,
    FileError,
    InvalidOption,
    ModelUnavailable,
    UnsupportedArray,
    UnsupportedFeature,
    UnsupportedVersion,
)
from lictor.codec.format import weights as form
from lictor.codec.weights import container, slow, words
from lictor.codec.weights import file as files
from lictor.codec.weights.container import BITS

GOLDEN = Path(__file__).parents[1] / "golden" / "weights"
CHECKPOINTS = sorted((Path(__file__).parents[2] / "checkpoints").glob("*.lictor"))
Named = dict[str, tuple[str, tuple[int, ...], bytes]]


def made(named: Named, texts: dict[str, str] | None = None, pad: int = 8) -> bytes:
    """A .safetensors file of bytes, with types as they are named."""
    said: dict[str, Any] = {"__metadata__": texts} if texts else {}
    at = 0
    for name, (dtype, shape, raw) in named.items():
        said[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(said).encode()
    text += b" " * (-len(text) % pad)
    return len(text).to_bytes(8, "little") + text + b"".join(raw for *_, raw in named.values())


def noise(dtype: str, shape: tuple[int, ...], seed: int = 0) -> tuple[str, tuple[int, ...], bytes]:
    """Random bits of a tensor: every NaN and infinity that there is."""
    size = math.prod(shape) * BITS.get(dtype, 8) // 8
    return dtype, shape, np.random.default_rng(seed).bytes(size)


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """As weights are: rows and columns of several scales."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 0.02
    if len(shape) > 1:
        values *= np.exp(rng.normal(size=(shape[0], *[1] * (len(shape) - 1))))
        values *= np.exp(rng.normal(size=shape[-1]))
    return values.astype(np.float32)


def bf16(values: np.ndarray) -> bytes:
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def there_and_back(data: bytes, **options: Any) -> bytes:
    coded = codec.encode_weights(data, **options)
    assert codec.decode_weights(coded, base=options.get("base")) == data
    said = codec.weights_info(coded)
    assert said.bytes == len(coded) and said.original == len(data)
    return coded


def lictor(*args: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], input=stdin, prog_name="lictor")


def some() -> bytes:
    """A small file of several types."""
    return made(
        {
            "a.weight": ("BF16", (64, 96), bf16(normal((64, 96)))),
            "b.bias": ("F32", (96,), normal((96,)).tobytes()),
            "c.ids": ("I64", (1, 50), np.arange(50).tobytes()),
            "empty": ("F16", (0, 3), b""),
            "tied": ("BF16", (64, 96), bf16(normal((64, 96)))),
        },
        {"format": "pt"},
    )


# ---- there and back


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 4), (3, 8), (66, 130)], ids=str)
@pytest.mark.parametrize("dtype", [*BITS, "NEW_7"])
def test_all_types_and_shapes(dtype: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) * BITS.get(dtype, 8) % 8:
        pytest.skip("no whole bytes")
    there_and_back(made({"w": noise(dtype, shape)}))


@pytest.mark.parametrize("texts", [None, {"": "", "ключ": "x\n"}])
def test_no_tensors(texts: dict[str, str] | None) -> None:
    there_and_back(made({}, texts))


@pytest.mark.parametrize(
    "text",
    [
        b'{ "b" : {"data_offsets":[2,4],"shape":[2],"dtype":"I8","more":null} , '
        b'"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]} }',
        b'{"\\u0061":{"dtype":"U8","shape":[2,1,1],"data_offsets":[0,2]},'
        b'"z":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},'
        b'"b":{"dtype":"X","shape":[],"data_offsets":[2,4]}}   ',
        b'{"__metadata__":null,"a":{"dtype":"U16","shape":[2],"data_offsets":[0,4]}}\n',
    ],
)
def test_headers_come_back_as_they_are(text: bytes) -> None:
    there_and_back(len(text).to_bytes(8, "little") + text + b"\1\2\3\4")


_ONE = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"a": {**_ONE, "data_offsets": [1, 3]}}),
        json.dumps({"a": {**_ONE, "data_offsets": [0, 3]}}),
        json.dumps({"a": _ONE, "b": {**_ONE, "data_offsets": [1, 3]}}),
        json.dumps({"a": {**_ONE, "shape": [3]}}),
        json.dumps({"a": {**_ONE, "shape": [-2]}}),
        json.dumps({"a": {**_ONE, "shape": [2.0]}}),
        json.dumps({"a": {**_ONE, "shape": [2**62, 2**62]}}),
        json.dumps({"a": {**_ONE, "dtype": 5}}),
        json.dumps({"a": {"dtype": "U8"}}),
        json.dumps({"a": _ONE, "__metadata__": {"a": 1}}),
        f'{{"a":{json.dumps(_ONE)},"a":{json.dumps(_ONE)}}}',
        "[" * 5000,
        " {}",
        "[1]",
        "null",
        "",
        "{\udc80}",
    ],
)
def test_what_safetensors_refuses_is_refused(text: str) -> None:
    coded = text.encode(errors="surrogateescape")
    data = len(coded).to_bytes(8, "little") + coded + b"\1\2"
    with pytest.raises(UnsupportedArray, match=r"cannot be read as \.safetensors") as caught:
        codec.encode_weights(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\5", bytes(8), b"\xff" * 8 + b"{}", b"\3" + bytes(9)])
def test_what_is_no_file_of_tensors(data: bytes) -> None:
    with pytest.raises(UnsupportedArray, match="cannot be read as"):
        codec.encode_weights(data)


def test_a_header_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_HEADER", 10)
    with pytest.raises(UnsupportedArray, match="at most 10"):
        codec.encode_weights(some())


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(["BF16", "F16", "F32", "F64", "F8_E4M3", "I32", "I64", "U8", "BOOL"]),
    shape=st.lists(st.integers(0, 40), max_size=3),
    kind=st.sampled_from(["noise", "zeros", "few", "runs", "ramp"]),
    seed=st.integers(0, 2**16),
)
def test_any_numbers(dtype: str, shape: list[int], kind: str, seed: int) -> None:
    rng, size = np.random.default_rng(seed), math.prod(shape) * BITS[dtype] // 8
    raw = {
        "noise": lambda: rng.bytes(size),
        "zeros": lambda: bytes(size),
        "few": lambda: rng.choice([0, 0, 0, 7, 255, 128], size).astype(np.uint8).tobytes(),
        "runs": lambda: np.repeat(rng.integers(0, 256, size // 9 + 1), 9)[:size].astype(np.uint8),
        "ramp": lambda: (np.arange(size) // 8).astype(np.uint8),
    }[kind]()
    there_and_back(made({"w": (dtype, tuple(shape), bytes(raw)), "x": ("I8", (1,), b"\5")}))


# ---- what it takes


def test_scales_of_rows_and_columns_pay() -> None:
    values = normal((256, 512))
    mixed = np.random.default_rng(1).permutation(values.ravel()).reshape(values.shape)
    own = len(there_and_back(made({"w": ("BF16", values.shape, bf16(values))})))
    other = len(there_and_back(made({"w": ("BF16", values.shape, bf16(mixed))})))
    assert own < 0.67 * values.size * 2 and own < 0.94 * other


def test_tails_of_zeros_take_nothing() -> None:
    values = normal((256, 512))
    short = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    half = values.astype(np.float16).astype(np.float32)
    size = len(there_and_back(made({"w": ("BF16", values.shape, bf16(values))})))
    assert len(there_and_back(made({"w": ("F32", values.shape, short.tobytes())}))) < 1.1 * size
    assert len(there_and_back(made({"w": ("F32", values.shape, half.tobytes())}))) < 0.52 * 4 * (
        values.size
    )


@pytest.mark.parametrize(
    ("dtype", "values", "most"),
    [
        ("I64", np.arange(10**5), 1500),
        ("F32", np.zeros(10**5, np.float32), 300),
        ("U8", np.tile(np.arange(200, dtype=np.uint8), 500), 3000),
        ("F32", np.where(np.arange(10**5) % 10, 0, normal((10**5,))), 66000),
        ("BOOL", np.arange(10**5) % 50 == 0, 3000),
    ],
)
def test_what_is_plain_takes_little(dtype: str, values: np.ndarray, most: int) -> None:
    data = made({"w": (dtype, values.shape, values.astype(values.dtype).tobytes())})
    assert len(there_and_back(data)) < most


def test_noise_is_kept_as_it_is() -> None:
    data = made({"w": noise("F32", (300, 1000))})
    assert len(there_and_back(data)) < len(data) + 500


def test_tied_tensors_are_there_once() -> None:
    raw = bf16(normal((100, 100)))
    once = len(there_and_back(made({"a": ("BF16", (100, 100), raw)})))
    data = made({"a": ("BF16", (100, 100), raw), "b": ("BF16", (50, 200), raw)})
    coded = there_and_back(data)
    assert len(coded) < once + 120
    rows = codec.weights_info(coded).tensors
    assert rows[1]["method"] == "same as a" and rows[1]["bytes"] < 12


def test_the_same_bytes_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from lictor.entropy import paths

    data = made({"w": ("BF16", (300, 700), bf16(normal((300, 700)))), "x": noise("F64", (40, 41))})
    coded = codec.encode_weights(data)
    assert codec.encode_weights(data, threads=3) == coded
    assert codec.decode_weights(coded, threads=3) == data
    for path in paths()[:-1]:
        monkeypatch.setenv("LICTOR_CODER", path)
        assert codec.encode_weights(data) == coded and codec.decode_weights(coded) == data
    monkeypatch.setattr(words, "_quick", slow)
    assert codec.encode_weights(data) == coded and codec.decode_weights(coded) == data


# ---- what differs from another file


def near(values: np.ndarray) -> np.ndarray:
    """A step of a training further."""
    steps = np.random.default_rng(9).normal(size=values.shape).astype(np.float32)
    return values + np.float32(1e-5) * steps


def test_a_base() -> None:
    first = normal((200, 300))
    old = made({"w": ("F32", first.shape, first.tobytes()), "b": ("I32", (2,), bytes(8))})
    then = near(first)
    more = noise("I8", (5,))
    data = made(
        {"w": ("F32", first.shape, then.tobytes()), "new": more, "b": ("I32", (1, 2), bytes(8))}
    )
    coded = there_and_back(data, base=old)
    assert len(coded) < 0.8 * len(there_and_back(data))
    with pytest.raises(ModelUnavailable, match="give that file as the base"):
        codec.decode_weights(coded)
    with pytest.raises(ModelUnavailable, match="coded with another base"):
        codec.open_weights(coded, base=data)
    got = codec.decode(coded, base=old)
    np.testing.assert_array_equal(got["w"], then)
    same = there_and_back(old, base=old)
    assert len(same) < 500


# ---- opening


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Path, Path]:
    tensors = {
        "w": torch.randn(700, 300),
        "h": torch.randn(40, 50, 3).bfloat16(),
        "scalar": torch.tensor(3.5),
        "none": torch.zeros(0, 4),
        "ids": torch.arange(1000),
    }
    path = tmp_path / "m.safetensors"
    save_tensors(tensors, path, {"format": "pt", "a": "b"})
    codec_file = tmp_path / "m.bin"
    codec_file.write_bytes(codec.encode_weights(path))
    return path, codec_file


@pytest.mark.parametrize("threads", [1, 2])
def test_it_serves_in_the_place_of_safe_open(opened: tuple[Path, Path], threads: int) -> None:
    path, coded = opened
    with (
        safe_open(path, "pt") as theirs,
        codec.open_weights(coded, "pt", threads=threads) as ours,
    ):
        assert sorted(ours.keys()) == sorted(theirs.keys())
        assert list(ours.offset_keys()) == list(theirs.offset_keys())
        assert ours.metadata() == theirs.metadata()
        for name in theirs.keys():  # noqa: SIM118
            assert torch.equal(ours.get_tensor(name), theirs.get_tensor(name))
            assert ours.get_tensor(name).dtype == theirs.get_tensor(name).dtype
            assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
            assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype()
        for index in (3, -1, slice(650, None), slice(5, 500, 7), (slice(2, 9), 4), slice(9, 9)):
            assert torch.equal(ours.get_slice("w")[index], theirs.get_tensor("w")[index])
        for index in (..., (..., 3), slice(None), (slice(-3, None), slice(1, 4))):
            assert torch.equal(ours.get_slice("w")[index], theirs.get_tensor("w")[index])
        with pytest.raises(InvalidOption, match="no tensor 'x'"):
            ours.get_tensor("x")
        with pytest.raises(IndexError):
            ours.get_slice("w")[700]
        assert ours.get_slice("scalar")[...] == 3.5


def test_numpy_where_it_has_the_type(opened: tuple[Path, Path]) -> None:
    with safe_open(opened[0], "np") as theirs, codec.open_weights(opened[1]) as ours:
        for name in ("w", "scalar", "none", "ids"):
            np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))
        with pytest.raises(UnsupportedArray, match='framework="pt"'):
            ours.get_tensor("h")
    for options in ({"framework": "tf"}, {"device": "cuda"}):
        with pytest.raises(InvalidOption):
            codec.open_weights(opened[1], **options)


def test_a_part_needs_only_its_chunks(opened: tuple[Path, Path]) -> None:
    data = bytearray(opened[1].read_bytes())
    begin, end = files.read(data).places[files.read(data).numbers["w"]]
    data[end - 5] ^= 1  # in the last chunk
    with codec.open_weights(bytes(data)) as ours:
        assert ours.get_slice("w")[:200].shape == (200, 300)
        with pytest.raises(CorruptFile, match="tensor w: "):
            ours.get_slice("w")[690:]
    assert begin < end


# ---- damage


def test_every_flipped_byte_and_every_cut_is_an_error() -> None:
    data = made(
        {"a": ("F16", (3, 40), bytes(normal((3, 40)).astype(np.float16))), "b": noise("I32", (9,))}
    )
    coded = codec.encode_weights(data)
    for at in range(len(coded)):
        for bit in (1, 128):
            broken = bytearray(coded)
            broken[at] ^= bit
            with pytest.raises(FileError) as caught:
                codec.decode_weights(bytes(broken))
            assert "\n" not in str(caught.value)
            with pytest.raises(FileError):
                codec.weights_info(bytes(broken))
    for size in range(len(coded)):
        with pytest.raises(FileError):
            codec.decode_weights(coded[:size])
    with pytest.raises(FileError):
        codec.decode_weights(coded + b"\0")


def test_a_damaged_record_costs_its_tensor(tmp_path: Path) -> None:
    data = some()
    coded = codec.encode_weights(data)
    file = files.read(coded)
    for name in ("a.weight", "b.bias", "c.ids"):
        begin, end = file.places[file.numbers[name]]
        for at in (begin, begin + 3, (begin + end) // 2, end - 1):
            broken = bytearray(coded)
            broken[at] ^= 4
            with codec.open_weights(bytes(broken), "pt") as ours:
                for other in ours.keys():  # noqa: SIM118
                    if other == name or (name, other) == ("a.weight", "tied"):
                        continue
                    assert ours.get_tensor(other) is not None
                if at > begin:
                    with pytest.raises(CorruptFile, match=f"tensor {name}: "):
                        ours.get_tensor(name)
    (tmp_path / "x.bin").write_bytes(broken)
    result = lictor("decode", tmp_path / "x.bin", tmp_path / "x.safetensors")
    assert result.exit_code == 1 and "tensor c.ids: " in result.stderr
    result = lictor("decode", tmp_path / "x.bin", tmp_path / "x.safetensors", "--salvage")
    assert result.exit_code == 1 and "left out: tensor c.ids" in result.stderr
    with safe_open(tmp_path / "x.safetensors", "pt") as left:
        assert set(left.keys()) == {"a.weight", "b.bias", "empty", "tied"}


def test_without_its_index_a_file_is_walked() -> None:
    coded = codec.encode_weights(some())
    with codec.open_weights(coded[:-6], "pt") as ours:
        assert ours.get_tensor("c.ids").sum() == sum(range(50))
    with codec.open_weights(coded[: len(coded) // 2], "pt") as ours, pytest.raises(FileError):
        ours.get_tensor("c.ids")


def rebuilt(coded: bytes, number: int, change: Callable[[Any], Any]) -> bytes:
    """A file with another record, all checksums right."""
    file = files.read(coded)
    start, sizes = bytes(file.data[: file.start]), []
    for i, (begin, end) in enumerate(file.places):
        record, at = form.read_record(file.data[begin:end])
        chunks = bytes(file.data[begin + at : end])
        part = form.write_head(change(record)) + chunks if i == number else coded[begin:end]
        start += part
        sizes.append(len(part))
    return start + form.write_end(sizes)


def test_records_that_lie() -> None:
    coded = codec.encode_weights(some())
    one = form.Chunk()
    liars: list[Callable[[Any], Any]] = [
        lambda r: form.Same(0),
        lambda r: form.Same(3),
        lambda r: replace(r, item=8, raw=50),
        lambda r: replace(r, values=1),
        lambda r: replace(r, low=9),
        lambda r: replace(r, sign=False),
        lambda r: replace(r, raw=0, sign=False),
        lambda r: replace(r, prediction=form.XOR),
        lambda r: replace(r, prediction=form.BEFORE),
        lambda r: replace(r, rows=b""),
        lambda r: replace(r, columns=b"\1\xff"),
        lambda r: replace(r, rows=b"\1\xff"),
        lambda r: replace(r, runs=[64] * len(r.runs)),
        lambda r: replace(r, runs=[], tables=b""),
        lambda r: replace(r, runs=[*r.runs, 3]),
        lambda r: replace(r, tables=b"\1\1\1\1\1"),
        lambda r: replace(r, tables=b""),
        lambda r: replace(r, chunks=[*r.chunks, one]),
        lambda r: replace(r, chunks=[replace(r.chunks[0], mode=form.VERBATIM)]),
        lambda r: replace(r, chunks=[replace(r.chunks[0], mode=form.DEFLATED)]),
        lambda r: replace(r, chunks=[replace(r.chunks[0], decoded=5)]),
    ]
    for liar in liars:
        broken = rebuilt(coded, 0, liar)
        with pytest.raises((FileError, UnsupportedFeature)) as caught:
            codec.decode_weights(broken)
        assert "\n" not in str(caught.value)


def test_heads_of_any_bytes() -> None:
    """Heads with bytes changed by chance, and the checksum that they should have."""
    coded, rng = codec.encode_weights(some()), np.random.default_rng(3)
    file = files.read(coded)
    for _ in range(400):
        number = int(rng.integers(0, len(file.places)))
        start, sizes = bytes(coded[: file.start]), []
        for i, (begin, end) in enumerate(file.places):
            part = coded[begin:end]
            if i == number:
                _, at = form.read_record(file.data[begin:end])
                reader = form.Reader(part)
                reader.varint("", 0, 0, 2**48)
                head = bytearray(part[reader.position : at - 4])
                for place in rng.integers(0, len(head), int(rng.integers(1, 4))):
                    head[place] = int(rng.integers(0, 256))
                check = zlib.crc32(head).to_bytes(4, "little")
                part = part[: reader.position] + bytes(head) + check + part[at:]
            start += part
            sizes.append(len(part))
        try:
            codec.decode_weights(start + form.write_end(sizes))
        except FileError as e:
            assert "\n" not in str(e)


def test_planes_that_lie() -> None:
    """Chunks of random bytes, with the checksum that they should have."""
    coded = codec.encode_weights(made({"w": ("BF16", (64, 96), bf16(normal((64, 96))))}))
    file = files.read(coded)
    (begin, end), rng = file.places[0], np.random.default_rng(0)
    record, at = form.read_record(file.data[begin:end])
    assert isinstance(record, form.Words)
    whole = bytes(file.data[begin + at : end])
    for turn in range(150):
        chunk = bytearray(whole[: len(whole) if turn % 2 else int(rng.integers(1, len(whole)))])
        for place in rng.integers(0, min(len(chunk), 40 if turn % 3 else 10**6), 3):
            chunk[place] = int(rng.integers(0, 256))
        one = form.Chunk(form.PLANES, len(chunk), zlib.crc32(chunk), record.chunks[0].decoded)
        part = form.write_head(replace(record, chunks=[one])) + bytes(chunk)
        broken = bytes(file.data[: file.start]) + part + form.write_end([len(part)])
        with pytest.raises(CorruptFile):
            codec.decode_weights(broken)
            assert chunk == whole
            raise CorruptFile("nothing was changed")


def test_a_header_is_no_larger_than_its_bytes_allow() -> None:
    """What a small file may unpack to is bounded; a writer keeps to that."""
    text = b"{}" + b" " * 6_000_000
    data = len(text).to_bytes(8, "little") + text
    assert len(there_and_back(data)) > 40_000
    io = form.Writer()
    io.raw("", b"LIW\1", 4)
    io.varint("", len(text), 0, 2**30)
    form.block(io, "", form.deflate(text))
    io.uint("", 0)
    io.crc32("", 0)
    with pytest.raises(CorruptFile, match="more than any encoder writes"):
        codec.decode_weights(bytes(io.data) + form.write_end([]))


def test_other_versions_and_methods() -> None:
    coded = bytearray(codec.encode_weights(some()))
    coded[3] = 9
    with pytest.raises(UnsupportedVersion, match="version 9"):
        codec.decode_weights(bytes(coded))

    class Later(form.Same):
        code = 200

    with pytest.raises(UnsupportedFeature, match=r"tensor a\.weight: method 200"):
        codec.decode_weights(rebuilt(codec.encode_weights(some()), 0, lambda r: Later(0)))


# ---- the command line


def test_the_command(tmp_path: Path) -> None:
    source, out, back = tmp_path / "m.safetensors", tmp_path / "m.bin", tmp_path / "b.safetensors"
    source.write_bytes(some())
    assert lictor("encode", source, out, "-j", "2").exit_code == 0
    assert lictor("decode", out, back, "-j", "2").exit_code == 0
    assert back.read_bytes() == some()
    assert (
        lictor("encode", "-", "-", "--kind", "weights", stdin=some()).stdout_bytes
        == out.read_bytes()
    )
    assert lictor("decode", "-", "-", stdin=out.read_bytes()).stdout_bytes == some()
    row = json.loads(lictor("info", out, "--json").stdout)
    assert [t["name"] for t in row["tensors"]] == ["a.weight", "b.bias", "c.ids", "empty", "tied"]
    assert row["metadata"] == {"format": "pt"} and row["original"] == len(some())
    text = lictor("info", out).stdout
    assert "5 tensors, 1 of them as others: BF16 12288, F32 96" in text and "exact" in text


def test_single_tensors(tmp_path: Path) -> None:
    out = tmp_path / "m.bin"
    out.write_bytes(codec.encode_weights(some()))
    one = tmp_path / "one.safetensors"
    assert lictor("decode", out, one, "--tensor", "c.ids", "--tensor", "b.bias").exit_code == 0
    with safe_open(one, "np") as found:
        assert set(found.keys()) == {"c.ids", "b.bias"} and found.metadata() == {"format": "pt"}
    assert lictor("decode", out, tmp_path / "x.npy", "--tensor", "c.ids").exit_code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(50)[None])
    result = lictor("decode", out, one, "--tensor", "nobody")
    assert result.exit_code == 2 and "no tensor 'nobody'" in result.stderr
    result = lictor("decode", out, tmp_path / "x.npy")
    assert result.exit_code == 1 and "--tensor" in result.stderr
    result = lictor("decode", out, tmp_path / "x.npz")
    assert result.exit_code == 1 and "name the output .safetensors" in result.stderr


def test_a_target_makes_arrays_of_them(tmp_path: Path) -> None:
    source, out = tmp_path / "m.safetensors", tmp_path / "m.bin"
    save_file({"w": normal((50, 60))}, source)
    result = lictor("encode", source, out, "--mse", "1e-5")
    assert result.exit_code == 0 and "coded as arrays, with loss, as --mse asks" in result.stderr
    assert out.read_bytes().startswith(b"LIF")
    result = lictor("encode", source, out, "--kind", "arrays")
    assert result.exit_code == 0 and out.read_bytes().startswith(b"LIF")
    assert "with loss" not in result.stderr
    result = lictor("encode", source, out, "--kind", "weights", "--mse", "4")
    assert result.exit_code == 2 and "; weights take --quality or --bits" in result.stderr
    odd = tmp_path / "odd.dat"
    odd.write_bytes(source.read_bytes())
    assert lictor("encode", odd, out, "--kind", "weights").exit_code == 0


def test_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.safetensors").write_bytes(some())
    result = lictor("verify", tmp_path)
    assert result.exit_code == 0 and ": ok; weights, 5 tensors" in result.stdout
    assert json.loads(lictor("verify", tmp_path / "m.safetensors", "--json").stdout)["ok"]
    monkeypatch.setattr("lictor.codec.weights.api.decode_weights", lambda data, threads: b"")
    result = lictor("verify", tmp_path)
    assert result.exit_code == 1 and "DISAGREES: another file comes back" in result.stdout


def test_a_base_by_the_command(tmp_path: Path) -> None:
    first = normal((60, 70))
    for name, values in (("a", first), ("b", near(first))):
        save_file({"w": values}, tmp_path / f"{name}.safetensors")
    base = "--base", str(tmp_path / "a.safetensors")
    assert lictor("encode", tmp_path / "b.safetensors", tmp_path / "b.bin", *base).exit_code == 0
    result = lictor("decode", tmp_path / "b.bin", tmp_path / "c.safetensors")
    assert result.exit_code == 2 and "give that file as the base" in result.stderr
    assert lictor("decode", tmp_path / "b.bin", tmp_path / "c.safetensors", *base).exit_code == 0
    assert (tmp_path / "c.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert "needs the base" in lictor("info", tmp_path / "b.bin").stdout


def test_a_chain_of_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    values = normal((60, 70))
    for step in range(3):
        save_file({"w": values}, tmp_path / "run" / f"{step}.safetensors")
        values = near(values)
    out, back = tmp_path / "out", tmp_path / "back"
    assert lictor("encode", tmp_path / "run", out, "--chain").exit_code == 0
    sizes = [(out / f"{step}.bin").stat().st_size for step in range(3)]
    assert max(sizes[1:]) < 0.9 * sizes[0]
    assert lictor("decode", out, back, "--chain").exit_code == 0
    for step in range(3):
        name = f"{step}.safetensors"
        assert (back / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert lictor("decode", out, back).exit_code == 2
    for wrong in (["--chain", "--base", "x"], ["--chain", "-j", "2"]):
        assert lictor("decode", out, back, *wrong).exit_code == 2


def test_files_of_pytorch(tmp_path: Path) -> None:
    tensors = {"w": torch.randn(4, 5), "t": torch.ones(2)}
    tensors["tied"] = tensors["w"]
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "m.pt")
    result = lictor("encode", tmp_path / "m.pt", tmp_path / "m.bin")
    assert result.exit_code == 0 and "becomes a .safetensors file" in result.stderr
    got = codec.decode((tmp_path / "m.bin").read_bytes())
    np.testing.assert_array_equal(got["tied"], tensors["w"].numpy())
    torch.save({"w": io.StringIO()}, tmp_path / "bad.pth")
    result = lictor("encode", tmp_path / "bad.pth", tmp_path / "bad.bin")
    assert result.exit_code == 1 and "as weights alone" in result.stderr
    torch.save([1], tmp_path / "bad.pth")
    result = lictor("encode", tmp_path / "bad.pth", tmp_path / "bad.bin")
    assert result.exit_code == 1 and "no tensors by names" in result.stderr


# ---- real ones


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_our_own_checkpoints(path: Path) -> None:
    data = path.read_bytes()
    inside = codec.decode_weights(data)
    assert there_and_back(inside) == data
    assert len(data) < 0.5 * len(inside)


@pytest.mark.parametrize(("sigma", "most"), [(1.5, 2.8), (12.0, 5.75), (400.0, 10.8)])
def test_whole_numbers_about_a_middle(sigma: float, most: float) -> None:
    """As grids have them: rows differ in size, and few bits go raw where most tell nothing."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(400, 64)) * sigma * np.exp2(rng.integers(-2, 3, (400, 1)) / 2)
    raw = (np.rint(values).astype(np.int64) + 2**15).astype("<u2").tobytes()
    data = made({"w": ("U16", (400, 64), raw)})
    assert 8 * (len(there_and_back(data)) - 200) / values.size < most


def test_whole_numbers_that_are_far_from_one_another() -> None:
    rng = np.random.default_rng(5)
    for values in (rng.integers(0, 2**16, (90, 64)), np.arange(90 * 64), [[0, 65535] * 50] * 64):
        raw = np.asarray(values).astype("<u2")
        there_and_back(made({"w": ("U16", raw.shape, raw.tobytes())}))
        there_and_back(made({"w": ("I16", raw.shape, raw.tobytes())}))


# ---- golden


def golden_source() -> bytes:
    """What the golden files hold; made of integers, so that it is the same everywhere."""
    rng = np.random.default_rng(2026)
    bits = (rng.integers(0, 2, 64 * 80) << 15) | (rng.integers(90, 126, 64 * 80) << 7)
    big = bits + rng.integers(0, 128, 64 * 80)
    named: Named = {"big": ("BF16", (64, 80), big.astype("<u2").tobytes())}
    for dtype in [*BITS, "NEW_7"]:
        size = 24 * BITS.get(dtype, 8) // 8
        named[dtype] = dtype, (4, 6) if dtype in BITS else (), rng.bytes(size)
    named["again"] = "BF16", (80, 64), named["big"][2]
    return made(named, {"format": "golden"})


def golden_base() -> bytes:
    data = bytearray(golden_source())
    data[-9000::37] = bytes(len(data[-9000::37]))
    return bytes(data)


@pytest.mark.parametrize("name", ["plain", "base"])
def test_golden(name: str) -> None:
    base = golden_base() if name == "base" else None
    data = (GOLDEN / f"{name}.bin").read_bytes()
    assert codec.decode_weights(data, base=base) == golden_source()


def make_golden() -> None:
    """Write the golden files anew; only on purpose."""
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "plain.bin").write_bytes(codec.encode_weights(golden_source()))
    (GOLDEN / "base.bin").write_bytes(codec.encode_weights(golden_source(), base=golden_base()))
