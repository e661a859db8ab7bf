"""Weights files and the list of shipped ones: every malformed case has its test."""

import hashlib
import json
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from lictor import models
from lictor.models import checkpoint, registry, zoo
from lictor.models.light import load as light


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights file of an untrained lictor-s."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "lictor-s.own.safetensors"
    checkpoint.save(registry.create("lictor-s"), path, "lictor-s.own", {"steps": 0})
    return path


def rewritten(weights, target, change):
    """A copy of the file after change(tensors, metadata)."""
    tensors = load_file(weights)
    metadata = {"format": checkpoint.FORMAT, "name": "lictor-s.own", "training": "{}"}
    change(tensors, metadata)
    save_file(tensors, target, metadata)
    return str(target)


@pytest.mark.parametrize("load", [models.load, light.load], ids=["torch", "light"])
def test_weights_are_kept_while_their_file_stays_what_it_is(weights, load):
    first = load(str(weights))
    assert load(str(weights)) is first
    checkpoint.save(registry.create("lictor-s"), weights, "lictor-s.own", {"steps": 1})
    assert load(str(weights)).digest != first.digest


def test_saved_weights_load(weights):
    model = models.load(str(weights))
    assert model.name == "lictor-s.own"
    assert model.id == 0
    assert not model.training
    assert model.digest == hashlib.sha256(weights.read_bytes()).digest()
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_shipped_weights_are_those_listed():
    for name, entry in models.index().items():
        assert name == entry.name
        path = zoo.shipped_folder() / entry.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
        assert path.stat().st_size <= 30e6
        model = models.load(name)
        assert (model.name, model.id) == (entry.name, entry.id)
        assert models.find(entry.id, "", model.digest[:4]) is model


def test_shipped_numbers_are_unique_and_names_are_licensed():
    listed = json.loads((zoo.shipped_folder() / "index.json").read_text())["checkpoints"]
    assert len({e["id"] for e in listed}) == len({e["name"] for e in listed}) == len(listed)
    assert not {e["id"] for e in listed} & zoo.retired().keys()
    assert all(e["id"] >= 1 and e["licence"] and e["training"] and e["measured"] for e in listed)


def test_unknown_name():
    with pytest.raises(models.UnknownModel, match=r"unknown model 'nonsense\.mse'"):
        models.load("nonsense.mse")


def test_unknown_number():
    with pytest.raises(models.UnknownModel, match="model number 9999"):
        models.find(9999, "", b"")


def test_found_by_name_in_the_folder_of_own_weights(weights, monkeypatch):
    monkeypatch.delenv("LICTOR_CHECKPOINTS", raising=False)
    with pytest.raises(models.UnknownModel, match="LICTOR_CHECKPOINTS"):
        models.find(0, "lictor-s.own", b"")
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(weights.parent))
    assert models.find(0, "lictor-s.own", b"").name == "lictor-s.own"
    with pytest.raises(models.WrongWeights, match=r"other weights of lictor-s\.own"):
        models.find(0, "lictor-s.own", b"\0\0\0\0")


def without_caps(weights, path):
    def change(tensors, metadata):
        for name in [name for name in tensors if name.endswith(".cap")]:
            del tensors[name]

    rewritten(weights, path, change)
    return hashlib.sha256(path.read_bytes())


def test_weights_from_before_caps_are_only_good_to_decode(weights, tmp_path, monkeypatch):
    path = tmp_path / "lictor-s.own.safetensors"
    digest = without_caps(weights, path).digest()
    with pytest.raises(models.BadCheckpoint, match=r"only good to decode; .*training\.caps"):
        models.load(str(path))
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path))
    assert models.find(0, "lictor-s.own", digest).g_a.blocks8[0].cap.isinf().all()


def test_weights_that_are_shipped_no_more(weights, tmp_path, monkeypatch):
    path = tmp_path / "old.safetensors"
    digest = without_caps(weights, path)
    old = zoo.Retired(77, "lictor-s.own", digest.hexdigest(), "0.0.9")
    monkeypatch.setattr(zoo, "retired", lambda: {77: old})
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(weights.parent))
    with pytest.raises(
        models.UnknownModel, match=r"lictor-s\.own that are shipped no more .*0\.0\.9"
    ):
        models.find(77, "", digest.digest())
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path))
    assert models.find(77, "", digest.digest()).digest == digest.digest()


def test_weights_that_are_not_numbers(weights, tmp_path):
    def change(tensors, metadata):
        tensors["g_a.enter.bias"][0] = float("nan")

    path = rewritten(weights, tmp_path / "a.safetensors", change)
    with pytest.raises(models.BadCheckpoint, match="not numbers"):
        models.load(path)


def test_empty_file(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"")
    with pytest.raises(models.BadCheckpoint, match="not weights"):
        models.load(str(path))


def test_file_of_something_else(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(3)}, path)
    with pytest.raises(models.BadCheckpoint, match="not weights of a Lictor model"):
        models.load(str(path))


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", ["torch", 0, 2, 5])
def test_pickles_are_never_unpacked(tmp_path, protocol):
    path, sprung = tmp_path / "lictor-s.own.safetensors", tmp_path / "sprung"
    if protocol == "torch":
        torch.save({"w": Trap(sprung)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung), protocol))
    with pytest.raises(models.BadCheckpoint, match="not weights"):
        models.load(str(path))
    assert not sprung.exists()


def test_own_weights_of_a_shipped_name(weights, tmp_path, monkeypatch):
    """Files of a run that makes the next lictor-s.mse: they have no number, so they mean its."""
    path = tmp_path / "lictor-s.mse.safetensors"
    rewritten(weights, path, lambda t, m: m.update(name="lictor-s.mse"))
    digest = hashlib.sha256(path.read_bytes()).digest()[:4]
    with pytest.raises(models.WrongWeights, match=r"other weights of lictor-s.mse"):
        models.find(0, "lictor-s.mse", digest)
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(tmp_path))
    assert models.find(0, "lictor-s.mse", digest).digest.startswith(digest)
    assert models.load("lictor-s.mse").id == models.index()["lictor-s.mse"].id


def test_shipped_weights_that_were_tampered_with(weights, monkeypatch):
    """One bit of a weight: still valid safetensors, but another hash than the one listed."""
    original = models.index()["lictor-s.mse"]
    data = bytearray((zoo.shipped_folder() / original.file).read_bytes())
    data[-1000] ^= 1
    folder = weights.parent / "shipped"
    folder.mkdir()
    (folder / original.file).write_bytes(data)
    monkeypatch.setattr(zoo, "shipped_folder", lambda: folder)
    with pytest.raises(models.WrongWeights, match="not the weights this version was shipped with"):
        models.load("lictor-s.mse")


def test_every_truncation_of_the_header_of_a_weights_file(weights, tmp_path):
    data = weights.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    for size in range(0, length, 97):
        path = tmp_path / f"{size}.safetensors"
        path.write_bytes(data[:size])
        with pytest.raises(models.BadCheckpoint):
            models.load(str(path))


def test_truncated_file(weights, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(models.BadCheckpoint, match="does not hold the weights"):
        models.load(str(path))


def test_header_length_beyond_the_file(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(models.BadCheckpoint):
        models.load(str(path))


def test_missing_tensor(weights, tmp_path):
    path = rewritten(weights, tmp_path / "m.safetensors", lambda t, m: t.pop("octave"))
    with pytest.raises(models.BadCheckpoint, match="does not hold the weights of lictor-s"):
        models.load(path)


def test_wrong_shape(weights, tmp_path):
    path = rewritten(
        weights, tmp_path / "s.safetensors", lambda t, m: t.update(octave=torch.zeros(3))
    )
    with pytest.raises(models.BadCheckpoint, match="does not hold the weights of lictor-s"):
        models.load(path)


def test_unknown_architecture(weights, tmp_path):
    path = rewritten(
        weights, tmp_path / "u.safetensors", lambda t, m: m.update(name="lictor-xxl.own")
    )
    with pytest.raises(models.BadCheckpoint, match="architecture 'lictor-xxl' is not in"):
        models.load(path)


@pytest.mark.skipif(not models.index(), reason="no shipped weights")
def test_loading_imports_no_symbolic_algebra():
    """Half a second at every start of `lictor encode`."""
    code = "import sys, lictor.models as m; m.load(next(iter(m.index()))); "
    code += "sys.exit('torch.fx.experimental.symbolic_shapes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_listing_needs_no_torch():
    code = "import sys; from lictor import models; models.index(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
