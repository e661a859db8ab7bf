"""Pillow opens and saves Lictor files as it does its own formats, and so do its users."""

from __future__ import annotations

import importlib
import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from lictor.codec import PictureWarning, api, encode_features
from lictor.codec.errors import InvalidQuality
from lictor.codec.picture import outline

FORMAT = "LICTOR"
EXACT = {"format": FORMAT, "lossless": True}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@pytest.fixture(scope="module", autouse=True)
def plugin(pillow_forgets: None) -> ModuleType:
    """Registered for the tests of this file."""
    return importlib.import_module("lictor.pillow")


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **{**EXACT, **options})
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def pixels(channels: int, shape: tuple[int, int] = (21, 33)) -> np.ndarray:
    rng = np.random.default_rng(channels)
    found = rng.integers(0, 256, (*shape, channels), np.uint8)
    return found[:, :, 0] if channels == 1 else found


# ---- what is in a picture


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (21, 33)])
@pytest.mark.parametrize("channels", MODES)
def test_pictures_come_back(channels: int, shape: tuple[int, int]):
    image = Image.fromarray(pixels(channels, shape))
    again = opened(saved(image))
    assert (again.format, again.mode, again.size) == (FORMAT, MODES[channels], image.size)
    assert again.get_format_mimetype() == "image/x-lictor"
    assert np.array_equal(np.asarray(again), np.asarray(image))
    again.putpixel((0, 0), image.getpixel((0, 0)))  # it can be written to


def test_gray_of_sixteen_bits_comes_back():
    levels = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 31
    again = opened(saved(Image.fromarray(levels)))
    assert again.mode == "I;16"
    assert np.array_equal(np.asarray(again), levels)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_sixteen_bits_are_as_decode_gives_them(channels: int):
    levels = np.random.default_rng(0).integers(0, 2**16, (9, 8, channels)).astype(np.uint16)
    data = api.encode(levels, quality="lossless")
    again = opened(data)
    assert again.mode == MODES[channels]
    assert np.array_equal(np.asarray(again), np.asarray(api.decode(data)))


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "I"])
def test_modes_that_the_format_lacks_are_saved_as_encode_takes_them(mode: str):
    image = Image.fromarray(pixels(3)).convert(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)
        wanted = api.decode(api.encode(image, quality="lossless"))
        again = opened(saved(image))
    assert again.mode == wanted.mode
    assert np.array_equal(np.asarray(again), np.asarray(wanted))


# ---- laziness


def test_opening_decodes_nothing(monkeypatch: pytest.MonkeyPatch):
    data = saved(Image.fromarray(pixels(3)), icc_profile=PROFILE)

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(api, "decode_picture", refuse)
    image = opened(data)
    assert (image.size, image.mode, image.info["icc_profile"]) == ((33, 21), "RGB", PROFILE)
    with pytest.raises(AssertionError, match="decoded"):
        image.load()


def test_neither_opening_nor_lossless_pictures_need_torch(tmp_path: Path):
    (tmp_path / "a.lictor").write_bytes(saved(Image.fromarray(pixels(3))))
    code = (
        "import sys, lictor.pillow; from PIL import Image\n"
        "image = Image.open('a.lictor'); image.info\n"
        "assert 'torch' not in sys.modules; image.load(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_picture_of_a_network_is_what_decode_gives(photo: np.ndarray):
    data = saved(Image.fromarray(photo), lossless=False, quality=30, model="fake.pixels")
    again = opened(data)
    assert np.array_equal(np.asarray(again), np.asarray(api.decode(data)))


# ---- metadata


def test_metadata_of_the_image_come_along():
    exif = Image.Exif()
    exif[0x010E] = "a description"
    image = Image.fromarray(pixels(3))
    image.info |= {"icc_profile": PROFILE, "exif": exif.tobytes()}
    again = opened(saved(image))
    assert again.info["icc_profile"] == PROFILE
    assert again.getexif()[0x010E] == "a description"
    bare = opened(saved(again, strip=True, lossless=False, method="linear"))
    assert not {"icc_profile", "exif"} & bare.info.keys()


def test_metadata_that_are_given_count():
    exif = Image.Exif()
    exif[0x010E] = "new"
    image = Image.fromarray(pixels(3))
    image.info |= {"icc_profile": b"old", "exif": b"old", "gamma": 0.45455}
    again = opened(saved(image, icc_profile=PROFILE, exif=exif))
    assert again.info["icc_profile"] == PROFILE and "gamma" not in again.info
    assert again.getexif()[0x010E] == "new"
    assert image.info["icc_profile"] == b"old"
    bare = opened(saved(again, icc_profile=None, exif=b""))
    assert bare.info == {}


def test_orientation_that_is_given_turns_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pixels(1))
    again = opened(saved(image, exif=exif))
    assert again.size == (21, 33) and again.getexif().get(0x0112, 1) == 1
    assert np.array_equal(np.asarray(again), np.rot90(np.asarray(image), -1))


# ---- what Pillow's formats do


def test_files_by_name(tmp_path: Path):
    image = Image.fromarray(pixels(3))
    for suffix in (".bin", ".lictor", ".LICTOR"):
        path = tmp_path / f"a{suffix}"
        image.save(path, lossless=True)
        with Image.open(path) as again:
            assert again.format == FORMAT
            again.load()
            assert again.fp is None  # closed, as it is for others


def test_pickle_copy_and_parser():
    image = Image.fromarray(pixels(4))
    data = saved(image)
    for again in (pickle.loads(pickle.dumps(opened(data))), opened(data).copy()):
        assert np.array_equal(np.asarray(again), np.asarray(image))
    parser = ImageFile.Parser()
    for start in range(0, len(data), 100):
        parser.feed(data[start : start + 100])
    assert np.array_equal(np.asarray(parser.close()), np.asarray(image))


def test_verify_finds_damage_and_ends_the_image():
    data = bytearray(saved(Image.fromarray(pixels(3))))
    image = opened(bytes(data))
    image.verify()
    with pytest.raises(ValueError, match="closed"):
        image.load()
    data[-10] ^= 1
    with pytest.raises(OSError, match="damaged"):
        opened(bytes(data)).verify()


def test_closed_images_do_not_load():
    with opened(saved(Image.fromarray(pixels(3)))) as image:
        pass
    with pytest.raises(ValueError, match="closed"):
        image.load()


@pytest.mark.parametrize("length", [0, 2, 3, 10, 20])
def test_a_file_cut_in_its_header_is_no_picture(length: int):
    with pytest.raises(UnidentifiedImageError):
        opened(saved(Image.fromarray(pixels(3)))[:length])


def test_newer_files_are_refused_by_name():
    data = bytearray(saved(Image.fromarray(pixels(3))))
    data[3] = 9
    with pytest.raises(UnidentifiedImageError, match="format version 9"):
        opened(bytes(data))


def test_arrays_are_no_picture():
    with (
        pytest.warns(UserWarning, match="holds arrays"),
        pytest.raises(UnidentifiedImageError),
    ):
        opened(encode_features(np.zeros(5, np.float32)))


def test_every_cut_opens_or_is_no_picture_and_never_loads():
    data = saved(Image.fromarray(pixels(3)), icc_profile=PROFILE)
    for length in range(0, len(data), 7):
        try:
            image = opened(data[:length])
        except UnidentifiedImageError:
            continue
        assert image.size == (33, 21)
        with pytest.raises(OSError):
            image.load()


def test_truncated_files_load_as_far_as_they_go_if_that_is_asked(
    china: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    large = np.tile(china, (5, 3, 1))  # more than one tile
    data = saved(Image.fromarray(large), lossless=False, method="linear", quality=20)
    cut = data[: len(data) * 2 // 3]
    with pytest.raises(OSError, match="ends after"):
        opened(cut).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = opened(cut)
    with pytest.warns(PictureWarning):
        image.load()
    whole = np.asarray(api.decode(data))
    assert np.array_equal(np.asarray(image)[:512, :512], whole[:512, :512])


def test_outline_leaves_damaged_metadata_out():
    data = bytearray(saved(Image.fromarray(pixels(3)), icc_profile=PROFILE))
    assert outline.outline(bytes(data)).icc == PROFILE
    data[-6] ^= 1  # in the profile, which comes last
    assert outline.outline(bytes(data)).icc == b""


# ---- parameters


def test_parameters_are_those_of_encode(photo: np.ndarray, plugin: ModuleType):
    image = Image.fromarray(photo)
    given = {"quality": 40, "model": "fake.pixels", "method": "network"}
    assert saved(image, lossless=False, **given) == api.encode(image, **given)
    assert saved(image, lossless=False, method="linear", optimize=True) == api.encode(
        image, method="linear"
    )
    assert set(plugin._OPTIONS) == set(api.encode.__kwdefaults__) - {"salvage", "stop"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"quality": 101}, InvalidQuality),
        ({"lossless": True, "quality": 40}, ValueError),
        ({"model": "none.such"}, OSError),
    ],
)
def test_wrong_parameters_leave_no_file(options: dict, error: type, tmp_path: Path):
    with pytest.raises(error):
        Image.fromarray(pixels(3)).save(tmp_path / "a.lictor", **options)
    assert not (tmp_path / "a.lictor").exists()


# ---- who reads pictures by Pillow


def test_imageio_and_matplotlib(tmp_path: Path):
    import imageio.v3 as iio

    pyplot = pytest.importorskip("matplotlib.pyplot")
    image = pixels(3)
    for suffix in (".bin", ".lictor"):
        iio.imwrite(tmp_path / f"a{suffix}", image, lossless=True)
        assert np.array_equal(iio.imread(tmp_path / f"a{suffix}"), image)
        assert np.array_equal(pyplot.imread(tmp_path / f"a{suffix}"), image)
    pyplot.imsave(tmp_path / "b.lictor", image, pil_kwargs={"lossless": True})
    assert np.array_equal(pyplot.imread(tmp_path / "b.lictor")[:, :, :3], image)


def test_torchvision_folders(tmp_path: Path):
    datasets = pytest.importorskip("torchvision.datasets")
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        Image.fromarray(pixels(3)).save(tmp_path / label / "a.lictor", lossless=True)
    found = datasets.ImageFolder(tmp_path, is_valid_file=lambda name: name.endswith(".lictor"))
    assert [label for _, label in found] == [0, 1]
    assert np.array_equal(np.asarray(found[0][0]), pixels(3))
