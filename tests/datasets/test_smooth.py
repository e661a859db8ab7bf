"""Made-up smooth pictures."""

import numpy as np
import pytest

from lictor.datasets.smooth import smooth


@pytest.mark.parametrize("seed", range(20))
def test_a_smooth_picture_is_one(seed: int):
    picture = smooth(np.random.default_rng(seed), 128)
    assert picture.shape == (3, 128, 128)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1
    for axis in (1, 2):
        # Of curvature, too, there is less than what 8 bits can show.
        assert np.abs(np.diff(picture, 2, axis)).max() < 1 / 64
        assert np.abs(np.diff(picture, 1, axis)).max() < 1 / 8


def test_some_are_gray_and_some_have_colours():
    made = [smooth(np.random.default_rng(seed), 64) for seed in range(40)]
    gray = sum(bool((p[0] == p[1]).all() and (p[1] == p[2]).all()) for p in made)
    assert 4 < gray < 30


def test_it_is_a_function_of_the_generator():
    one, same, other = (smooth(np.random.default_rng(seed), 64) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
