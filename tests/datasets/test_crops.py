"""Crops are a function of their number, wherever they are cut."""

import numpy as np
import pytest
import torch

from lictor.datasets.crops import Crops, ResidentCrops
from lictor.datasets.pictures import File, Picture


def picture(pixels: np.ndarray, shrink: tuple[float, float] = (1.0, 1.0)) -> Picture:
    return Picture(File("memory"), *pixels.shape[:2], shrink, pixels)


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    from skimage import data

    return [data.astronaut(), data.coffee()]


@pytest.fixture
def crops(photos) -> Crops:
    return Crops([picture(p, (0.5, 0.9)) for p in photos], 64, seed=3)


def test_crops_depend_on_seed_and_number_alone(photos, crops):
    again = Crops([picture(p, (0.5, 0.9)) for p in photos], 64, seed=3)
    other = Crops([picture(p, (0.5, 0.9)) for p in photos], 64, seed=4)
    pixels, quality = crops[10**6]
    assert pixels.shape == (3, 64, 64)
    assert pixels.dtype == np.uint8
    assert 0 <= quality <= 100
    assert np.array_equal(pixels, again[10**6][0])
    assert quality == again[10**6][1]
    assert not np.array_equal(pixels, crops[5][0])
    assert not np.array_equal(pixels, other[10**6][0])


def test_qualities_cover_all(crops):
    qualities = sorted(crops.cut(i).quality for i in range(200))
    assert qualities[0] < 3
    assert qualities[-1] > 97
    assert abs(np.mean(qualities) - 50) < 6


def test_a_crop_of_the_same_size_is_a_part_of_the_picture(photos):
    crops = Crops([picture(photos[0])], 64, seed=1)
    cut = crops.cut(7)
    assert cut.side == 64
    part = photos[0][cut.top : cut.top + 64, cut.left : cut.left + 64]
    part = part[:, ::-1] if cut.mirrored else part
    assert np.array_equal(crops[7][0], part.transpose(2, 0, 1))


@pytest.mark.parametrize("shrink", [(1.0, 1.0), (0.4, 0.9)])
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
            ],
        ),
    ],
)
def test_crops_cut_on_a_device_are_those_of_the_loaders(photos, shrink, device):
    crops = Crops([picture(p, shrink) for p in photos], 64, seed=2)
    x, qualities = ResidentCrops(crops, torch.device(device)).batch(range(40, 52))
    assert x.dtype == torch.uint8
    for i, number in enumerate(range(40, 52)):
        pixels, quality = crops[number]
        assert qualities[i].item() == pytest.approx(float(quality))
        apart = (x[i].cpu().float() - torch.from_numpy(pixels)).abs()
        # Pillow rounds and clips between its two passes.
        assert apart.max() <= (0 if shrink == (1.0, 1.0) else 6)
        assert apart.mean() < 0.3


def test_a_share_of_the_crops_are_made_up_screens(photos):
    plain = Crops([picture(p) for p in photos], 64, seed=3)
    mixed = Crops([picture(p) for p in photos], 64, seed=3, screens=0.25)
    screens = [i for i in range(400) if mixed.is_screen(i)]
    assert 70 < len(screens) < 130
    assert not any(plain.is_screen(i) for i in range(400))
    others = [i for i in range(40) if i not in screens]
    assert all(np.array_equal(mixed[i][0], plain[i][0]) for i in others)
    assert all(mixed[i][1] == plain[i][1] for i in range(40))
    differ = [not np.array_equal(mixed[i][0], plain[i][0]) for i in screens[:20]]
    assert sum(differ) > 15
    assert np.array_equal(mixed[screens[0]][0], mixed[screens[0]][0])


def test_only_pictures_in_memory_can_be_resident(photos):
    with pytest.raises(ValueError, match="not in memory"):
        ResidentCrops(Crops([Picture(File("a.png"), 99, 99)], 64, 1), torch.device("cpu"))


def test_pictures_too_small_for_a_size_are_left_out(photos):
    small, large = picture(photos[0][:100, :100]), picture(photos[1])
    assert len(Crops([small, large], 64, 1).pictures) == 2
    assert len(Crops([small, large], 128, 1).pictures) == 1
    with pytest.raises(ValueError, match="no picture holds a crop of 512"):
        Crops([small, large], 512, 1)


def test_a_picture_that_turns_out_unreadable_is_passed_over(photos, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"gone")
    crops = Crops([Picture(File(bad), 512, 512), picture(photos[0])], 64, seed=1)
    for i in range(8):
        assert crops[i][0].shape == (3, 64, 64)
    assert "bad.png: skipped" in capsys.readouterr().err
    with pytest.raises(OSError, match="100 pictures in a row"):
        Crops([Picture(File(bad), 512, 512)], 64, seed=1)[0]
