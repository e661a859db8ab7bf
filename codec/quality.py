"""Quality as people give it."""

from __future__ import annotations

import math
from typing import Any

from lictor.codec.errors import InvalidQuality
from lictor.models.quality import Quality

DEFAULT = 50.0


def given(quality: Any) -> Quality:
    """A number in 0…100 that somebody gave. Raises InvalidQuality."""
    try:
        value = float(quality)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        raise InvalidQuality(f"quality is {quality!r}; give a number from 0 to 100")
    return Quality.of(value)
