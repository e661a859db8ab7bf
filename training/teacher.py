"""EfficientNet-Lite0 as its package has it, in the two parts of models/task/efficientnet.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lictor.codec.errors import TaskUnavailable
from lictor.codec.picture import classifier_view
from lictor.models.task.efficientnet import CUT, Front, Tail


def load() -> tuple[Front, Tail]:
    """Both parts with the weights of ImageNet, frozen. Raises ValueError without the package."""
    try:
        network = classifier_view.network()
    except TaskUnavailable as error:
        raise ValueError(f"the teacher: {error}") from error
    front, tail = Front(), Tail()
    _fold(front.stem, network._conv_stem, network._bn0)
    for i, block in enumerate(network._blocks):
        own: Any = front.blocks[i] if i < CUT else tail.blocks[i - CUT]
        if own.expand is not None:
            _fold(own.expand, block._expand_conv, block._bn0)
        _fold(own.depthwise, block._depthwise_conv, block._bn1)
        _fold(own.project, block._project_conv, block._bn2)
    _fold(tail.head, network._conv_head, network._bn1)
    tail.classes.load_state_dict(network._fc.state_dict())
    return front.eval().requires_grad_(False), tail.eval().requires_grad_(False)


@torch.no_grad()
def _fold(own: nn.Conv2d, conv: nn.Conv2d, norm: Any) -> None:
    """A convolution without bias and the normalisation behind it, as one."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    assert own.bias is not None  # Conv2d makes one unless told otherwise
    own.weight.copy_(conv.weight * factor[:, None, None, None])
    own.bias.copy_(norm.bias - norm.running_mean * factor)
