"""Numbers of bytes as people write them."""

from __future__ import annotations

import operator
import re
from typing import Any

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse(value: Any) -> int:
    """40MB, 500kB, 1.5 GB, 16KiB or 1000000, as text or a whole number: bytes, at least 1.

    Raises ValueError.
    """
    if not isinstance(value, str):
        try:
            size = operator.index(value)
        except TypeError:
            size = int(value) if float(value).is_integer() else 0
    else:
        found = re.fullmatch(r"(\d+(?:\.\d*)?) *([kmg]i?|)b?", value.strip().lower(), re.ASCII)
        size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise ValueError(f"{value!r} is no size; write one like 40MB")
    return size
