"""The light runtime: pictures and arrays without PyTorch, as PyTorch has them, and who is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from lictor.codec import (
    Store,
    classify,
    decode_features,
    decode_picture,
    encode,
    encode_features,
    errors,
    latents,
    verify,
)
from lictor.codec.runtime import runtime, store
from lictor.models import weights, zoo
from lictor.models.light import layers, reference

if "lictor-s.mse" not in zoo.index():
    pytest.skip("the shipped weights are not in the tree", allow_module_level=True)


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


WITHOUT = """
import sys
sys.modules["torch"] = None
import numpy as np
from lictor.codec import classify, decode, decode_features, encode, encode_features, errors, info
from lictor.codec import latents, verify

rng = np.random.default_rng(0)
pixels = np.kron(rng.integers(0, 256, (9, 13, 3)), np.ones((10, 9, 1))).astype(np.uint8)
for model in ("lictor-s.mse", "lictor-s.task", "lictor-m.mse", "student-lite0.ce"):
    data = encode(pixels, model=model, quality=30, method="network")
    print(model, decode(data).size, latents(data).sha256[:8])
classify(data)
decode(encode(pixels.astype(np.uint16) * 257, quality=90))
decode(encode(pixels[:, :, 0], quality=50, roi=[(0, 0, 40, 40)], tune="eyes", device="auto"))
assert verify(pixels).ok
maps = rng.normal(size=(2, 112, 6, 6)).astype(np.float32)
print(decode_features(encode_features(maps, model="plane-hyper.lite0", quality=30)).shape)
raw = (rng.normal(size=9).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
for name, wrong in {
    "effort": lambda: encode(pixels, effort=1),
    "device": lambda: encode(pixels, device="cuda"),
    "precision": lambda: decode(encode(pixels, method="network"), precision="bfloat16"),
    "runtime": lambda: encode(pixels, runtime="torch"),
}.items():
    try:
        wrong()
    except errors.MissingPackage as e:
        print(name, e)
"""


def test_everything_but_searches_and_gpus_works_without_torch(tmp_path: Path):
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert not run.stderr
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == [
        "lictor-s.mse", "lictor-s.task", "lictor-m.mse", "student-lite0.ce"
    ]  # fmt: skip
    assert lines[4] == "(2, 112, 6, 6)"
    assert [line.split()[0] for line in lines[5:]] == ["effort", "device", "precision", "runtime"]
    assert all(line.endswith(runtime.NO_TORCH) for line in lines[5:])


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["train", "."], 2),
        (["distil", "."], 2),
        (["train-features", "x.npy"], 2),
        (["import", "mbt2018-mean", "x", "y"], 2),
        (["encode", "a.png", "a.bin", "--effort", "1"], 1),
        (["decode", "a.bin", "b.png", "--bf16"], 1),
        (["decode", "a.bin", "b.png", "--device", "cuda"], 1),
    ],
)
def test_commands_that_need_torch_say_so_in_one_line(
    command: list[str], status: int, photo: np.ndarray, tmp_path: Path
):
    from PIL import Image

    Image.fromarray(photo).save(tmp_path / "a.png")
    (tmp_path / "a.bin").write_bytes(encode(photo, method="network"))
    code = (
        "import sys; sys.modules['torch'] = None; from lictor.codec.cli.main import main; "
        f"sys.argv = ['lictor', *{command!r}]; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == status, run.stderr
    (line,) = [line for line in run.stderr.splitlines() if "PyTorch" in line]
    assert line.endswith("pip install 'lictor[torch]'") and "Traceback" not in run.stderr


def test_torch_is_not_loaded_where_it_is_not_needed():
    code = (
        "import sys, numpy as np; from lictor.codec import encode, decode\n"
        "decode(encode(np.zeros((16, 16, 3), np.uint8)))\n"
        "print('torch' in sys.modules, any(m.startswith('safetensors') for m in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "False False\n", run.stderr


# ---- the same as PyTorch's


def pictures(china: np.ndarray) -> dict[str, np.ndarray]:
    deep = china[:70, :90].astype(np.uint16) * 257
    noise = np.random.default_rng(0).integers(0, 256, (66, 70, 3), np.uint8)
    return {
        "photo": china[100:233, 200:401],
        "point": china[5:6, 5:6],
        "row": china[9:10, :80],
        "gray": china[:65, :64, 1],
        "gray 16": deep[:, :, 0],
        "deep": deep + np.arange(90, dtype=np.uint16)[:, None] % 9,
        "noise": noise,
        "alpha": np.dstack([china[:40, :50], np.tile(np.arange(50, dtype=np.uint8), (40, 1))]),
    }


@pytest.mark.parametrize("quality", [0, 55, 100])
@pytest.mark.parametrize("model", ["lictor-s.mse", "lictor-m.mse"])
def test_each_decodes_what_the_other_encodes(model: str, quality: float, china: np.ndarray):
    chosen = pictures(china)
    if model != "lictor-s.mse":
        chosen = {name: chosen[name] for name in ("photo", "gray 16")}
    for name, pixels in chosen.items():
        sizes = []
        for own in runtime.RUNTIMES:
            roi = [(0, 0, 9, 1)] if name in ("row", "deep") else None
            given = {"model": model, "quality": quality, "roi": roi, "method": "network"}
            data = encode(pixels, **given, runtime=own)
            sizes.append(len(data))
            found = [latents(data, runtime=other) for other in runtime.RUNTIMES]
            assert found[0].sha256 == found[1].sha256, name
            shown = [decode_picture(data, runtime=other).pixels for other in runtime.RUNTIMES]
            level = 1 if pixels.dtype == np.uint8 else 257
            assert np.abs(shown[0].astype(int) - shown[1]).max() <= level, name
        assert sizes[0] == pytest.approx(sizes[1], rel=0.002, abs=4)


@pytest.mark.parametrize("name", ["plane-hyper.lite0", "plane-hyper.minilm", "student-lite0.ce"])
def test_other_models_agree_with_torch(name: str, china: np.ndarray):
    if name == "student-lite0.ce":
        data = encode(china, model=name, quality=60)
        answers = [classify(data, runtime=own) for own in runtime.RUNTIMES]
        np.testing.assert_allclose(answers[0].scores, answers[1].scores, atol=1e-3)
        np.testing.assert_allclose(answers[0].features, answers[1].features, atol=1e-3)
        return
    channels = 112 if "lite0" in name else 384
    x = np.random.default_rng(3).normal(size=(2, channels, 9, 5)).astype(np.float32)
    for own in runtime.RUNTIMES:
        data = encode_features(x, model=name, quality=50, runtime=own)
        first, second = (decode_features(data, runtime=other) for other in runtime.RUNTIMES)
        np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int, china: np.ndarray):
    own = runtime.get("light").threads
    before, data = own.count(), encode(china, quality=70)
    expected = decode_picture(data).pixels
    try:
        own.use(threads)
        assert encode(china, quality=70) == data
        np.testing.assert_array_equal(decode_picture(data).pixels, expected)
    finally:
        own.use(before)


@pytest.mark.parametrize("path", range(layers.kernels.BEST + 1))
def test_no_path_changes_latents(path: int, china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = encode(china[:200, :301], quality=60, method="network")
    expected = latents(data, runtime="torch").sha256
    monkeypatch.setattr(layers.kernels, "BEST", path)
    assert latents(data).sha256 == expected
    other = encode(china[:200, :301], quality=60, method="network")
    assert latents(other).sha256 == latents(other, runtime="torch").sha256


def test_without_a_compiler_numpy_computes(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = encode(china[:130, :201], quality=60, method="network")
    expected = latents(data).sha256, decode_picture(data).pixels.astype(int)
    monkeypatch.setattr(layers, "kernels", reference)
    assert latents(data).sha256 == expected[0]
    assert np.abs(decode_picture(data).pixels - expected[1]).max() <= 1


# ---- who is asked


def test_who_computes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(runtime.FORCED, raising=False)
    gpu = "torch" if torch.cuda.is_available() else "light"
    assert [runtime.chosen(None, d) for d in ("cpu", "cpu:0", "cuda", "auto")] == [
        "light", "light", "torch", gpu
    ]  # fmt: skip
    assert runtime.chosen(heavy=True) == "torch"
    assert runtime.chosen("torch") == "torch"
    monkeypatch.setenv(runtime.FORCED, "torch")
    assert runtime.chosen() == "torch" and runtime.chosen("light") == "light"
    for wrong in ({"heavy": True}, {"device": "cuda"}):
        with pytest.raises(errors.InvalidOption, match="take that of torch"):
            runtime.chosen("light", **wrong)
    with pytest.raises(errors.InvalidOption, match="give one of light, torch"):
        runtime.chosen("jax")


def test_a_search_takes_torch_by_itself(photo: np.ndarray):
    data = encode(photo, effort=1)
    assert len(decode_picture(data).pixels) == len(photo)
    with pytest.raises(errors.InvalidOption, match="no search"):
        encode(photo, effort=1, runtime="light")
    assert verify(photo, effort=1).ok


def test_what_only_torch_has_is_asked_of_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """But not where the light runtime is forced."""
    from lictor.models.light import load

    monkeypatch.delitem(load.ARCHITECTURES, "lictor-s")
    path = tmp_path / "lictor-s.own.safetensors"  # of which nothing was made before
    path.write_bytes((zoo.shipped_folder() / zoo.index()["lictor-s.mse"].file).read_bytes())
    assert store.load(str(path)).runtime is runtime.get("torch")
    with pytest.raises(errors.ModelUnavailable, match="needs PyTorch; leave the runtime out"):
        Store(runtime="light").load(str(path))


# ---- weights of others


def altered(tmp_path: Path, name: str, change: object) -> Store:
    shipped = weights.read(name).arrays()
    tensors = {own: np.ascontiguousarray(tensor) for own, tensor in shipped.items()}
    change(tensors)
    architecture = name.partition(".")[0]
    path = tmp_path / f"{architecture}.own.safetensors"
    save_file(tensors, path, {"format": "lictor-1", "name": f"{architecture}.own"})
    return Store((path,), "light")


def test_weights_of_others_code(tmp_path: Path, photo: np.ndarray):
    own = altered(tmp_path, "lictor-s.mse", lambda t: None)
    data = encode(photo, model="lictor-s.own", models=own)
    assert latents(data, models=own).sha256 == latents(data, models=own, runtime="torch").sha256


DAMAGE = {
    "nothing there": lambda t: t.clear(),
    "a layer": lambda t: t.pop("g_s.up.weight"),
    "a bias": lambda t: t.pop("h_s.body.9.bias"),
    "other inputs": lambda t: t.update({"g_a.enter.weight": t["g_a.enter.weight"][:, :-1].copy()}),
    "other outputs": lambda t: t.update({"g_s.leave.weight": t["g_s.leave.weight"][:-3].copy()}),
    "other channels": lambda t: t.update({"octave": t["octave"][:-4].copy()}),
    "a short ladder": lambda t: t.update({"gain.rungs": t["gain.rungs"][:3].copy()}),
    "dimensions": lambda t: t.update({"h_a.body.2.weight": t["h_a.body.2.weight"].reshape(-1)}),
    "no numbers": lambda t: t["g_a.enter.bias"].fill(np.nan),
    "huge": lambda t: t["h_s.body.0.bias"].fill(1e30),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_weights_that_are_none_have_a_name(what: str, tmp_path: Path):
    own = altered(tmp_path, "lictor-s.mse", DAMAGE[what])
    with pytest.raises(errors.ModelUnavailable) as e:
        own.load("lictor-s.own")
    assert len(str(e.value).splitlines()) == 1


@pytest.mark.parametrize("length", [0, 7, 100, 5000, 400_000])
def test_files_that_end_early_have_a_name(length: int, tmp_path: Path):
    shipped = zoo.shipped_folder() / zoo.index()["lictor-s.mse"].file
    path = tmp_path / "lictor-s.cut.safetensors"
    path.write_bytes(shipped.read_bytes()[:length])
    with pytest.raises(errors.ModelUnavailable, match="cut"):
        Store((path,), "light").load(path)


def test_weights_without_caps_decode_only(tmp_path: Path, photo: np.ndarray):
    def old(tensors: dict[str, np.ndarray]) -> None:
        for name in [n for n in tensors if n.endswith(".cap")]:
            del tensors[name]

    own = altered(tmp_path, "lictor-s.mse", old)
    with pytest.raises(errors.ModelUnavailable, match="only good to decode"):
        encode(photo, model="lictor-s.own", models=own)


@pytest.mark.parametrize("part", ["g_a", "h_a", "g_s"])
def test_networks_that_give_no_numbers_are_named(part: str, monkeypatch: pytest.MonkeyPatch):
    pixels = np.full((64, 64, 3), 90, np.uint8)
    data = encode(pixels, model="lictor-s.mse", method="network")
    decode_picture(data)
    model = store.load("lictor-s.mse").model
    whole = model.made[part]
    monkeypatch.setitem(model.made, part, lambda *given: whole(*given) * np.float32("nan"))
    with pytest.raises(errors.ModelUnavailable, match="not a number"):
        if part == "g_s":
            decode_picture(data)
        encode(pixels, model="lictor-s.mse", method="network")
