"""Quality as people give it, 0…100, and as files store it, in steps of a quarter."""

from __future__ import annotations

import math
from typing import Any

from lictor.codec.errors import InvalidQuality
from lictor.codec.format.picture import QUALITY_STEPS

DEFAULT = 50.0


def to_step(quality: Any) -> int:
    """As files store it: 0…400. Raises InvalidQuality."""
    try:
        value = float(quality)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        raise InvalidQuality(f"quality is {quality!r}; give a number from 0 to 100")
    return round(value * QUALITY_STEPS / 100)


def from_step(step: int) -> float:
    """As people give it: 0…100, a multiple of 0.25."""
    return step * 100 / QUALITY_STEPS
