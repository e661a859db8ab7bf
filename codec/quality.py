"""Quality as people give it."""

from __future__ import annotations

import math
import operator
from typing import Any

from lictor.codec.errors import InvalidEffort, InvalidQuality
from lictor.models.quality import Quality

DEFAULT = 50.0
MAX_EFFORT = 9
LOSSLESS = "lossless"
"""In place of a number: all samples of a picture come back as they were."""


def given(quality: Any) -> Quality:
    """A number in 0…100 that somebody gave. Raises InvalidQuality."""
    try:
        value = float(quality)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        raise InvalidQuality(
            f"quality is {quality!r}; give a number from 0 to 100, or of a picture {LOSSLESS!r}"
        )
    return Quality.of(value)


def effort(given: Any) -> int:
    """How long to search, 0…9. Raises InvalidEffort."""
    try:
        value = operator.index(given)
    except TypeError:
        value = -1
    if not 0 <= value <= MAX_EFFORT:
        raise InvalidEffort(f"effort is {given!r}; give a whole number from 0 to {MAX_EFFORT}")
    return value
