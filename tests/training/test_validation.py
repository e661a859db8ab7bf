"""What is held out, and how it is looked at."""

import numpy as np
import pytest

from lictor.datasets.pictures import File, Picture
from lictor.training import validation
from lictor.training.validation import Point


def pictures(count: int) -> list[Picture]:
    return [Picture(File(f"{i}.png"), 100, 100) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "share", "held"), [(1, 0.05, 0), (2, 0.05, 1), (30, 0.05, 2), (3000, 0.05, 12)]
)
def test_some_are_held_out(count, share, held):
    train, test = validation.split(pictures(count), share)
    assert (len(train), len(test)) == (count - held, held)
    assert not set(train) & set(test)
    assert validation.split(pictures(count), share) == (train, test)


def test_none_are_held_out_if_told_so():
    assert validation.split(pictures(30), 0.0) == (pictures(30), [])


def test_middles_are_kept_whole(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (500, 200, 3), np.uint8)
    validation.keep([Picture(File("a"), 500, 200, (1.0, 1.0), pixels)], tmp_path, 64)
    (middle,) = validation.kept(tmp_path)
    assert np.array_equal(middle, pixels[58:442, 4:196])


def test_pictures_that_are_shrunk_stay_large_enough(tmp_path):
    pixels = np.zeros((300, 240, 3), np.uint8)
    picture = Picture(File("a"), 300, 240, (0.5, 0.9), pixels)
    for least, shape in ((192, (192, 192, 3)), (64, (192, 128, 3))):
        validation.keep([picture], tmp_path, least)
        assert validation.kept(tmp_path)[0].shape == shape


def test_the_plot_shows_every_curve():
    curve = [Point(q, 1.0, 0.1 + q / 50, 27 + q / 10) for q in validation.QUALITIES]
    better = [Point(p.quality, 1.0, p.bpp * 0.9, p.psnr + 1) for p in curve]
    colours = np.asarray(validation.plot([curve, better])).reshape(-1, 3)
    assert {(0, 0, 255), (211, 211, 211)} <= set(map(tuple, colours))
