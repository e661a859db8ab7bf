"""Colours that nobody sees neither cost bytes nor shine through."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from lictor.codec import api
from lictor.codec.image import hidden
from lictor.codec.image.pillow import Picture

MODEL = "fake.pixels"


@pytest.fixture
def see_through(china: np.ndarray) -> np.ndarray:
    """A photo with a hole, of all alphas, and noise below alpha 0: uint8 (75, 91, 4)."""
    y, x = np.mgrid[:75, :91]
    alpha = np.clip(np.hypot(y - 30, x - 50) * 20 - 300, 0, 255).astype(np.uint8)
    colours = china[200:275, 300:391].copy()
    noise = np.random.default_rng(1).integers(0, 256, colours.shape, np.uint8)
    colours[alpha == 0] = noise[alpha == 0]
    return np.dstack([colours, alpha])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_what_can_be_seen_stays(see_through: np.ndarray, channels: int, dtype: type):
    given = see_through[:, :, 4 - channels :].astype(dtype)
    seen = given[:, :, -1] > 0
    before = given.copy()
    covered = hidden.covered(given)
    np.testing.assert_array_equal(given, before)
    assert covered.dtype == dtype and covered.shape == given.shape
    np.testing.assert_array_equal(covered[seen], given[seen])
    np.testing.assert_array_equal(covered[:, :, -1], given[:, :, -1])
    np.testing.assert_array_equal(hidden.covered(covered), covered)


def test_what_is_hidden_does_not_matter(see_through: np.ndarray):
    other = see_through.copy()
    other[other[:, :, 3] == 0, :3] = 7
    np.testing.assert_array_equal(hidden.covered(see_through), hidden.covered(other))
    files = [api.encode(pixels, model=MODEL) for pixels in (see_through, other)]
    assert files[0] == files[1]


def test_colours_go_on_smoothly(see_through: np.ndarray):
    covered = hidden.covered(see_through)[:, :, :3].astype(int)
    inside = see_through[:, :, 3] == 0
    steps = np.abs(np.diff(covered, axis=1)).max(axis=2)[inside[:, 1:] & inside[:, :-1]]
    assert steps.mean() < 4
    around = covered[(see_through[:, :, 3] > 0) & (see_through[:, :, 3] < 255)]
    assert (covered[inside].min(axis=0) >= around.min(axis=0) - 2).all()
    assert (covered[inside].max(axis=0) <= around.max(axis=0) + 2).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (17, 33), (600, 20), (1050, 3)])
def test_one_colour_goes_on_everywhere(shape: tuple[int, int]):
    pixels = np.zeros((*shape, 4), np.uint8)
    pixels[-1, -1] = (10, 200, 30, 1)
    assert (hidden.covered(pixels)[:, :, :3] == (10, 200, 30)).all()


def test_a_ramp_goes_on_across_bands():
    """What is at work at a time does not show."""
    ramp = np.linspace(0, 65535, 1200).astype(np.uint16)[:, None, None].repeat(40, axis=1)
    alpha = np.zeros((1200, 40, 1), np.uint16)
    alpha[::97] = 65535
    covered = hidden.covered(np.dstack([ramp, alpha]))[:, :, 0].astype(int)
    assert np.abs(covered[100:1100] - ramp[100:1100, :, 0]).max() < 3000
    assert np.abs(np.diff(covered[97:1165], axis=0)).max() < 1500


def test_nothing_to_be_seen_costs_nothing():
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 4), np.uint8)
    noise[:, :, 3] = 0
    data = api.encode(noise, model=MODEL)
    flat = np.full_like(noise, 128)
    flat[:, :, 3] = 0
    assert data == api.encode(flat, model=MODEL)
    assert not api.decode_picture(data).alpha.any()


def test_opaque_pictures_are_not_touched(china: np.ndarray):
    for pixels in (china, china[:, :, :1], np.dstack([china, china[:, :, 0] | 1])):
        assert hidden.covered(pixels) is pixels


def test_verify_judges_what_can_be_seen(see_through: np.ndarray):
    report = api.verify(Picture(see_through), quality=100, model=MODEL)
    assert report.same and report.psnr == np.inf
    see_through[:, :, 3] = 0
    assert api.verify(Picture(see_through), quality=10, model=MODEL).psnr == np.inf


def test_memory_grows_by_the_pixels_only():
    def peak(height: int) -> int:
        pixels = np.zeros((height, 500, 4), np.uint8)
        pixels[::50, ::50] = 255
        tracemalloc.start()
        hidden.covered(pixels)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(8000) - peak(2000) < 1.3 * 6000 * 500 * 4
