"""An epoch of training from shards of Lictor pictures: pictures a second, and how much is waiting.

    lictor bulk train-imagenet.tar shards/ -q 50 -j 2
    python examples/epoch_from_shards.py 'shards/*.tar' --workers 1

A classifier from nothing (timm's resnet18) learns what `.cls` files say, or else what stands before
the first underscore of a name. Each picture is decoded when its turn comes, by `Stream`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader

from lictor.datasets.stream import Stream

SIDE = 224


def square(sample: dict[str, Any]) -> tuple[torch.Tensor, str]:
    """The middle of a picture at 224×224, and what the picture is of."""
    pixels = sample["picture"][..., :3].permute(2, 0, 1).float() / 255
    side = min(pixels.shape[1:])
    top, left = (pixels.shape[1] - side) // 2, (pixels.shape[2] - side) // 2
    middle = pixels[None, :, top : top + side, left : left + side].expand(1, 3, -1, -1)
    name = sample["__key__"].rpartition("/")[2].partition("_")[0]
    label = sample["cls"].decode() if "cls" in sample else name
    return interpolate(middle, (SIDE, SIDE), mode="area")[0], label


def main() -> None:
    """Read the command line, train, and say how quick that was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--reduce", type=int, default=1, help="decode at so small a part")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode")
    asked = parser.parse_args()
    import timm

    data = Stream(asked.shards, reduce=asked.reduce, shuffle=256)
    model = timm.create_model("resnet18", num_classes=1000)
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    labels: dict[str, int] = {}
    waited, many, begin = 0.0, 0, time.perf_counter()
    loader = DataLoader(data, batch_size=None, num_workers=asked.workers)
    batches = iter(loader)
    while True:
        before = time.perf_counter()
        batch = [square(sample) for _, sample in zip(range(asked.batch), batches, strict=False)]
        waited += time.perf_counter() - before
        if not batch:
            break
        targets = torch.tensor([labels.setdefault(name, len(labels)) for _, name in batch])
        loss = cross_entropy(model(torch.stack([x for x, _ in batch])), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        many += len(batch)
    took = time.perf_counter() - begin
    print(
        f"{many} pictures of {len(labels)} classes, {many / took:.1f} a second, "
        f"{100 * waited / took:.1f} % of the time waiting; last loss {loss.item():.2f}"
    )


if __name__ == "__main__":
    main()
