"""What callers give for caches and embeddings, checked."""

from __future__ import annotations

import math
import operator
from typing import Any

from lictor.codec.errors import InvalidOption, InvalidTarget


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number in these bounds. Raises InvalidOption."""
    try:
        found = operator.index(value)
    except TypeError:
        found = least - 1
    if not least <= found <= most:
        raise InvalidOption(f"{name} is {value!r}; give a whole number of {least} to {most}")
    return found


def positive(name: str, value: Any) -> float:
    """A finite number above 0. Raises InvalidTarget."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise InvalidTarget(f"{name} is {value!r}; give a number above 0")
    return found
