"""Whoever computes networks: that another runtime can stand beside PyTorch, which nobody misses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lictor.codec.runtime import runtime
from lictor.codec.runtime import torch as torch_runtime
from lictor.models.base import LatentCodec

PIXELS = '''
"""A runtime in numpy, whose network codes differences of pixels."""
from contextlib import nullcontext
import numpy as np
from lictor.codec.runtime import runtime
from lictor.codec.runtime.threads import OwnThreads

class Pixels(runtime.PictureNetwork):
    runtime = property(lambda self: RUNTIME)
    name, id, digest = "pixels.numpy", 0, bytes(32)
    stride = cell = 1
    analysis_halo = synthesis_halo = 0
    takes_maps = on_ladder = False
    for_depth = lambda self, depth: self

    def encode(self, colours, quality, encoder, tile):
        rows, columns = tile.place
        shifted = colours[rows, columns].astype(np.int32) >> 8 * (colours.itemsize - 1)
        symbols = np.diff(shifted, axis=1, prepend=np.int32(0)).ravel()
        encoder.push(symbols, np.full(symbols.size, 40, np.uint8))

    def search(self, *arguments):
        raise NotImplementedError

    def estimate(self, colours, quality, tile):
        return 8.0 * tile.height * tile.width

    def pull(self, shape, quality, decoder):
        symbols = decoder.pull(np.full(shape[0] * shape[1] * 3, 40, np.uint8))
        return symbols.reshape(*shape, 3).cumsum(1).transpose(2, 0, 1).astype(np.float32)

    def show(self, latents, quality, part, like, precision):
        rows, columns = part.place
        return latents[:, rows, columns].transpose(1, 2, 0).astype(like.dtype)

class Numpy(runtime.Runtime):
    threads = OwnThreads()
    load = find = lambda self, *arguments, **places: Pixels()
    working = nullcontext

RUNTIME = Numpy()
'''

USER = """
import sys
sys.modules["torch"] = None
import numpy as np
from lictor.codec import decode_picture, encode, info
from lictor.codec.picture import tiles
from lictor.codec.runtime import runtime

runtime.RUNTIMES["light"] = "pixels"
tiles.SIDE = 64
pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
data = encode(pixels, model="pixels.numpy", quality=30)
assert info(data).tiles == 12 and info(data).model == "pixels.numpy"
np.testing.assert_array_equal(decode_picture(data).pixels, pixels)
part = decode_picture(data, region=(60, 50, 100, 30)).pixels
np.testing.assert_array_equal(part, pixels[50:80, 60:160])
print("coded")
"""


@pytest.mark.parametrize("threads", ["1", "3"])
def test_another_runtime_codes_pictures_without_torch(tmp_path: Path, threads: str):
    (tmp_path / "pixels.py").write_text(PIXELS)
    command = [sys.executable, "-c", USER]
    environment = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": threads, "PATH": ""}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.stdout == "coded\n", run.stderr


@pytest.mark.parametrize("name", runtime.RUNTIMES)
def test_every_runtime_can_be_had(name: str):
    if name == "torch":
        pytest.importorskip("torch")
    found = runtime.get(name)
    assert isinstance(found, runtime.Runtime) and found is runtime.get(name)
    before = found.threads.count()
    found.threads.use(before + 1)
    assert found.threads.count() == before + 1
    found.threads.use(before)


def test_memory_that_does_not_suffice_has_a_name():
    with pytest.raises(MemoryError), torch_runtime.RUNTIME.working():
        torch.empty(2**62, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), torch_runtime.RUNTIME.working():
        torch.zeros(2, 3) @ torch.zeros(2, 3)


@pytest.mark.parametrize("by_place", [True, False])
def test_latents_cross_without_a_copy(by_place: bool):
    """And in the order that they have in memory, by which kernels choose how to add."""
    format = torch.channels_last if by_place else torch.contiguous_format
    x = torch.rand(1, 8, 4, 6).contiguous(memory_format=format)
    array = torch_runtime.array(x[0])
    back = torch_runtime.batch(array)
    assert back.data_ptr() == x.data_ptr() and back.is_contiguous(memory_format=format)
    assert torch.equal(back, x) and np.shares_memory(array, back.numpy())


def test_a_model_becomes_a_network_of_its_kind(fake: ModuleType):
    network = torch_runtime.network(fake.SHIPPED)
    assert isinstance(network, runtime.PictureNetwork)
    assert not isinstance(network, runtime.TaskNetwork)
    assert (network.name, network.id, network.digest) == ("fake.pixels", 7, fake.SHIPPED.digest)
    assert network.for_depth(8) is network and network.for_depth(16) is not network


class Broken(LatentCodec):
    def reconstruct(self, latents, quality):
        return latents[:, :3] * float("nan")


def test_no_numbers_are_refused():
    from lictor.models.box import Box
    from lictor.models.errors import NoNumbers
    from lictor.models.quality import Quality

    network = torch_runtime.PictureNetwork(Broken())
    like = np.zeros((1, 1, 3), np.uint8)
    with pytest.raises(NoNumbers):
        network.show(np.ones((3, 2, 2), np.float32), Quality(0), Box(0, 0, 2, 2), like, "float32")
