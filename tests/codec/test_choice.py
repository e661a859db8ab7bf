"""Which method codes what; that the bound holds and no file is larger than its lossless one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lictor.codec import decode, decode_picture, encode, info, verify
from lictor.codec.api import psnr
from lictor.codec.cli.verify import _verify_line
from lictor.codec.errors import InvalidMethod, InvalidQuality
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import LINEAR
from lictor.codec.image.pillow import Picture
from lictor.codec.kinds.pictures import Pictures
from lictor.codec.picture import arguments, blocks, choice, tiles
from lictor.codec.runtime import light, store
from lictor.models import lossless, zoo
from lictor.models.coding.slope import BOUND, slope, water_level
from lictor.models.linear import coder
from lictor.models.quality import Quality

pytestmark = [
    pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"),
    pytest.mark.skipif(
        not (coder.available() and lossless.available()), reason="the C extensions were not built"
    ),
]
TESTS = Path(__file__).parents[1]
QUICK = ("stripes_of_1_down", "checkers_of_1", "white_noise_coloured", "photocopy", "web_page")


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


@pytest.fixture(scope="module")
def makes() -> dict[str, np.ndarray]:
    path = TESTS / "datasets" / "other_makes.py"
    spec = importlib.util.spec_from_file_location("lictor_other_makes", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pictures()


def page(photo: np.ndarray) -> np.ndarray:
    """256x384: text, a photo, noise."""
    rng = np.random.default_rng(3)
    picture = np.full((256, 384, 3), 255, np.uint8)
    letters = rng.random((32, 12, 6)) < 0.4
    for number in range(24 * 20):
        row, column = 8 + 12 * (number // 20), 6 + 8 * (number % 20)
        if row + 12 < 256:
            shape = letters[rng.integers(32)]
            picture[row : row + 12, column : column + 6][shape] = 20
    picture[:128, 192:] = photo[100:228, 100:292]
    picture[128:, 256:] = rng.integers(0, 256, (128, 128, 3))
    return picture


def kept(pixels: np.ndarray, data: bytes, quality: float, model: str = zoo.TUNED["eyes"]) -> None:
    """No block beyond the bound, and the file no larger than the lossless one."""
    task = choice.Task(arguments.picture(pixels), Quality.of(quality), store.load(model))
    assert (task.errors(decode_picture(data).colours) <= task.bound).all()
    assert len(data) <= len(encode(pixels, quality="lossless"))


@pytest.mark.parametrize("name", QUICK)
def test_promises(name: str, makes: dict[str, np.ndarray]):
    for quality in (0, 60, 100):
        kept(makes[name], encode(makes[name], quality=quality), quality)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lictor-s.mse", "lictor-m.mse", "lictor-s.vis"])
def test_promises_of_all(model: str, makes: dict[str, np.ndarray]):
    """Each picture at two of the qualities 0, 20 … 100, by turns: all six take four minutes."""
    for number, pixels in enumerate(makes.values()):
        for quality in range(20 * (number % 3), 101, 60):
            kept(pixels, encode(pixels, quality=quality, model=model), quality, model)


def test_writing_stays_crisp(makes: dict[str, np.ndarray]):
    """By weights for eyes, too, which see letters as contrast that hides errors."""
    for name, least in (("jpeg_of_text", 26), ("photo_with_subtitles", 25)):
        pixels = makes[name]
        back = decode_picture(encode(pixels, quality=45)).pixels.reshape(pixels.shape)
        assert psnr(pixels, back) > least, name


@pytest.mark.parametrize("name", ["stripes1.png", "text_1bit.png"])
def test_cases(name: str):
    path = TESTS.parent.parent / "shared" / "cases" / name
    if not path.exists():
        pytest.skip("../shared is not here")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
        for quality in (0, 40, 100):
            kept(pixels, encode(image, quality=quality), quality)
        assert len(encode(image, quality=40)) < path.stat().st_size


def test_each_gets_what_suits_it(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiles, "SIDE", 128)
    picture = page(china)
    data = encode(picture, quality=40)
    said, found = info(data), decode_picture(data).pixels
    assert said.shares["lossless"] >= 0.4 and sum(said.shares.values()) == pytest.approx(1)
    np.testing.assert_array_equal(found[:, :128], picture[:, :128])
    kept(picture, data, 40)
    assert "lossless 5" in Pictures().line(vars(said))
    for region in ((0, 0, 384, 256), (100, 90, 200, 120), (383, 255, 1, 1)):
        x, y, width, height = region
        part = decode_picture(data, region=region).pixels
        np.testing.assert_array_equal(part, found[y : y + height, x : x + width])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert encode(picture, quality=40) == data
        np.testing.assert_allclose(decode_picture(data).pixels.astype(int), found, atol=1)
    finally:
        torch.set_num_threads(threads)


def test_photos_stay_with_the_network(china: np.ndarray):
    data = pytest.importorskip("skimage.data")
    photo = np.ascontiguousarray(data.coffee()[:256, :384])
    assert list(info(encode(photo, quality=30)).shares) == ["network"]
    assert encode(photo, quality=30) == encode(photo, quality=30, method="network")


def test_lambda_and_water_level():
    assert (slope(0), slope(100)) == (0.0005, 0.128)
    assert water_level(0) == pytest.approx(4333, abs=1)
    assert coder.step_of(50, 3) ** 2 / 12 == pytest.approx(water_level(50))
    assert coder.step_of(50, 1) ** 2 / 12 == pytest.approx(water_level(50) / 3)


@pytest.mark.parametrize("method", ["network", "linear", "lossless"])
def test_a_method_can_be_forced(method: str, china: np.ndarray):
    picture = page(china)
    options = {} if method == "lossless" else {"quality": 30}
    data = encode(picture, method=method, **options)
    said = info(data)
    assert list(said.methods) == list(said.shares) == [method]
    assert said.lossless == (method == "lossless")
    assert (said.model is None) == (method != "network")
    assert (decode_picture(data).pixels == picture).all() == said.lossless


@pytest.mark.parametrize(
    "options",
    [
        {"method": "magic"},
        {"method": "linear", "quality": "lossless"},
        {"method": "linear", "effort": 1},
        {"quality": "lossless", "effort": 1},
        {"quality": "lossless", "roi": [(0, 0, 9, 9)]},
        {"quality": "lossless", "size": 100},
        {"method": "lossless", "quality": 50},
    ],
)
def test_what_does_not_go_together(options: dict):
    with pytest.raises(InvalidMethod):
        encode(np.zeros((16, 16, 3), np.uint8), **options)


def test_a_quality_that_is_none():
    with pytest.raises(InvalidQuality, match="lossless"):
        encode(np.zeros((16, 16, 3), np.uint8), quality="lossy")


# ---- without loss


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_lossless_gives_back_what_pillow_gives(mode: str, china: np.ndarray):
    image = Image.fromarray(china[:70, :90])
    if mode == "I;16":
        image = Image.fromarray(china[:70, :90, 0].astype(np.uint16) * 255 + 7)
    else:
        image = image.convert(mode)
    back = decode(encode(image, quality="lossless"))
    np.testing.assert_array_equal(
        np.asarray(back), np.asarray(image.convert("L" if mode == "1" else back.mode))
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless_keeps_what_alpha_hides(channels: int, dtype: type):
    rng = np.random.default_rng(1)
    for shape in ((1, 1), (1, 70), (65, 3), (80, 100)):
        pixels = rng.integers(0, np.iinfo(dtype).max + 1, (*shape, channels), dtype)
        pixels[:, : shape[1] // 2, -1] = 0
        found = decode_picture(encode(pixels, quality="lossless"))
        np.testing.assert_array_equal(found.pixels, pixels)


def test_lossless_needs_no_torch(tmp_path: Path):
    code = (
        "import sys, numpy as np; from lictor.codec import decode_picture, encode, info\n"
        "pixels = np.arange(90 * 80 * 3).reshape(90, 80, 3).astype(np.uint8)\n"
        "for method in ('lossless', 'linear'):\n"
        "    data = encode(pixels, method=method)\n"
        "    found = decode_picture(data).pixels\n"
        "    assert info(data).model is None\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_screenshot_takes_fewer_bytes_than_webp(makes: dict[str, np.ndarray]):
    import io

    for name in ("web_page", "terminal", "spreadsheet"):
        file = io.BytesIO()
        Image.fromarray(makes[name]).save(file, "WEBP", lossless=True, quality=100, method=6)
        assert len(encode(makes[name], quality="lossless")) <= file.getbuffer().nbytes


# ---- what else there is


def test_models_with_qualities_of_their_own_are_taken_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
):
    # A property, so that networks which were loaded before this test have it, too.
    off_ladder = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(light.PictureNetwork, "on_ladder", off_ladder, raising=False)
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    data = encode(stripes, quality=30)
    assert list(info(data).methods) == ["network"]


def test_quality_that_varies(makes: dict[str, np.ndarray]):
    """Without a network a map has no place in the file; blocks have the steps of their quality."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    data = encode(noise, quality=90, roi=[(0, 0, 64, 128)], roi_drop=60, method="linear")
    found = decode_picture(data).pixels
    near, far = (float(np.square(noise[p].astype(float) - found[p]).mean()) for p in HALVES)
    assert near < BOUND * water_level(90) and 5 * near < far < BOUND * water_level(30)
    assert info(data).map_bytes == 0


HALVES = np.s_[:, :64], np.s_[:, 64:]


def test_hidden_colours_do_not_count():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32] = np.random.default_rng(0).integers(0, 256, (64, 32, 4))
    pixels[:, :32, 3] = 0
    pixels[:, 32:, 3] = 255
    assert len(encode(pixels, quality=100)) < 200


def test_targets_on_a_page(china: np.ndarray):
    picture = page(china)
    low, high = (len(encode(picture, quality=q)) for q in (10, 90))
    wanted = (low + high) // 2
    assert 0.97 * wanted <= len(encode(picture, size=wanted)) <= wanted
    text = picture[:, :128]
    data = encode(text, size=100_000)  # nothing is better: no warning
    assert info(data).lossless


def test_search_goes_with_it(china: np.ndarray):
    picture = page(china)
    data = encode(picture, quality=30, effort=1)
    kept(picture, data, 30)
    assert "lossless" in info(data).shares


def test_verify_looks_at_the_bound(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    picture = page(china)
    report = verify(picture, quality=40)
    assert report.ok and report.held and 0 < report.worst <= BOUND
    assert sum(report.shares.values()) == pytest.approx(1)
    assert verify(picture, quality="lossless").worst == 0
    noise = np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8) * 255
    forced = verify(noise, quality=100, method="network")
    assert forced.worst > BOUND and forced.held
    monkeypatch.setattr(choice, "_held", lambda task, network, plan, tried=None: _unheld(task))
    broken = verify(noise, quality=100, method="linear")
    assert not broken.held and not broken.ok
    assert "beyond what the quality allows" in _verify_line({**vars(broken), "notes": ()})


def _unheld(task: choice.Task) -> tuple[list, np.ndarray]:
    rough, everything = choice.Task(task.picture, Quality(0), None), np.ones(task.shape, bool)
    return [choice._linear(rough, everything).coded], everything


def test_blocks_that_look_drawn(china: np.ndarray):
    picture = page(china)
    looks = blocks.drawn(picture)
    assert looks[:, :2].all() and not looks[:2, 3:].any() and not looks[2:, 4:].any()
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None]
    assert blocks.drawn(checks).all()


def test_errors_of_blocks():
    a = np.zeros((70, 130, 3), np.uint8)
    b = a.copy()
    b[66, 129] = 10
    errors = blocks.squared_errors(a, b, None)
    assert (
        errors.shape == (2, 3)
        and errors[1, 2] == pytest.approx(100)
        and errors.sum() == (errors[1, 2])
    )
    seen = np.ones((70, 130), bool)
    seen[66, 129] = False
    assert not blocks.squared_errors(a, b, seen).any()
    deep = blocks.squared_errors(a.astype(np.uint16), b.astype(np.uint16) * 257, None)
    np.testing.assert_allclose(deep, errors)


def test_damage_of_blocks_is_found_and_salvaged(
    china: np.ndarray, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]
):
    monkeypatch.setattr(tiles, "SIDE", 64)
    data = encode(china[:130, :200], quality=50, method="linear")
    found = decode_picture(change(data), salvage=True)
    assert found.lost and found.pixels.shape == (130, 200, 3)


@pytest.fixture
def change() -> Callable[[bytes], bytes]:
    def half_way(data: bytes) -> bytes:
        section = next(s for s in bitstream.read(data)[1] if s.kind == LINEAR)
        at = data.index(bytes(section.payload)) + len(section.payload) // 2
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return half_way


def test_pictures_of_pillow_and_arrays_are_the_same(china: np.ndarray):
    picture = page(china)
    assert encode(Image.fromarray(picture), quality=20) == encode(Picture(picture), quality=20)


@pytest.mark.parametrize("quality", [20, 100])
def test_what_alpha_hides_does_not_make_a_file_larger_than_the_lossless_one(quality: int):
    """Black under alpha, lines of two colours above: to go on from these is dearer without loss."""
    rows, columns = np.mgrid[:100, :100]
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[(rows + 2 * columns) % 50 < 2] = 240, 20, 20, 255
    pixels[(columns + 3 * rows) % 70 < 2] = 20, 20, 240, 255
    data, exact = encode(pixels, quality=quality), encode(pixels, quality="lossless")
    assert len(data) <= len(exact)
    np.testing.assert_array_equal(decode_picture(exact).pixels, pixels)
