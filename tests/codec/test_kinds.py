"""The table of kinds: what must hold of every kind of payload, and what each refuses."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.numpy import load_file, save_file

from lictor import codec
from lictor.codec import inputs, kinds
from lictor.codec.cli.main import cli
from lictor.codec.errors import (
    CorruptFile,
    InvalidOption,
    NotALictorFile,
    TruncatedFile,
    UnwritableImage,
)
from lictor.codec.kinds.payload import Kind
from lictor.codec.report.server import opened

MODEL = "fake.pixels"
OPTIONS: dict[str, dict[str, Any]] = {
    "pictures": {"model": MODEL, "quality": 100.0},
    "arrays": {"max_error": 1e-3},
    "weights": {},
}


def lictor(*args: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args], input=stdin, prog_name="lictor")


@pytest.fixture(params=kinds.KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def sources(photo: np.ndarray, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A small input of each kind, of its own name."""
    found = {"pictures": tmp_path / "p.png", "arrays": tmp_path / "a.npy"}
    found["weights"] = tmp_path / "w.safetensors"
    save_file({"w": np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 20)}, found["weights"])
    Image.fromarray(photo).save(found["pictures"])
    np.save(found["arrays"], np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32))
    assert found.keys() == {kind.name for kind in kinds.KINDS}
    yield found


def coded(kind: Kind, source: Path) -> bytes:
    return kind.encode(kind.read(str(source)), OPTIONS[kind.name])[0]


def values(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".safetensors":
        return load_file(path)["w"]
    with Image.open(path) as image:
        return np.asarray(image)


def decoded(data: Any) -> np.ndarray:
    found = codec.decode(data)
    return np.asarray(found["w"] if isinstance(found, dict) else found)


def test_there_and_back(kind: Kind, sources: dict[str, Path], tmp_path: Path) -> None:
    source = sources[kind.name]
    assert kinds.of_input(str(source)) is kinds.named(source.name) is kind
    assert kind.sniff(str(source)) and source.suffix in kind.suffixes

    data, row = kind.encode(kind.read(str(source)), OPTIONS[kind.name])
    assert data.startswith(kind.magic) and kinds.of_file(data) is kind
    assert kinds.of_row(row) is kind and row["bytes"] == len(data)
    kind.check(data)

    said = vars(codec.info(data))
    assert said["bytes"] == len(data) and kinds.of_row(said) is kind
    assert "\n" not in kind.line(said) and str(len(data)) in kind.line(said)
    assert "\n" not in kind.brief(row, "1 s") and kind.total([row, row])

    content = kind.unpack(data, {})
    target = tmp_path / f"back{kind.suffix(data[: kinds.START])}"
    with open(target, "wb") as file:
        notes = list(kind.write(content, file, str(target), "PNG"))
    assert not notes and kinds.of_row(kind.decoded(content, data, notes)) is kind
    np.testing.assert_allclose(values(target), values(source), atol=1e-3)
    np.testing.assert_array_equal(decoded(data), values(target))


def test_bytes_read_as_the_file_does(kind: Kind, sources: dict[str, Path]) -> None:
    """As from a pipe, which has no name."""
    source = sources[kind.name]
    raw = source.read_bytes()
    assert kinds.of_input("-", raw[: kinds.START]) is kind
    again = kind.encode(kind.read("-", raw), OPTIONS[kind.name])[0]
    assert again == coded(kind, source)


def test_through_the_command(kind: Kind, sources: dict[str, Path], tmp_path: Path) -> None:
    source, out, back = sources[kind.name], tmp_path / "x.bin", tmp_path / "back"
    options = ["--model", MODEL] if kind is kinds.PICTURES else []
    assert lictor("encode", source, out, *options).exit_code == 0
    assert inputs.whole(str(out))
    text = lictor("info", out)
    assert text.exit_code == 0 and text.stdout.count("\n") == 1
    back.mkdir()
    assert lictor("decode", out, back).exit_code == 0
    (made,) = back.iterdir()
    assert made.suffix == source.suffix
    out.write_bytes(out.read_bytes()[:-1])
    assert not inputs.whole(str(out))


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"LI", b"LIX\x01\0", b"\0" * 40]
)
def test_foreign_data_is_refused_in_one_line(kind: Kind, data: bytes) -> None:
    for job in (codec.decode, codec.info, kind.check, kind.info, kind.decode):
        with pytest.raises((NotALictorFile, TruncatedFile)) as caught:
            job(data)
        assert "\n" not in str(caught.value)


def test_what_is_no_bytes_is_refused_in_one_line() -> None:
    for bad in ("text", None, 5, [1, 2]):
        for job in (codec.decode, codec.info):
            with pytest.raises(NotALictorFile, match="bytes of a file are needed") as caught:
                job(bad)
            assert "\n" not in str(caught.value)


def test_damage_is_an_error(kind: Kind, sources: dict[str, Path]) -> None:
    data = coded(kind, sources[kind.name])
    for job in (codec.decode, codec.info, kind.check):
        with pytest.raises(CorruptFile):
            job(data[:-1])


def test_any_buffer_is_decoded(kind: Kind, sources: dict[str, Path]) -> None:
    data = coded(kind, sources[kind.name])
    for same in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert vars(codec.info(same)) == vars(codec.info(data))  # type: ignore[arg-type]
        np.testing.assert_array_equal(decoded(same), decoded(data))


def test_inputs_of_another_kind_are_refused(kind: Kind, sources: dict[str, Path]) -> None:
    for name, source in sources.items():
        if name != kind.name and {name, kind.name} != {"weights", "arrays"}:
            with pytest.raises(codec.CodecError) as caught:
                kind.read("-", source.read_bytes())
            assert "\n" not in str(caught.value)


def test_outputs_of_another_kind_are_refused(kind: Kind) -> None:
    for other in kinds.KINDS:
        for suffix in other.suffixes:
            if suffix in (kind.writes or kind.suffixes):
                kinds.refuse_name(kind, f"x{suffix}")
            else:
                with pytest.raises(UnwritableImage, match="name the output"):
                    kinds.refuse_name(kind, f"x{suffix.upper()}")


def test_no_two_kinds_have_something_in_common() -> None:
    for part in ("name", "magic", "key"):
        assert len({getattr(kind, part) for kind in kinds.KINDS}) == len(kinds.KINDS)
    assert len(kinds.SUFFIXES) == sum(len(kind.suffixes) for kind in kinds.KINDS)
    for suffix in kinds.SUFFIXES:
        assert suffix == suffix.lower() and suffix.startswith(".")


# ---- options


@pytest.mark.parametrize(
    ("options", "word"),
    [({"precision": "bfloat16"}, "precision")],
)
def test_decode_refuses_what_arrays_do_not_take(
    sources: dict[str, Path], options: dict[str, Any], word: str
) -> None:
    data = coded(kinds.ARRAYS, sources["arrays"])
    with pytest.raises(InvalidOption, match=f"holds arrays; {word} is for pictures"):
        codec.decode(data, **options)
    assert codec.decode(data, salvage=True).shape == (6, 20)


OTHERS: dict[str, list[list[str]]] = {
    "pictures": [["--max-error", "1"], ["--mse", "1"], ["--bits", "4"], ["--axis", "0"]],
    "arrays": [
        *(["-q", "0"], ["--strip"], ["--salvage"], ["--device", "auto"]),
        *(["--roi", "0,0,4,4"], ["--size", "1kB"], ["--bpp", "1"], ["--psnr", "30"]),
    ],
    "weights": [["--strip"], ["--salvage"], ["--roi", "0,0,4,4"], ["--size", "1kB"]],
}


def test_encode_refuses_what_a_kind_does_not_take(
    kind: Kind, sources: dict[str, Path], tmp_path: Path
) -> None:
    for options in OTHERS[kind.name]:
        result = lictor("encode", sources[kind.name], tmp_path / "x.bin", *options)
        word = options[0].strip("-").replace("-", "_")
        name = {"q": "quality", **dict.fromkeys(("size", "bpp", "psnr"), "target")}.get(word, word)
        known = {o: o.options | o.decode_options | o.info_options for o in kinds.ALL}
        others = kinds.names(o for o, own in known.items() if o is not kind and name in own)
        assert result.exit_code == 2, options
        assert f"{options[0]} is for {others}; {kind.advice}" in result.stderr
        assert result.stderr.count("\n") == 1 and not (tmp_path / "x.bin").exists()


def test_info_refuses_what_a_kind_does_not_take(sources: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "x.bin"
    out.write_bytes(coded(kinds.ARRAYS, sources["arrays"]))
    result = lictor("info", out, "--latents")
    assert result.exit_code == 1 and "holds arrays; --latents is for pictures" in result.stderr


# ---- other doors


def test_a_page_for_pictures_says_what_it_was_given(sources: dict[str, Path]) -> None:
    data = coded(kinds.ARRAYS, sources["arrays"])
    with pytest.raises(codec.CodecError, match=r"a \.bin file of arrays .*float32 6x20") as caught:
        opened(data, 10**6)
    assert "\n" not in str(caught.value) and "not a picture" not in str(caught.value)
    with pytest.raises(codec.CodecError, match="holds arrays, and this page shows pictures"):
        opened(sources["arrays"].read_bytes(), 10**6)


def test_kinds_are_told_apart_without_heavy_imports(sources: dict[str, Path]) -> None:
    code = (
        "import sys; from lictor import codec; from lictor.codec import kinds, inputs\n"
        "data = sys.stdin.buffer.read(); kind = kinds.of_file(data); kind.check(data)\n"
        "print(kind.line(vars(codec.info(data))))\n"
        "assert kinds.of_input('a.npy') is kinds.ARRAYS\n"
        "heavy = {'torch', 'numpy', 'PIL'} & set(sys.modules); assert not heavy, heavy\n"
    )
    for kind in kinds.KINDS:
        data = coded(kind, sources[kind.name])
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()


def test_arrays_of_a_standard_input(sources: dict[str, Path]) -> None:
    buffer = io.BytesIO(sources["arrays"].read_bytes())
    content = kinds.ARRAYS.read("-", buffer.getvalue())
    assert content.form == ".npy" and content.arrays.shape == (6, 20)
