"""Pictures to bytes and back, with a model that is lossless at quality 100."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from lictor import models
from lictor.codec import CodecError, api, decode, decode_picture, encode, estimate, info, verify
from lictor.codec.errors import (
    CorruptFile,
    ImageTooLarge,
    InvalidEffort,
    InvalidQuality,
    LatentMismatch,
    ModelUnavailable,
    NotALictorFile,
    NotAnImage,
    OutOfMemory,
    UnsupportedImage,
)
from lictor.codec.format import picture as bitstream
from lictor.codec.format.colour import Signalling
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import decode as decoding
from lictor.codec.picture import encode as encoding
from lictor.codec.runtime import torch as torch_runtime
from lictor.models.quality import Quality

MODEL = "fake.pixels"


def coded(image: object, quality: float = 100) -> bytes:
    return encode(image, quality=quality, model=MODEL)  # type: ignore[arg-type]


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(decode(data))


# ---- there and back


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (3, 5), (17, 64), (65, 63), (64, 128)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(china: np.ndarray, shape: tuple[int, int], channels: int):
    picture = china[: shape[0], : shape[1], :channels]
    back = decode(coded(picture))
    assert back.size == shape[::-1]
    assert back.mode == ("L" if channels == 1 else "RGB")
    np.testing.assert_array_equal(
        np.asarray(back), picture.squeeze(2) if channels == 1 else picture
    )


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 3, 4]))
    )
)
def test_any_picture(fake: ModuleType, picture: np.ndarray):
    data = encoding.encode(Picture(picture), Quality(400), fake.network())
    np.testing.assert_array_equal(decoding.decode(data).pixels, picture)


def test_quality_trades_bytes_for_error(photo: np.ndarray):
    sizes, errors = [], []
    for quality in (0, 50, 90, 100):
        data = coded(photo, quality)
        sizes.append(len(data))
        errors.append(np.abs(pixels_of(data).astype(int) - photo).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_array_of_two_dimensions_is_gray(camera: np.ndarray):
    np.testing.assert_array_equal(pixels_of(coded(camera[:20, :30])), camera[:20, :30])


def test_array_in_any_memory_order(photo: np.ndarray):
    for view in (np.asfortranarray(photo), photo[::-1, ::2], photo[:, :, ::-1]):
        np.testing.assert_array_equal(pixels_of(coded(view)), view)


def test_read_only_array(photo: np.ndarray):
    photo.flags.writeable = False
    np.testing.assert_array_equal(pixels_of(coded(photo)), photo)


def test_input_is_left_alone(photo: np.ndarray):
    before = photo.copy()
    coded(photo, 10)
    np.testing.assert_array_equal(photo, before)


def test_pillow_image_and_its_array_give_the_same_file(photo: np.ndarray):
    assert coded(Image.fromarray(photo)) == coded(photo)


def test_orientation_of_a_pillow_image_is_applied(photo: np.ndarray):
    picture = Image.fromarray(photo)
    picture.getexif()[0x0112] = 6
    assert decode(coded(picture)).size == photo.shape[:2]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_decodes_from_any_buffer(photo: np.ndarray, kind: type):
    np.testing.assert_array_equal(pixels_of(kind(coded(photo))), photo)


def test_model_of_ones_own_goes_by_name(photo: np.ndarray):
    data = encode(photo, quality=100, model="fake.own")
    assert info(data).model == "fake.own"
    assert info(data).model_id == 0
    np.testing.assert_array_equal(pixels_of(data), photo)


def test_overhead_is_at_most_40_bytes(china: np.ndarray):
    data = coded(china)
    assert len(data) - info(data).latent_bytes <= 32


def test_same_bytes_each_time(photo: np.ndarray):
    assert coded(photo, 33.25) == coded(photo, 33.25)


def test_decode_is_repeatable_with_other_thread_counts(photo: np.ndarray):
    assert verify(photo, quality=60, model=MODEL).same


# ---- alpha, 16 bits, metadata


@pytest.fixture
def rich(photo: np.ndarray) -> Picture:
    """All that a file can hold."""
    random = np.random.default_rng(3)
    alpha = random.integers(0, 65536, photo.shape[:2], np.uint16)
    wide = photo.astype(np.uint16) * 257 + random.integers(0, 2, photo.shape, np.uint16)
    said = Signalling(cicp=(9, 16, 0, 1), light=(10_000_000, 1))
    return Picture(np.dstack([wide, alpha]), b"icc " * 40, b"MM\0*exif", signalling=said)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_exact_at_any_quality(photo: np.ndarray, channels: int, dtype: type):
    random = np.random.default_rng(channels)
    pixels = random.integers(0, np.iinfo(dtype).max, (31, 45, channels), dtype)
    again = decode_picture(coded(pixels, 0)).pixels
    assert again.dtype == dtype and again.shape == pixels.shape
    np.testing.assert_array_equal(again[:, :, -1], pixels[:, :, -1])


def test_16_bits_come_back_with_more_than_8(photo: np.ndarray, fake: ModuleType):
    """The fake model rounds to 8 bits, so that the picture is what 8 bits can hold."""
    wide = photo.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_picture(coded(wide)).pixels, wide)
    np.testing.assert_array_equal(pixels_of(coded(wide)), photo)
    assert info(coded(wide)).bit_depth == 16
    gray = decode(coded(wide[:, :, 0]))
    assert gray.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(gray), wide[:, :, 0])


def test_samples_of_16_bits_are_not_rounded_to_8():
    x = torch.linspace(0, 1, 3 * 4096).reshape(1, 3, 64, 64)
    samples = torch_runtime.samples(x, 3, np.dtype(np.uint16))
    assert len(np.unique(samples)) == 3 * 4096
    assert (samples.min(), samples.max(), samples.dtype) == (0, 65535, np.uint16)


def test_metadata_come_back(rich: Picture):
    again = decode_picture(coded(rich))
    assert (again.icc, again.exif) == (rich.icc, rich.exif)
    assert again.signalling == rich.signalling
    image = decode(coded(rich))
    assert image.mode == "RGBA"
    said = {"cicp": (9, 16, 0, 1), "clli": (10_000_000, 1)}
    assert image.info == said | {"icc_profile": rich.icc, "exif": b"Exif\0\0" + rich.exif}
    i = info(coded(rich))
    assert i.channels == 4 and i.alpha_bytes > 2000 and 0 < i.icc_bytes < 30 and i.exif_bytes > 0


def test_strip(rich: Picture):
    data = encode(rich, quality=100, model=MODEL, strip=True)
    again = decode_picture(data)
    assert (again.icc, again.exif, bool(again.signalling)) == (b"", b"", False)
    assert info(data).icc_bytes == info(data).exif_bytes == info(data).colour_bytes == 0


def test_verify_of_a_rich_picture(rich: Picture):
    report = verify(rich, quality=80, model=MODEL)
    assert report.ok and report.channels == 4


def test_every_flipped_bit_of_the_other_sections_is_found(rich: Picture):
    small = coded(replace(rich, pixels=rich.pixels[:5, :6]))
    for at in range(len(small)):
        damaged = bytearray(small)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(CodecError):
            decode(damaged)


@pytest.mark.parametrize("kind", [bitstream.ALPHA, bitstream.ICC, bitstream.EXIF, bitstream.COLOUR])
@pytest.mark.parametrize("payload", [b"\0", b"\xff" * 40, bytes(60), b"\x05" + b"\xec" * 30])
def test_hostile_sections_with_right_checks(rich: Picture, kind: int, payload: bytes):
    small = coded(replace(rich, pixels=rich.pixels[:5, :6]))
    with pytest.raises(CorruptFile):
        decode(altered(small, {kind: payload}))


# ---- quality


@pytest.mark.parametrize(
    "given, stored", [(0, 0), (100, 100), (50, 50), (33.3, 33.25), (33.4, 33.5), (np.float32(7), 7)]
)
def test_quality_goes_in_quarters(photo: np.ndarray, given: float, stored: float):
    assert info(coded(photo, given)).quality == stored


@pytest.mark.parametrize("quality", [-0.1, 100.1, float("nan"), float("inf"), "high", [5], 1j])
def test_quality_that_is_none(photo: np.ndarray, quality: object):
    with pytest.raises(InvalidQuality, match="from 0 to 100"):
        encode(photo, quality=quality, model=MODEL)  # type: ignore[arg-type]


# ---- effort


def test_effort_0_is_plain(photo: np.ndarray):
    assert encode(photo, quality=50, model=MODEL, effort=0) == coded(photo, 50)


@pytest.mark.parametrize("effort", [-1, 10, 1.5, 5.0, "5", None, float("nan")])
def test_effort_that_is_none(photo: np.ndarray, effort: object):
    for function in (encode, verify):
        with pytest.raises(InvalidEffort, match="whole number from 0 to 9"):
            function(photo, model=MODEL, effort=effort)  # type: ignore[operator]


def test_model_without_a_search(photo: np.ndarray):
    with pytest.raises(ModelUnavailable, match=r"fake\.pixels has no encoder-side search"):
        encode(photo, model=MODEL, effort=np.int64(1))  # type: ignore[arg-type]


def test_search_gets_effort_and_progress(
    photo: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    def search(self, x, quality, encoder, effort, progress, tile):
        progress(1, effort)
        self.encode(x, quality, encoder, tile)
        return 8.0

    monkeypatch.setattr(fake.Fake, "search", search)
    seen: list[tuple[int, int]] = []
    data = encode(photo, quality=50, model=MODEL, effort=3, progress=lambda *p: seen.append(p))
    assert (data, seen) == (coded(photo, 50), [(1, 3)])


# ---- what encode refuses


@pytest.mark.parametrize("image", ["photo.png", b"bytes", None, 5, [[1, 2], [3, 4]]])
def test_not_a_picture(image: object):
    with pytest.raises(NotAnImage, match="needed"):
        coded(image)


@pytest.mark.parametrize("dtype", ["int16", "float32", "int64", "bool"])
def test_arrays_of_other_types(photo: np.ndarray, dtype: str):
    with pytest.raises(UnsupportedImage, match=dtype):
        coded(photo.astype(dtype))


@pytest.mark.parametrize("shape", [(4,), (), (4, 4, 5), (1, 4, 4, 3), (3, 4, 0)])
def test_arrays_of_other_shapes(shape: tuple[int, ...]):
    with pytest.raises(UnsupportedImage, match="shape"):
        coded(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0), (0, 0, 1)])
def test_pictures_without_pixels(shape: tuple[int, ...]):
    with pytest.raises(UnsupportedImage, match="no pixels"):
        coded(np.zeros(shape, np.uint8))
    with pytest.raises(UnsupportedImage, match="no pixels"):
        coded(Image.new("RGB", shape[1::-1]))


@pytest.mark.parametrize("shape", [(1, 2**20 + 1), (2**20 + 1, 1), (2**16, 2**15 + 1)])
def test_more_pixels_than_the_format_holds(shape: tuple[int, int]):
    with pytest.raises(ImageTooLarge, match=f"{shape[1]}x{shape[0]}"):
        coded(np.broadcast_to(np.uint8(0), shape))


def test_unknown_model(photo: np.ndarray):
    with pytest.raises(ModelUnavailable, match=r"none\.such"):
        encode(photo, model="none.such")


def test_model_whose_name_a_file_cannot_hold(photo: np.ndarray, fake: ModuleType):
    with pytest.raises(ModelUnavailable, match="cannot name"):
        encoding.encode(Picture(photo), Quality(0), fake.network(fake.Fake("my model", id=0)))


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to…")],
)
def test_memory_runs_out(
    photo: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(fake.Fake, "encode", fail)
    with pytest.raises(OutOfMemory, match="45x31"):
        coded(photo)


def test_other_errors_of_a_model_come_through(
    photo: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(fake.Fake, "encode", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        coded(photo)


# ---- what decode refuses


@pytest.fixture(scope="module")
def small(fake: ModuleType, china: np.ndarray) -> bytes:
    """A file of few bytes, so that every one of them can be damaged."""
    return encoding.encode(Picture(china[200:205, 300:306]), Quality(380), fake.network())


def test_truncated_at_every_byte(small: bytes):
    for size in range(len(small)):
        with pytest.raises(CodecError):
            decode(small[:size])


def test_every_flipped_bit_is_found(small: bytes):
    for at in range(len(small)):
        for bit in range(8):
            damaged = bytearray(small)
            damaged[at] ^= 1 << bit
            with pytest.raises(CodecError):
                decode(damaged)


@pytest.mark.parametrize("data", ["photo.bin", None, 5, [1, 2]])
def test_not_bytes(data: object):
    for function in (decode, info):
        with pytest.raises(NotALictorFile, match="bytes of a file"):
            function(data)  # type: ignore[operator]


def altered(data: bytes, others: dict[int, bytes] | None = None, **fields: object) -> bytes:
    """The file with other values in its header or other sections, and right checks."""
    header, sections = bitstream.read(data)
    for name, value in fields.items():
        setattr(header, name, value)
    others = {s.kind: bytes(s.payload) for s in sections[1:]} | (others or {})
    return bitstream.write(header, bytes(sections[0].payload), others)


def test_model_number_of_a_later_release(small: bytes):
    data = altered(small, model_id=99)
    assert info(data).model is None
    with pytest.raises(ModelUnavailable, match="number 99"):
        decode(data)


def test_model_name_that_is_not_here(small: bytes):
    with pytest.raises(ModelUnavailable, match=r"none\.such"):
        decode(altered(small, model_id=0, model_name="none.such"))


def test_other_weights(small: bytes):
    with pytest.raises(ModelUnavailable, match="other weights"):
        decode(altered(small, weights=b"\0\1\2\3"))


def test_latents_that_differ_from_the_encoders(small: bytes):
    with pytest.raises(LatentMismatch, match=r"checksum .* not 00000001"):
        decode(altered(small, latents=1))


@pytest.mark.parametrize("fields", [{"width": 7}, {"height": 4}, {"step": 0}])
def test_header_that_does_not_belong_to_the_latents(small: bytes, fields: dict[str, int]):
    with pytest.raises(LatentMismatch, match="intact"):
        decode(altered(small, **fields))


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff" * 40])
def test_stream_that_no_coder_wrote(small: bytes, payload: bytes):
    header, _ = bitstream.read(small)
    with pytest.raises(LatentMismatch):
        decode(bitstream.write(header, payload))


def test_absurd_size_is_found_before_any_model_runs(small: bytes, monkeypatch: pytest.MonkeyPatch):
    header, sections = bitstream.read(small)
    header.width = header.height = 40_000
    data = bitstream._write(header, sections)
    monkeypatch.setattr(models, "find", None)
    with pytest.raises(CorruptFile, match="40000x40000"):
        decode(data)


# ---- info, estimate, verify


def test_info(china: np.ndarray, fake: ModuleType):
    data = coded(china[:90, :120], 40)
    i = info(data)
    assert (i.format_version, i.model, i.model_id) == (1, MODEL, 7)
    assert (i.width, i.height, i.channels, i.bit_depth) == (120, 90, 3, 8)
    assert i.weights == fake.SHIPPED.digest[:4].hex()
    assert i.quality == 40
    assert i.bytes == len(data)
    assert i.latent_bytes < i.bytes
    assert i.bpp == 8 * len(data) / (120 * 90)
    assert len(i.latents) == 8


def test_info_of_a_file_whose_latents_are_damaged(small: bytes):
    damaged = bytearray(small)
    damaged[-10] ^= 1
    assert info(damaged) == info(small)


def test_importing_the_package_and_info_import_no_torch(small: bytes):
    code = (
        "import sys, lictor.codec as c; assert 'api' not in dir() and not "
        "{'torch', 'numpy', 'PIL'} & set(sys.modules); c.info(sys.stdin.buffer.read()); "
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], input=small, check=True)


def test_estimate_is_close_to_the_file(china: np.ndarray):
    expected = estimate(china, quality=80, model=MODEL)
    size = len(coded(china, 80))
    assert abs(size - expected) <= 0.005 * expected + 40


def test_verify(china: np.ndarray):
    report = verify(china, quality=80, model=MODEL)
    assert report.ok and report.same and report.sized
    assert report.bytes == len(coded(china, 80))
    assert report.bpp == 8 * report.bytes / (427 * 640)
    assert 30 < report.psnr < 60
    assert abs(report.gap) < 0.01
    assert report.encode_seconds > 0 and report.decode_seconds > 0


def test_verify_of_a_lossless_round_trip(photo: np.ndarray):
    assert verify(photo, quality=100, model=MODEL).psnr == float("inf")


def test_verify_finds_a_model_that_estimates_badly(
    china: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fake.Fake, "estimate", lambda *_: 8.0)
    report = verify(china, quality=80, model=MODEL)
    assert report.same and not report.sized and not report.ok


def test_verify_finds_a_model_that_decodes_differently(
    photo: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    reconstruct, calls = fake.Fake.reconstruct, []

    def drifting(*args: object) -> object:
        calls.append(1)
        return reconstruct(*args) * (1 - 0.01 * len(calls))

    monkeypatch.setattr(fake.Fake, "reconstruct", drifting)
    report = verify(photo, quality=80, model=MODEL)
    assert not report.same and not report.ok


def test_everything_public_is_there():
    import lictor.codec

    for name in lictor.codec.__all__:
        assert getattr(lictor.codec, name).__doc__
        assert name in dir(lictor.codec)
    with pytest.raises(AttributeError, match="nothing"):
        _ = lictor.codec.nothing


# ---- arguments of all kinds


@pytest.mark.parametrize("quality", [np.float32(40), np.float16(40), np.int64(40), np.uint8(40)])
def test_numpy_scalars_are_numbers(photo: np.ndarray, quality: np.generic):
    assert api.encode(photo, model=MODEL, quality=quality) == api.encode(
        photo, model=MODEL, quality=40
    )


def test_numpy_scalars_elsewhere(photo: np.ndarray):
    plain = encode(photo, model=MODEL, effort=0, roi=[(3, 4, 9, 9, 0.5)], roi_drop=30)
    box = (np.int16(3), np.uint8(4), np.int64(9), np.float32(9), np.float32(0.5))
    given = {"effort": np.int64(0), "roi": [box], "roi_drop": np.float32(30)}
    assert encode(photo, model=MODEL, **given) == plain
    region = tuple(np.array([3, 4, 9, 9], np.uint16))
    assert decode(plain, region=region).size == (9, 9)


@pytest.mark.parametrize(
    "argument, error",
    [
        *(({"model": value}, "ModelUnavailable") for value in (None, 3, b"fake.pixels", [])),
        *(({"device": value}, "DeviceUnavailable") for value in (None, 3, [], "abacus")),
        *(({"quality": value}, "InvalidQuality") for value in ("", [], 1j, math.nan, math.inf)),
        *(({"effort": value}, "InvalidEffort") for value in (None, 1.0, "1", math.inf)),
        *(
            ({"roi": value}, "InvalidRoi")
            for value in (
                [(0, 0, math.inf, math.inf)],
                [(-math.inf, 0, 1, 1)],
                [(0, 0, math.nan, 1)],
                [(0, 0, 1, 1, math.inf)],
                np.full((4, 4), math.inf),
                np.full((4, 4), math.nan),
                5,
                [],
                {},
                [None],
                [()],
            )
        ),
        *(
            ({"roi": [(0, 0, 9, 9)], "roi_drop": value}, "InvalidRoi")
            for value in (None, "much", math.inf, math.nan, 0, [])
        ),
    ],
)
def test_arguments_that_are_none(photo: np.ndarray, argument: dict, error: str):
    with pytest.raises(CodecError) as caught:
        encode(photo, **{"model": MODEL, **argument})
    assert type(caught.value).__name__ == error and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda a: None,
        lambda a: a.tolist(),
        lambda a: torch.from_numpy(a),
        lambda a: torch.from_numpy(a).to_sparse(),
        lambda a: a.astype(np.float32) / 255,
        lambda a: a.astype(np.int16),
        lambda a: a.astype(object),
        lambda a: a > 9,
        lambda a: np.zeros((2, 3), "u1,u1"),
        lambda a: np.array(["a.png"]),
        lambda a: a[None],
        lambda a: a.transpose(2, 0, 1)[:, :, :7],
        lambda a: a[:, :, :0],
        lambda a: a[:0],
        lambda a: np.uint8(3),
        lambda a: np.ma.masked_array(a, a > 9),
    ],
)
def test_pictures_that_are_none(photo: np.ndarray, make):
    with pytest.raises(CodecError) as caught:
        encode(make(photo), model=MODEL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_either_byte_order(photo: np.ndarray, dtype: str):
    pixels = np.dstack([photo, photo[:, :, 0]]).astype(np.uint16) * 257
    data = encode(pixels.astype(dtype), model=MODEL, quality=100)
    assert data == encode(pixels, model=MODEL, quality=100)
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)


@pytest.mark.parametrize("data", [None, "text", 5, [1], np.zeros(4, ">u2"), np.zeros(9)[::2]])
def test_bytes_that_are_none(data: object):
    with pytest.raises(NotALictorFile):
        decode(data)
