"""One stream, one result: the same latents however and wherever a file is decoded."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lictor import entropy, models
from lictor.codec import CodecError, api, decode, decode_picture, encode, latents
from lictor.codec.errors import LatentMismatch
from lictor.codec.runtime import torch as torch_runtime
from lictor.entropy import Decoder, Encoder
from lictor.models import zoo
from lictor.models.coding.fixed_point import WEIGHT
from lictor.models.quality import Quality

pytestmark = pytest.mark.skipif(
    "lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"
)

gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


@pytest.fixture
def only_fake_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the fixture that hides the shipped models; what is tried here is PyTorch's."""
    monkeypatch.setenv("LICTOR_RUNTIME", "torch")


def picture(name: str) -> np.ndarray:
    """A photo that scikit-image ships."""
    spec = importlib.util.find_spec("skimage")
    assert spec and spec.origin
    with Image.open(Path(spec.origin).parent / "data" / name) as image:
        return np.array(image)


@pytest.fixture(scope="session")
def streams() -> dict[str, bytes]:
    """Photos of several kinds and odd sizes, each at three qualities."""
    pictures = {
        "astronaut": picture("astronaut.png")[:333, 40:401],
        "coffee": picture("coffee.png")[100:228, 100:292],
        "camera": picture("camera.png")[50:249, 100:165],
        "point": picture("chelsea.png")[100:101, 200:201],
    }
    qualities = (5, 50, 98.25)
    return {
        f"{n}-{q:g}": encode(p, quality=q, model="lictor-s.mse", method="network")
        for n, p in pictures.items()
        for q in qualities
    }


@pytest.fixture(scope="session")
def expected(streams: dict[str, bytes]) -> dict[str, str]:
    return {name: latents(data).sha256 for name, data in streams.items()}


def hashes(streams: dict[str, bytes], **options: str) -> dict[str, str]:
    return {name: latents(data, **options).sha256 for name, data in streams.items()}


def farthest(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


# ---- threads and kernels


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads(streams: dict[str, bytes], expected: dict[str, str], threads: int):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.get_num_threads() == threads
        assert hashes(streams) == expected
    finally:
        torch.set_num_threads(before)


CHILD = """
import json, os, sys
from pathlib import Path
import numpy as np, torch
from lictor import entropy
from lictor.codec import decode_picture, latents
from lictor.models.quality import Quality
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # more than there are cores, too
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
hashes = {}
for path in sorted(folder.glob("*.bin")):
    data = path.read_bytes()
    hashes[path.stem] = latents(data).sha256
    np.save(out / path.stem, decode_picture(data).pixels)
print(json.dumps({"hashes": hashes, "threads": torch.get_num_threads(),
    "capability": torch.backends.cpu.get_cpu_capability(), "coder": entropy.backend()}))
"""

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""What PyTorch's kernels can be compiled for on x86, each a superset of those before."""


def here(capability: str) -> bool:
    own = torch.backends.cpu.get_cpu_capability()
    return own in CAPABILITIES and CAPABILITIES.index(capability) <= CAPABILITIES.index(own)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "onednn", "coder", "threads"),
    [
        ("DEFAULT", "SSE41", "scalar", 1),
        ("AVX2", "AVX2", "avx2", 2),
        ("AVX512", "AVX512_CORE", "avx512", 4),
        ("DEFAULT", "ALL", "reference", 2),
    ],
)
def test_other_kernels(
    streams: dict[str, bytes],
    expected: dict[str, str],
    tmp_path: Path,
    capability: str,
    onednn: str,
    coder: str,
    threads: int,
):
    """Variables that PyTorch, oneDNN and the coder read when they are loaded: in a new process."""
    if not here(capability):
        pytest.skip(f"this processor has no {capability}")
    if coder not in entropy.coder.paths():
        pytest.skip(f"this machine has no coder {coder}")
    for name, data in streams.items():
        (tmp_path / f"{name}.bin").write_bytes(data)
    variables = {
        "ATEN_CPU_CAPABILITY": capability.lower(),
        "ONEDNN_MAX_CPU_ISA": onednn,
        "LICTOR_CODER": coder,
        "OMP_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["capability"], answer["coder"]) == (capability, coder)
    assert answer["threads"] == threads
    assert answer["hashes"] == expected
    for name, data in streams.items():
        assert farthest(np.load(tmp_path / f"{name}.npy"), decode_picture(data).pixels) <= 1, name


@pytest.mark.parametrize("coder", entropy.coder.paths())
def test_every_coder(
    streams: dict[str, bytes],
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    coder: str,
):
    monkeypatch.setenv("LICTOR_CODER", coder)
    some = {name: streams[name] for name in ("coffee-50", "camera-98.25", "point-5")}
    assert hashes(some) == {name: expected[name] for name in some}


# ---- several pictures at once


def test_in_a_batch_as_alone():
    """Three pictures through the integer networks together, each from a stream of its own."""
    model = models.load("lictor-s.mse")
    step, height, width = 230, 128, 192
    parts = [picture(n)[60 : 60 + height, 50 : 50 + width] for n in ("astronaut.png", "coffee.png")]
    parts.append(np.random.default_rng(0).integers(0, 256, parts[0].shape, np.uint8))
    coded, alone = [], []
    for part in parts:
        encoder = Encoder()
        model.encode(torch_runtime.tensor(part), Quality(step), encoder)
        coded.append(encoder.finish())
        decoder = Decoder(coded[-1])
        alone.append(model.pull((height, width), Quality(step), decoder))
        decoder.close()

    decoders = [Decoder(data) for data in coded]

    class Together:
        """Pulls from all: first z, of pictures, then y, of four phases of pictures."""

        decoding, phases = True, 1

        def code(
            self, symbols: np.ndarray | None, index: np.ndarray, tables: object = None
        ) -> np.ndarray:
            assert symbols is None and tables is None
            each = np.split(index.reshape(self.phases, len(parts), -1), len(parts), axis=1)
            self.phases = 4
            pulled = [
                d.pull(np.ascontiguousarray(i).ravel()).reshape(i.shape)
                for d, i in zip(decoders, each, strict=True)
            ]
            return np.concatenate(pulled, axis=1).ravel()

    z_shape = (len(parts), height // 64, width // 64, model.sizes.side)
    with torch.inference_mode():
        together = model._code(Together(), torch.tensor([step]), z_shape)
    for decoder in decoders:
        decoder.close()
    assert torch.equal(together, torch.cat(alone))


# ---- precision of the synthesis


def test_bfloat16(streams: dict[str, bytes]):
    """Other pixels, a little; latents are decoded before, and are the same."""
    for name in ("astronaut-5", "astronaut-50", "astronaut-98.25", "camera-50"):
        exact = decode_picture(streams[name]).pixels
        rough = decode_picture(streams[name], precision="bfloat16").pixels
        assert not np.array_equal(exact, rough)
        assert api.psnr(exact, rough) > 42, name


def test_bfloat16_costs_little_quality(streams: dict[str, bytes]):
    original = picture("astronaut.png")[:333, 40:401]
    for quality in ("5", "50"):
        data = streams[f"astronaut-{quality}"]
        full = api.psnr(original, decode_picture(data).pixels)
        rough = api.psnr(original, decode_picture(data, precision="bfloat16").pixels)
        assert full - rough < 0.1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"precision": "float16"}, "precision is 'float16'; give one of float32, bfloat16"),
        ({"device": "gramophone"}, "device 'gramophone' cannot be used"),
        ({"device": "meta"}, "device 'meta' cannot be used"),
    ],
)
def test_options_that_do_not_exist(streams: dict[str, bytes], options: dict[str, str], reason: str):
    with pytest.raises(CodecError, match=reason) as e:
        decode(streams["point-5"], **options)
    assert len(str(e.value).splitlines()) == 1


# ---- decoders that disagree


@pytest.fixture
def other_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.nn.Module]:
    """A copy of the model that every decode takes, to be changed."""
    model = copy.deepcopy(models.load("lictor-s.mse"))
    model._exact()
    monkeypatch.setattr(models, "find", lambda *_: model)
    yield model


def test_copy_of_the_model_agrees(
    streams: dict[str, bytes], expected: dict[str, str], other_model: torch.nn.Module
):
    """Or the tests below would prove nothing."""
    assert latents(streams["coffee-50"]).sha256 == expected["coffee-50"]


@pytest.mark.parametrize("name", ["astronaut-5", "astronaut-50", "camera-98.25"])
@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_other_probabilities_give_no_picture(
    streams: dict[str, bytes], other_model: torch.nn.Module, name: str, step: int
):
    """Scales a 64th of an octave off, in one of the four steps."""
    heads = other_model._twins["context"].steps[step].heads
    half = heads.bias.shape[1] // 2
    heads.bias[:, half:] += 2.0 ** (12 + WEIGHT - 6)
    for function in (decode, decode_picture, latents):
        with pytest.raises(LatentMismatch, match="report this with the file"):
            function(streams[name])


@pytest.mark.parametrize("layer", [0, 3, 4, 7, 9])
def test_one_layer_of_the_hyper_synthesis_off(
    streams: dict[str, bytes], other_model: torch.nn.Module, layer: int
):
    """By 1/32: few indexes change, and one is enough."""
    other_model._twins["h_s"].body[layer].bias += 2.0 ** (12 + WEIGHT - 5)
    with pytest.raises(LatentMismatch):
        decode(streams["astronaut-98.25"])


def test_the_command_says_so_and_writes_nothing(
    streams: dict[str, bytes], other_model: torch.nn.Module, tmp_path: Path
):
    from click.testing import CliRunner

    from lictor.codec.cli.main import cli

    (tmp_path / "a.bin").write_bytes(streams["coffee-50"])
    source, target = str(tmp_path / "a.bin"), str(tmp_path / "a.png")
    good = CliRunner().invoke(cli, ["info", "--latents", "--json", source])
    assert json.loads(good.stdout)["latents_sha256"] == latents(streams["coffee-50"]).sha256
    line = CliRunner().invoke(cli, ["info", "--latents", source]).stdout
    assert latents(streams["coffee-50"]).sha256 in line
    other_model._twins["z_scale"].rungs += 200
    for command in (["decode", source, target], ["info", "--latents", source]):
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 1
        assert "latents decode to others than were encoded" in result.stderr
        assert os.listdir(tmp_path) == ["a.bin"]


# ---- GPUs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("_", [pytest.param("cuda", marks=gpu)])
def test_on_a_gpu(streams: dict[str, bytes], expected: dict[str, str], _: str, precision: str):
    assert hashes(streams, device="cuda") == expected
    for name, data in streams.items():
        there = decode_picture(data, device="cuda", precision=precision).pixels
        here = decode_picture(data).pixels
        if precision == "float32":
            assert farthest(there, here) <= 1, name
        else:
            assert api.psnr(there, here) > 42, name


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=gpu)])
def test_ladders_on_a_gpu(device: str):
    model = models.load("lictor-s.mse")
    there = copy.deepcopy(model).to(device)
    for step in range(401):
        for ours, theirs in (
            (model._exact()["z_scale"], there._exact()["z_scale"]),
            (model._exact()["context"].scale, there._exact()["context"].scale),
            (model._exact()["h_s"].bias, there._exact()["h_s"].bias),
        ):
            assert torch.equal(ours(step), theirs(step).cpu())


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=gpu)])
def test_encoded_on_a_gpu(device: str):
    """What a GPU pushes, the CPU pulls."""
    model = models.load("lictor-s.mse")
    there = copy.deepcopy(model).to(device)
    x = torch_runtime.tensor(picture("coffee.png")[:200, :301])
    encoder = Encoder()
    there.encode(x.to(device), Quality.of(60), encoder)
    decoder = Decoder(encoder.finish())
    model.pull((200, 301), Quality.of(60), decoder)
    decoder.close()
    assert decoder.checksum == encoder.checksum
