"""Files kept for ever: every later version decodes them to the same latents and pictures.

tests/golden/make_bins.py made them. A file that is missing is a failure.
"""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lictor import entropy, models
from lictor.codec import decode_picture, info, latents
from lictor.codec.errors import NoLatents
from lictor.codec.format import picture as bitstream
from lictor.codec.image import pillow
from lictor.codec.picture import alpha, latent, metadata
from lictor.codec.runtime import runtime as runtimes
from lictor.codec.runtime import torch as torch_runtime
from lictor.models import zoo
from lictor.models.linear import coder
from lictor.models.overfit import coder as overfit_coder

FOLDER = Path(__file__).parents[1] / "golden" / "bin"
NAMES = (
    "blocks",
    "column",
    "gray",
    "gray-alpha",
    "gray16",
    "linear",
    "linear-gray16",
    "linear-map",
    "lossless",
    "lossless-bilevel",
    "lossless-gray16",
    "metadata",
    "overfit",
    "overfit-gray16-alpha",
    "overfit-start",
    "overfit-tiles",
    "point",
    "rgb-effort",
    "rgb-q0",
    "rgb-q50",
    "rgb-q99.75",
    "rgb-wide-q15",
    "rgb16",
    "rgba",
    "roi-box",
    "roi-map",
    "roi-tiles",
    "row",
    "tiles",
    "wiener",
    "wiener-gray16-alpha",
)
MOST_BYTES = 600_000
RUNTIMES = ("light", "torch")


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


def index() -> dict[str, Any]:
    return json.loads((FOLDER / "index.json").read_text())


def same_weights() -> bool:
    entry = zoo.index().get("lictor-s.mse")
    return entry is not None and entry.sha256 == index()["weights"]


def test_golden_files_are_of_the_shipped_weights():
    assert same_weights(), (
        "lictor-s.mse is not what the golden files were made with, so they cannot be "
        "decoded: put the old weights back, or, if they were replaced on purpose, run "
        "python tests/golden/make_bins.py --replace"
    )


def test_all_files_are_there_and_small():
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {f"{n}.{kind}" for n in NAMES for kind in ("bin", "png")} | {"index.json"}
    assert sorted(index()["files"]) == sorted(NAMES)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def read(name: str) -> bytes:
    if not same_weights():
        pytest.skip("the shipped weights are other ones, as another test says")
    return (FOLDER / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", NAMES)
def test_latents(name: str, runtime: str):
    data = read(name)
    if name.startswith(("linear", "lossless", "overfit")):
        with pytest.raises(NoLatents):
            latents(data)
        return
    decoded = latents(data, runtime=runtime)
    assert decoded.sha256 == index()["files"][name]["latents"]
    assert decoded.checksum == info(data).latents


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_picture(name: str, threads: int, runtime: str):
    own = runtimes.get(runtime).threads
    before = own.count()
    own.use(threads)
    try:
        check_picture(name, read(name), runtime)
    finally:
        own.use(before)


def check_picture(name: str, data: bytes, runtime: str | None = None) -> None:
    golden = index()["files"][name]
    picture = decode_picture(data, region=golden["region"], runtime=runtime)
    expected = pillow.read(str(FOLDER / f"{name}.png"))
    assert picture.pixels.dtype == expected.pixels.dtype
    assert picture.pixels.shape == expected.pixels.shape
    step = 1 if picture.depth == 8 else 257  # one of 255 levels
    step *= not name.startswith(("lossless", "overfit"))
    step *= 3 if name.startswith("wiener") else 1  # which adds up what differs
    assert np.abs(picture.colours.astype(int) - expected.colours).max() <= step
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, expected.alpha)
    assert hashlib.sha256(picture.icc).hexdigest() == golden["icc"]
    assert hashlib.sha256(picture.exif).hexdigest() == golden["exif"]


def test_golden_files_are_of_every_kind():
    infos = [info(read(name)) for name in NAMES]
    assert {(i.channels, i.bit_depth) for i in infos} >= {(1, 8), (2, 8), (3, 8), (4, 8)}
    assert {(i.channels, i.bit_depth) for i in infos} >= {(1, 16), (3, 16)}
    assert any(i.icc_bytes and i.exif_bytes for i in infos)
    assert {i.quality for i in infos} >= {0, 50, 100}
    assert any(i.width == i.height == 1 for i in infos)
    assert any(i.tiles > 1 for i in infos)
    assert {i.tiles > 1 for i in infos if i.map_bytes} == {True, False}
    methods = {tuple(i.methods) for i in infos}
    assert methods >= {("network",), ("linear",), ("network", "linear"), ("lossless",)}
    assert ("overfit",) in methods


def test_one_bit_of_a_golden_picture_matters(monkeypatch: pytest.MonkeyPatch):
    """The comparison above would find a decoder that is two levels off in one sample."""
    data, right = read("gray"), torch_runtime.samples

    def wrong(*arguments: Any, **options: Any) -> np.ndarray:
        samples = right(*arguments, **options).copy()
        samples[3, 4] += 2 if samples[3, 4] < 254 else -2
        return samples

    monkeypatch.setattr(torch_runtime, "samples", wrong)
    with pytest.raises(AssertionError):
        check_picture("gray", data, "torch")


@pytest.mark.parametrize("name", NAMES)
def test_without_any_encoder(name: str, monkeypatch: pytest.MonkeyPatch):
    """Decoding takes nothing from the code that encodes, which may change freely."""

    def gone(what: str) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            raise AssertionError(f"the decoder used {what}")

        return fail

    data = read(name)
    model = copy.deepcopy(models.load("lictor-s.mse"))
    del model.g_a, model.h_a, model.gain
    for method in ("encode", "search", "push", "estimate", "forward", "_latents", "_latent"):
        monkeypatch.setattr(model, method, gone(method), raising=True)
    monkeypatch.setattr(models, "find", lambda *_: model)
    monkeypatch.setattr(models, "load", gone("models.load"))
    for module, attribute in (
        (entropy, "Encoder"),
        (entropy, "compress"),
        (coder, "encode"),
        (overfit_coder, "encode"),
        (latent, "Encoder"),
        (latent, "encode"),
        (bitstream, "write"),
        (alpha, "pack"),
        (metadata, "pack"),
    ):
        monkeypatch.setattr(module, attribute, gone(attribute))
    check_picture(name, data, "torch")
    if not name.startswith(("linear", "lossless", "overfit")):
        assert latents(data, runtime="torch").sha256 == index()["files"][name]["latents"]


def test_checksum_is_what_the_format_says():
    """CRC-32 of all symbols as int32, little-endian, in the order of coding."""
    header, sections = bitstream.read(memoryview(read("gray")))
    decoder, symbols = entropy.Decoder(sections[0].payload), []

    class Listening:
        def pull(self, tables: np.ndarray) -> np.ndarray:
            symbols.append(decoder.pull(tables))
            return symbols[-1]

    shape, quality = (header.height, header.width), header.quality
    models.load("lictor-s.mse").pull(shape, quality, Listening())
    assert zlib.crc32(np.concatenate(symbols).astype("<i4").tobytes()) == header.latents
