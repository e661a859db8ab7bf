"""Made-up screens: every kind is a function of its generator, and shows what it says."""

import subprocess
import sys

import numpy as np
import pytest

from lictor.datasets import fonts, screen_patterns, screen_text
from lictor.datasets.screens import KINDS, screen, screen_of

BILEVEL = ("checks", "stripes", "dither_diffused", "dither_ordered", "dither_random", "halftone")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:192, 100:292].transpose(2, 0, 1))


def levels(picture: np.ndarray) -> int:
    """How many colours there are."""
    wide = picture.astype(np.uint32)
    return len(np.unique(wide[0] << 16 | wide[1] << 8 | wide[2]))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mixed", [False, True], ids=["alone", "photo"])
def test_a_kind_is_a_function_of_its_generator(name, mixed, photo):
    kind, shot = KINDS[name], photo if mixed else None
    for seed, size in enumerate((64, 97, 192, 256)):
        one, same = (screen_of(kind, np.random.default_rng(seed), size, shot) for _ in range(2))
        assert one.shape == (3, size, size)
        assert one.dtype == np.uint8
        assert one.flags.c_contiguous
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_variety(name, photo):
    made = [screen_of(KINDS[name], np.random.default_rng(seed), 96, photo) for seed in range(16)]
    assert len({picture.tobytes() for picture in made}) >= 15
    # Some are flat by chance: text may all be off the crop, a pattern finer than a pixel.
    assert sum(np.ptp(picture) >= 40 for picture in made) >= 12


@pytest.mark.parametrize("size", [16, 64, 512])
def test_any_size_and_any_photo(size, photo):
    for seed in range(30):
        for shot in (None, photo, photo[:, :40, :100]):
            assert screen(np.random.default_rng(seed), size, shot).shape == (3, size, size)


def test_the_generator_goes_on(photo):
    random = np.random.default_rng(1)
    made = [screen(random, 64, photo) for _ in range(60)]
    assert len({picture.tobytes() for picture in made}) >= 58


def test_uniform_regions_and_full_contrast_are_common(photo):
    made = [screen(np.random.default_rng(seed), 96, photo) for seed in range(200)]
    full = sum(p.min() == 0 and p.max() == 255 for p in made)
    flat = sum(np.mean((p[:, 1:] == p[:, :-1]).all(0)) > 0.5 for p in made)
    assert full > 80
    assert flat > 60


@pytest.mark.parametrize("name", BILEVEL)
def test_some_have_two_levels_and_some_more(name, photo):
    kind = KINDS[name]
    counts = [levels(screen_of(kind, np.random.default_rng(s), 96, photo)) for s in range(60)]
    assert counts.count(2) >= 5
    assert max(counts) > 2


def test_stripes_as_fine_as_pixels_occur():
    finest = 0
    for seed in range(200):
        made = np.asarray(screen_patterns.stripes(np.random.default_rng(seed), 64, None), int)
        rows, columns = (np.abs(np.diff(made, axis=axis)).max(2) for axis in (0, 1))
        finest += bool((rows > 40).all() or (columns > 40).all())
    assert finest >= 5


def test_checks_of_one_pixel_occur():
    drawn = (np.random.default_rng(seed) for seed in range(99))
    made = [np.asarray(screen_patterns.checks(random, 32, None), int) for random in drawn]
    steps = [np.abs(np.diff(picture, axis=0)).max(2) for picture in made]
    assert sum(bool((step > 0).all()) for step in steps) >= 5


def test_ordered_dither_keeps_the_mean():
    bayer = screen_patterns._bayer(3)
    assert sorted(bayer.ravel() * 64 - 0.5) == list(range(64))
    for tone in (0.25, 0.5, 0.75):
        assert np.floor(tone + bayer).mean() == tone


def test_text_is_smoothed_in_each_way_that_it_says():
    ways = {}
    for way in screen_text._WAYS:
        sheet = screen_text.Sheet(np.random.default_rng(0), 64, (0, 0, 0), way)
        sheet.text(3, 20, "Wolkig", fonts._PILLOWS, 18)
        ways[way] = np.asarray(sheet.upon(screen_text.Image.new("RGB", (64, 64), (255, 255, 255))))
    colours = {way: levels(made.transpose(2, 0, 1)) for way, made in ways.items()}
    assert colours["bilevel"] == 2
    assert colours["gray"] > 4
    assert colours["fine"] > 4
    grays = {way: bool((made[..., 0] == made[..., 2]).all()) for way, made in ways.items()}
    assert grays == {"gray": True, "bilevel": True, "fine": True, "fringed": False}
    # All ways set the same words, about as dark.
    darkness = [255 - made.mean() for made in ways.values()]
    assert max(darkness) < 1.3 * min(darkness)


def test_pillows_font_is_enough(monkeypatch, photo):
    monkeypatch.setattr(fonts, "_paths", lambda: [fonts._PILLOWS])
    for name in ("paragraphs", "code", "table", "plot", "interface", "headline"):
        made = [screen_of(KINDS[name], np.random.default_rng(s), 128, photo) for s in range(4)]
        assert max(np.ptp(p) for p in made) > 60


def test_a_broken_font_is_passed_over(monkeypatch, tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font at all")
    monkeypatch.setattr(fonts, "_paths", lambda: [str(broken)])
    assert fonts.draw_font(np.random.default_rng(0)) == fonts._PILLOWS


def test_fonts_are_many_where_matplotlib_brings_them():
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(0)
    drawn = {fonts.draw_font(random) for _ in range(200)}
    assert len(drawn) > 8
    assert all(fonts.sets(path, "english") for path in drawn)


def test_no_font_is_looked_for_at_import():
    say = "from lictor.datasets import screens, fonts; print(fonts._paths.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize(
    ("size", "shot", "said"),
    [
        (8, None, "too small"),
        (64, np.zeros((64, 64, 3), np.uint8), "uint8"),
        (64, np.zeros((3, 64, 64), np.float32), "float32"),
        (64, np.zeros((3, 64, 4), np.uint8), "at least 16"),
    ],
)
def test_what_is_none_of_these_is_refused(size, shot, said):
    with pytest.raises(ValueError, match=said):
        screen(np.random.default_rng(0), size, shot)
