"""Models as contestants: shipped ones, weights files by path, CompressAI's as one curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lictor import models
from lictor.codec.bench import catalogue, learned
from lictor.codec.bench.contender import Missing

ARCHITECTURE = "bmshj2018-factorized"


@pytest.fixture(autouse=True)
def only_fake_models() -> None:
    """Real ones here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of two rates."""
    pytest.importorskip("compressai")
    import torch
    from compressai.models import FactorizedPrior

    out = tmp_path_factory.mktemp("weights")
    for number, tag in ((4, "q4"), (1, "q1")):
        torch.manual_seed(number)
        models.import_weights(ARCHITECTURE, FactorizedPrior(8, 8 * number).state_dict(), out, tag)
    return out


def test_weights_of_several_rates_are_one_curve(
    folder: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(Missing, match="no weights"):
        catalogue.find(ARCHITECTURE)
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(folder))
    codec = catalogue.find(ARCHITECTURE)
    assert codec.learned and codec.qualities == (1, 4)
    coded = [codec.encode(photo, quality) for quality in codec.qualities]
    assert coded[0] != coded[1]
    assert all(codec.decode(data).shape == photo.shape for data in coded)


def test_a_weights_file_by_its_path(folder: Path, photo: np.ndarray):
    codec = catalogue.find(str(folder / f"{ARCHITECTURE}.q4.safetensors"))
    assert codec.name == f"{ARCHITECTURE}.q4" and codec.qualities == (4,)
    assert codec.decode(codec.encode(photo, 4)).shape == photo.shape


def test_effort_is_part_of_the_name(china: np.ndarray):
    plain, searched = (catalogue.find(name) for name in ("lictor-s.mse", "lictor-s.mse-e1"))
    assert (plain.name, searched.name) == ("lictor-s.mse", "lictor-s.mse-e1")
    assert catalogue.find("lictor-s.mse", effort=1).name == searched.name
    assert searched.settings["effort"] == 1 and searched.estimate is None
    photo = np.ascontiguousarray(china[:64, :90])
    assert plain.encode(photo, 80) != searched.encode(photo, 80)
    assert searched.decode(searched.encode(photo, 80)).shape == photo.shape


def test_work_is_counted(china: np.ndarray):
    work = learned.work(catalogue.find("lictor-s.mse"), china)
    assert work is not None and 20 < work < 40  # thousands a pixel, encoder and decoder
    assert learned.work(catalogue.find("jpeg"), china) is None
