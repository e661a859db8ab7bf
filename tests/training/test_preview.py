"""The fit of previews: what is linear is found, and the command writes what decoders read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lictor.models import preview as previews
from lictor.models import zoo
from lictor.models.quality import Quality
from lictor.training import preview


def test_what_is_linear_is_found():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(192, 5)), rng.normal(size=192)
    given = [rng.normal(size=(50, 5)) for _ in range(4)]
    for x in given:
        x[:, 3] = 0  # a channel that says nothing
    found, own = preview.fitted((x, x @ weight.T + bias) for x in given)
    np.testing.assert_allclose(found[:, [0, 1, 2, 4]], weight[:, [0, 1, 2, 4]], atol=1e-3)
    np.testing.assert_allclose(own, bias, atol=1e-3)
    assert not found[:, 3].any()


@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="the shipped weights are not here")
def test_the_command_writes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from skimage import data

    Image.fromarray(data.astronaut()).save(tmp_path / "a.png")
    monkeypatch.setattr(preview, "CROPS", 4)
    path = tmp_path / "a.preview"
    assert preview.main(["lictor-s.mse", f"data={tmp_path}", str(path)]) == 0
    found = previews._read(path, bytes.fromhex(zoo.index()["lictor-s.mse"].sha256), (0, 0, 0))
    assert found is not None
    half = found(np.zeros((256, 4, 8), np.float32), Quality(200), deep=False)
    assert half.shape == (32, 64, 3)
    assert preview.main(["lictor-s.mse"]) == 2
    assert preview.main(["student-lite0.ce", f"data={tmp_path}", str(path)]) == 2
