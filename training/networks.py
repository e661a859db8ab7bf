"""Networks that are named by what makes them, and tensors of a file as theirs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from lictor.codec.errors import InvalidOption


def called(name: str, what: str) -> Any:
    """What a function gives that is named MODULE:NAME. Modules of the current folder are found.

    what: that it makes, as an error says it. Raises InvalidOption, a ValueError.
    """
    module, colon, function = name.partition(":")
    if not colon:
        raise InvalidOption(f"name what makes the {what}: {what}=MODULE:NAME, not {name}")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise InvalidOption(f"{what}={name} cannot be made: {error}") from error
    finally:
        sys.path.remove(os.getcwd())


def made(name: str) -> nn.Module:
    """The network that is named, in eval mode. Raises InvalidOption."""
    found = called(name, "network")
    if not isinstance(found, nn.Module):
        raise InvalidOption(f"network={name} makes no torch.nn.Module")
    return found.eval()


def load(network: nn.Module, tensors: Mapping[str, Tensor], whose: str) -> None:
    """Put tensors into a network. whose: the name of their file. Raises InvalidOption."""
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        raise InvalidOption(f"{whose} is for another network: {text}") from error
