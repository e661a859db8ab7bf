"""Weights that are not shipped, found where a Store says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lictor import models
from lictor.codec import CodecError, Store, decode, encode, estimate, latents, verify
from lictor.codec.api import psnr
from lictor.models import checkpoint, zoo

pytestmark = pytest.mark.skipif(
    "lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"
)
NAME = "lictor-s.mine"


@pytest.fixture(autouse=True)
def only_fake_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real ones here, and none from outside."""
    monkeypatch.delenv("LICTOR_CHECKPOINTS", raising=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / f"{NAME}.safetensors"
    checkpoint.save(models.load("lictor-s.mse"), path, NAME, {})
    return path


@pytest.fixture(scope="module")
def coded(weights: Path, china: np.ndarray) -> bytes:
    return encode(china[:40, :50], model=weights)


@pytest.mark.parametrize("folder", [True, False])
def test_a_folder_or_a_file_is_a_place(weights: Path, coded: bytes, folder: bool):
    own = Store((weights.parent if folder else weights,))
    assert decode(coded, models=own).size == (50, 40)
    assert latents(coded, models=own).values.shape == (256, 4, 4)


def test_names_are_looked_for_in_it(weights: Path, coded: bytes, china: np.ndarray):
    own = Store((weights.parent,))
    picture = china[:40, :50]
    assert encode(picture, model=NAME, models=own) == coded
    assert estimate(picture, model=NAME, models=own) == estimate(picture, model=weights)
    assert verify(picture, model=NAME, models=own).same
    worth = psnr(picture, np.asarray(decode(coded, models=own)))
    assert encode(picture, model=NAME, models=own, psnr=worth)  # decodes what it measures
    with pytest.raises(CodecError, match="unknown model"):
        encode(picture, model=NAME)


def test_without_it_a_file_cannot_be_decoded(coded: bytes):
    with pytest.raises(CodecError, match="unknown model"):
        decode(coded)


def test_the_environment_is_what_the_default_store_reads(
    weights: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(weights.parent))
    decode(coded)
    decode(coded, models=Store().also("elsewhere"))
    with pytest.raises(CodecError, match="unknown model"):
        decode(coded, models=Store(()))


def test_shipped_weights_are_in_every_store(china: np.ndarray):
    nowhere = Store(())
    data = encode(china[:20, :20], models=nowhere)
    assert data == encode(china[:20, :20])
    assert decode(data, models=nowhere).size == (20, 20)
