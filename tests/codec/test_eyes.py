"""`--tune eyes`: quality by what texture and darkness hide or show."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lictor.codec import decode_picture, encode, info
from lictor.codec.cli.main import cli
from lictor.codec.errors import InvalidMethod, InvalidOption, TargetMissed
from lictor.codec.picture.eyes import (
    HIGHEST,
    LOWEST,
    MOST_HIDDEN,
    UNIT,
    hidden,
    offsets,
    quality_map,
)
from lictor.models.quality import Quality

MODEL = "fake.pixels"


def quarters(gray: np.ndarray) -> np.ndarray:
    """64x128 gray samples as a picture."""
    return gray.astype(np.uint8)[:, :, None]


@pytest.fixture
def noisy_half() -> np.ndarray:
    """Left flat, right full of noise: uint8 (64, 128, 1), of mean 128."""
    gray = np.full((64, 128), 128)
    gray[:, 64:] += np.random.default_rng(1).integers(-90, 91, (64, 64))
    return quarters(gray)


def test_what_texture_hides(noisy_half: np.ndarray):
    found = hidden(noisy_half)
    assert found.shape == (4, 8)
    assert (found[:, :4] == 1).all() and (found[:, 4:] == MOST_HIDDEN).all()
    assert np.allclose(hidden(noisy_half.astype(np.uint16) * 257), found)
    assert hidden(noisy_half[:1, :1]).shape == (4, 4)


def test_texture_gets_less_than_what_is_calm(noisy_half: np.ndarray):
    found = offsets(noisy_half)
    assert found.shape == (4, 8) and abs(found.mean()) < 1e-3
    assert found[:, :4].min() > 5 > -5 > found[:, 4:].max()


def test_the_dark_gets_more():
    gray = np.full((64, 128), 128)
    gray[:, :64] = 5
    found = offsets(quarters(gray))
    assert found[:, :4].min() > 4 > -4 > found[:, 4:].max()


def test_samples_of_16_bits_and_equal_channels_are_judged_alike(noisy_half: np.ndarray):
    expected = offsets(noisy_half)
    np.testing.assert_allclose(offsets(noisy_half.astype(np.uint16) * 257), expected, atol=1e-3)
    np.testing.assert_allclose(offsets(noisy_half.repeat(3, axis=2)), expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 130, 3), (200, 1, 3), (65, 63, 1)])
def test_any_size(shape: tuple[int, int, int]):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    found = offsets(pixels)
    assert found.shape == tuple(-(-side // 64) * 4 for side in shape[:2])
    assert found.min() >= LOWEST and found.max() <= HIGHEST
    made = encode(pixels, model=MODEL, tune="eyes")
    assert decode_picture(made).pixels.shape[:2] == shape[:2]


@pytest.mark.parametrize("quality", [0.0, 0.5, 3.25, 50.0, 97.75, 100.0])
def test_a_map_stays_on_the_scale(noisy_half: np.ndarray, quality: float):
    step = Quality.of(quality).highest
    found = quality_map(np.array([[LOWEST, 0.0], [HIGHEST, 1.0]]), Quality(step))
    assert 0 <= found.lowest <= step <= found.highest <= 400
    if found.map is not None:
        assert not np.unique((found.map - step) % UNIT).any()
    info(encode(noisy_half, quality=quality, model=MODEL, tune="eyes"))


def test_a_picture_that_is_alike_everywhere_has_no_map():
    made = encode(np.full((64, 64, 3), 90, np.uint8), quality=30, model=MODEL, tune="eyes")
    assert info(made).quality == 30 and not info(made).map_bytes


def test_a_region_adds_to_it(noisy_half: np.ndarray):
    plain = info(encode(noisy_half, model=MODEL, tune="eyes"))
    roi = info(encode(noisy_half, model=MODEL, tune="eyes", roi=(0, 0, 64, 64), roi_drop=20))
    assert roi.quality_low < plain.quality_low and roi.quality == plain.quality


def test_targets_are_met_with_it(china: np.ndarray):
    wanted = len(encode(china, quality=33, model=MODEL, tune="eyes"))
    with warnings.catch_warnings():  # sizes of the fake model are far from any codec's
        warnings.simplefilter("ignore", TargetMissed)
        made = encode(china, model=MODEL, tune="eyes", size=wanted)
    assert 0.97 * wanted <= len(made) <= wanted and info(made).map_bytes


def test_what_it_cannot_be(china: np.ndarray, monkeypatch: pytest.MonkeyPatch, fake: ModuleType):
    with pytest.raises(InvalidOption, match="give one of eyes, psnr"):
        encode(china, model=MODEL, tune="ears")
    with pytest.raises(InvalidMethod, match="a lossless file has no tune"):
        encode(china, quality="lossless", tune="eyes")
    monkeypatch.setattr(fake.Fake, "takes_maps", False)
    with pytest.raises(InvalidOption, match="leave tune=eyes out"):
        encode(china, model=MODEL, tune="eyes")


def test_command(noisy_half: np.ndarray, tmp_path: Path):
    Image.fromarray(noisy_half[:, :, 0]).save(tmp_path / "a.png")
    args = ["encode", str(tmp_path / "a.png"), str(tmp_path / "a.bin"), "--model", MODEL]
    result = CliRunner().invoke(cli, [*args, "--tune", "eyes"])
    assert result.exit_code == 0, result.output
    assert info((tmp_path / "a.bin").read_bytes()).map_bytes
