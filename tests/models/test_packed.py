"""Weights on grids: what is packed comes back to the bit, and what is damaged says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from lictor import codec, models
from lictor.models import checkpoint, packed, registry, zoo
from lictor.models.light import load as light


def grid_of(weight: np.ndarray) -> packed.Grid:
    """Any grid for a tensor: rows of their own size, levels up to 100."""
    count, rows, columns = packed.Place("", weight.shape, packed.BY_ROWS).matrices
    matrices = weight.reshape(count, rows, columns)
    steps = packed.codes(np.abs(matrices).max(2).clip(1e-6) / 100)
    across = packed.codes(np.ones((count, columns)))
    levels = np.rint(matrices / packed.step(steps)[:, :, None]).astype(np.int32)
    return packed.Grid(levels, steps, across)


def made(model: models.Network, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and texts of a packed file of a model, whose matrices are rounded in place."""
    state = model.state_dict()
    grids = {n: grid_of(t.numpy()) for n, t in state.items() if n.endswith("weight") and t.ndim > 1}
    for n, grid in grids.items():
        state[n].copy_(torch.from_numpy(grid.values.reshape(state[n].shape)))
    arrays, text = packed.pack({n: t.numpy() for n, t in state.items()}, grids)
    return arrays, {"format": packed.FORMAT, "name": name, "tensors": text, "training": "{}"}


@pytest.fixture(scope="module")
def model() -> models.Network:
    torch.manual_seed(3)
    model = registry.create("lictor-s")
    for parameter in model.parameters():
        parameter.data.copy_(parameter.half())
    return model


@pytest.fixture(scope="module")
def plain(model: models.Network) -> bytes:
    """A packed file, not coded."""
    return save_arrays(*made(model, "lictor-s.own"))


@pytest.fixture(scope="module")
def coded(plain: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by the weights codec."""
    path = tmp_path_factory.mktemp("packed") / "lictor-s.own.lictor"
    path.write_bytes(codec.encode_weights(plain))
    return path


def test_every_code_is_a_step_and_back():
    every = np.arange(256, dtype=np.uint8)
    steps = packed.step(every)
    assert np.array_equal(packed.codes(steps), every)
    assert (np.diff(steps) > 0).all()
    # The nearest of four steps to an octave is an eighth of it off, at most.
    x = np.exp(np.random.default_rng(0).uniform(-20, 15, 1000))
    assert np.abs(packed.step(packed.codes(x)) / x - 1).max() < 0.126


def test_products_are_exact():
    rng = np.random.default_rng(1)
    levels = rng.integers(1 - packed.MIDDLE, packed.MIDDLE, (3, 20, 30))
    rows, columns = (rng.integers(100, 200, (3, n)).astype(np.uint8) for n in (20, 30))
    found = packed.Grid(levels, rows, columns).values.astype(np.float64)
    r, c = packed.step(rows).astype(np.float64), packed.step(columns).astype(np.float64)
    assert np.array_equal(found, levels * r[:, :, None] * c[:, None, :])


def test_whatever_its_shape_it_comes_back():
    rng = np.random.default_rng(2)
    shapes = [(5, 7), (1, 1), (64, 64), (4, 6, 10), (12, 1, 3, 3), (10, 3, 2, 2), (1, 200)]
    tensors = {f"p.{i}.weight": rng.normal(size=shape) for i, shape in enumerate(shapes)}
    tensors["p.5.weight"] *= np.exp(3 * rng.normal(size=(1, 3, 2, 2)))  # columns that differ
    grids = {name: grid_of(weight) for name, weight in tensors.items()}
    exact = {n: g.values.reshape(tensors[n].shape) for n, g in grids.items()}
    exact |= {"p.bias": rng.normal(size=3).astype("f4"), "alone": np.ones((), "f4")}
    arrays, text = packed.pack(exact, grids)
    assert {place[2] for place in json.loads(text)["p"]} == {0, 1, 2}
    found = packed.Packed(text, load_arrays(save_arrays(arrays)).__getitem__)
    assert list(found) == list(exact) and len(found) == len(exact)
    for name, value in exact.items():
        assert found[name].shape == value.shape
        assert np.array_equal(found[name], value), name


@pytest.mark.parametrize("form", ["plain", "coded"])
def test_a_model_loads_from_either(form: str, model, plain, coded, tmp_path):
    path = coded
    if form == "plain":
        path = tmp_path / "lictor-s.own.safetensors"
        path.write_bytes(plain)
    found = models.load(str(path))
    assert (found.name, found.id) == ("lictor-s.own", 0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name
    twin = light.load(str(path))
    assert twin.digest == found.digest and twin.capped
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    data = codec.encode(pixels, model=str(path), method="network", runtime="light")
    own = codec.Store((path.parent,))
    light_pixels = np.asarray(codec.decode(data, models=own, runtime="light"))
    torch_pixels = np.asarray(codec.decode(data, models=own, runtime="torch"))
    assert np.abs(light_pixels.astype(int) - torch_pixels).max() <= 1


def test_only_what_is_asked_for_is_decoded(coded):
    file = models.weights.read(str(coded))
    asked: list[str] = []
    whole = file.file.tensor
    tensors = packed.Packed(file.file.texts["tensors"], lambda n: (asked.append(n), whole(n))[1])
    assert "g_a.enter.weight" in tensors and "nothing" not in tensors and not asked
    tensors["g_s.enter.weight"]
    tensors["g_s.enter.bias"]
    assert asked == ["g_s.levels", "steps", "rest"]


def test_pictures_of_that_suffix_are_no_weights(coded, tmp_path):
    (tmp_path / "a.lictor").write_bytes(codec.encode(np.zeros((8, 8, 3), np.uint8)))
    (tmp_path / "lictor-s.own.lictor").write_bytes(coded.read_bytes())
    assert [path.name for path in zoo.own_files([tmp_path])] == ["lictor-s.own.lictor"]


def test_other_weights_of_the_codec_are_refused(tmp_path):
    path = tmp_path / "other.lictor"
    path.write_bytes(codec.encode_weights(save_arrays({"w": np.ones(3, "f4")})))
    for load in (models.load, light.load):
        with pytest.raises(models.BadCheckpoint, match="not weights of a Lictor model"):
            load(str(path))


def damages(data: bytes) -> dict[str, bytes]:
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    return {"cut": data[: len(data) * 2 // 3], "flipped": bytes(flipped), "head": data[:3]}


@pytest.mark.parametrize("damage", ["cut", "flipped", "head"])
@pytest.mark.parametrize("load", [models.load, light.load], ids=["torch", "light"])
def test_damage_is_found(coded, damage, load, tmp_path):
    path = tmp_path / "lictor-s.own.lictor"
    path.write_bytes(damages(coded.read_bytes())[damage])
    with pytest.raises(models.BadCheckpoint):
        load(str(path))


def edited(text: str, change: str) -> str:
    told = json.loads(text)
    first = told["g_s"][0]
    if change == "shape":
        first[1] = [first[1][0] + 1, *first[1][1:]]
    elif change == "way":
        first[2] = 7
    elif change == "negative":
        first[1] = [-1]
    elif change == "missing":
        del told["g_s"][0]
    return json.dumps([1] if change == "list" else told)


@pytest.mark.parametrize("change", ["shape", "way", "negative", "missing", "list", "no JSON"])
@pytest.mark.parametrize("load", [models.load, light.load], ids=["torch", "light"])
def test_texts_that_do_not_fit(model, change, load, tmp_path):
    arrays, texts = made(model, "lictor-s.bad")
    texts["tensors"] = "{" if change == "no JSON" else edited(texts["tensors"], change)
    path = tmp_path / "lictor-s.bad.lictor"
    path.write_bytes(codec.encode_weights(save_arrays(arrays, texts)))
    with pytest.raises(models.ModelError):  # numbers that are others' may be too large, too
        load(str(path))


def test_a_name_without_numbers(tmp_path):
    arrays, texts = {"rest": np.ones(3, "f4")}, {"format": packed.FORMAT, "tensors": "{}"}
    path = tmp_path / "x.lictor"
    path.write_bytes(codec.encode_weights(save_arrays(arrays, texts)))
    with pytest.raises(models.BadCheckpoint):
        checkpoint.load(str(path))
