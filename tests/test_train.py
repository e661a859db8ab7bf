"""Training on pictures that a package ships: settings, data, and a run that leaves weights."""

import importlib.util
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lictor import models
from lictor.datasets.pictures import Crops, Source, load_pictures

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def training():
    """train.py, which is a script and not part of the package."""
    spec = importlib.util.spec_from_file_location("lictor_train", ROOT / "train.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(data.astronaut()).save(folder / "astronaut.png")
    (folder / "deeper").mkdir()
    Image.fromarray(data.coffee()).save(folder / "deeper" / "coffee.jpg", quality=95)
    return folder


def test_settings_from_file_and_arguments(training, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('data = "photos"\nminutes = 5\nbf16 = true\n')
    config = training.configure([str(recipe), "minutes=2.5", "batch=3"])
    assert (config.data, config.minutes, config.batch, config.bf16) == ("photos", 2.5, 3, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=x", "minuets=3"], "unknown setting 'minuets'; did you mean 'minutes'"),
        (["data=x", "batch=many"], "batch takes int, not 'many'"),
        (["data=x", "resume=perhaps"], "resume takes true or false"),
        ([], "name the pictures"),
    ],
)
def test_bad_settings(training, arguments, message):
    with pytest.raises(ValueError, match=message):
        training.configure(arguments)


def test_source_text():
    assert Source.parse("a/b.tar") == Source(Path("a/b.tar"), (1.0, 1.0))
    assert Source.parse("photos:0.6:0.9") == Source(Path("photos"), (0.6, 0.9))
    with pytest.raises(ValueError, match="LOW:HIGH"):
        Source.parse("photos:0.9:0.6")


def test_unreadable_and_small_pictures_are_named_and_skipped(photos, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    (tmp_path / "good.jpg").write_bytes((photos / "deeper" / "coffee.jpg").read_bytes())
    found = load_pictures(Source(tmp_path), at_least=64)
    assert [p.shape for p in found] == [(400, 600, 3)]
    said = capsys.readouterr().err
    assert "broken.png: skipped, cannot be read" in said
    assert "small.png: skipped, smaller than a crop of 64" in said


def test_a_tar_holds_what_its_folder_held(photos, tmp_path):
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as tar:
        tar.add(photos, "photos")
    from_folder, from_tar = (load_pictures(Source(p), 64) for p in (photos, shard))
    assert len(from_folder) == len(from_tar) == 2
    for a, b in zip(from_folder, from_tar, strict=True):
        assert np.array_equal(a, b)


def test_crops_depend_on_seed_and_number_alone(photos):
    one = Crops([Source(photos, (0.5, 0.9))], 64, seed=3)
    two = Crops([Source(photos, (0.5, 0.9))], 64, seed=3)
    other = Crops([Source(photos, (0.5, 0.9))], 64, seed=4)
    assert one[5].shape == (3, 64, 64)
    assert one[5].dtype == np.uint8
    assert np.array_equal(one[1000000], two[1000000])
    assert not np.array_equal(one[5], one[6])
    assert not np.array_equal(one[5], other[5])


def test_no_pictures_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture"):
        Crops([Source(tmp_path)], 64, seed=0)


@pytest.mark.parametrize(
    ("model", "message"),
    [("lictor-xl", "unknown model 'lictor-xl'; there are"), ("mbt2018-mean", "with CompressAI")],
)
def test_models_that_cannot_be_trained_here(training, photos, tmp_path, model, message):
    if model == "mbt2018-mean":
        pytest.importorskip("compressai")
    arguments = [f"data={photos}", f"out={tmp_path}", f"model={model}", "crop=64"]
    with pytest.raises(ValueError, match=message):
        training.train(training.configure(arguments))


@pytest.mark.slow
def test_a_run_resumes_and_leaves_weights_that_code(training, photos, tmp_path, monkeypatch):
    from lictor.codec import decode, encode

    arguments = [f"data={photos}:0.5:1", f"out={tmp_path}", "crop=64", "batch=2", "warmup=5"]
    arguments += ["workers=0", "save_every=0.01"]
    training.train(training.configure([*arguments, "minutes=0.05"]))
    first = torch.load(tmp_path / "last.pt", weights_only=True)
    weights = training.train(training.configure([*arguments, "minutes=0.1", "resume=true"]))
    second = torch.load(tmp_path / "last.pt", weights_only=True)
    assert second["step"] > first["step"] > 0
    assert second["spent"] > first["spent"]
    assert (tmp_path / "log.csv").read_text().count("minutes") == 1

    picture = np.asarray(Image.open(photos / "astronaut.png"))
    data = encode(picture, quality=50, model=weights)
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path))
    error = np.square(np.asarray(decode(data), float) - picture).mean()
    assert 10 * np.log10(255**2 / error) > 20
    assert models.load(str(weights)).name == "lictor-s.mine"
